#!/usr/bin/env bash
# From nothing to pictures of cross-modal search: an archive, a model, embeddings, an index, queries from radar to optical tiles and
# back, and how well they do. Run again it goes on where it was, and what is finished is not done again.
#
#   DATA=folder   pairs to import (diptych import --help says in which forms); without it, land is simulated
#   OUT=folder    where all goes, default: demo      SEED=number   of simulation and training, default: 1
#   PLACES=n      simulated places, default: 2000    EPOCHS=n      of training, default: 12 for simulated places
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/diptych
out=${OUT:-demo} seed=${SEED:-1} places=${PLACES:-2000}
epochs=${EPOCHS:-${DATA:+default}}
archive=$out/archive
started=$SECONDS

say() { printf '\n== %s\n' "$*"; }
run() {
    printf '$ diptych'
    printf ' %q' "$@"
    printf '\n'
    "$program" "$@"
}
fail() { echo "demo: $*" >&2; exit 1; }

[ -x "$program" ] || fail "$program is not there; 'make demo' builds it first"
mkdir -p "$out"

# Another seed or another source is another archive.
source_now="${DATA:-simulated, seed $seed}"
if [ -e "$out/source" ] && [ "$(cat "$out/source")" != "$source_now" ]; then
    fail "'$out' holds a demo of '$(cat "$out/source")'; choose another folder with OUT=folder, or remove that one"
fi

if [ -n "${DATA:-}" ]; then
    [ -e "$DATA" ] || fail "DATA: '$DATA' does not exist"
    say "1  import tiles from $DATA"
    run import "$archive" "$DATA"
else
    say "1  make an archive of simulated pairs (DATA=folder imports real ones)"
    run simulate "$archive" --places "$places" --seed "$seed"
fi
echo "$source_now" >"$out/source"
run info "$archive"

say "2  learn two encoders into one space, without labels"
case $epochs in
    default) run train "$archive" --seed "$seed" ;;
    *) run train "$archive" --seed "$seed" --epochs "${epochs:-12}" ;;
esac

say "3  compute the embedding of every tile"
run encode "$archive"

say "4  build the index and make it live"
run index "$archive"

say "5  ask in each direction across modalities"
run export "$archive" --what metadata --out "$out/metadata"

# Probes of modality $1: held-out tiles if there are any, of as many kinds of place as possible.
probes() {
    awk -F, -v modality="$1" 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
        $column["modality"] == modality {
            tile = modality "/" $column["tile_id"]; kind = $column["primary_label"]
            if ($column["split"] == "test") held[++h] = tile "\t" kind; else other[++o] = tile "\t" kind
        }
        END {
            n = h ? h : o
            for (round = 0; round < 2 && count < 6; round++)
                for (i = 1; i <= n && count < 6; i++) {
                    split(h ? held[i] : other[i], part, "\t")
                    if (!taken[part[1]] && (round || !seen[part[2]]++)) { taken[part[1]] = 1; print part[1]; count++ }
                }
        }' "$out/metadata/metadata.csv"
}
mapfile -t modalities < <(awk -F, 'NR > 1 && !seen[$2]++ { print $2 }' "$out/metadata/metadata.csv")
[ ${#modalities[@]} -ge 2 ] || fail "the archive has one modality; searching across takes two"
sheets=()
for from in "${modalities[@]}"; do
    for to in "${modalities[@]}"; do
        [ "$from" != "$to" ] || continue
        mapfile -t asked < <(probes "$from")
        sheet=$out/$from-to-$to.html
        run query "$archive" "${asked[0]}" --to "$to" -k 5
        "$program" query "$archive" "${asked[@]}" --to "$to" -k 8 --html "$sheet" --quiet >/dev/null
        sheets+=("$sheet")
    done
done

say "6  measure"
run eval "$archive" --output "$out/eval.json" >"$out/eval.txt"
awk '/ -> / { across = $1 != $3; if (across) print ""; }
    across && (/ -> / || /^measure/ || /^pair_recall/ || /^map_any@10/)' "$out/eval.txt"

say "done in $((SECONDS - started)) s"
echo "Look at:  ${sheets[*]}"
echo "          $out/eval.txt, all measures in all directions"
echo "Go on:    build/diptych query $archive ${asked[0]} --html sheet.html"
echo "          build/diptych serve $archive, then http://127.0.0.1:8080/ui/ in a browser"
