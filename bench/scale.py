"""What an index costs as it grows: SIMULATED embeddings of 128 values, from a million up, into bench/results/scale.jsonl and scale.md.

  bench/scale.py [--sizes N,N...] [--folder FOLDER] [--quick] [--fresh] [--only-table] [--build FOLDER] [--out FOLDER]

One index at a time stands in FOLDER, 170 bytes a vector, and for a while 134 bytes a vector of files beside it."""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rows  # noqa: E402

SIZES = "1000000,3000000,10000000,30000000,100000000"
BILLION, DIM, ID_BITS = 10**9, 128, 1.5  # bits that an id takes where ids are dense


class Work:
    def __init__(self, options, found):
        self.options, self.rows = options, found

    def all(self):
        for n in map(int, ("20000,50000" if self.options.quick else self.options.sizes).split(",")):
            if self.rows.has(dict(n=n)):
                continue
            rows.say(f"{n:,} vectors")
            folder = tempfile.mkdtemp(prefix="scale.", dir=self.options.folder)
            try:
                said = subprocess.run([os.path.join(self.options.build, "bench_scale"), "--count", str(n), folder],
                                      stdout=subprocess.PIPE, text=True, check=True)
            except subprocess.CalledProcessError:
                raise SystemExit(f"bench: {n:,} vectors could not be measured; see above") from None
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            self.rows.add([json.loads(said.stdout)])

    def close(self):
        pass


def grow(found, get):
    """What a billion would have, if it went on as from the last size but one to the last: a power of n, 0 where it fell."""
    before, last = found[-2:]
    power = max(0, math.log(get(last) / get(before)) / math.log(last["n"] / before["n"]))
    return get(last) * (BILLION / last["n"]) ** power


def billion(found):
    """The row that was not measured. Bytes are those of the format (index/segment.h), with half a block of 32 left empty a list."""
    lists = 2 ** round(math.log2(4 * math.sqrt(BILLION)))
    slots = BILLION + 16 * lists
    scanned = slots * (DIM // 4 + 2) + lists * (DIM + 16)
    cpu_us = grow(found, lambda r: 1e6 * r["build_cpu_s"] / r["n"])
    guess = dict(n=BILLION, lists=lists, build_cpu_s=cpu_us * BILLION / 1e6, resident_bytes=scanned,
                 disk_bytes=scanned + BILLION * (DIM + 1 + 4 + 3 + ID_BITS / 8), segment_version=found[-1].get("segment_version"), build_peak_bytes=None, open_ms=None)
    for which in ("same", "other"):
        guess[which] = dict(cpu_us=grow(found, lambda r: r[which]["cpu_us"]))
    return guess


def per_vector(row, key, unit=1):
    return rows.number(unit * row[key] / row["n"])


def building(row):
    mega = lambda key: rows.number(row[key] and row[key] / 1e6)  # noqa: E731
    return [f"{row['n']:,}", row.get("segment_version", 1), f"{row['lists']:,}", rows.number(row["build_cpu_s"]), per_vector(row, "build_cpu_s", 1e6),
            mega("build_peak_bytes"), per_vector(row, "disk_bytes"), per_vector(row, "resident_bytes"), mega("disk_bytes"),
            mega("resident_bytes"), rows.number(row["open_ms"])]


def searching(row, which):
    point = row[which]
    recall = point.get("recall")
    return [f"{row['n']:,}", point.get("nprobe"), point.get("depth"), point.get("gap"), recall and f"{recall:.3f}"] + \
           [rows.number(point.get(name)) for name in ("cpu_us", "p50_us", "p99_us")]


def sloping(cells):
    return [c and f"*{c}*" for c in cells]


def tell(found, source):
    found = sorted(found, key=lambda r: r["n"])
    guess = [billion(found)] if len(found) > 1 else []
    text = ["# What an index costs as it grows\n", source + "\n",
            "**Simulated** embeddings (`bench/latent.h`) of 128 values, made as they are asked for; the native engine, lists by the default "
            "rule, hits refined by bytes. Processor seconds of building leave out those that making the vectors and finding true "
            "neighbours took; memory is the peak of the whole process. A search scans codes, terms and lists; the rest of the file it reads for its hits alone. *The sloping line was "
            "not measured: bytes are those of the format, other figures go on as a power of n from the two largest sizes.*\n",
            rows.table(["vectors", "segment version", "lists", "build, CPU s", "CPU µs a vector", "peak memory, MB", "on disk, bytes a vector",
                        "scanned, bytes a vector", "on disk, MB", "scanned, MB", "open, ms"],
                       [building(r) for r in found] + [sloping(building(r)) for r in guess])]
    for which, words in (("same", "the same modality"), ("other", "the other modality")):
        text += [f"\nQueries of {words}: the cheapest tried point with recall@10 of at least .95 over 500 queries; costs over 2,000 "
                 "others, one query a call on one thread, none asked before.\n",
                 rows.table(["vectors", "lists at most", "depth", "gap", "recall@10", "CPU µs a query", "p50 µs", "p99 µs"],
                            [searching(r, which) for r in found] + [sloping(searching(r, which)) for r in guess])]
    return "\n".join(text)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--sizes", default=SIZES)
    parse.add_argument("--folder", default=tempfile.gettempdir())
    parse.add_argument("--build", default=os.path.join(rows.ROOT, "build"))
    parse.add_argument("--out", default=os.path.join(rows.ROOT, "bench", "results"))
    for flag in ("--quick", "--fresh", "--only-table"):
        parse.add_argument(flag, action="store_true")
    rows.measure("scale", parse.parse_args(), ["n"], Work, tell)


if __name__ == "__main__":
    main()
