#!/usr/bin/env bash
# All commands one after the other on a small simulated archive, each result held against another way to the same one: a file
# against the stored tile, JSON against the table, an export against its import, a damaged byte against verify.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-tour-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "tour: $*" >&2
    exit 1
}
equal() { # what, expected, got
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}
run() { "$diptych" "$@" 2>err || fail "$1 failed: $(cat err)"; }
field() { # name: values of a JSON field, one a line
    grep -o "\"$1\":[^,}]*" | cut -d: -f2- | tr -d '"'
}

# From nothing to an index.
run simulate a --places 64 --size 48 >/dev/null
run train a --epochs 2 --batch 16 --input-px 32 --widths 32,32 --blocks 1,1 --embed-dim 32 --embed-z 1 --embed-h 0 --embed-layout 0 >/dev/null
page=a/runs/default/report.html
[ -s $page ] || fail "training left no page"
mv $page first.html
equal "report" "run default: $(realpath a)/runs/default/report.html" "$(run report a | sed "s|: a/|: $(realpath a)/|")"
cmp first.html $page || fail "report makes another page than train"
grep -q 'simulated data' $page || fail "the page does not say that the data are simulated"
equal "scripts and links" 0 "$(grep -ciE '<script|https?://' $page || true)"
run report a default -o other.html >/dev/null
cmp first.html other.html || fail "report -o makes another page"
"$diptych" report a none 2>err && fail "report of no run succeeded"
grep -q "no training run 'none'" err || fail "report of no run said: $(cat err)"
run encode a >/dev/null
run index a >index.txt
grep -q '^generation 000001, model default, 32 dimensions' index.txt || fail "index said: $(head -1 index.txt)"
equal "tiles" 128 "$(run info a --json | field tiles | head -1)"
equal "simulated" true "$(run info a --json | field simulated)"
grep -q '^archive .*(simulated data)$' <(run info a) || fail "info does not say that the data are simulated"
run verify a >/dev/null

# One answer, three forms.
run query a s1/sim1-000005 -k 7 >table.txt
equal "stderr" "diptych: query: simulated data" "$(cat err)"
run query a s1/sim1-000005 -k 7 --json >hits.json
equal "lines" 7 "$(wc -l <hits.json)"
equal "tiles of table and JSON" "$(awk 'NR > 1 { print $5 }' table.txt)" "$(field tile <hits.json)"
equal "modality" "s2" "$(field modality <hits.json | sort -u)"
equal "simulated" "true" "$(field simulated <hits.json | sort -u)"
run query a s1/sim1-000005 -k 7 --geojson >hits.geojson
equal "tiles of GeoJSON and JSON" "$(field tile <hits.json)" "$(field tile <hits.geojson)"
equal "scores fall" "$(field score <hits.json)" "$(field score <hits.json | sort -rg)"
run query a s1/sim1-000005 -k 7 --json --exact >exact.json
cmp hits.json exact.json || fail "exact search answers otherwise"
run query a s1/sim1-000005 -k 7 --json --threads 1 >single.json
cmp hits.json single.json || fail "one thread answers otherwise"

# The same tile as a file, by id and by place.
run export a --out out >/dev/null
run query a out/tiles/s1/sim1-000005.tif -k 7 --json >file.json
equal "tiles for a file" "$(field tile <hits.json)" "$(field tile <file.json)"
id=$(awk -F, '$2 == "sim1-000005" { print $1 }' out/embeddings/s1.csv)
run query a "#$id" -k 7 --json >id.json
cmp hits.json id.json || fail "the id answers otherwise"
lonlat=$(awk -F, '$1 == "sim1-000005" && $2 == "s1" { printf "%.7f,%.7f", ($(NF - 3) + $(NF - 1)) / 2, ($(NF - 2) + $NF) / 2 }' out/metadata.csv)
run query a "$lonlat" --from s1 -k 7 --json >place.json
cmp hits.json place.json || fail "the location $lonlat answers otherwise"
grep -q "nearest tile to $lonlat is s1/sim1-000005, 0.0 km away" err || fail "the tile nearest to $lonlat is not named: $(cat err)"

# A file without names of its bands.
printf 'P5\n4 4\n255\n0123456789abcdef' >nameless.pgm
! "$diptych" query a nameless.pgm 2>err || fail "a file of one nameless band was taken"
grep -q "file 'nameless.pgm': 1 band without names" err || fail "said: $(cat err)"

