#!/usr/bin/env bash
# The web page: its built form is that of its sources, and a browser finds hostile names harmless, failures told, every view
# accessible (axe-core).
# ctest: slow
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
web=$here/../../server/web
fail() { echo "page: $*" >&2; exit 1; }

# What dist was built from is what stands there.
(cd "$web" && sha256sum --check --quiet dist/SOURCES.txt) || fail "server/web/dist is not built from server/web/src as it is; 'make page' builds it"
listed=$(cut -d' ' -f3- "$web/dist/SOURCES.txt" | grep -E '^(src|public)/' | LC_ALL=C sort)
there=$(cd "$web" && find src public -type f | LC_ALL=C sort)
[ "$listed" = "$there" ] || fail "server/web has files that dist was not built from; 'make page' builds it"

skip() { echo "page: the bundle is up to date; the rest is skipped: $*"; exit 77; }
command -v node >/dev/null || skip "node is not installed"
version=$(node --version)
[ "$(sed -E 's/v([0-9]+).*/\1/' <<<"$version")" -ge 18 ] || skip "node $version is older than 18"
work=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

# And the same bytes come out when it is built again.
if [ -d "$web/node_modules/vite" ]; then
    (cd "$web" && node_modules/.bin/vite build --outDir "$work/dist" --logLevel error)
    diff -r --exclude=SOURCES.txt "$web/dist" "$work/dist" || fail "building the page again gives other bytes than server/web/dist"
else
    echo "page: vite is not installed; not built again"
fi

export CHROMIUM
CHROMIUM=$(command -v chromium || command -v chromium-browser) || skip "chromium is not installed"
[ -d "$here/browser/node_modules/playwright-core" ] || skip "playwright-core is not installed"

node "$here/browser/mock.mjs" "$web/dist" >"$work/address" &
server=$!
for _ in $(seq 100); do [ -s "$work/address" ] && break; sleep 0.1; done
node "$here/browser/strange.mjs" "$(cat "$work/address")" ${PICTURES:+"$PICTURES"}
