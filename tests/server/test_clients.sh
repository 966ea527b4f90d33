#!/usr/bin/env bash
# ctest: slow
# Real clients against diptych serve: GDAL lists, filters and copies collections by OGC API Features and reads the pixels of a
# saved query's hits through STAC, pages are followed by GET and POST, STAC objects and the OpenAPI description pass their
# validators (from npm: scripts/test-tools.sh; without them those parts are skipped).
set -euo pipefail
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "clients: $*" >&2; exit 1; }
for tool in ogrinfo ogr2ogr gdalinfo curl jq /usr/bin/python3; do
    command -v "$tool" >/dev/null || { echo "clients: $tool is not installed"; exit 77; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-clients-XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; [ -z "$server" ] || wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export GDAL_HTTP_TIMEOUT=30 no_proxy=127.0.0.1

"$diptych" simulate a --places 30 --seed 3 --quiet >/dev/null
"$diptych" train a --epochs 1 --batch 4 --input-px 16 --widths 32 --blocks 1 --embed-dim 32 --layout-grid 0 --embed-layout 0 --embed-z 1 --quiet >/dev/null
"$diptych" encode a --quiet >/dev/null
"$diptych" index a --quiet >/dev/null
"$diptych" serve a --listen 127.0.0.1:0 >started 2>err &
server=$!
url=
for _ in $(seq 300); do
    url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' started | head -1) && break
    kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat err)"
    sleep 0.1
done
[ -n "$url" ] || fail "the server did not say where it listens"

# a saved query
saved=$(curl -sSf -H 'Content-Type: application/json' -d "{\"collections\":[\"s2\"],\"similarity\":{\"item\":\"s1/$(curl -sSf "$url/collections/s1/items?limit=1" | jq -r '.features[0].id')\",\"k\":12}}" "$url/queries" | jq -r .collection)

# OGC API Features
ogrinfo -ro "OAPIF:$url" >layers 2>&1
for layer in s1 s2 "$saved"; do grep -q ": $layer " layers || fail "OAPIF: no layer $layer in $(cat layers)"; done
count() { ogrinfo -ro -so -al "$@" 2>/dev/null | sed -n 's/^Feature Count: //p'; }
ogr2ogr -f GPKG out.gpkg "OAPIF:$url" s2 2>/dev/null
[ "$(count out.gpkg)" = 30 ] || fail "ogr2ogr took $(count out.gpkg) items of 30"
ogr2ogr -f GPKG saved.gpkg "OAPIF:$url" "$saved" 2>/dev/null
[ "$(count saved.gpkg)" = 12 ] || fail "ogr2ogr took $(count saved.gpkg) hits of 12"
read -r west south east north < <(curl -sSf "$url/collections/s2/items?limit=1" | jq -r '.features[0].bbox | map(tostring) | join(" ")')
expected=$(curl -sSf "$url/collections/s2/items?limit=100&bbox=$west,$south,$east,$north" | jq .numberMatched)
ogr2ogr -f GPKG -spat "$west" "$south" "$east" "$north" near.gpkg "OAPIF:$url" s2 2>/dev/null
[ "$(count near.gpkg)" = "$expected" ] && [ "$expected" -ge 1 ] && [ "$expected" -lt 30 ] ||
    fail "a box leaves $(count near.gpkg) items in ogr2ogr, $expected in the service"

# pixels by STAC
gdalinfo -checksum "STACIT:\"$url/collections/$saved/items?limit=1\":asset=visual" >stacit 2>stacit.err || fail "STACIT: $(cat stacit.err)"
grep -q 'Checksum=[1-9]' stacit || fail "STACIT read no pixels: $(cat stacit)"
visual=$(curl -sSf "$url/collections/s2/items?limit=1" | jq -r '.features[0].assets.visual.href')
curl -sSf -o visual.tif "$visual"
gdalinfo visual.tif | grep -q 'LAYOUT=COG' || fail "visual is no COG"
[ "$(gdalinfo -checksum visual.tif | grep -c 'Checksum=[1-9]')" = "$(gdalinfo -checksum "/vsicurl/$visual" | grep -c 'Checksum=[1-9]')" ] || fail "vsicurl read other pixels"
[ "$(curl -sS -r 10-19 "$visual" | od -An -tx1)" = "$(dd if=visual.tif bs=1 skip=10 count=10 status=none | od -An -tx1)" ] || fail "a range of bytes is not that of the file"
[ "$(curl -sS -o /dev/null -w '%{http_code}' -I "$visual")" = 200 ] || fail "HEAD of an asset"
tag=$(curl -sS -I "$visual" | tr -d '\r' | sed -n 's/^ETag: //p')
[ "$(curl -sS -o /dev/null -w '%{http_code}' -H "If-None-Match: $tag" "$visual")" = 304 ] || fail "an asset that is known is sent again"
embedding=$(curl -sSf "$url/collections/s2/items?limit=1" | jq -r '.features[0].assets.embeddings.href')
curl -sSf -o e.npy "$embedding"
curl -sSf -o e.json "$embedding?format=json"
/usr/bin/python3 - <<'PYTHON'
import json
import numpy
stored, told = numpy.load("e.npy"), json.load(open("e.json"))["vector"]
assert stored.shape == (1, len(told)) and stored.dtype == numpy.float32
assert abs(numpy.linalg.norm(stored) - 1) < 1e-3 and abs(stored[0] - told).max() < 1e-6
PYTHON

/usr/bin/python3 "$here/clients/pages.py" "$url" s2

# validators
tools=$here/clients/node_modules/.bin
if ! command -v node >/dev/null || [ ! -x "$tools/stac-node-validator" ]; then
    echo "clients: the validators are not installed (scripts/test-tools.sh); GDAL, pages and assets are as they should be"
    exit 77
fi
mkdir stac wrong
curl -sSf "$url/" >stac/catalog.json
curl -sSf "$url/collections/s1" >stac/collection.json
curl -sSf "$url/collections/$saved" >stac/saved.json
curl -sSf "$url/collections" | jq '.collections[1]' >stac/listed.json
curl -sSf "$url/search?limit=5" >stac/page.json
curl -sSf "$url/collections/s2/items?limit=1" | jq '.features[0]' >stac/item.json
curl -sSf "$url/collections/$saved/items?limit=1" | jq '.features[0]' >stac/hit.json
schemas=$here/clients/schemas extensions=https://stac-extensions.github.io
validate() {
    "$tools/stac-node-validator" --schemas "$schemas" \
        --schemaMap "$extensions/projection/v1.2.0/schema.json=$schemas/projection.json;$extensions/item-assets/v1.0.0/schema.json=$schemas/item-assets.json" "$@"
}
validate stac/*.json >validated 2>&1 || fail "stac-node-validator: $(cat validated)"
grep -q 'Valid: 7' validated || fail "stac-node-validator: $(cat validated)"
jq 'del(.bbox)' stac/item.json >wrong/box.json
jq '.properties["proj:shape"] = ["a"]' stac/item.json >wrong/shape.json
jq 'del(.extent.temporal)' stac/collection.json >wrong/extent.json
for object in wrong/*.json; do
    ! validate "$object" >/dev/null 2>&1 || fail "$object passed, so the validator proves nothing"
done
curl -sSf "$url/api" >openapi.json
"$tools/redocly" lint openapi.json >lint 2>&1 || fail "redocly: $(cat lint)"
bash "$here/../../scripts/api-page.sh" | cmp - "$here/../../server/api.html" || fail "server/api.html is not made of server/openapi.json: scripts/api-page.sh makes it"
