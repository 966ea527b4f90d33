#!/usr/bin/env python3
"""What the archive costs: import by stages, writing and reading, encoding end to end, bytes and time by codec and block size.

usage: bench/archive.py [--build build] [--out bench/results] [--data FOLDER] [--quick] [--fresh] [--only-table]
                        [--steps import,store,codec,encode,blocks]

FOLDER holds data sets, one a folder, that `diptych import` takes (default: $DIPTYCH_DATA); without it an archive of simulated
tiles is measured, which has no files to import. Each row tells the program that measured it. A step that was measured is not
measured again, unless --fresh. --quick is a short run into archive-quick. bench/README.md tells how to read the table.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time

from rows import ROOT, measure, number, say, table

STEPS = ("import", "store", "codec", "encode", "blocks")


def run(command):
    """Output, seconds, processor seconds; ends the benchmark if the program fails."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"bench: {' '.join(command)}: {err.strip() or process.returncode}")
    return out, time.perf_counter() - began


def rows_of(out):
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


class Bench:
    def __init__(self, options, rows):
        self.options, self.rows = options, rows
        self.work = tempfile.mkdtemp(prefix="diptych-bench-", dir=os.environ.get("TMPDIR"))
        self.scratch = os.path.join(self.work, "scratch")

    def program(self, name, *words):
        """Its rows, each with the command that gave it."""
        shown = " ".join(w for w in (name,) + words if not w.startswith(self.work) and not os.path.isabs(w))
        out, _ = run([os.path.join(self.options.build, name), *words])
        return [dict(row, program=shown) for row in rows_of(out)]

    def archive(self, data):
        path = os.path.join(self.work, data)
        if os.path.exists(path):
            return path
        say(f"{data}: making the archive")
        if self.options.data:
            run([os.path.join(self.options.build, "diptych"), "import", path, os.path.join(self.options.data, data)])
        else:
            places = "40" if self.options.quick else "1000"
            run([os.path.join(self.options.build, "diptych"), "simulate", path, "--places", places, "--seed", "1"])
        return path

    def step_import(self, data):
        repeats = "1" if self.options.quick else "3"
        source = os.path.join(self.options.data, data)
        return self.program("bench_import", "--repeats", repeats, source, self.scratch)

    def step_store(self, data):
        few = ("--tiles", "60", "--repeats", "1") if self.options.quick else ()
        return self.program("bench_archive", *few, self.archive(data), self.scratch)

    def step_codec(self, data):
        few = ("--bytes", "100000", "--levels", "1,3") if self.options.quick else ()
        return self.program("bench_codec", *few, self.archive(data))

    def train(self, archive):
        if os.path.exists(os.path.join(archive, "models", "bench.safetensors")):
            return
        diptych = os.path.join(self.options.build, "diptych")
        run([diptych, "train", archive, "--name", "bench", "--epochs", "1" if self.options.quick else "20", "--seed", "1"])

    def encode(self, archive, precision):
        words = ["-m", "bench", "--precision", precision, "--force", "--json"]
        before = os.times()
        out, seconds = run([os.path.join(self.options.build, "diptych"), "encode", archive] + words)
        after = os.times()
        said = rows_of(out)[-1]
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return dict(what="encode", precision=precision, tiles=said["encoded"], s=seconds, cpu_s=cpu, seconds=said["seconds"],
                    read_seconds=said["wait_read_seconds"], write_seconds=said["wait_write_seconds"],
                    program="diptych encode ARCHIVE " + " ".join(words))

    def step_encode(self, data):
        archive = self.archive(data)
        self.train(archive)
        rounds = 1 if self.options.quick else 3
        return [self.encode(archive, precision) for _ in range(rounds) for precision in ("int8", "bf16")]

    def step_blocks(self, data):
        archive = self.archive(data)
        if not os.path.exists(os.path.join(archive, "models", "bench.encoded")):
            self.step_encode(data)
        few = ("--vectors", "2000", "--ids", "16,124") if self.options.quick else ()
        return self.program("bench_blocks", "--model", "bench", *few, archive, self.scratch)

    def all(self):
        folder = self.options.data
        sets = sorted(d for d in os.listdir(folder) if imports(os.path.join(folder, d))) if folder else ["simulated"]
        if not sets:
            raise SystemExit(f"bench: '{folder}' has no folder with a manifest.csv or BigEarthNet's folders")
        paired = max(sets, key=lambda d: count_files(os.path.join(folder, d))) if folder else sets[0]
        for step in self.options.steps:
            if step == "import" and not folder:
                say("import is left out: simulated tiles have no files (--data names a folder that has)")
                continue
            for data in sets if step not in ("encode", "blocks") else [paired]:
                if self.rows.has(dict(data=data, step=step)):
                    continue
                say(f"{data}: {step}")
                self.rows.add([dict(data=data, step=step, **row) for row in getattr(self, "step_" + step)(data)])

    def close(self):
        shutil.rmtree(self.work)


def imports(folder):
    return any(os.path.exists(os.path.join(folder, name)) for name in ("manifest.csv", "manifest.geojson", "BigEarthNet-S1"))


def count_files(folder):
    return sum(len(files) for _, _, files in os.walk(folder))


# ---- the table ----


def of(rows, step, data=None):
    return [r for r in rows if r["step"] == step and data in (None, r["data"])]


