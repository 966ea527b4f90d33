#!/usr/bin/env bash
# Tools of tests that come from npm: a folder of tests/ with a package-lock.json gets its node_modules. Done again only when the
# lock file changed. Without npm, or without a network, it says so, and the tests that want the tools are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'test-tools: %s\n' "$*" >&2; }

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    say "npm is not there; tests that use its tools are skipped"
    exit 0
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for lock in tests/*/package-lock.json tests/*/*/package-lock.json server/web/package-lock.json; do
    [ -e "$lock" ] || continue
    folder=$(dirname "$lock")
    [ ! "$folder/node_modules/.made" -nt "$lock" ] || continue
    say "installing what $folder/package.json names"
    if (cd "$folder" && npm install --no-save --no-audit --no-fund) >"$log" 2>&1; then
        touch "$folder/node_modules/.made"
    else
        grep -v 'npm warn' "$log" | tail -n 5 >&2
        say "npm could not install them; tests that use them are skipped"
    fi
done
