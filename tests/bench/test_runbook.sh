#!/usr/bin/env bash
# Run-books: made ones replay with recall and counts as they should be, for any number of threads; what makes no sense is refused.
# ctest: no-tsan
set -eu
build=$(dirname "$(realpath "${DIPTYCH:?DIPTYCH must name the program}")")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-runbook-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "runbook: $*"; exit 1; }
replay() { "$build/bench_runbook" --queries 200 "$@" s_base.fbin s_same.fbin book.yaml; }
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([a-z0-9.]*\).*/\1/p" | tr '\n' ' '; }
refused() { # what it says, the run-book on standard input
    cat >book.yaml
    ! replay >out 2>said || fail "accepted: $(cat book.yaml)"
    grep -q "$1" said || fail "said '$(cat said)', not '$1'"
}

"$build/bench_vectors" --count 4000 --queries 200 --dim 32 s >log
"$build/bench_runbook" --help | grep -q 'usage: bench_runbook' || fail "no help"

"$build/bench_runbook" --make sliding 4000 8 book.yaml
grep -q 'max_pts: 2500' book.yaml || fail "sliding: $(tail -1 book.yaml)"
replay --json --threads 1 >one
replay --json --threads 2 >two
[ "$(head -8 one | field live)" = "500 1000 1500 2000 2000 2000 2000 2000 " ] || fail "live: $(cat one)"
[ "$(head -8 one | field inserted)" = "500 500 500 500 500 500 500 500 " ] || fail "inserted: $(cat one)"
[ "$(field recall <one)" = "$(field recall <two)" ] || fail "threads change recall"
head -8 one | field recall | tr ' ' '\n' | awk 'NF && ($1 < 0.9 || $1 > 1) { exit 1 }' || fail "recall: $(field recall <one)"
for how in built delta compacted; do grep -q "\"update\":\"$how\"" one || fail "never $how: $(cat one)"; done
grep -q '"delta":1500' one || fail "delta rows: $(field delta <one)"
tail -1 one | grep -Eq '"searches":8,.*"read":[1-9][0-9]*,"failures":0}' || fail "the reader: $(tail -1 one)"
awk '{ sum += $1; if (!n++ || $1 < low) low = $1 } END { printf "%.3f %.3f", sum / n, low }' <(head -8 one | field recall | xargs -n 1) >sums
[ "$(cat sums)" = "$(printf "%.3f %.3f" $(tail -1 one | field mean_recall) $(tail -1 one | field least_recall))" ] || fail "sums: $(cat sums)"
! ls runbook-work | grep -qx '[0-9]*' || fail "indexes stay: $(ls runbook-work)"
replay | grep -q 'over 8 searches' || fail "no table"

"$build/bench_runbook" --make clustered 4000 6 book.yaml
replay --json --clusters 6 >one
replay --json --clusters 6 --rebuild 1.2 --recall 1 >two
[ "$(grep -c '"built"' one)" = 1 ] && [ "$(grep -c '"built"' two)" -gt 1 ] || fail "built anew: $(cat two)"
awk -v a="$(tail -1 one | field mean_recall)" -v b="$(tail -1 two | field mean_recall)" 'BEGIN { exit !(b > a && b > 0.97) }' ||
    fail "building anew does not help: $(tail -qn 1 one two)"

# Another hand: quotes, comments, any order, other keys, several data sets.
cat >book.yaml <<'END'
---
other: # not this one
  1: {flow: style is never read here}
"mine": 
    gt_url: "https://example.org/#x"
    3:
        end: 300   # a note
        start: 0
        operation: insert
    7: 
        operation: 'search'
    8:
        operation: delete
        start: 100
        end: 295
    20:
        operation: search
END
replay --json --set mine --k 20 >one
[ "$(head -2 one | field live)" = "300 105 " ] || fail "by hand: $(cat one)"
[ "$(head -2 one | field step)" = "7 20 " ] || fail "numbers: $(cat one)"

s=$'s:\n  1:\n    operation: insert\n    start: 0\n    end: 200\n  2:\n'
refused "no steps for data set 's'" <<<$'s:\n  max_pts: 3'
refused "no 'key: value'" <<<$'s:\n  nonsense'
refused "unknown operation 'replace'" <<<"$s    operation: replace"
refused "step 2 needs an operation" <<<"$s    start: 3"
refused "step 2 needs" <<<"$s"$'    operation: insert\n    start: 300\n    end: 300'
refused "line 8: no number: '-1'" <<<"$s"$'    operation: insert\n    start: -1'
refused "a step has no 'tags_start'" <<<"$s    tags_start: 3"
refused "do not ascend" <<<"$s"$'    operation: search\n  2:\n    operation: search'
refused "inserts row 199" <<<"$s"$'    operation: insert\n    start: 199\n    end: 300'
refused "deletes row 200" <<<"$s"$'    operation: delete\n    start: 100\n    end: 300'
refused "needs 4001 vectors" <<<"$s"$'    operation: insert\n    start: 300\n    end: 4001'
refused "before anything is inserted" <<<$'s:\n  1:\n    operation: search'
refused "deletes row 0" <<<$'s:\n  1:\n    operation: delete\n    start: 0\n    end: 100'
! replay --set other 2>said || fail "a data set that is not there"
! "$build/bench_runbook" --make circular 4000 6 book.yaml 2>said || fail "made a circle"
grep -q "sliding and clustered" said || fail "circular: $(cat said)"
! "$build/bench_runbook" --make sliding 40 6 book.yaml 2>said || fail "made one of nothing"
! "$build/bench_runbook" s_base.fbin 2>said || fail "one word is enough"
