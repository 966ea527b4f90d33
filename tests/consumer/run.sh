#!/usr/bin/env bash
# Installs a build into an empty folder and uses it as a stranger would: the library exports exactly what the public headers
# declare; a C program builds through pkg-config and through the CMake package, and runs; the program runs from where it is.
# usage: run.sh <source tree> <build folder> <C compiler>
set -euo pipefail
tree=$1 build=$2 cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/tree" >"$work/log" || { cat "$work/log"; exit 1; }

library=$(find "$work/tree" -name 'libdiptych.so')
[ -n "$library" ] || { echo "libdiptych.so was not installed"; exit 1; }
folder=$(dirname "$library")
nm -D --defined-only "$library" | awk '$2 ~ /[A-Z]/ && $2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort >"$work/exported"
LC_ALL=C sort "$build/libdiptych.exports" >"$work/declared"
diff -u "$work/declared" "$work/exported" || { echo "libdiptych.so does not export what include/diptych declares"; exit 1; }
readelf -d "$library" | grep -q 'SONAME.*libdiptych\.so\.[0-9]' || { echo "libdiptych.so has no versioned SONAME"; exit 1; }

export PKG_CONFIG_PATH=$folder/pkgconfig LD_LIBRARY_PATH=$folder
# shellcheck disable=SC2046
"$cc" -std=c11 -Wall -Wextra -Werror "$tree/tests/consumer/consumer.c" -o "$work/consumer" $(pkg-config --cflags --libs diptych)
"$work/consumer" "$work/one.archive"

cmake -S "$tree/tests/consumer" -B "$work/cmake" -G Ninja -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$work/tree" >"$work/log" &&
    cmake --build "$work/cmake" >>"$work/log" || { cat "$work/log"; exit 1; }
"$work/cmake/consumer" "$work/two.archive"

"$work/tree/bin/diptych" --help >/dev/null
share=$work/tree/share
for words in man/man1/diptych.1 bash-completion/completions/diptych zsh/site-functions/_diptych fish/vendor_completions.d/diptych.fish; do
    grep -q 'simulate' "$share/$words" || { echo "$words was not installed, or is empty"; exit 1; }
done
echo "$(wc -l <"$work/declared") functions exported; pkg-config and CMake consumers ran"
