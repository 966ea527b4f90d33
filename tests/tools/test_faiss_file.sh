#!/usr/bin/env bash
# The FAISS file of a generation opens in Python's faiss, as docs/formats.md says, and gives the neighbours that diptych gives.
set -eu
diptych=$(realpath "${DIPTYCH:?DIPTYCH must name the program}")
python=/usr/bin/python3
"$python" -c 'import faiss, numpy' 2>/dev/null || { echo "faiss file: python3-faiss is not installed; skipped"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/diptych-faiss-file-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
quietly() { "$diptych" "$@" >out 2>err || { echo "faiss file: diptych $*: $(cat err)" >&2; exit 1; }; }

quietly simulate a --places 150 --size 36
quietly train a --epochs 1 --batch 16 --input-px 32 --widths 32,32 --blocks 1,1 --embed-dim 32 --embed-z 1 --embed-h 0 --embed-layout 0
quietly encode a
quietly index a --engine faiss --lists 8 --recall 0.95
# An update: what is removed is still in FAISS's file, and only the other file says so.
quietly remove a s2/sim1-000007 s2/sim1-000011
quietly index a --update
quietly export a --what embeddings --out from
for i in {100..129}; do quietly query a "s1/sim1-000$i" --to s2 -k 10 --json && cat out >>hits; done

"$python" - <<'CHECK'
import csv, json, faiss, numpy
folder = "a/index/" + open("a/index/CURRENT").read().split()[0]
points = [p for p in json.load(open(folder + "/manifest.json"))["points"] if (p["from"], p["to"]) == ("s1", "s2")]
point = next((p for p in points if p["recall"] >= p["target"]), points[-1])  # what a query takes: the cheapest that will do
index = faiss.read_index(folder + "/s2.ivfpq")
ids = numpy.fromfile(folder + "/s2.ids", dtype="<u8", offset=128)[: index.ntotal]
words = numpy.fromfile(folder + "/s2.ids", dtype="<u8", offset=128 + 8 * index.ntotal)
removed = {int(ids[i]) for i in range(index.ntotal) if int(words[i // 64]) >> (i % 64) & 1}
assert index.ntotal == 150 and len(removed) == 2, (index.ntotal, removed)
faiss.downcast_index(index.base_index).nprobe = point["nprobe"]
index.k_factor = float(point["depth"])

hits = [json.loads(line) for line in open("hits")]
rows = [row["tile_id"] for row in csv.DictReader(open("from/embeddings/s1.csv"))]
vectors = numpy.load("from/embeddings/s1.npy")
probes = [vectors[rows.index(name)] for name in dict.fromkeys(hit["probe"].split("/")[1] for hit in hits)]
asked = 10 + 5 + 16  # a query for 10 asks its index for so many
distances, found = index.search(numpy.ascontiguousarray(probes, dtype="float32"), asked)
same = 0
for i in range(len(probes)):
    theirs = [(int(ids[row]), 1 - d / 2) for row, d in zip(found[i], distances[i]) if row >= 0 and int(ids[row]) not in removed]
    ours = {hit["id"]: hit["score"] for hit in hits[10 * i : 10 * i + 10]}
    for tile, score in theirs[:10]:
        same += tile in ours
        assert tile not in ours or abs(ours[tile] - score) < 2e-3, (tile, ours[tile], score)
wanted = 10 * len(probes)
print(f"{same} of {wanted} neighbours are the same")
assert wanted == 300 and same >= 0.95 * wanted
CHECK
