#!/usr/bin/env bash
# Indexes of vectors that nobody stores: what the row of a size says agrees with the same vectors in a file, and the table has a line a size.
set -eu
build=$(dirname "$(realpath "${DIPTYCH:?DIPTYCH must name the program}")")
root=$(realpath "$(dirname "$0")/../..")
python=${PYTHON:-/usr/bin/python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-scale-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "scale: $*"; exit 1; }

# The same bytes as from a file.
"$build/bench_scale" --count 20000 --queries 100 --dim 32 --keep made >row
"$build/bench_vectors" --count 20000 --queries 1 --dim 32 v >/dev/null
printf 'build\tbase=v_base.fbin\tmetric=l2\tthreads=2\tfolder=file\n' | "$build/diptych" bench --serve native >said
grep -q ^built said || fail "$(cat said)"
cmp made/scale.segment file/index.segment || fail "vectors that are made and those of a file give other indexes"
"$build/bench_scale" --count 20000 --queries 100 --dim 32 gone >/dev/null
[ -z "$(ls gone)" ] || fail "the index stays"

"$python" "$root/bench/scale.py" --quick --build "$build" --out out --folder "$work" 2>said || fail "$(cat said)"
"$python" "$root/bench/scale.py" --quick --build "$build" --out out --folder "$work" 2>said || fail "again: $(cat said)"
"$python" - row out <<'PYTHON'
import json, sys
row, out = json.load(open(sys.argv[1])), sys.argv[2]
rows = [json.loads(line) for line in open(out + "/scale-quick.jsonl")]
assert [r["n"] for r in rows] == [20000, 50000], "two sizes, once each"
for r in rows + [row]:
    assert r["simulated"] and r["disk_bytes"] > r["resident_bytes"] > 0
    for which in ("same", "other"):
        assert .95 <= r[which]["recall"] <= 1 and 0 < r[which]["p50_us"] <= r[which]["p99_us"]
table = open(out + "/scale-quick.md").read()
assert table.count("| 20,000 |") == 3 and table.count("| *1,000,000,000* |") == 3 and "**Simulated**" in table
PYTHON
[ -z "$(ls -d scale.* 2>/dev/null)" ] || fail "folders stay"
status=0
"$build/bench_scale" 2>said || status=$?
[ $status = 2 ] && grep -q '^usage' said || fail "no folder is taken"
