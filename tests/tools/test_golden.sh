#!/usr/bin/env bash
# The program's words: each golden/*.txt is a transcript of commands ("$ ..."), what they wrote (standard error behind "! ") and
# their exit status if it is not 0 ("[exit 2]"). All commands of a file run in one empty folder. UPDATE=1 writes the transcripts
# anew, to be read before they are committed.
set -u
program=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/diptych-golden-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
ln -s "$program" "$scratch/bin/diptych"
export PATH="$scratch/bin:$PATH" SOURCE="$here/../.." LC_ALL=C TZ=UTC

run_transcript() { # transcript -> transcript with what the commands write now
    local line status
    while IFS= read -r line; do
        case $line in
            '$ '*)
                printf '%s\n' "$line"
                bash -c "${line#'$ '}" >"$scratch/out" 2>"$scratch/err" </dev/null
                status=$?
                cat "$scratch/out"
                sed 's/^/! /' "$scratch/err"
                [ $status -eq 0 ] || printf '[exit %d]\n' $status
                ;;
            '# '*) printf '%s\n' "$line" ;;
        esac
    done <"$1"
}

failed=0
for transcript in "$here"/golden/*.txt; do
    mkdir "$scratch/work"
    (cd "$scratch/work" && run_transcript "$transcript") >"$scratch/now"
    rm -rf "$scratch/work"
    if [ -n "${UPDATE:-}" ]; then
        cp "$scratch/now" "$transcript"
    elif ! diff -u "$transcript" "$scratch/now"; then
        echo "golden/$(basename "$transcript") differs" >&2
        failed=1
    fi
done
exit $failed
