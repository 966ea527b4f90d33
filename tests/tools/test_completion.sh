#!/usr/bin/env bash
# Completions and manual page: bash is asked as a user's Tab key asks it; zsh and fish read theirs, where they are there; man shows
# the page without a complaint.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-words-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() {
    echo "completion: $*" >&2
    exit 1
}

"$diptych" help --completion bash >bash.sh
# shellcheck disable=SC1091
. ./bash.sh
completes() { # expected, then the words of the line, the last one to be completed
    local expected=$1
    shift
    COMP_WORDS=(diptych "$@") COMP_CWORD=$# COMPREPLY=()
    _diptych
    [ "${COMPREPLY[*]}" = "$expected" ] || fail "'diptych $*' gives '${COMPREPLY[*]}', expected '$expected'"
}
completes 'train' tr
completes 'init import index info' i
completes 'train' help tr
completes '--one-per-place' query a s1/x --on
completes '--positive --progress' query a --p
completes 'exact' index a --engine e
completes 'auto exact faiss native' index a --engine ''
completes '' query a s1/x
completes '' query a --html sheet
completes '--stem-pool' train --stem-po
completes '--no-stem-pool' train --no-stem-p
# Commands without JSON are not offered --json.
completes '--json' info a --js
completes '' remove a --js

code=0
"$diptych" help --completion tcsh 2>err || code=$?
[ $code -eq 2 ] || fail "a shell that is unknown: exit $code"
grep -q "bash, zsh and fish" err || fail "a shell that is unknown: $(cat err)"

"$diptych" help --completion zsh >_diptych
"$diptych" help --completion fish >diptych.fish
if command -v zsh >zsh.path; then
    zsh -n _diptych || fail "zsh cannot read its completion"
fi
if command -v fish >fish.path; then
    fish --no-execute diptych.fish || fail "fish cannot read its completion"
    fish --command 'source diptych.fish; complete -C "diptych index --engine e"' >fish.out
    [ "$(cut -f1 fish.out)" = exact ] || fail "fish completes: $(cat fish.out)"
fi
# Every option of every command is in each of them.
"$diptych" help --markdown | sed -n 's/^| `[^`]*--\(\[no-\]\)\{0,1\}\([a-z0-9-]*\).*/\2/p' | sort -u >options
[ "$(wc -l <options)" -gt 100 ] || fail "only $(wc -l <options) options were found"
"$diptych" help --man >diptych.1
while read -r option; do
    grep -q -e "--$option\b" bash.sh || fail "bash lacks --$option"
    grep -q -e "--$option\b" _diptych || fail "zsh lacks --$option"
    grep -q -e "-l $option\b" diptych.fish || fail "fish lacks --$option"
    grep -q -F -e "\\-\\-${option//-/\\-}" -e "\\-\\-[no\\-]${option//-/\\-}" diptych.1 || fail "the manual lacks --$option"
done <options

if command -v groff >groff.path; then
    groff -man -Tutf8 -ww diptych.1 >page 2>complaints || fail "groff: $(cat complaints)"
    [ ! -s complaints ] || fail "groff: $(head -3 complaints)"
    grep -q 'diptych - search a satellite archive' page || grep -q 'search a satellite archive' page || fail "the page has no name"
fi
echo "$(wc -l <options) options in three shells and the manual"