# An archive of such files: its numbered bands take a nameless file of as many.
mkdir nameless
echo tile_id,modality,path >nameless/manifest.csv
for place in 1 2 3 4 5 6; do
    for bands in 1 3; do
        awk -v seed="$place$bands" -v bands=$bands 'BEGIN { srand(seed); printf "P%d\n16 16\n255\n", bands == 1 ? 5 : 6
            for (i = 0; i < 256 * bands; i++) printf "%c", 97 + int(rand() * 26) }' >nameless/$place.$bands.pnm
        echo "p$place,m$bands,$place.$bands.pnm" >>nameless/manifest.csv
    done
done
run import n nameless >/dev/null
grep -q 'the files of m3 name no bands, which are called band1, band2, band3 now; .* --bands "m3=NAME,NAME,NAME"' err ||
    fail "of bands without names it said: $(cat err)"
run import n nameless >/dev/null
! grep -q 'name no bands' err || fail "the second import told again how to name bands"
run train n --epochs 1 --batch 2 --input-px 16 --widths 32 --blocks 1 --embed-dim 32 >/dev/null
run encode n >/dev/null
run index n >/dev/null
run query n nameless/2.1.pnm --to m3 -k 3 --json >file.json
run query n m1/p2 --to m3 -k 3 --json >stored.json
equal "hits of the nameless file" "$(field tile <stored.json)" "$(field tile <file.json)"
run query n nameless/2.3.pnm -k 1 >out.txt
grep -q ' m1 ' out.txt || fail "three nameless bands were not taken for m3: $(cat out.txt)"

refused() { # words of the failure, then the query
    local words=$1
    shift
    ! "$diptych" query a "$@" >/dev/null 2>err || fail "query $* was answered"
    grep -q "$words" err || fail "query $* said: $(cat err)"
}
refused 'names 2 bands, the file has 1' nameless.pgm --bands VV,VH
refused "it has bands B99; model default wants VV,VH (s1)" nameless.pgm --bands B99 --from s1
refused "tile 'sim1-000005' is there in s1 and in s2; say s1/sim1-000005 or s2/sim1-000005" sim1-000005
refused "'nothing' is neither a tile of the archive (MODALITY/NAME) nor a file" nothing
refused 'no tile #99999' '#99999'
refused "there is no modality 's3'; the archive has s1, s2" s1/sim1-000005 --to s3
refused 'south 9 is north of north 1' s1/sim1-000005 --bbox 1,9,2,1
refused 'generation' s1/sim1-000005 --generation 000077
refused 'was built with model default, not other' s1/sim1-000005 --model other
cp out/tiles/s1/sim1-000005.tif cut.tif && truncate -s -900 cut.tif
refused "cut.tif" cut.tif
run query a sim1-000005 --from s1 -k 7 --json >from.json
cmp hits.json from.json || fail "--from answers otherwise"

# Filters, and more than there is.
all=$(awk -F, 'NR > 1 && $2 == "s2"' out/metadata.csv | wc -l)
of_test=$(awk -F, 'NR > 1 && $2 == "s2" && $7 == "test"' out/metadata.csv | wc -l)
[ "$of_test" -gt 0 ] || fail "the simulation has no test split"
equal "all" "$all" "$(run query a s1/sim1-000005 -k 1000 --json | wc -l)"
equal "test split" "$of_test" "$(run query a s1/sim1-000005 -k 1000 --split test --json | wc -l)"
run query a s1/sim1-000005 -k 1000 --split test >/dev/null
grep -q "the filter leaves $of_test of $all tiles; searched them exactly" err || fail "said: $(cat err)"
equal "own modality" $((all - 1)) "$(run query a s1/sim1-000005 --to s1 -k 1000 --json | wc -l)"
equal "both" $((2 * all - 1)) "$(run query a s1/sim1-000005 --to all -k 1000 --json | wc -l)"
equal "no label" 0 "$(run query a s1/sim1-000005 --label 'no such label' --json | wc -l)"
run query a s1/sim1-000005 --label 'urban|pastre' >/dev/null
grep -q "no tile has label 'pastre'; did you mean 'pasture'?" err || fail "of a label that no tile has it said: $(cat err)"
run query a s1/sim1-000005 --filter "split = 'tst' AND A_CONTAINS(labels, ('pastre'))" >/dev/null
grep -q "no tile has split 'tst'; did you mean 'test'?" err || fail "of a split that no tile has it said: $(cat err)"
run query a s1/sim1-000005 --label pasture >/dev/null
! grep -q 'no tile has' err || fail "of a label that tiles have it said: $(cat err)"

