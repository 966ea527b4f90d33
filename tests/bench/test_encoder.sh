#!/usr/bin/env bash
# The comparison of encoders runs with the smallest settings, writes rows that are JSON and a table, and measures nothing twice.
# ctest: no-tsan
set -eu
build=$(dirname "$(realpath "${DIPTYCH:?DIPTYCH must name the program}")")
root=$(cd "$(dirname "$0")/../.." && pwd)
python=/usr/bin/python3
[ -x "$python" ] || { echo "encoder: python3 is not installed; skipped"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT

run() { "$python" "$root/bench/encoder.py" --quick --build "$build" --out "$work" --px 32 --batch 2 --seconds 0.001 "$@"; }
run --tasks encode,train,up,peak,share 2>"$work/said" || { cat "$work/said"; exit 1; }

"$python" - "$work" "$build" <<'CHECK'
import json, os, sys
work, build = sys.argv[1:]
rows = [json.loads(line) for line in open(os.path.join(work, "encoder-quick.jsonl"))]
ours = [r for r in rows if r["subject"].startswith("ours") and r["task"] != "share"]
assert {r["task"] for r in ours} == {"encode", "train", "up", "peak"}, rows
assert any(r["subject"] == "ours int8" for r in ours), rows
for r in ours:
    assert r["s"] > 0 and r["cpu_s"] > 0 and r["gflop"] > 0 and r["calls"] >= 1, r
    assert r["machine"]["cores"] >= 1 and r["version"] and r["command"].startswith("bench/encoder.py --quick"), r
    assert r["items"] == (0 if r["task"] == "peak" else 2), r
for r in rows:
    if r["task"] == "share":
        assert r["cosine"] > 0.99, r
table = open(os.path.join(work, "encoder-quick.md")).read()
assert "## Training" in table and "## Encoding" in table and "| resnet10 | 32 | 1 | 2 |" in table, table
CHECK

# What is there counts; a row that was cut short does not.
before=$(wc -l <"$work/encoder-quick.jsonl")
printf '{"bench": "enc' >>"$work/encoder-quick.jsonl"
run --tasks encode,train 2>"$work/said"
[ "$(wc -l <"$work/encoder-quick.jsonl")" = "$before" ] || { echo "encoder: rounds were measured again"; exit 1; }
! grep -q 'enc$' "$work/encoder-quick.jsonl" || { echo "encoder: a torn row was kept"; exit 1; }
run --tasks encode --fresh 2>"$work/said"
[ "$(wc -l <"$work/encoder-quick.jsonl")" -lt "$before" ] || { echo "encoder: --fresh kept rows"; exit 1; }
