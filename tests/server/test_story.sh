#!/usr/bin/env bash
# The whole story of the page in a browser, against a server with an archive of simulated pairs: drop a file, refine, swipe,
# explain, save, open the address again.
# ctest: slow
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
skip() { echo "story: skipped: $*"; exit 77; }
fail() { echo "story: $*" >&2; exit 1; }

command -v node >/dev/null || skip "node is not installed"
[ "$(node --version | sed -E 's/v([0-9]+).*/\1/')" -ge 18 ] || skip "node $(node --version) is older than 18"
command -v gdalbuildvrt >/dev/null || skip "gdal-bin is not installed"
command -v curl >/dev/null || skip "curl is not installed"
export CHROMIUM DIPTYCH=$program BANDS=VV,VH SIMULATED=1
CHROMIUM=$(command -v chromium || command -v chromium-browser) || skip "chromium is not installed"
[ -d "$here/browser/node_modules/playwright-core" ] || skip "playwright-core is not installed"

work=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export ARCHIVE=$work/a
{
    "$program" simulate a --places 64 --size 48
    "$program" train a --epochs 2 --batch 16 --input-px 32 --widths 32,32 --blocks 1,1 --embed-dim 32
    "$program" encode a
    "$program" index a
} >made.txt 2>&1 || fail "no archive: $(tail -n 3 made.txt)"

"$program" serve a --listen 127.0.0.1:0 >serve.txt 2>serve.err &
server=$!
for _ in $(seq 100); do
    grep -q '^page' serve.txt && break
    kill -0 "$server" 2>/dev/null || fail "serve ended: $(cat serve.err)"
    sleep 0.1
done
address=$(sed -nE 's|^page *(http://[^/]*)/ui/.*|\1|p' serve.txt)

# A radar file as somebody else has it: two bands in one GeoTIFF.
tile=$(curl -sf "$address/collections/s1/items?limit=1" | grep -o '"id":"[^"]*"' | head -n 1 | cut -d'"' -f4)
for band in VV VH; do curl -sf "$address/collections/s1/items/$tile/bands/$band" -o "$band.tif"; done
gdalbuildvrt -q -separate both.vrt VV.tif VH.tif
gdal_translate -q both.vrt "$tile.tif"
node "$here/browser/story.mjs" "$address" "$tile.tif" s1 s2 ${PICTURES:+"$PICTURES"}
