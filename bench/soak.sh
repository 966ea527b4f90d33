#!/usr/bin/env bash
# Mixed load by soak.py on a server whose archive grows and whose index is built anew all the while. Reports good requests and
# those of them that failed, bad clients by kind, switches of the index, and memory by the minute.
# usage: soak.sh [SECONDS]   (default 600; DIPTYCH names the program)
set -eu
diptych=$(realpath "${DIPTYCH:-build/diptych}")
seconds=${1:-600}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-soak-XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
"$diptych" simulate a --places 100 --size 16 --quiet >/dev/null
"$diptych" train a --epochs 1 --quiet >/dev/null
"$diptych" encode a --quiet >/dev/null
"$diptych" index a --quiet >/dev/null
"$diptych" export a --out out --what tiles --quiet >/dev/null
"$diptych" serve a --listen 127.0.0.1:0 --max-body 1M --timeout 3 >out.txt 2>err &
server=$!
until grep -qs ^metrics out.txt; do sleep 0.1; done
url=$(sed -n 's,^metrics *\(http://.*\)/metrics$,\1,p' out.txt)

/usr/bin/python3 "$here/soak.py" "$url" "$server" "$seconds" "$(ls out/tiles/s1/*.tif | head -1)" &
clients=$!
places=100
while kill -0 $clients 2>/dev/null; do # half of the switches with new tiles, half without
    places=$((places + 1))
    "$diptych" simulate a --places $places --size 16 --quiet >/dev/null
    "$diptych" encode a --quiet >/dev/null 2>&1
    "$diptych" index a --quiet >/dev/null
    sleep 2
    "$diptych" index a --quiet >/dev/null
    sleep 2
done
failed=0
wait $clients || failed=1
echo "switches  $(curl -s "$url/metrics" | sed -n 's/^dip_view_switches_total //p')"
kill $server
wait $server && echo "stopped   in peace"
grep -v ' INFO ' err | head -5 || true
exit $failed
