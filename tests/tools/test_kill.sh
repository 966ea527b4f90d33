#!/usr/bin/env bash
# kill -9 in the middle of import, train, encode, align and index (ctest: slow, ctest: serial). Each command is killed KILLS times, at
# moments spread over its undisturbed duration, and each time goes on from where the last kill left it. After every kill verify
# must be clean, and a run that is left alone must end with the bytes of one that was never disturbed.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
KILLS=${KILLS:-14}
SEED=${SEED:-0.25}
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-kill-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "kill: $*" >&2
    exit 1
}
quietly() { "$diptych" "$@" >out 2>err || fail "diptych $*: $(cat err)"; }
now() { date +%s.%N; }

# The command's words, in `line`: not a function, so that the process that is killed is diptych itself.
words() { # command, archive
    case $1 in
        import) line=(import "$2" tiles --batch 8 --title killed) ;;
        train) line=(train "$2" --epochs 3 --batch 8 --input-px 32 --widths 32,64 --blocks 1,1 --embed-dim 32
            --checkpoint-every 3 --eval-every 1) ;;
        encode) line=(encode "$2" --batch 8) ;;
        align) line=(align "$2" s1=default s2=default --steps 400 --batch 32 --embed-dim 32 --checkpoint-every 7
            --output "s1=$2.npy") ;;
        index) line=(index "$2" --engine faiss --lists 8 --recall 0.9) ;;
    esac
}

# What must come out the same.
result_import() { quietly export "$1" --what metadata --out "$2" && quietly export "$1" --what tiles --out "$2"; }
result_train() { mkdir -p "$2" && cp "$1"/models/default.safetensors "$2"; }
result_encode() { quietly export "$1" --what embeddings --out "$2"; }
result_align() {
    quietly export "$1" -m aligned --what embeddings --out "$2" && cp "$1"/models/aligned.safetensors "$1.npy" "$2"
    mv "$2/$1.npy" "$2"/output.npy
}
result_index() {
    mkdir -p "$2" && cp "$1/index/$(awk 'NR == 1 { print $1 }' "$1/index/CURRENT")"/s* "$2"
    "$diptych" query "$1" s1/sim1-000003 -k 5 --json >"$2/hits" 2>err
}

# moment number, duration -> seconds: spread evenly, in an order that jumps about
moment() { awk -v i="$1" -v d="$2" -v s="$SEED" 'BEGIN { u = s + i * 0.6180339887; printf "%.4f", (u - int(u)) * d }'; }

kills=0
torment() { # command, archive to begin with (none: from nothing)
    local command=$1 base=$2 start duration killed=0 tries=0 code
    rm -rf calm
    [ -z "$base" ] || cp -r "$base" calm
    words "$command" calm
    start=$(now)
    quietly "${line[@]}"
    duration=$(awk -v a="$start" -v b="$(now)" 'BEGIN { print b - a }')
    rm -rf expected victim
    "result_$command" calm expected
    [ -z "$base" ] || cp -r "$base" victim
    words "$command" victim
    while [ $killed -lt "$KILLS" ]; do
        tries=$((tries + 1))
        [ $tries -le $((KILLS * 8)) ] || fail "$command was too quick to be killed $KILLS times"
        "$diptych" "${line[@]}" >out 2>err &
        pid=$!
        sleep "$(moment $tries "$duration")"
        kill -9 $pid 2>/dev/null || true
        code=0
        wait $pid 2>/dev/null || code=$?
        case $code in
            137) killed=$((killed + 1)) ;;
            0) ;;
            *) fail "$command ended with $code: $(cat err)" ;;
        esac
        if [ -e victim/archive.ini ]; then
            "$diptych" verify victim >out 2>err || fail "$command, killed $killed times: verify says $(cat out err)"
        elif [ -n "$base" ]; then
            fail "$command lost the archive"
        fi
        if [ $code -eq 0 ]; then # it got through: the next ones begin anew
            rm -rf victim
            [ -z "$base" ] || cp -r "$base" victim
        fi
    done
    quietly "${line[@]}"
    rm -rf got
    "result_$command" victim got
    diff -r expected got >out || fail "$command, after $killed kills: not the bytes of an undisturbed run: $(head -3 out)"
    quietly verify victim
    kills=$((kills + killed))
    echo "$command: killed $killed times in $tries runs of $duration s"
}

quietly simulate source --places 72 --size 36
quietly export source --what tiles --out from
mv from/tiles tiles

torment import ""
mv calm imported
torment train imported
mv calm trained
torment encode trained
mv calm encoded
torment align encoded
words index encoded
quietly "${line[@]}"
torment index encoded
echo "$kills kills"
