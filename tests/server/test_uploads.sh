#!/usr/bin/env bash
# ctest: slow
# Files that were made to do harm, sent to POST /encode of diptych serve by uploads.py: each is refused by one line, none is
# unpacked beyond its bound, and none makes the server open anything else.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3
[ -x $python ] || { echo "uploads: $python is not there" >&2; exit 77; }
"$diptych" help serve >/dev/null 2>&1 || { echo "uploads: this build has no diptych serve" >&2; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-uploads-XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; [ -z "$server" ] || wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
"$diptych" simulate a --places 20 --size 16 --quiet >/dev/null
"$diptych" train a --epochs 1 --widths 32 --blocks 1 --embed-dim 32 --layout-grid 0 --embed-layout 0 --embed-z 1 --quiet >/dev/null
"$diptych" encode a --quiet >/dev/null
"$diptych" index a --quiet >/dev/null

"$diptych" serve a --listen 127.0.0.1:0 >started 2>err &
server=$!
url=
for _ in $(seq 300); do
    url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' started | head -1)
    [ -z "$url" ] || break
    kill -0 "$server" 2>/dev/null || { cat err >&2; exit 1; }
    sleep 0.1
done
[ -n "$url" ] || { echo "uploads: the server did not say where it listens: $(cat started err)" >&2; exit 1; }
$python "$here/uploads.py" "$url" "$server" "$work/a"
kill -0 "$server" || { echo "uploads: the server is gone: $(cat err)" >&2; exit 1; }
