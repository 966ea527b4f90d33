#!/usr/bin/env bash
# What eval says against the same measures computed in Python from an export.
set -eu
command -v python3 >/dev/null || { echo "eval: skipped, python3 is not there"; exit 77; }
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-eval-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "eval: $*" >&2
    exit 1
}
run() { "$diptych" "$@" >out 2>err || fail "$1 failed: $(cat err)"; }

run simulate a --places 90 --size 32
run train a --epochs 1 --batch 16 --input-px 32 --widths 32,32 --blocks 1,1 --embed-dim 32 --embed-h 0.7 --embed-layout 0
run encode a
run export a --out e --what metadata
run export a --out e --what embeddings
for engine in exact faiss; do
    run index a --engine $engine
    run eval a --output eval.json -k 1,4 --resamples 200
    python3 "$here/check_eval.py" e eval.json test
done
run eval a --output eval.json -k 1,4 --resamples 200 --as int8
grep -q '"bytes": 64' eval.json || fail "said: $(head -c 400 eval.json)"
python3 "$here/check_eval.py" e eval.json test int8

# The principal dimensions of all there are change nothing; a half of them takes half the bytes.
run eval a --json --resamples 0 --exact
mv out all
run eval a --json --resamples 0 --dims 64
cmp out all || fail "all principal dimensions are not all dimensions"
run eval a --json --resamples 0 --dims 32 --as sign
grep -q '"dims":32,"bytes":4' out || fail "said: $(cat out)"
run eval a --json --resamples 0 --dims 32
grep -q '"dims":32,"bytes":64' out || fail "said: $(cat out)"
"$diptych" eval a --dims 65 >out 2>err && fail "65 of 64 dimensions were kept"
grep -q "have 64 dimensions, not 65" err || fail "said: $(cat err)"

# Everybody is found among everybody.
run eval a --split all -k 90 --resamples 0 --json
grep -q '"metric":"pair_recall","k":90,"queries":90,"chance":1.000000,"exact":{"value":1.000000,"low":null' out || fail "said: $(cat out)"
