#!/usr/bin/env bash
# kill -9 in the middle of index --update (ctest: slow, ctest: serial), while tiles come and go: a delta grows beside the segment, now
# and then all is written anew. After every kill verify must be clean, the live generation must be the one before or the one
# being made, whole and answering, and what an update has acknowledged must never be lost. KILLS=100 for a soak.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
KILLS=${KILLS:-10}
SEED=${SEED:-0.37}
PLACES=60 GO=5 # places in the archive; of them, how many are replaced by others in a round
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-kill-update-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "kill update: $*" >&2
    exit 1
}
quietly() { "$diptych" "$@" >out 2>err || fail "diptych $*: $(cat err)"; }
now() { date +%s.%N; }
name() { printf 'sim1-%06d' $(($1 % (PLACES + 20))); }
live() { awk '{ print $1 }' a/index/CURRENT; }
vectors() { # of the live indexes: "60 60"
    "$diptych" info a 2>err | awk '/ vectors$/ { printf "%s%s", n++ ? " " : "", $(NF - 1) }'
}
moment() { awk -v i="$1" -v d="$2" -v s="$SEED" 'BEGIN { u = s + i * 0.6180339887; printf "%.4f", (u - int(u)) * d }'; }

# The places from number $1 to $2 - 1, counted round and round, go in or out.
bring() {
    for ((i = $1; i < $2; i++)); do name $i && echo; done >names
    (head -1 tiles/manifest.csv && grep -F -f names tiles/manifest.csv) >tiles/next.csv
    quietly import a tiles/next.csv --title killed
}
drop() {
    local gone=()
    for ((i = $1; i < $2; i++)); do gone+=("s1/$(name $i)" "s2/$(name $i)"); done
    quietly remove a "${gone[@]}"
}

check() { # what is there after a kill
    "$diptych" verify a >out 2>err || fail "killed $killed times: verify says $(cat out err)"
    [ "$((10#$(live)))" -ge "$((10#$acknowledged))" ] || fail "acknowledged was $acknowledged, live is $(live)"
    [ "$(vectors)" = "$PLACES $PLACES" ] || fail "the indexes of $(live) hold $(vectors)"
    "$diptych" query a "s1/$(name $((first + PLACES - 1)))" -k 5 --json >hits 2>err || fail "query: $(cat err)"
    [ "$(wc -l <hits)" = 5 ] || fail "query found $(wc -l <hits) of 5"
}

quietly simulate source --places $((PLACES + 20)) --size 36
quietly export source --what tiles --out from
mv from/tiles tiles
bring 0 $PLACES
quietly train a --epochs 1 --batch 16 --input-px 32 --widths 32,32 --blocks 1,1 --embed-dim 32 --embed-z 1 --embed-h 0 --embed-layout 0
quietly encode a
# 64 vectors are the least for lists; what is too few for them is removed again.
bring $PLACES $((PLACES + GO))
quietly encode a
quietly index a --engine native --lists 8 --recall 0.9
drop $PLACES $((PLACES + GO))
start=$(now)
quietly index a --update
duration=$(awk -v a="$start" -v b="$(now)" 'BEGIN { print (b - a) * 1.1 }')
acknowledged=$(live)
first=0 killed=0 tries=0 deltas=0 compactions=0

while [ $killed -lt "$KILLS" ] || [ $deltas -eq 0 ] || [ $compactions -eq 0 ]; do
    [ $tries -lt $((KILLS * 8 + 40)) ] || fail "$killed kills, $deltas deltas and $compactions compactions in $tries updates"
    drop $first $((first + GO))
    first=$((first + GO))
    bring $((first + PLACES - GO)) $((first + PLACES))
    quietly encode a
    for _ in 1 2 3; do
        tries=$((tries + 1)) code=0
        "$diptych" index a --update >out 2>err &
        pid=$!
        sleep "$(moment $tries "$duration")"
        kill -9 $pid 2>/dev/null || true
        wait $pid 2>/dev/null || code=$?
        case $code in
            137) killed=$((killed + 1)) ;;
            0) acknowledged=$(live) ;;
            *) fail "index --update ended with $code: $(cat err)" ;;
        esac
        check
    done
    quietly index a --update
    acknowledged=$(live)
    check
    quietly index a --update
    grep -q 'up to date$' out || fail "the update left something to do: $(head -1 out)"
    if [ -e "a/index/$(live)/s1.delta" ]; then deltas=$((deltas + 1)); else compactions=$((compactions + 1)); fi
done
for folder in a/index/*.partial; do [ ! -e "$folder" ] || fail "$folder was left"; done
echo "killed $killed times in $tries updates of $duration s; $deltas deltas, $compactions compactions"
