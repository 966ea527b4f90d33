#!/usr/bin/env python3
"""How far do examples help, and what should a negative one weigh?

usage: bench/examples.py FOLDER

FOLDER has what `diptych export ARCHIVE --out FOLDER --what embeddings` and the same with `--what metadata` wrote. Probes are
the tiles of split `test` that have a primary label, hits the others; p@10 is the share of ten hits with the probe's label.
Positive examples are random tiles of that label, negative ones the first three hits of another: those that a user would reject.
Examples are no hits, so "removed" tells what their removal alone brings. The query vector is that of include/diptych/search.h.
"""
import csv
import os
import sys

import numpy as np

WEIGHTS = (0, 0.15, 0.25, 0.5, 0.75, 1)
DRAWS, REJECTED = 600, 3


def read(folder):
    label = {}
    with open(os.path.join(folder, "metadata.csv")) as file:
        for row in csv.DictReader(file):
            if row["split"] == "test" and row["primary_label"]:
                label[row["modality"], row["tile_id"]] = row["primary_label"]
    sides = {}
    for modality in sorted({key[0] for key in label}):
        base = os.path.join(folder, "embeddings", modality)
        with open(base + ".csv") as file:
            names = [row["tile_id"] for row in csv.DictReader(file)]
        keep = [i for i, name in enumerate(names) if (modality, name) in label]
        sides[modality] = (np.load(base + ".npy").astype("f4")[keep],
                           np.array([label[modality, names[i]] for i in keep]))
    return sides


def order(vectors, query):
    return np.argsort(-(vectors @ query), kind="stable")


def p10(source, target, positives, rejected, weight):
    rng = np.random.default_rng(1)
    (probes, wanted), (tiles, labels) = source, target
    shares = []
    for _ in range(DRAWS):
        i = rng.integers(len(wanted))
        same = np.setdiff1d(np.flatnonzero(wanted == wanted[i]), [i])
        if len(same) < positives:
            continue
        given = np.append(rng.choice(same, positives, replace=False), i)
        query = probes[given].mean(0)
        wrong = [j for j in order(tiles, query) if labels[j] != wanted[i]][:rejected]
        if rejected:
            query = query - weight * tiles[wrong].mean(0)
        out = set(wrong) | (set(given) if source is target else set())
        hits = [j for j in order(tiles, query) if j not in out][:10]
        shares.append(np.mean(labels[hits] == wanted[i]))
    return np.mean(shares)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sides = read(sys.argv[1])
    head = ["direction", "probe", "+1 positive", "+3 positive"]
    head += ["%d rejected, %s" % (REJECTED, "weight %g" % w if w else "removed") for w in WEIGHTS]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for a in sides:
        for b in sides:
            values = [p10(sides[a], sides[b], n, 0, 0) for n in (0, 1, 3)]
            values += [p10(sides[a], sides[b], 0, REJECTED, w) for w in WEIGHTS]
            print("| %s → %s | " % (a, b) + " | ".join("%.3f" % v for v in values) + " |")


main()
