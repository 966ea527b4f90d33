#!/usr/bin/env bash
# Filters of `query` from end to end: an archive imported from a manifest with further columns, each option held against what
# the manifest says.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-filters-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "filters: $*" >&2
    exit 1
}
equal() { # what, expected, got
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}
run() { "$diptych" "$@" 2>err || fail "$1 failed: $(cat err)"; }
ask() { run query a a/p00 -k 1000 --json "$@"; }
tiles() { grep -o '"tile":"[^"]*"' | cut -d'"' -f4 | sort; }
field() { # name: values of a JSON field, one a line
    grep -o "\"$1\":[^,}]*" | cut -d: -f2- | tr -d '"'
}

# Forty places on a line, a degree apart, of two modalities; the last one lies across the antimeridian. What the rows of b say of
# clouds, orbit and labels follows from the number; every fifth does not say it.
mkdir tiles
echo "tile_id,modality,path,labels,split,datetime,west,south,east,north,eo:cloud_cover,sat:orbit_state" >tiles/manifest.csv
for i in $(seq 0 39); do
    printf -v name 'p%02d' "$i"
    west=$((100 + 2 * i)) east=$((101 + 2 * i))
    [ "$i" -lt 39 ] || { west=179.5 east=-179.5; }
    day=$(date -u -d "2020-01-01 $i days" +%F)
    labels=(water "water|wood" town "")
    state=(ascending descending)
    cloud=$((i * 2)) orbit=${state[i % 2]}
    [ $((i % 5)) -ne 4 ] || cloud='' orbit=''
    for bands in 1 3; do
        modality=$([ $bands = 1 ] && echo a || echo b)
        awk -v seed="$i$bands" -v bands=$bands 'BEGIN { srand(seed); printf "P%d\n16 16\n255\n", bands == 1 ? 5 : 6
            for (k = 0; k < 256 * bands; k++) printf "%c", 97 + int(rand() * 26) }' >"tiles/$name.$modality.pnm"
        echo "$name,$modality,$name.$modality.pnm,${labels[i % 4]},$([ $((i % 3)) = 0 ] && echo test || echo train),$day,$west,10,$east,11,$cloud,$orbit" >>tiles/manifest.csv
    done
done
run import a tiles >/dev/null
run train a --epochs 1 --batch 4 --input-px 16 --widths 32 --blocks 1 --embed-dim 32 >/dev/null
run encode a >/dev/null
run index a >/dev/null

# What the manifest says, by awk, against what the filter leaves.
check() { # awk condition over i and the columns, options of query
    local expected
    expected=$(awk -F, -v OFS=, "NR > 1 && \$2 == \"b\" { i = substr(\$1, 2) + 0; labels = \"|\" \$4 \"|\"; cloud = \$11; orbit = \$12; if ($1) print \$1 }" tiles/manifest.csv | sort)
    shift
    equal "query $*" "$expected" "$(ask "$@" | tiles)"
    grep -q "the filter leaves $(echo -n "$expected" | grep -c '^') of 40 tiles" err || fail "query $* said: $(cat err)"
}
check 'cloud != "" && cloud < 20' --filter 'eo:cloud_cover < 20'
check 'cloud != "" && cloud >= 20' --filter 'NOT eo:cloud_cover < 20'
check 'cloud == ""' --filter 'eo:cloud_cover IS NULL'
check 'cloud == "" || cloud > 60' --filter 'eo:cloud_cover > 60 or eo:cloud_cover is null'
check 'orbit == "ascending" && labels ~ /wood/' --filter "\"sat:orbit_state\" = 'ascending' AND A_CONTAINS(labels, ('wood'))"
check 'orbit == "descending" && labels ~ /wood/' --filter "sat:orbit_state = 'descending' AND A_CONTAINS(labels, ('wood'))"
check 'labels ~ /water/ && labels ~ /wood/' --filter "A_CONTAINS(labels, ('water', 'wood'))"
check 'labels == "|water|"' --filter "A_EQUALS(labels, ('water'))"
check 'labels ~ /wood|town/' --label 'wood|town'
check '$5 == "test" && i >= 10 && i <= 20' --split test --datetime 2020-01-11/2020-01-21
check 'i >= 10 && $5 != "test"' --filter "datetime >= DATE('2020-01-11') AND split <> 'test'"
check 'i >= 5 && i <= 7' --bbox 110,10.5,115,12
check 'i >= 5 && i <= 6' --filter 'S_WITHIN(geometry, BBOX(110, 10, 113.5, 12))'
check 'i == 38 || i == 39' --bbox 176.5,5,-179,15
check 'i >= 38' --filter 'S_INTERSECTS(geometry, POLYGON((176.5 0, 185 0, 185 20, 176.5 20, 176.5 0)))'
echo '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":[[[100.5,9],[112.5,9],[112.5,12],[100.5,12],[100.5,9]],[[102.5,9.5],[108.5,9.5],[108.5,11.5],[102.5,11.5],[102.5,9.5]]]}}]}' >shape.geojson
check 'i <= 6 && i != 2 && i != 3' --intersects shape.geojson
check 'i <= 6 && i != 2 && i != 3' --intersects "$(cat shape.geojson)"
check 'cloud != "" && cloud < 20 && labels ~ /water/' --filter '{"op":"and","args":[{"op":"<","args":[{"property":"eo:cloud_cover"},20]},{"op":"a_overlaps","args":[{"property":"labels"},["water"]]}]}'
check '0' --filter "modality = 'a'"

