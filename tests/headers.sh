#!/usr/bin/env bash
# Compiles each public header alone, pedantically, as C11 and as C++17. usage: headers.sh <source tree> <C compiler> <C++ compiler>
set -euo pipefail
tree=$1 cc=$2 cxx=$3
count=0
for header in "$tree"/include/diptych/*.h; do
    name=diptych/$(basename "$header")
    # Twice: a second inclusion must do nothing.
    printf '#include <%s>\n#include <%s>\nint used(void);\nint used(void) { return 0; }\n' "$name" "$name" >"${TMPDIR:-/tmp}/header-$$.c"
    "$cc" -std=c11 -pedantic -Wall -Wextra -Wstrict-prototypes -Werror -I "$tree/include" -fsyntax-only "${TMPDIR:-/tmp}/header-$$.c"
    "$cxx" -std=c++17 -pedantic -Wall -Wextra -Werror -I "$tree/include" -fsyntax-only -x c++ "${TMPDIR:-/tmp}/header-$$.c"
    rm -f "${TMPDIR:-/tmp}/header-$$.c"
    count=$((count + 1))
done
[ "$count" -gt 0 ]
echo "$count headers stand alone as C11 and as C++17"
