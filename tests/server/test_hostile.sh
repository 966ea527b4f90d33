#!/usr/bin/env bash
# ctest: slow
# An archive whose names, labels, properties and title were made to do harm, behind diptych serve: every answer is what it says it is, nothing
# of the archive stands unescaped in HTML or in a header, and no path leads to a file outside of what is served. The asking is
# done by hostile.py.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3
[ -x $python ] || { echo "hostile: $python is not there" >&2; exit 77; }
"$diptych" help serve >/dev/null 2>&1 || { echo "hostile: this build has no diptych serve" >&2; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-hostile-XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; [ -z "$server" ] || wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

echo 'the-secret-that-nobody-may-read' >secret.txt
$python "$here/hostile.py" make source
"$diptych" import a source --title '<script>alert("title")</script>' --quiet >/dev/null
cp secret.txt a/secret.txt
"$diptych" train a --epochs 1 --batch 4 --input-px 16 --widths 32 --blocks 1 --embed-dim 32 --layout-grid 0 --embed-layout 0 --embed-z 1 --quiet >/dev/null
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
[ -n "$url" ] || { echo "hostile: the server did not say where it listens: $(cat started err)" >&2; exit 1; }
$python "$here/hostile.py" ask "$url" the-secret-that-nobody-may-read
kill -0 "$server" || { echo "hostile: the server is gone: $(cat err)" >&2; exit 1; }