# The counts come along, and the plan is told.
ask --filter 'eo:cloud_cover < 20' --explain >/dev/null
grep -q "b: compared with all 8 tiles that match" err || fail "--explain said: $(cat err)"
run query a a/p00 --filter 'eo:cloud_cover < 20' -k 3 --geojson >hits.geojson
equal "matched" 8 "$(field numberMatched <hits.geojson)"
equal "returned" 3 "$(field numberReturned <hits.geojson)"
equal "clouds in the hits" 3 "$(field eo:cloud_cover <hits.geojson | wc -l)"

# Score and distance.
ask >all.json
third=$(field score <all.json | awk 'NR == 3 { print $1 - 0.000001 }') # printed scores are rounded
equal "least score" 3 "$(ask --min-score "$third" | wc -l)"
equal "one a place" 40 "$(ask --to all --one-per-place | field place | sort -u | wc -l)"
equal "one a place, of" 40 "$(ask --to all --one-per-place | wc -l)"
equal "all" 79 "$(ask --to all | wc -l)"
near=$(ask --diversify-km 300 | field tile | tr -d p | sort -n)
echo "$near" | awk 'NR > 1 && 10#$1 - last < 2 { exit 1 } { last = $1 }' || fail "hits nearer than 300 km: $near"

# Examples: those given are no hits.
ask --positive 'a/p07|b/p08' --negative b/p09 >mixed.json
equal "hits" 38 "$(wc -l <mixed.json)"
! tiles <mixed.json | grep -q '^p0[89]$' || fail "an example is a hit"
equal "no percentile" "null" "$(field percentile <mixed.json | sort -u)"
equal "with themselves" 40 "$(ask --positive 'a/p07|b/p08' --negative b/p09 --include-self | wc -l)"
cmp -s <(tiles <all.json) <(tiles <mixed.json) && fail "examples change nothing"

# The sheet names the filter.
run query a a/p00 --filter 'eo:cloud_cover < 20' --html sheet.html >/dev/null
grep -q 'eo:cloud_cover &lt; 20' sheet.html || fail "the sheet does not name the filter"

refused() { # words of the failure, then options
    local words=$1
    shift
    ! "$diptych" query a a/p00 "$@" >/dev/null 2>err || fail "query $* was answered"
    grep -qF "$words" err || fail "query $* said: $(cat err)"
}
refused "filter, character 18: expected a property or a value, found the end" --filter 'eo:cloud_cover < '
refused "filter: no tile has a property 'cloud'; there are datetime" --filter 'cloud < 5'
refused "eo:cloud_cover" --filter 'cloud < 5'
refused "it is not valid: Self-intersection at" --intersects '{"type":"Polygon","coordinates":[[[0,0],[1,1],[1,0],[0,1],[0,0]]]}'
refused "cannot open 'nowhere.geojson'" --intersects nowhere.geojson
refused "the archive has no tile #999" --positive '#999'
