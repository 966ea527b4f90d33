#!/usr/bin/env bash
# Configures and builds one preset of CMakePresets.json. usage: build.sh <preset> [targets]
# DIPTYCH_FAISS_ROOT in the environment names a FAISS to use (see cmake/DiptychFaiss.cmake).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:?usage: build.sh <preset> [targets]}
shift
options=(--log-level=WARNING)
[ -z "${DIPTYCH_FAISS_ROOT:-}" ] || options+=("-DDIPTYCH_FAISS_ROOT=$DIPTYCH_FAISS_ROOT")
cmake --preset "$preset" "${options[@]}" >/dev/null
[ $# = 0 ] || set -- --target "$@"
# Ninja's own line of progress where there is a terminal, silence and the failures elsewhere.
if [ -t 1 ]; then
    cmake --build --preset "$preset" "$@"
else
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    cmake --build --preset "$preset" "$@" >"$log" 2>&1 || { grep -vE '^\[[0-9]+/[0-9]+\]' "$log"; exit 1; }
fi
