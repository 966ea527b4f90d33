#!/usr/bin/env bash
# The peers of diptych bench, as far as they are installed: each speaks the protocol, builds, opens again, and finds neighbours.
# ctest: no-tsan
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
peer=$(dirname "$diptych")/peer_hnswlib
bench=$(realpath "$(dirname "$0")/../../bench")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-peers-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "peers: $*" >&2
    exit 1
}
word() { printf "\\$(printf %o $(($1 % 256)))\\$(printf %o $(($1 / 256)))\\0\\0"; }
vectors() { word "$1" && word 16 && seq 30000 | gzip -9nc | tail -c +"$2" | head -c $((16 * $1)); } # rows, from byte
vectors 3000 100 >base.u8bin
vectors 50 50000 >asks.u8bin

tried=0
try() { # name, command with parameters of building, parameters of searching that find nearly all, others
    for search in "$3" "$4"; do
        "$diptych" bench base.u8bin "$2 / $search" --queries asks.u8bin -o "$1" --repeats 1 --batches 1,16 --keep >out 2>err ||
            fail "$1: $(cat err "$1"/*.log)"
    done
    [ "$(wc -l <"$1/results.jsonl")" = 4 ] || fail "$1: $(cat "$1/results.jsonl")"
    head -2 "$1/results.jsonl" | grep -Evq '"recall":(1|0\.9[0-9]*),' && fail "$1 finds too little: $(cat "$1/results.jsonl")"
    tail -2 "$1/results.jsonl" | grep -q '"open_s":null' && fail "$1 did not open what it had built: $(cat "$1"/*.log)"
    "$diptych" bench base.u8bin "$2 / nosuch=1" --queries asks.u8bin -o "$1" --batches 1 >out 2>err && fail "$1 took a parameter that it does not have"
    grep -q nosuch err || fail "$1: said $(cat err)"
    tried=$((tried + 1))
}
if [ -x "$peer" ]; then
    try hnswlib "$peer M=16 ef_construction=100" "ef=400" "ef=10"
else
    echo "peers: peer_hnswlib was not built: libhnswlib-dev is not there"
fi
if /usr/bin/python3 -c 'import faiss' 2>/dev/null; then
    try ivfpq "$bench/peer_faiss.py ivfpq lists=16 codes=8" "nprobe=16 depth=32" "nprobe=1 depth=1"
    try hnsw "$bench/peer_faiss.py hnsw M=16 ef_construction=100" "ef=400" "ef=10"
else
    echo "peers: python3-faiss is not there"
fi
[ $tried -gt 0 ] || exit 77
