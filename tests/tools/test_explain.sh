#!/usr/bin/env bash
# diptych explain: text, JSON, pictures and page agree with each other and with diptych query; what cannot be explained is refused.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-explain-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "explain: $*" >&2
    exit 1
}
run() { "$diptych" "$@" 2>err || fail "$* failed: $(cat err)"; }
field() { # name: values of a JSON field, one a line
    grep -o "\"$1\":[^,}]*" | cut -d: -f2- | tr -d '"'
}

run simulate a --places 40 --size 48 >/dev/null
run train a --epochs 1 --batch 16 --input-px 32 --widths 32,32 --blocks 1,1 --embed-dim 32 --layout-grid 4 >/dev/null

# Before there is an index the model alone tells, of tiles with and without stored embeddings.
run explain a s1/sim1-000005 s2/sim1-000006 --json >early.json
grep -q '"percentile":null' early.json || fail "random pairs without an index: $(cat early.json)"
! "$diptych" explain a s1/sim1-000005 s2/sim1-000006 --model other 2>err >/dev/null || fail "an unknown model explained"
grep -q "has no model 'other'; it has default" err || fail "an unknown model: $(cat err)"
run encode a >/dev/null
run explain a s1/sim1-000005 s2/sim1-000006 --json >later.json
[ "$(field score <early.json | head -1 | cut -c1-5)" = "$(field score <later.json | head -1 | cut -c1-5)" ] || fail "another score once encoded"
run index a >/dev/null

# The score and the percentile are the search's; the shares add up; the grid is 8 x 8, twice.
run query a s1/sim1-000005 -k 1 --json >hit.json
hit=s2/$(field tile <hit.json)
run explain a s1/sim1-000005 "$hit" --json >why.json
[ "$(field score <why.json | head -1)" = "$(field score <hit.json)" ] || fail "another score than the search's"
[ "$(field percentile <why.json)" = "$(field percentile <hit.json)" ] || fail "another percentile than the search's"
field share <why.json | awk -v score="$(field score <hit.json)" '{ sum += $1; n++ } END { exit !(n == 2 && sum - score < 0.001 && score - sum < 0.001) }' ||
    fail "the shares do not add up: $(cat why.json)"
[ "$(grep -oE '\[(-?[0-9.]+,){7}-?[0-9.]+\]' why.json | wc -l)" = 16 ] || fail "no two grids of 8 rows: $(cat why.json)"
for name in a b score percentile random_pairs parts grid rows columns meaning best weakest labels both only_a only_b distance_km days_apart; do
    grep -q "\"$name\":" why.json || fail "no member $name"
done
run explain a s1/sim1-000005 "$hit" --json --threads 1 >single.json
cmp why.json single.json || fail "one thread explains otherwise"

# As text; the same tile as a file.
run explain a s1/sim1-000005 "$hit" >why.txt
grep -q 'simulated data' err || fail "the simulation is not told"
grep -qE '^  score 0\.[0-9]{4}$|^  score -?[01]\.[0-9]{4}$' why.txt || fail "no score: $(cat why.txt)"
grep -qE 'higher than [0-9.]+ % of random s1-s2 pairs' why.txt || fail "no percentile: $(cat why.txt)"
grep -qE 'best-matching part: [A-Za-z]+ \(-?[0-9.]+\); weakest: [A-Za-z]+ \(' why.txt || fail "no parts: $(cat why.txt)"
grep -qE 'km apart; [0-9]+ days apart' why.txt || fail "no distance: $(cat why.txt)"
run export a --out out --what tiles >/dev/null
run explain a out/tiles/s1/sim1-000005.tif "$hit" --json >file.json
[ "$(field best <file.json)" = "$(field best <why.json)" ] || fail "a file is explained otherwise"

# Pictures.
run explain a s1/sim1-000005 "$hit" -o why.png >/dev/null
[ "$(head -c 8 why.png | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "no PNG"
run explain a s1/sim1-000005 "$hit" -o why.html >/dev/null
[ "$(grep -o 'src="data:image/png;base64,' why.html | wc -l)" = 4 ] || fail "the page has not four pictures"
! grep -Eq '(src|href)="[^d]|https?:|<script' why.html || fail "the page refers to something outside"

refused() { # words of the failure, then the words of the command
    local words=$1
    shift
    ! "$diptych" explain "$@" >/dev/null 2>err || fail "explain $* was done"
    grep -q "$words" err || fail "explain $* said: $(cat err)"
}
refused "'nothing' is neither a tile" a s1/sim1-000005 nothing
refused 'no tile #99999' a '#99999' s1/sim1-000005
refused 'ends neither in .png nor in .html' a s1/sim1-000005 "$hit" -o why.jpg
refused 'was built with model default, not other' a s1/sim1-000005 "$hit" --model other
refused 'usage' a s1/sim1-000005
