#!/usr/bin/env bash
# The whole test suite, in stages; stops at the first stage that fails. usage: test.sh [stages]
#
#   gcc    release build: all tests
#   clang  the second compiler: builds without a warning, all tests but the slow ones
#   asan   AddressSanitizer with leak checking and UndefinedBehaviorSanitizer: all tests but the slow ones
#   tsan   ThreadSanitizer: all tests but the slow ones
#   fuzz   each parser of outside bytes under libFuzzer for DIPTYCH_FUZZ_SECONDS (15) seconds
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A titles=(
    [gcc]="gcc, release: every test"
    [clang]="clang, release"
    [asan]="AddressSanitizer, UndefinedBehaviorSanitizer"
    [tsan]="ThreadSanitizer"
    [fuzz]="libFuzzer, ${DIPTYCH_FUZZ_SECONDS:-15} s a target"
)
declare -A presets=([gcc]=release [clang]=clang [asan]=asan [tsan]=tsan [fuzz]=fuzz)
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(gcc clang asan tsan fuzz)
passed=0 failed=0 skipped=0 ran=()

# Adds up what ctest counted: attributes of the report's <testsuite>.
count() {
    local tests failures ignored head
    head=$(tr '\n\t' '  ' <"$1" | grep -o '<testsuite [^>]*>' | head -n 1)
    attribute() { sed -nE "s/.* $1=\"([0-9]+)\".*/\1/p" <<<"$head"; }
    tests=$(attribute tests) failures=$(attribute failures)
    ignored=$(($(attribute skipped) + $(attribute disabled)))
    passed=$((passed + tests - failures - ignored)) failed=$((failed + failures)) skipped=$((skipped + ignored))
}

finish() {
    local status=$?
    rm -f "${report:-}"
    echo
    [ ${#ran[@]} = 0 ] || printf '%s\n' "${ran[@]}"
    echo "$passed passed, $failed failed, $skipped skipped"
    exit "$status"
}

# ThreadSanitizer's fixed address layout does not fit a kernel that randomises much: switch that off for its tests where allowed.
runner_of() {
    if [ "$1" = tsan ] && [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -gt 28 ] && setarch -R true 2>/dev/null; then
        echo setarch -R
    fi
}

run_stage() {
    local stage=$1 preset=${presets[$1]} started=$SECONDS built status=0 folder
    folder=build-$preset
    [ "$preset" != release ] || folder=build
    printf '\n== %s: %s\n' "$stage" "${titles[$stage]}"
    scripts/build.sh "$preset" || { failed=$((failed + 1)); ran+=("$stage: does not build"); return 1; }
    [ "$stage" != fuzz ] || cmake -DDIPTYCH_FUZZ_SECONDS="${DIPTYCH_FUZZ_SECONDS:-15}" "$folder" >/dev/null
    built=$((SECONDS - started))
    # shellcheck disable=SC2046
    $(runner_of "$stage") ctest --preset "$preset" --parallel "$(nproc)" --no-tests=error --no-label-summary --output-junit "$report" |
        sed -u '/^ *Start /d' || status=1
    if [ -s "$report" ]; then count "$report"; else failed=$((failed + 1)); fi
    ran+=("$(printf '%-6s %s, built in %d s, tested in %d s' "$stage" "$([ $status = 0 ] && echo passed || echo FAILED)" "$built" $((SECONDS - started - built)))")
    return "$status"
}

report=$(mktemp)
trap finish EXIT
for stage in "${stages[@]}"; do
    [ -n "${presets[$stage]:-}" ] || { echo "test.sh: no stage '$stage'; there are gcc clang asan tsan fuzz" >&2; exit 2; }
done
for stage in "${stages[@]}"; do
    : >"$report"
    run_stage "$stage" || exit 1
done
