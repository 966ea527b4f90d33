#!/usr/bin/env bash
# Filters, distances and examples on real tiles of two scenes, a small model learned on the spot: what the manifest says decides
# what must come back; skipped without the data.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
data=${DIPTYCH_DATA:-$(dirname "$0")/../../../shared/data}/s1s2_la_sa
[ -f "$data/manifest.csv" ] || { echo "no $data/manifest.csv: skipped"; exit 77; }
data=$(realpath "$data")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-real-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "filters on real tiles: $*" >&2
    exit 1
}
equal() { # what, expected, got
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}
run() { "$diptych" "$@" 2>err || fail "$1 failed: $(cat err)"; }
tiles() { grep -o '"tile":"[^"]*"' | cut -d'"' -f4; }

# Every tenth place.
ln -s "$data/s1" "$data/s2" .
awk -F, 'NR == 1 || (NR - 2 - (NR - 2) % 2) % 20 == 0' "$data/manifest.csv" >manifest.csv
run import a manifest.csv >/dev/null
run train a --epochs 1 --batch 32 --input-px 32 --widths 32 --blocks 1 --embed-dim 32 --embed-z 1 --embed-h 0 --embed-layout 0 >/dev/null
run encode a >/dev/null
run index a >/dev/null
probe=$(awk -F, 'NR == 2 { print $1 }' manifest.csv)
ask() { run query a "s1/$probe" --to s2 -k 1000 --json "$@"; }
of() { # awk condition on the manifest's columns: names of the s2 tiles
    awk -F, "NR > 1 && \$2 == \"s2\" && ($1) { print \$1 }" manifest.csv | sort
}
check() { # condition, options
    local expected
    expected=$(of "$1")
    shift
    [ -n "$expected" ] || fail "no tile is expected of $*"
    equal "query $*" "$expected" "$(ask "$@" | tiles | sort)"
}

# Columns: 4 labels, 7 split, 8 scene, 9 row, 10 column, 11 longitude, 12 latitude, 13 date.
check '1' --filter 'row IS NOT NULL'
check '$9 >= 1 && $9 <= 3 && $10 > 1' --filter 'row BETWEEN 1 AND 3 AND col > 1'
check '$4 ~ /residential/ && $4 !~ /industrial/' \
    --filter "A_CONTAINS(labels, ('residential')) AND NOT A_CONTAINS(labels, ('industrial_commercial'))"
check '$4 ~ /water|woodland/ && $7 == "train"' --label 'water|woodland' --split train
check '$13 < "2020-11-10"' --filter "datetime < DATE('2020-11-10')"
check '$11 < -118.2 && $11 > -118.6' --bbox=-118.594,29,-118.206,35
check '$11 < -118.2 && $11 > -118.6' \
    --filter 'S_INTERSECTS(geometry, POLYGON((-118.594 29, -118.206 29, -118.206 35, -118.594 35, -118.594 29)))'

# Centres of the hits, best first; none that was dropped could have stayed, none that stayed is too near.
centres() { sed -E 's/.*"tile":"([^"]*)".*"bbox":\[([^]]*)\].*/\1,\2/' | awk -F, '{ printf "%s %.9f %.9f\n", $1, ($2 + $4) / 2, ($3 + $5) / 2 }'; }
ask | centres >all
awk '
    function km(x1, y1, x2, y2,   r, a, b, h) {
        r = atan2(0, -1) / 180; a = sin((y2 - y1) * r / 2); b = sin((x2 - x1) * r / 2)
        h = a * a + cos(y1 * r) * cos(y2 * r) * b * b
        return 2 * 6371.0088 * atan2(sqrt(h), sqrt(1 - h))
    }
    { for (i = 0; i < n; i++) if (km($2, $3, x[i], y[i]) < 8) next
      x[n] = $2; y[n++] = $3; print $1 }' all >apart
[ "$(wc -l <apart)" -gt 4 ] && [ "$(wc -l <apart)" -lt "$(wc -l <all)" ] || fail "a bad choice of distance: $(wc -l <apart) hits"
equal "8 km apart" "$(cat apart)" "$(ask --diversify-km 8 | tiles)"
equal "the best five 8 km apart" "$(head -5 apart)" "$(run query a "s1/$probe" --to s2 -k 5 --diversify-km 8 --json | tiles)"
equal "one a place" "$(of 1 | wc -l)" "$(ask --to all --one-per-place | wc -l)"

# A negative example falls, a positive one rises.
score_of() { grep "\"tile\":\"$1\"" | grep -o '"score":[^,]*' | cut -d: -f2; }
falling=$(sed -n 3p all | cut -d' ' -f1) rising=$(tail -1 all | cut -d' ' -f1)
ask --include-self >before
ask --include-self --negative "s2/$falling" --positive "s2/$rising" >after
awk -v a="$(score_of "$falling" <before)" -v b="$(score_of "$falling" <after)" 'BEGIN { exit !(b < a) }' || fail "a negative example did not fall"
awk -v a="$(score_of "$rising" <before)" -v b="$(score_of "$rising" <after)" 'BEGIN { exit !(b > a) }' || fail "a positive example did not rise"
