#!/usr/bin/env bash
# All C and C++ files are as clang-format leaves them. usage: format.sh <source tree> <clang-format>
set -euo pipefail
cd "$1"
find . -name '.?*' -prune -o -path './build*' -prune -o \( -name '*.[ch]' -o -name '*.cpp' \) -print | xargs "$2" --dry-run -Werror
