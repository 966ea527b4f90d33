#!/usr/bin/env bash
# Embeddings of real tiles in int8 beside those in bfloat16: every cosine, the same bytes on one thread, and what is encoded anew.
# ctest: no-tsan
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
here=$(cd "$(dirname "$0")" && pwd)
data=${DIPTYCH_DATA:-$here/../../../shared/data}/s1s2_la_sa
[ -f "$data/manifest.csv" ] || { echo "int8: skipped, there is no test data '$data'"; exit 77; }
command -v python3 >/dev/null || { echo "int8: skipped, python3 is not there"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-int8-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "int8: $*" >&2
    exit 1
}
run() { "$diptych" "$@" >out 2>err || fail "$1 failed: $(cat err)"; }
said() { grep -q -- "$1" out || fail "expected '$1' in: $(cat out)"; }

# 96 pairs from all over the list, paths made absolute.
awk -F, -v OFS=, -v data="$data" 'NR == 1 { print; next }
    int(NR / 2) % 19 == 1 && n++ < 192 { $3 = data "/" $3; $7 = "train"; print }' "$data/manifest.csv" >manifest.csv
run import a manifest.csv
run train a --epochs 3 --batch 16 --eval-every 0
run encode a
said "tiles encoded"
run export a --out bf16 --what embeddings
run encode a --precision int8
grep -q " 0 had an embedding" out || fail "another precision kept embeddings: $(cat out)"
run export a --out int8 --what embeddings
DIP_THREADS=1 run encode a --precision int8 --force
run export a --out alone --what embeddings
for name in s1 s2; do
    cmp int8/embeddings/$name.npy alone/embeddings/$name.npy || fail "one thread gives other bytes"
    python3 - bf16/embeddings/$name.npy int8/embeddings/$name.npy <<'END' || fail "int8 is too far from bfloat16"
import ast, struct, sys

def rows(path):
    with open(path, "rb") as file:
        file.seek(8)
        header = ast.literal_eval(file.read(struct.unpack("<H", file.read(2))[0]).decode())
        n, dim = header["shape"]
        kind = {"<f4": "f", "<f2": "e"}[header["descr"]]
        values = struct.unpack(f"<{n * dim}{kind}", file.read())
    return [values[i * dim:(i + 1) * dim] for i in range(n)]

def dot(x, y):
    return sum(p * q for p, q in zip(x, y))

a, b = map(rows, sys.argv[1:])
cosines = [dot(x, y) / (dot(x, x) * dot(y, y)) ** 0.5 for x, y in zip(a, b)]
print(f"least cosine of {len(cosines)}: {min(cosines):.5f}")
sys.exit(not (len(cosines) >= 90 and min(cosines) > 0.99 and a != b))
END
done
run encode a --precision int8
said " 0 tiles encoded"
echo "int8: all is well"
