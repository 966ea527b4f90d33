#!/usr/bin/env python3
"""Writes metrics_reference.txt: a small retrieval case and what every measure must say of it.

Written from the definitions in train/metrics.h, without looking at its code: fractions instead of floating point,
and chance levels by going through all ordered selections of k gallery tiles.
"""
import random
from fractions import Fraction as F
from itertools import permutations
from pathlib import Path

LABELS = ["water", "woodland", "fields", "town"]
rng = random.Random(20)


def tile(place):
    labels = rng.sample(LABELS, rng.choice([1, 1, 2, 3]))
    return {"place": place, "labels": labels, "primary": rng.choice(labels), "scene": place % 4}


def f1(p, r):
    return 2 * p * r / (p + r) if p + r else F(0)


def prec_rec(q, r):
    shared = len(set(q["labels"]) & set(r["labels"]))
    return F(shared, len(r["labels"])), F(shared, len(q["labels"]))


def relevant(kind, q, r):
    if kind == "map_any":
        return bool(set(q["labels"]) & set(r["labels"]))
    return set(q["labels"]) == set(r["labels"])


def average_precision(flags, k, total):
    seen, out = 0, F(0)
    for rank, flag in enumerate(flags[:k], 1):
        if flag:
            seen += 1
            out += F(seen, rank)
    return out / min(k, total)


def mean(values):
    return sum(values) / len(values)


def of_lists(kind, k, queries, gallery, lists, same):
    """The measure, when query i got the gallery positions lists[i]."""
    rows = []
    for q, (query, hits) in enumerate(zip(queries, lists)):
        got = [gallery[h] for h in hits[:k]]
        others = [t for t in gallery if not (same and t["place"] == query["place"])]
        if kind == "pair_recall":
            if any(t["place"] == query["place"] for t in gallery):
                rows.append((F(any(t["place"] == query["place"] for t in got)), F(0)))
        elif kind == "f1_item":
            rows.append((mean([f1(*prec_rec(query, t)) for t in got]), F(0)))
        elif kind == "f1_macro":
            pairs = [prec_rec(query, t) for t in got]
            rows.append((mean([p for p, _ in pairs]), mean([r for _, r in pairs])))
        elif kind == "p":
            rows.append((mean([F(t["primary"] == query["primary"]) for t in got]), F(0)))
        elif kind == "p_any":
            rows.append((mean([F(relevant("map_any", query, t)) for t in got]), F(0)))
        else:
            total = sum(relevant(kind, query, t) for t in others)
            if total:
                rows.append((average_precision([relevant(kind, query, t) for t in got], k, total), F(0)))
    a, b = mean([r[0] for r in rows]), mean([r[1] for r in rows])
    return (f1(a, b) if kind == "f1_macro" else a), len(rows), (a, b)


def chance(kind, k, queries, gallery, same):
    """Mean over all ordered selections; f1_macro combines the mean prec and rec at the end."""
    sums, count = [F(0), F(0)], 0
    for query in queries:
        open_ = [i for i, t in enumerate(gallery) if not (same and t["place"] == query["place"])]
        inner, orders = [F(0), F(0)], 0
        for order in permutations(open_, k):
            try:
                _, n, (a, b) = of_lists(kind, k, [query], gallery, [list(order)], same)
            except ZeroDivisionError:  # this query does not count
                break
            inner[0] += a
            inner[1] += b
            orders += 1
        if orders:
            sums[0] += inner[0] / orders
            sums[1] += inner[1] / orders
            count += 1
    a, b = sums[0] / count, sums[1] / count
    return f1(a, b) if kind == "f1_macro" else a


def write_case(out, name, queries, gallery, same, depth):
    lists = []
    for query in queries:
        open_ = [i for i, t in enumerate(gallery) if not (same and t["place"] == query["place"])]
        rng.shuffle(open_)
        lists.append(open_[:depth])
    print(f"case {name} {len(queries)} {len(gallery)} {depth} {int(same)}", file=out)
    for tag, tiles in (("query", queries), ("gallery", gallery)):
        for t in tiles:
            print(tag, t["place"], t["scene"], "|".join(t["labels"]), t["primary"], file=out)
    for hits in lists:
        print("hits", *hits, file=out)
    for kind in ("pair_recall", "f1_item", "f1_macro", "map_any", "map_all", "p", "p_any"):
        if same and kind == "pair_recall":
            continue
        for k in (1, 2, depth):
            value, n, _ = of_lists(kind, k, queries, gallery, lists, same)
            expected = chance(kind, k, queries, gallery, same)
            print(f"metric {kind} {k} {n} {float(value):.15f} {float(expected):.15f}", file=out)


with open(Path(__file__).with_name("metrics_reference.txt"), "w") as out:
    one = [tile(p) for p in range(9)]
    two = [tile(p) for p in range(2, 10)]
    write_case(out, "cross", one, two, False, 4)
    write_case(out, "same", one, one, True, 4)
