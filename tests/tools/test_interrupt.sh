#!/usr/bin/env bash
# Ctrl-C: the first press finishes the batch and says how to go on, the second ends the process at once.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-interrupt-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "interrupt: $*" >&2
    exit 1
}
tiles() { "$diptych" info "$1" --json 2>/dev/null | grep -o '"tiles":[0-9]*' | head -1 | cut -d: -f2; }
# Far more places than there is time for; some of them are there.
start() {
    "$diptych" simulate "$1" --places 1000000 --size 16 >out 2>err &
    pid=$!
    for _ in $(seq 600); do
        [ "$(tiles "$1")" -gt 0 ] 2>/dev/null && break
        sleep 0.05
    done
}

for signal in INT TERM; do
    start "a-$signal"
    kill -$signal $pid
    code=0
    wait $pid || code=$?
    [ $code -eq 130 ] || fail "$signal: ended with $code, not 130: $(cat err)"
    grep -q 'press Ctrl-C again to stop at once' err || fail "$signal: said $(cat err)"
    tail -1 err | grep -q 'diptych: simulate: stopped; what was finished is kept, and the same command goes on' ||
        fail "$signal: said $(cat err)"
    "$diptych" verify "a-$signal" >out 2>err || fail "$signal: verify says $(cat out err)"
done

# Goes on: not from the beginning, so a smaller wish than what is there adds nothing.
before=$(tiles a-INT)
[ "$before" -gt 0 ] || fail "nothing was kept"
"$diptych" simulate a-INT --places $((before / 2 + 5)) --size 16 >out 2>err || fail "again: $(cat err)"
[ "$(tiles a-INT)" -eq $((before + 10)) ] || fail "$before tiles became $(tiles a-INT)"

# Twice: dead at once, and nothing is damaged.
start twice
kill -INT $pid
kill -INT $pid 2>/dev/null || true
code=0
wait $pid 2>/dev/null || code=$?
[ $code -eq 130 ] || fail "twice: ended with $code"
"$diptych" verify twice >out 2>err || fail "twice: verify says $(cat out err)"
