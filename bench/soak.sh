#!/usr/bin/env bash
# Mixed load on a server whose archive grows and whose index is built anew all the while: searches and pages by several clients,
# trickling senders, uploads broken off, nonsense. Reports requests, those that failed though they were good, switches of the
# index, and resident memory. usage: soak.sh [SECONDS]   (default 600; DIPTYCH names the program)
set -eu
diptych=$(realpath "${DIPTYCH:-build/diptych}")
seconds=${1:-600}
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-soak-XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
"$diptych" simulate a --places 100 --size 16 --quiet >/dev/null
"$diptych" train a --epochs 1 --quiet >/dev/null
"$diptych" encode a --quiet >/dev/null
"$diptych" index a --quiet >/dev/null
"$diptych" serve a --listen 127.0.0.1:0 --max-body 1M --timeout 3 >out 2>err &
server=$!
until grep -q ^metrics out; do sleep 0.1; done
url=$(sed -n 's,^metrics *\(http://.*\)/metrics$,\1,p' out)
address=${url#http://}
item=$(curl -s "$url/collections/s1/items?limit=1" | grep -o '"id":"[^"]*"' | head -1 | cut -d'"' -f4)
end=$((SECONDS + seconds))

good() { # file, curl's words
    local file=$1
    shift
    while [ $SECONDS -lt $end ]; do curl -s -m 30 -o /dev/null -w '%{http_code} %{exitcode}\n' "$@" >>"$file"; done
}
resident() { curl -s "$url/metrics" | sed -n 's/^process_resident_memory_bytes //p'; }
metric() { curl -s "$url/metrics" | sed -n "s/^$1 //p"; }

for i in 1 2 3; do
    good "good.search.$i" -H 'Content-Type: application/json' -d "{\"similarity\":{\"item\":\"s1/$item\",\"k\":10}}" "$url/search" &
    clients="${clients:-} $!"
done
good good.items "$url/collections/s2/items?limit=50" & clients="$clients $!"
good good.picture "$url/collections/s1/items/$item/thumbnail" & clients="$clients $!"
while [ $SECONDS -lt $end ]; do # a sender that trickles
    { exec 3<>"/dev/tcp/${address%:*}/${address##*:}" && for _ in $(seq 40); do printf 'G' >&3; sleep 0.5; done; } 2>/dev/null || true
    exec 3>&- || true
done & clients="$clients $!"
while [ $SECONDS -lt $end ]; do # an upload that is broken off, and nonsense
    head -c 300000 /dev/zero | curl -s -m 0.05 --limit-rate 1M -H 'Expect:' --data-binary @- "$url/encode" >/dev/null || true
    head -c 300 /dev/urandom >"/dev/tcp/${address%:*}/${address##*:}" 2>/dev/null || true
done & clients="$clients $!"
sleep 5
before=$(resident)
places=100
while [ $SECONDS -lt $((end - 5)) ]; do
    places=$((places + 5))
    "$diptych" simulate a --places $places --size 16 --quiet >/dev/null
    "$diptych" encode a --quiet >/dev/null 2>&1
    "$diptych" index a --quiet >/dev/null
    sleep 2
done
wait $clients || true
echo "requests  $(cat good.* | wc -l), of them not answered by 200: $(cat good.* | grep -vc '^200 0$' || true)"
echo "switches  $(metric dip_view_switches_total)"
echo "resident  $before bytes after 5 s, $(resident) at the end"
kill $server
wait $server && echo "stopped   in peace"
! grep -hv '^200 0$' good.*
