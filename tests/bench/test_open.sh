#!/usr/bin/env bash
# Opening and first searches, warm and cold: a row a step, files that are not forgotten are noticed, and bad words are refused.
set -eu
build=$(dirname "$(realpath "${DIPTYCH:?DIPTYCH must name the program}")")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-open-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "open: $*"; exit 1; }
refused() { # what it says, words
    local says=$1 status=0
    shift
    "$build/bench_open" "$@" >said 2>&1 || status=$?
    [ $status != 0 ] || fail "'$*' was taken"
    grep -q -- "$says" said || fail "'$*' says: $(cat said)"
}

"$build/bench_vectors" --count 600 --queries 12 --dim 32 v >/dev/null
"$build/bench_vectors" --count 10 --queries 12 --dim 16 other >/dev/null
"$build/bench_selectivity" v_base.fbin v_same.fbin index >/dev/null
status=0
"$build/bench_open" --repeats 3 --searches 2 --json --queries v_same.fbin index selectivity >rows 2>said || status=$?
if [ $status != 0 ]; then
    grep -q 'stay in memory' said || fail "$(cat said)"
    grep -c '"state": "warm"' rows | grep -qx 3 || fail "no warm rows"
    echo "open: files of '$work' cannot be forgotten; the cold half was not run"
    exit 77
fi
[ "$(wc -l <rows)" = 6 ] || fail "not 6 rows: $(cat rows)"
for state in warm cold; do
    for step in open "search 1" "search 2"; do
        grep -q "\"state\": \"$state\", \"step\": \"$step\", \"repeats\": 3, \"p50_ms\": [0-9.]*, \"p99_ms\": [0-9.]*}" rows ||
            fail "no row of $state $step: $(cat rows)"
    done
done
"$build/bench_open" --repeats 2 index selectivity | grep -q '^cold *search 5 .*median' || fail "no table"
refused "usage" index
refused "nosuch" index nosuch
refused "16 values" --queries other_same.fbin index selectivity
