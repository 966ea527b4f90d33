#!/usr/bin/env bash
# diptych serve as people and service managers meet it: its first words, curl, Prometheus' own checker, a taken port, SIGHUP,
# readiness told to systemd, and a stop under load that fails no request.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
here=$(cd "$(dirname "$0")/../.." && pwd)
command -v curl >/dev/null || { echo "serve: curl is not installed"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-serve-XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "serve: $*" >&2
    cat err >&2 2>/dev/null || true
    exit 1
}
start() { # options
    rm -f out # of a server before: the shell empties it some time after this
    "$diptych" serve a --listen 127.0.0.1:0 "$@" >out 2>err &
    pid=$!
    for _ in $(seq 600); do
        grep -q '^metrics' out 2>/dev/null && break
        kill -0 $pid 2>/dev/null || fail "ended: $*"
        sleep 0.05
    done
    url=$(sed -n 's,^metrics *\(http://.*\)/metrics$,\1,p' out)
    [ -n "$url" ] || fail "did not say where it is"
}
stop() {
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    pid=
    [ $code -eq 0 ] || fail "stopped with $code"
}
status() { curl -s -o body -w '%{http_code}' "$@"; }

"$diptych" simulate a --places 20 --size 16 --quiet >/dev/null

# Without an index: it browses, and says what is missing.
start --access-log log
grep -q '^archive   a, 40 tiles$' out || fail "said $(cat out)"
grep -q '^index     none' out || fail "said $(cat out)"
[ "$(status "$url/healthz")" = 200 ] || fail "healthz"
[ "$(status "$url/readyz")" = 200 ] || fail "readyz"
[ "$(status "$url/collections")" = 200 ] || fail "collections: $(cat body)"
[ "$(status --path-as-is "$url/ui/../../etc/passwd")" = 404 ] || fail "a path that leads upwards"
[ "$(status -X DELETE "$url/search")" = 405 ] || fail "DELETE /search"
status "$url/metrics" >/dev/null
grep -q '^dip_archive_tiles{modality="s1"} 20$' body || fail "metrics: $(cat body)"
if command -v promtool >/dev/null; then promtool check metrics <body || fail "promtool finds fault"; fi

# The port is taken, and by whom is said.
code=0
"$diptych" serve a --listen "${url#http://}" >taken.out 2>taken || code=$?
[ $code -eq 1 ] || fail "a taken port ends with $code"
grep -q "port ${url##*:} is taken by pid $pid (" taken || fail "a taken port: $(cat taken)"

# logrotate: the file is moved, SIGHUP opens another.
for _ in $(seq 100); do grep -q '"route":"/metrics"' log && break; sleep 0.05; done
mv log log.1
kill -HUP $pid
for _ in $(seq 100); do [ -e log ] && break; sleep 0.05; done
curl -s "$url/healthz?after" >/dev/null
for _ in $(seq 100); do grep -q 'query":"after"' log && break; sleep 0.05; done
grep -q '"query":"after"' log || fail "nothing in the new log"
grep -q '"path":"/readyz"' log.1 || fail "the old log: $(cat log.1)"

# A stop under load: what was begun is finished; a connection that is refused was never begun.
for worker in 1 2 3 4; do
    while curl -s -o /dev/null -w '%{http_code} %{exitcode}\n' "$url/collections/s1/items?limit=20"; do :; done >"load.$worker" &
done
sleep 0.5
stop
sleep 0.2
sort load.* | uniq -c >counts
grep -q ' 200 0$' counts || fail "load: $(cat counts)"
# 7: connection refused; 56, 52: closed by a backlog that was never accepted.
grep -v -e ' 200 0$' -e ' 000 7$' -e ' 000 56$' -e ' 000 52$' counts && fail "load: $(cat counts)"
grep -q 'serve: stopped$' err || fail "said $(cat err)"

# Tokens, a small body, systemd.
printf 'sesame\n' >tokens
if command -v python3 >/dev/null; then
    python3 - >notified <<'END' &
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("notify")
s.settimeout(60)
print(s.recv(100).decode(), s.recv(100).decode())
END
    listener=$!
    for _ in $(seq 200); do [ -S notify ] && break; sleep 0.05; done
    export NOTIFY_SOCKET=$work/notify
fi
start --token-file tokens --max-body 1k
[ "$(status "$url/collections")" = 401 ] || fail "no token, and in it goes"
[ "$(status -H 'Authorization: Bearer sesame' "$url/collections")" = 200 ] || fail "token: $(cat body)"
head -c 2000 /dev/zero >large
[ "$(status -H 'Authorization: Bearer sesame' --data-binary @large "$url/search")" = 413 ] || fail "body: $(cat body)"
stop
if [ -n "${listener:-}" ]; then
    wait $listener
    [ "$(cat notified)" = "READY=1 STOPPING=1" ] || fail "systemd heard $(cat notified)"
fi
unset NOTIFY_SOCKET
if command -v systemd-analyze >/dev/null; then
    sed "s,/usr/local/bin/diptych,$diptych," "$here/dist/diptych.service" >diptych.service
    systemd-analyze verify ./diptych.service 2>verify || true
    ! grep -i 'diptych.service' verify || fail "systemd-analyze: $(cat verify)"
fi

# Wrong words.
for words in "--listen nowhere:x" "--max-body much" "--token-file none"; do
    code=0
    # shellcheck disable=SC2086
    "$diptych" serve a $words >/dev/null 2>err || code=$?
    [ $code -ne 0 ] || fail "$words: served"
done
