#!/usr/bin/env bash
# The archive's benchmark runs on a few simulated tiles, and on files made of them, and writes rows that are JSON and a table.
# ctest: no-tsan
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
build=$(dirname "$diptych")
root=$(cd "$(dirname "$0")/../.." && pwd)
python=/usr/bin/python3
[ -x "$python" ] || { echo "archive: python3 is not installed; skipped"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

run() { "$python" "$root/bench/archive.py" --quick --build "$build" --out "$work/out" "$@" 2>"$work/said" || { cat "$work/said"; exit 1; }; }
check() {
    "$python" - "$work/out" "$@" <<'CHECK'
import json, os, sys
out, steps = sys.argv[1], set(sys.argv[2:])
rows = [json.loads(line) for line in open(os.path.join(out, "archive-quick.jsonl"))]
assert {r["step"] for r in rows} == steps, rows
for r in rows:
    assert r["machine"]["cores"] >= 1 and r["program"] and r["version"], r
    if r["step"] == "codec":
        assert 0 < r["stored"] <= r["raw"] * 1.01 and r["pack_mb_s"] > 0 and r["unpack_mb_s"] > 0, r
    if r["step"] == "blocks":
        assert r["file_bytes"] > r["record_bytes"] * 0.99 and r["read_cpu_us"] > 0, r
    if r["step"] == "import" and r["stage"] == "whole":
        assert r["tiles"] == 6 and r["files"] >= 6 and r["cpu_s"] > 0, r
assert open(os.path.join(out, "archive-quick.md")).read().count("\n## ") == len(steps)
CHECK
}

run --steps store,codec,encode,blocks
check store codec encode blocks
rm -r "$work/out"

"$diptych" simulate "$work/few" --places 3 --size 32 --seed 1 >"$work/said" 2>&1
mkdir -p "$work/sets/few"
echo tile_id,modality,path >"$work/sets/few/manifest.csv"
"$diptych" export "$work/few" --what tiles --out "$work/sets/few" >"$work/said" 2>&1
for path in "$work"/sets/few/tiles/*/*; do
    modality=$(basename "$(dirname "$path")")
    name=$(basename "$path" .tif)
    echo "$name,$modality,tiles/$modality/$(basename "$path")" >>"$work/sets/few/manifest.csv"
done
run --data "$work/sets" --steps import
check import
