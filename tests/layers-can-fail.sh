#!/usr/bin/env bash
# Proves that layers.sh sees what it is there for: each case plants one include in a copy of the tree and wants its fault named.
# usage: layers-can-fail.sh <source tree>
set -euo pipefail
tree=${1:?usage: layers-can-fail.sh <source tree>}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for folder in core storage ingest encoder train index compare search front server tools; do
    [ -d "$tree/$folder" ] && cp -r "$tree/$folder" "$copy/"
done
failed=0

# case <file> <include> <words that the fault must have>
try() {
    local out
    mkdir -p "$copy/$(dirname "$1")"
    printf '#include %s\n' "$2" >"$copy/$1"
    if out=$(bash "$tree/tests/layers.sh" "$copy"); then
        echo "not seen: $1 with #include $2"
        failed=1
    elif ! grep -F "$1: " <<<"$out" | grep -qF "$3"; then
        echo "seen, but not as '$3': $1 with #include $2"
        failed=1
    fi
    rm "$copy/$1"
}

bash "$tree/tests/layers.sh" "$copy" >/dev/null || { echo "the tree itself has faults; see source/layers"; exit 1; }
try core/planted.c '"storage/store.h"' 'core/ may not include storage/'
try storage/planted.c '"encoder/net.h"' 'storage/ may not include encoder/'
try encoder/planted.h '"train/backward.h"' 'encoder/ may not include train/'
try index/planted.c '"search/engine.h"' 'index/ may not include search/'
try train/planted.c '"index/index.h"' 'train/ may not include index/'
try search/planted.c '"ingest/raster.h"' 'search/ may not include ingest/'
try core/planted.c '"status.h"' 'not named from the root'
try search/planted.c '<lmdb.h>' 'search/ may not use lmdb'
try core/planted.c '<jansson.h>' 'core/ may not use jansson'
try index/planted.c '<faiss/IndexIVF.h>' 'only index/faiss_ext.cpp'
try storage/planted.c '<curl/curl.h>' 'of no library in the table'
try core/zzz_second.c '<xxhash.h>' 'a folder has one adapter'
[ "$failed" = 0 ] && echo "12 planted faults seen"
exit "$failed"
