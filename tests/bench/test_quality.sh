#!/usr/bin/env bash
# A sweep over a few real tiles: what it measures, that it goes on after a kill, that it guards the test split.
# ctest: no-tsan
set -eu
bench=$(dirname "$(realpath "${DIPTYCH:?DIPTYCH must name the program}")")/bench_quality
here=$(cd "$(dirname "$0")" && pwd)
data=$(realpath -q "${DIPTYCH_DATA:-$here/../../../shared/data}" || true)
[ -f "$data/s1s2_la_sa/manifest.csv" ] || { echo "quality: skipped, there is no s1s2_la_sa in '$data'"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-quality-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "quality: $*" >&2
    exit 1
}
run() { "$bench" --work w "$@" >out 2>err || fail "$* failed: $(cat err)"; }
lines() { wc -l <w/quality-plan.jsonl; }

# Up to four pairs of a scene; eight scenes for training, three for validation, three for tests.
mkdir few
awk -F, -v OFS=, -v data="$data/s1s2_la_sa/" '
    NR == 1 { print; next }
    !($8 in number) { number[$8] = ++scenes[$7] }
    number[$8] <= ($7 == "train" ? 8 : 3) && ++tiles[$8] <= 8 { $3 = data $3; print }' "$data/s1s2_la_sa/manifest.csv" >few/manifest.csv
cat >plan.ini <<'END'
[plan]
title = A few tiles
seeds = 1
train = --epochs 1 --batch 8 --input-px 16 --widths 32,32 --blocks 1,1 --embed-dim 32 --eval-every 0
eval = --resamples 0 -k 1,10
[data few]
source = few
[candidate base]
eval-sign = --as sign
[candidate half]
train = --pairs-share 0.5
[final base]
END

# Killed in its second task, a sweep has the first; called again, it does the rest and no more.
"$bench" --work w plan.ini >out 2>err &
killed=$!
for _ in $(seq 300); do
    grep -q "half, seed 1: 2 of 2" err && break
    sleep 0.1
done
kill -9 $killed 2>/dev/null || fail "it was too fast to be killed: $(cat err)"
wait $killed 2>/dev/null || true
[ "$(lines)" -ge 2 ] || fail "nothing was written before the kill: $(cat err)"
printf '{"key":"cut o' >>w/quality-plan.jsonl
for _ in $(seq 100); do
    "$bench" --work w plan.ini >out 2>err && break
    grep -q "another sweep works" err || fail "said: $(cat err)" # the killed one's last command
    sleep 0.1
done
[ "$(lines)" = 3 ] || fail "$(lines) outcomes, 3 expected"
grep -q '"row":"half".*"pairs":16,' w/quality-plan.jsonl || fail "half of 32 pairs are not 16"
grep -q '^| base, sign | 1 | s1 → s1 ' w/quality-plan.md || fail "the report: $(cat w/quality-plan.md)"
grep -q '"section":"candidates"' w/quality-plan.json || fail "the summary: $(cat w/quality-plan.json)"
ls w/few/archive/models/*.safetensors 2>/dev/null && fail "a model was left"
cp w/quality-plan.jsonl before
run plan.ini
grep -q "0 trained, 2 were there" err || fail "said: $(cat err)"
cmp before w/quality-plan.jsonl || fail "the results changed"

# A row that changed is measured again, one that did not is not; the report has the new one only.
sed -i 's/pairs-share 0.5/pairs-share 0.25/' plan.ini
run plan.ini --rows half
grep -q "1 trained, 0 were there" err || fail "said: $(cat err)"
[ "$(lines)" = 4 ] || fail "$(lines) outcomes, 4 expected"
[ "$(grep -c '^| half |' w/quality-plan.md)" = 1 ] || fail "the report: $(cat w/quality-plan.md)"

# The test split is read once.
grep -q '"split":"test"' w/quality-plan.jsonl && fail "candidates were measured on the test split"
run plan.ini --test
[ "$(grep -c '"split":"test"' w/quality-plan.jsonl)" = 1 ] || fail "finals: $(cat err)"
run plan.ini --test
[ "$(grep -c "refused: the test split was read for it before" err)" = 1 ] || fail "said: $(cat err)"
[ "$(lines)" = 5 ] || fail "the test split was read again"
run plan.ini --test --again
[ "$(lines)" = 6 ] || fail "--again measured nothing"
grep -q "read 2 times, for 1 different configurations" w/quality-plan.md || fail "the report: $(cat w/quality-plan.md)"

# The same seed gives the same model, whenever it was trained.
grep '"split":"test"' w/quality-plan.jsonl | grep -o '"model_fingerprint":"[^"]*"' | sort -u >prints
[ "$(wc -l <prints)" = 1 ] || fail "two models: $(cat prints)"

# Parts of the scenes in place of val; the archive has no test tile.
sed -i 's/^seeds = 1/seeds = 1\nhold-out = 2\/3/' plan.ini
run plan.ini --rows base --keep
grep -q '^| base | 1 | s1 → s1' w/quality-plan.md || fail "the report: $(cat w/quality-plan.md)"
cut -d, -f7 w/few-2-of-3/manifest.csv | sort -u | tr '\n' ' ' | grep -qx "split train val " || fail "splits: $(cat w/few-2-of-3/manifest.csv)"
[ -f w/few-2-of-3/archive/models/base-part2-3-seed1.safetensors ] || fail "--keep kept $(ls w/few-2-of-3/archive/models)"

# What the program refuses is told with the row.
sed -i 's/--pairs-share 0.25/--pairs-share 0.0001/' plan.ini
"$bench" --work w plan.ini --rows half >out 2>err && fail "no pairs were trained"
grep -q "few half, seed 1, part 2/3: 'train' failed: .*0 training pairs" err || fail "said: $(cat err)"
