#!/usr/bin/env python3
"""Search engines side by side, on real descriptors and simulated embeddings: `diptych bench` and a table of what it says.

usage: bench/search.py --data FOLDER [--build build] [--out bench/results] [--work FOLDER] [--sets NAME,...] [--fresh] [--only-table]

FOLDER has what build/bench_descriptors and build/bench_vectors make (`make bench-data`): sift_base.fbin and sift_query.fbin;
syn_1000000_ and syn_10000000_ with _base, _same and _other. Sets that are missing are named and left out. The work folder keeps truth and
indexes for the next run; what was measured is not measured again. bench/README.md tells how to read the table.
"""

import argparse
import json
import os
import subprocess
import sys

from rows import ROOT, number, table

OURS = "native / nprobe=2,4,6,8,12,16,24,32,48,64,96,128,192,256 depth=2,4,6,10 gap=0,0.02,0.04"
HALF = "native refine=half / nprobe=4,8,16,32,64,128 depth=4,10"
FAISS = "faiss / nprobe=4,8,16,32,64,128 depth=4,10"
FAISS_FINE = "faiss lists=4096 / nprobe=4,8,16,32,64,128 depth=4,10"
HNSW = "{build}/peer_hnswlib M=16 ef_construction=200 / ef=12,20,32,48,64,72,80,96,112,128,192,256"
MILLION = (OURS, HALF, FAISS, FAISS_FINE, HNSW)
TEN_MILLION = ("native / nprobe=2,4,6,8,12,16,24,32,48,64 depth=2,4,6,10 gap=0,0.02,0.03,0.04,0.06", "faiss / nprobe=4,8,16,32 depth=4,10",
               "faiss lists=16384 / nprobe=2,4,8,16,32 depth=4,10")
SETS = (
    ("sift-1m", "sift_base", "sift_query", MILLION),
    ("simulated-1m-same", "syn_1000000_base", "syn_1000000_same", MILLION),
    ("simulated-1m-other", "syn_1000000_base", "syn_1000000_other", MILLION),
    ("simulated-10m-same", "syn_10000000_base", "syn_10000000_same", TEN_MILLION),
    ("simulated-10m-other", "syn_10000000_base", "syn_10000000_other", TEN_MILLION),
)
TARGETS = (0.90, 0.95, 0.97, 0.98, 0.99)
LEAST, WITHIN = 0.90, 0.002  # recall from which points are compared one by one, and what counts as the same


def measure(options, name, base, queries, engines):
    files = [os.path.join(options.data, part + ".fbin") for part in (base, queries)]
    missing = [file for file in files if not os.path.exists(file)]
    if missing:
        print(f"bench: {name} is left out: there is no {missing[0]}", file=sys.stderr)
        return
    words = [os.path.join(options.build, "diptych"), "bench", files[0], "--queries", files[1], "--name", name,
             "--most-queries", "1000", "--batches", "1", "--keep", "-o", options.work]
    words += ["--again"] if options.fresh else []
    subprocess.run(words + [engine.format(build=options.build) for engine in engines], check=True, stdout=subprocess.DEVNULL)


def label(row):
    name = {"peer_hnswlib": "hnswlib"}.get(row["engine"], row["engine"])
    return (name + " " + row["build"]).strip()


def fastest(rows, target):
    """Of each engine the row of most queries a processor second that reaches the target."""
    best = {}
    for row in rows:
        if row["recall"] >= target and (label(row) not in best or row["cpu_us"] < best[label(row)]["cpu_us"]):
            best[label(row)] = row
    return best


def set_table(rows):
    """At each recall the engines by processor time, ours first."""
    lines = []
    for target in TARGETS:
        best = fastest(rows, target)
        if not best:
            continue
        ours = best.get("native")
        for name in sorted(best, key=lambda n: (n != "native", best[n]["cpu_us"])):
            row = best[name]
            ratio = f"{row['cpu_us'] / ours['cpu_us']:.2f}" if ours else "–"
            lines.append([f"≥ {target:.2f}", name, row["search"], f"{row['recall']:.4f}", number(1e6 / row["cpu_us"]),
                          number(row["qps"]), f"{row['p50_us']:.0f}, {row['p99_us']:.0f}", ratio])
    return table(["recall@10", "engine", "parameters", "recall", "queries a processor second", "by the clock",
                  "p50, p99 µs", "time / ours"], lines)


def equal_table(rows):
    """Every point of a peer that none of its own beats in both, beside our fastest of at least the same recall."""
    ours = [row for row in rows if label(row) == "native"]
    lines = []
    for row in sorted(rows, key=lambda r: (label(r), r["recall"])):
        beaten = any(label(o) == label(row) and o["recall"] >= row["recall"] and o["cpu_us"] < row["cpu_us"] for o in rows)
        level = [o for o in ours if o["recall"] >= row["recall"] - WITHIN]
        if row["engine"] == "native" or row["recall"] < LEAST or beaten or not level:
            continue
        best = min(level, key=lambda o: o["cpu_us"])
        lines.append([label(row), row["search"], f"{row['recall']:.4f}", f"{row['cpu_us']:.0f}", best["search"],
                      f"{best['recall']:.4f}", f"{best['cpu_us']:.0f}", f"**{row['cpu_us'] / best['cpu_us']:.2f}**"])
    return table(["peer", "parameters", "recall", "CPU µs", "ours", "recall", "CPU µs", "time / ours"], lines)


def build_table(rows):
    seen = {}
    for row in rows:
        seen.setdefault(label(row), row)
    return table(["engine", "index", "bytes a vector", "build, processor s", "µs a vector"],
                 [[name, r["describe"], f"{r['bytes'] / r['n']:.0f}", f"{r['build_cpu_s']:.0f}",
                   f"{1e6 * r['build_cpu_s'] / r['n']:.1f}"] for name, r in seen.items()])


def write_table(path, rows):
    first, loads = rows[0], [row["load"] for row in rows]
    text = ("# Search\n\nMade by `make bench-search`; do not edit. " + first["machine"] + "; " + first["time"][:10] +
            f"; load of the machine {min(loads):.0f} to {max(loads):.0f}.\n10 neighbours, one query a call, one thread; "
            "1,000 queries, median of 3 runs after one. Vectors of unit norm. At each recall every engine's fastest "
            "parameters that reach it. bench/README.md tells more.\n")
    for name, *_ in SETS:
        of_set = [row for row in rows if row["set"] == name]
        if of_set:
            text += (f"\n## {name}: {of_set[0]['n']:,} × {of_set[0]['dim']}\n\n" + set_table(of_set) +
                     f"\nEach point of a peer, and our fastest with the same recall (less {WITHIN} at most):\n\n" +
                     equal_table(of_set) + "\n" + build_table(of_set))
    with open(path + ".partial", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".partial", path)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--data", default=".")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--out", default=os.path.join(ROOT, "bench", "results"))
    parser.add_argument("--work", default="bench-search")
    parser.add_argument("--sets", default=",".join(s[0] for s in SETS))
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    wanted = options.sets.split(",")
    if set(wanted) - {s[0] for s in SETS}:
        parser.error("sets are " + ", ".join(s[0] for s in SETS))
    name = os.path.join(options.out, "search")
    if not options.only_table:
        for one in SETS:
            if one[0] in wanted:
                measure(options, *one)
        with open(os.path.join(options.work, "results.jsonl"), encoding="utf-8") as file:
            lines = file.readlines()
        with open(name + ".jsonl", "w", encoding="utf-8") as file:
            file.writelines(lines)
    with open(name + ".jsonl", encoding="utf-8") as file:
        write_table(name + ".md", [json.loads(line) for line in file])


main()
