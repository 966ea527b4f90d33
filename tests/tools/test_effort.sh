#!/usr/bin/env bash
# Asking for recall or for time: what an index promises is what searches find, and what does not fit memory is refused.
# ctest: no-tsan
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-effort-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "effort: $*" >&2
    exit 1
}
run() { "$diptych" "$@" >out 2>err || fail "$* failed: $(cat err)"; }
refused() { # words, command
    local words=$1
    shift
    "$diptych" "$@" >out 2>err && fail "$* succeeded"
    grep -q -- "$words" err || fail "$* said: $(cat err)"
}
holds() { awk "BEGIN { exit !($1) }" || fail "not so: $1 ($2)"; }
field() { grep -o "\"$1\":[^,}]*" "$2" | cut -d: -f2-; }

run simulate a --places 1000 --size 32
run train a --epochs 1 --batch 32 --input-px 32 --widths 32,32 --blocks 1,1 --embed-dim 32 --embed-z 1 --embed-h 0 --embed-layout 0
run encode a

# The plan.
run index a --memory 1M --json
[ "$(field index out | sort -u)" = '"Flat"' ] || fail "few vectors did not become an exact index: $(cat out)"
grep -q '"why":"few vectors: compares all"' out || fail "no reason: $(cat out)"
run index a --memory 230k --json
grep -q '"why":"inverted lists; to save memory: does not compare all' out || fail "no reason: $(cat out)"
for memory in $(field memory out); do holds "$memory <= 115000" "memory of one of two modalities"; done
refused 'modality s1: an index of 1000 vectors of 32 dimensions takes .* --memory' index a --memory 20k
refused "memory 'much' is no size" index a --memory much
run index a --engine native --refine half --lists 64 --recall 0.95 --json
mv out index.json
grep -q 'SQfp16' index.json || fail "refinement is not what was asked for: $(cat index.json)"

# Several points a direction, one of them used by those who do not ask.
points=$(grep -o '"from":"s1","to":"s2"' index.json | wc -l)
holds "$points >= 3" "points of s1 -> s2"
used=$(grep -o '"from":"s1","to":"s2",[^}]*' index.json | grep '"used":true' | grep -o '"recall":[0-9.]*' | cut -d: -f2)
holds "$used >= 0.95" "recall of the point that is used"
run query a s1/sim1-000007 --to s2 --json
holds "$(field expected_recall out | head -1) - $used < 1e-4" "expected recall of a query as tuned"

# What is promised is found, for three efforts; by time, the fastest is less than the best.
for effort in 0.85 0.9 0.99; do
    run eval a --split all --resamples 0 --recall $effort --json
    paste <(field index_recall_at_10 out) <(field index_recall_expected out) >pairs
    while read -r found expected; do
        holds "$expected >= $effort && $found - $expected < 0.01 && $expected - $found < 0.01" "recall $effort"
    done <pairs
done
run query a s1/sim1-000007 --to s2 --json --max-ms 0.000001
fastest=$(field expected_recall out | head -1)
run query a s1/sim1-000007 --to s2 --json --max-ms 1000
best=$(field expected_recall out | head -1)
holds "$fastest < $used && $best > $used" "by time"
run query a s1/sim1-000007 --to s2 --explain --recall 0.85
grep -q 'lists, depth .* recall 0\.[89].* ms expected' err || fail "nothing explained: $(cat err)"

# All of it is exact search; more than there is gets a word.
run query a s1/sim1-000007 --to s2 --json --recall 1
mv out one.json
run query a s1/sim1-000007 --to s2 --json --exact
cmp out one.json || fail "recall 1 is not exact search"
run index a --engine faiss --lists 256 --codes 8 --recall 0.9
run query a s1/sim1-000007 --to s2 --recall 0.99999 --max-ms 0.000001
grep -q 'expected to find 0\.[0-9]* of the nearest, not 1; --exact finds all' err || fail "said: $(cat err)"
refused 'outside 0..1' query a s1/sim1-000007 --recall 2
