#!/usr/bin/env bash
# Makers of vectors: the same bytes for any number of threads, a short set is the beginning of a long one, and bad words are refused.
# ctest: no-tsan
set -eu
build=$(dirname "$(realpath "${DIPTYCH:?DIPTYCH must name the program}")")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "makers: $*"; exit 1; }
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }
size() { [ "$(stat -c %s "$1")" = "$2" ] || fail "$1 has $(stat -c %s "$1") bytes, not $2"; }

"$build/bench_vectors" --threads 1 --count 1300 --queries 40 --dim 50 one >log
"$build/bench_vectors" --threads 2 --count 3000 --queries 40 --dim 50 two >>log
"$build/bench_vectors" --seed 2 --count 1300 --queries 40 --dim 50 three >>log
grep -q '"simulated":true' log || fail "simulated vectors are not called so"
size one_base.fbin $((8 + 1300 * 50 * 4))
same one_same.fbin two_same.fbin
same one_other.fbin two_other.fbin
cmp <(tail -c +9 one_base.fbin) <(tail -c +9 two_base.fbin | head -c $((1300 * 50 * 4))) || fail "a short set is no beginning"
! cmp -s one_base.fbin three_base.fbin || fail "the seed changes nothing"

# Pictures of noise are corners throughout, and no two look alike.
mkdir pictures
for i in $(seq 12); do { printf 'P5 900 900 255\n'; head -c 810000 /dev/urandom; } >"pictures/$i.pgm"; done
cp pictures/3.pgm pictures/another.pgm
"$build/bench_descriptors" --threads 1 --count 300 --queries 20 pictures one >log
"$build/bench_descriptors" --threads 2 --count 300 --queries 20 pictures two >log
grep -q '"n":300,"dim":128,"photographs":11' log || fail "12 pictures, one of them twice, gave: $(cat log)"
same one_base.fbin two_base.fbin
same one_query.fbin two_query.fbin
size one_query.fbin $((8 + 20 * 128 * 4))
"$build/bench_descriptors" --bytes --count 300 --queries 20 pictures two >log
size two_base.u8bin $((8 + 300 * 128))

rm pictures/[4-9].pgm
! "$build/bench_descriptors" pictures one 2>said || fail "few pictures are enough"
grep -q "11 are needed" said || fail "few pictures: $(cat said)"
! "$build/bench_vectors" 2>said || fail "no name is enough"
! "$build/bench_vectors" --dim 0 x 2>said || fail "no dimensions are enough"