# The contact sheet needs nothing but itself.
run query a s1/sim1-000005 out/tiles/s2/sim1-000007 -k 3 --html sheet.html >/dev/null
grep -q 'simulated data' sheet.html || fail "the sheet does not say that the data are simulated"
! grep -Eq '(src|href)="[^d]|https?:|<script' sheet.html || fail "the sheet refers to something outside"
[ "$(grep -o 'src="data:image/png;base64,' sheet.html | wc -l)" -ge 8 ] || fail "the sheet has too few pictures"
grep -o 'base64,[^"]*' sheet.html | cut -d, -f2 | while read -r picture; do
    equal "PNG" "89504e470d0a1a0a" "$(echo "$picture" | base64 -d | head -c 8 | od -An -tx1 | tr -d ' \n')"
done

# Quality, exact and through the index.
run eval a --output eval.json -k 1,3 --resamples 50 >eval.txt
equal "stderr" "diptych: eval: simulated data" "$(cat err)"
equal "directions" 4 "$(grep -c ' -> ' eval.txt)"
equal "measures" 52 "$(grep -c '"metric":' eval.json)"
equal "simulated" "true" "$(grep -o '"simulated": [a-z]*' eval.json | cut -d' ' -f2)"
run eval a --split all --gallery all --by-scene --resamples 50 --json >/dev/null

# Export depends on contents alone, and import takes it back.
run export a --out again >/dev/null
diff -r out again || fail "two exports differ"
run import b out/tiles >/dev/null
run export b --out back --what tiles >/dev/null
diff -r out/tiles back/tiles || fail "what came back from an export differs"

# More places: encode does the new ones, index --update takes them in.
run simulate a --places 70 --size 48 >/dev/null
run encode a | grep -q '12 tiles encoded' || fail "encode did not do the 12 new tiles alone"
run index a --update >index.txt
grep -q '^generation 000002' index.txt || fail "no new generation: $(cat index.txt)"
run index a --update | grep -q 'up to date' || fail "an update without change built something"
equal "all" 70 "$(run query a s1/sim1-000005 -k 1000 --json | wc -l)"
run index a --engine faiss --lists 4 >/dev/null
equal "all, inverted lists" 70 "$(run query a s1/sim1-000005 -k 1000 --json | wc -l)"
run verify a >/dev/null

# A model that took the place of another does not fit the embeddings: verify says so, and a file is not compared with them.
cp -r a retrained
run train retrained --seed 2 --epochs 1 --batch 16 --input-px 32 --widths 32,32 --blocks 1,1 --embed-dim 32 --embed-z 1 \
    --embed-h 0 --embed-layout 0 >/dev/null
mv retrained/models/default-2.safetensors retrained/models/default.safetensors
if "$diptych" verify retrained >faults 2>err; then fail "verify does not see that the model was trained again"; fi
grep -q 'model default was trained again since the tiles of s1 were encoded; run diptych encode' faults || fail "verify said: $(cat faults err)"
! "$diptych" query retrained out/tiles/s1/sim1-000005.tif >/dev/null 2>err || fail "a file was asked with a model of another state"
grep -q 'trained again' err || fail "said: $(cat err)"
run encode retrained >/dev/null
! "$diptych" query retrained s1/sim1-000005 >/dev/null 2>err || fail "an index of older embeddings was used"
grep -q 'encoded the tiles again since generation .* was built; run diptych index' err || fail "said: $(cat err)"
run index retrained >/dev/null
run verify retrained >/dev/null

# A damaged byte is found, wherever it is.
for file in a/store/data.mdb a/models/default.safetensors a/index/*/s2.ids; do
    cp "$file" whole
    size=$(stat -c %s "$file")
    printf '\xa5\x5a\xa5\x5a' | dd of="$file" bs=1 seek=$((size * 2 / 3)) conv=notrunc 2>/dev/null
    cmp -s "$file" whole && fail "$file was not changed"
    if "$diptych" verify a >faults 2>err; then fail "verify does not see damage in $file"; fi
    [ -s faults ] || grep -q . err || fail "verify says nothing about $file"
    cp whole "$file"
done
run verify a >/dev/null