def sets(rows, step):
    return list(dict.fromkeys(r["data"] for r in of(rows, step)))


def table_import(rows):
    stages = ("pixels", "description", "compress", "store", "statistics")
    lines = []
    for data in sets(rows, "import"):
        by = {r["stage"]: r for r in of(rows, "import", data)}
        whole, tiles = by["whole"], by["whole"]["tiles"]
        cost = [by[s]["cpu_s"] * 1e6 / tiles for s in stages]
        total = whole["cpu_s"] * 1e6 / tiles
        lines.append([data, f"{tiles:,}", f"{whole['files']:,}", f"{number(tiles / whole['cpu_s'])} ({number(tiles / whole['s'])})",
                      number(total)] + [number(c) for c in cost])
    return table(["data", "tiles", "files", "tiles a processor second (by the clock)", "µs a tile"] + list(stages), lines)


def table_store(rows):
    lines = []
    for data in sets(rows, "store"):
        by = {r["what"]: r for r in of(rows, "store", data)}
        size, line = by.pop("bytes"), [data]
        line += [f"{size[k]:,.0f}" for k in ("raw", "stored", "in_file")]
        lines.append(line + [number(r["items_cpu_s"]) for r in by.values()])
        names = list(by)
    return table(["data", "bytes a tile, raw", "stored", "in the file"] + names, lines)


def table_encode(rows):
    lines = []
    for data in sets(rows, "encode"):
        for precision in ("bf16", "int8"):
            runs = sorted((r for r in of(rows, "encode", data) if r["precision"] == precision), key=lambda r: r["cpu_s"])
            r = runs[len(runs) // 2]
            lines.append([data, precision, f"{r['tiles']:,}", f"{number(r['tiles'] / r['cpu_s'])} ({number(r['tiles'] / r['s'])})",
                          f"{100 * r['read_seconds'] / r['seconds']:.0f} %", f"{100 * r['write_seconds'] / r['seconds']:.0f} %"])
    return table(["data", "precision", "tiles", "tiles a processor second (by the clock)", "waiting for tiles", "for the store"], lines)


def tables_codec(rows):
    text = ""
    for data in sets(rows, "codec"):
        mine = of(rows, "codec", data)
        for modality in dict.fromkeys(r["modality"] for r in mine):
            these = [r for r in mine if r["modality"] == modality]
            levels = sorted({r["level"] for r in these})
            lines = []
            for name in dict.fromkeys(r["filter"] for r in these):
                for dictionary in (False, True):
                    cells = {r["level"]: f"{r['stored']:,.0f}, {number(r['pack_mb_s'])}, {number(r['unpack_mb_s'])}"
                             for r in these if r["filter"] == name and r["dictionary"] == dictionary}
                    if name == "chosen" and not dictionary and 1 in cells:
                        cells[1] = f"**{cells[1]}**"
                    if cells:
                        lines.append([name + (" + dictionary" if dictionary else "")] + [cells.get(v) for v in levels])
            text += f"\n{data}, {modality}: {these[0]['tiles']} tiles of {these[0]['raw']:,.0f} bytes\n\n"
            text += table(["filter"] + [f"zstd {v}" for v in levels], lines)
    return text[1:]


def table_blocks(rows):
    these = of(rows, "blocks")
    sizes = sorted({r["ids"] for r in these})
    lines = []
    for form in dict.fromkeys(r["form"] for r in these):
        cells = {r["ids"]: f"{r['file_bytes']:.0f}, {r['read_cpu_us']:.2f}" for r in these if r["form"] == form}
        if form == "float16" and 124 in cells:
            cells[124] = f"**{cells[124]}**"
        lines.append([form] + [cells.get(n) for n in sizes])
    return table([f"form ({these[0]['dim']} dimensions)"] + [f"{n} ids" for n in sizes], lines)


def tell(rows, source):
    parts = [
        ("import", "Import: processor time by stages", table_import),
        ("store", "Reading and writing: items a processor second", table_store),
        ("encode", "Encoding, from stored pixels to stored embeddings", table_encode),
        ("codec", "Bytes a tile, MB packed a processor second, MB unpacked", tables_codec),
        ("blocks", "Bytes of an embedding in the file, µs a random read", table_blocks),
    ]
    text = "# Archive\n\n" + source + "\n"
    text += "What the program writes is bold; how to read it: bench/README.md.\n"
    for step, title, make in parts:
        if of(rows, step):
            programs = dict.fromkeys(r["program"] for r in of(rows, step))
            text += f"\n## {title}\n\nBy {', '.join(f'`{p}`' for p in programs)}.\n\n{make(rows)}"
    return text


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--out", default=os.path.join(ROOT, "bench", "results"))
    parser.add_argument("--data", default=os.environ.get("DIPTYCH_DATA"))
    parser.add_argument("--steps", default=",".join(STEPS))
    for flag in ("--quick", "--fresh", "--only-table"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    options.steps = options.steps.split(",")
    if set(options.steps) - set(STEPS):
        parser.error("steps are " + ", ".join(STEPS))
    options.build = os.path.abspath(options.build)
    options.data = options.data and os.path.abspath(options.data)
    return options


measure("archive", parse(), ("machine", "data", "step"), Bench, tell)
