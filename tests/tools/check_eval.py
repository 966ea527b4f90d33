#!/usr/bin/env python3
"""Computes eval's measures again, from exported embeddings and metadata alone, and compares with eval's JSON.

usage: check_eval.py EXPORT EVAL.json SPLIT [int8]
"""
import csv
import json
import struct
import sys

export, report, split, *form = sys.argv[1:]


def read_npy(path):
    with open(path, "rb") as f:
        assert f.read(8) == b"\x93NUMPY\x01\x00", path
        (length,) = struct.unpack("<H", f.read(2))
        assert (10 + length) % 64 == 0, "the header is not padded"
        header = eval(f.read(length).decode())  # a Python literal, by the format's definition
        assert header["descr"] == "<f4" and header["fortran_order"] is False
        n, dim = header["shape"]
        data = f.read()
        assert len(data) == 4 * n * dim, "the length does not fit the shape"
        return [struct.unpack_from(f"<{dim}f", data, 4 * dim * i) for i in range(n)]


meta = {}
with open(f"{export}/metadata.csv") as f:
    for row in csv.DictReader(f):
        meta[row["modality"], row["tile_id"]] = row


def int8(vector):
    codes = [round(127 * x / max(map(abs, vector))) for x in vector]
    norm = sum(c * c for c in codes) ** 0.5
    return [c / norm for c in codes]


def side(modality, inside=True):
    tiles = []
    with open(f"{export}/embeddings/{modality}.csv") as f:
        for row, vector in zip(csv.DictReader(f), read_npy(f"{export}/embeddings/{modality}.npy")):
            m = meta[modality, row["tile_id"]]
            if form:
                vector = int8(vector)
            if (m["split"] == split) == inside:
                labels = set(m["labels"].split("|")) - {""}
                tiles.append({"id": int(row["id"]), "v": vector, "place": m["place"], "labels": labels, "primary": m["primary_label"]})
    return tiles


def ranked(query, gallery):
    scored = [(-sum(a * b for a, b in zip(query["v"], t["v"])), t["id"], t) for t in gallery if t["id"] != query["id"]]
    return [t for _, _, t in sorted(scored, key=lambda s: s[:2])]


def f1(q, r):
    shared = len(q["labels"] & r["labels"])
    return 2 * shared / (len(q["labels"]) + len(r["labels"]))


def average_precision(flags, k):
    seen, total = 0, 0.0
    for rank, flag in enumerate(flags[:k], 1):
        if flag:
            seen += 1
            total += seen / rank
    return total / min(k, sum(flags))


def mean(values):
    return sum(values) / len(values)


def measures(queries, gallery, same, k):
    if not same:
        places = {t["place"] for t in gallery}
        yield "pair_recall", [any(t["place"] == q["place"] for t in ranked(q, gallery)[:k]) for q in queries if q["place"] in places]
    lists = [(q, ranked(q, [t for t in gallery if t["labels"]])) for q in queries if q["labels"]]
    yield "f1_item", [mean([f1(q, t) for t in hits[:k]]) for q, hits in lists]
    yield "p_any", [mean([bool(q["labels"] & t["labels"]) for t in hits[:k]]) for q, hits in lists]
    for name, relevant in (("map_any", lambda q, t: bool(q["labels"] & t["labels"])), ("map_all", lambda q, t: q["labels"] == t["labels"])):
        flags = [[relevant(q, t) for t in hits] for q, hits in lists]
        yield name, [average_precision(f, k) for f in flags if any(f)]
    lists = [(q, ranked(q, [t for t in gallery if t["primary"]])) for q in queries if q["primary"]]
    yield "p", [mean([t["primary"] == q["primary"] for t in hits[:k]]) for q, hits in lists]


def scores(queries, gallery):
    return sorted(sum(a * b for a, b in zip(q["v"], t["v"])) for q in queries for t in gallery if q["place"] != t["place"])


compared = 0
with open(report) as f:
    directions = json.load(f)["directions"]
for d in directions:
    queries, gallery = side(d["from"]), side(d["to"])
    assert (len(queries), len(gallery)) == (d["queries"], d["gallery"]), d
    got = {(m["metric"], m["k"]): m for m in d["metrics"]}
    for k in sorted({m["k"] for m in d["metrics"]}):
        for name, values in measures(queries, gallery, d["from"] == d["to"], k):
            if not values:
                assert (name, k) not in got
                continue
            m = got[name, k]
            where = f"{d['from']} -> {d['to']} {name}@{k}"
            assert m["queries"] == len(values), f"{where}: {m['queries']} queries, {len(values)} expected"
            for how in ("exact",) if form else ("exact", "index"):
                assert abs(m[how]["value"] - mean(values)) < 2e-6, f"{where}: {how} {m[how]['value']}, {mean(values)} expected"
                assert m[how]["low"] <= m[how]["value"] <= m[how]["high"], where
            compared += 1
    outside = scores(side(d["from"], False), side(d["to"], False))
    inside = scores(queries, gallery)
    for c in d["calibration"]:
        limit = outside[round(c["percentile"] * 10) * (len(outside) - 1) // 1000]
        share = mean([s > limit for s in inside])
        # scores near the limit may fall on either side: the limit is kept as a float32
        assert abs(c["share_above"] - share) < 0.006, (d["from"], d["to"], c, share)
assert compared >= 20, compared
print(f"{compared} measures agree")
