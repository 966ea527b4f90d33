"""What an index costs as it grows: SIMULATED embeddings of 128 values, from a million up, into bench/results/scale.jsonl and scale.md.

  bench/scale.py [--sizes N,N...] [--folder FOLDER] [--quick] [--fresh] [--only-table] [--build FOLDER] [--out FOLDER]

One index at a time stands in FOLDER, 185 bytes a vector, and for a while 134 bytes a vector of files beside it."""

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
BILLION = 10**9


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
    """What a billion would have, if it went on as from the last size but one to the last: a power of n. None: one size alone."""
    if len(found) < 2:
        return None
    before, last = found[-2:]
    power = math.log(get(last) / get(before)) / math.log(last["n"] / before["n"])
    return get(last) * (BILLION / last["n"]) ** power


def tell(found, source):
    found = sorted(found, key=lambda r: r["n"])
    number = rows.number
    columns = [
        ("lists", lambda r: f"{r['lists']:,}", None),
        ("build, CPU s", lambda r: number(r["build_cpu_s"]), lambda r: r["build_cpu_s"]),
        ("CPU µs a vector", lambda r: number(1e6 * r["build_cpu_s"] / r["n"]), lambda r: 1e6 * r["build_cpu_s"] / r["n"]),
        ("peak memory, MB", lambda r: number(r["build_peak_bytes"] / 1e6), None),
        ("on disk, bytes a vector", lambda r: number(r["disk_bytes"] / r["n"]), lambda r: r["disk_bytes"] / r["n"]),
        ("scanned, bytes a vector", lambda r: number(r["resident_bytes"] / r["n"]), lambda r: r["resident_bytes"] / r["n"]),
        ("scanned, MB", lambda r: number(r["resident_bytes"] / 1e6), lambda r: r["resident_bytes"] / 1e6),
        ("open, ms", lambda r: number(r["open_ms"]), lambda r: r["open_ms"]),
    ]
    lines = [[f"{r['n']:,}"] + [show(r) for _, show, _ in columns] for r in found]
    guess = ["*1,000,000,000*"] + [f"*{number(grow(found, get))}*" if get and len(found) > 1 else None for _, _, get in columns]
    text = ["# What an index costs as it grows\n", source + "\n",
            "**Simulated** embeddings (`bench/latent.h`) of 128 values, made as they are asked for; the native engine, lists by the default "
            "rule, hits refined by bytes. Processor seconds of building leave out those that making the vectors and finding true "
            "neighbours took; memory is the peak of the whole process. *The last line was not measured: each figure goes on as a power of "
            "n from the two largest sizes.*\n",
            rows.table(["vectors"] + [name for name, _, _ in columns], lines + [guess])]
    for which, words in (("same", "the same modality"), ("other", "the other modality")):
        lines = [[f"{r['n']:,}", r[which]["nprobe"], r[which]["depth"], f"{r[which]['recall']:.3f}"] +
                 [number(r[which][name]) for name in ("cpu_us", "p50_us", "p99_us")] for r in found]
        guess = grow(found, lambda r, which=which: r[which]["cpu_us"])
        lines.append(["*1,000,000,000*", None, None, None, f"*{number(guess)}*" if guess else None, None, None])
        text += [f"\nQueries of {words}: the cheapest tried point with recall@10 of at least .95 over 500 queries; costs over 2,000 "
                 "others, one query a call on one thread, none asked before.\n",
                 rows.table(["vectors", "lists read", "depth", "recall@10", "CPU µs a query", "p50 µs", "p99 µs"], lines)]
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
