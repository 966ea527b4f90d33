#!/usr/bin/env python3
"""Training and encoding: each of our kernel bodies beside PyTorch and oneDNN, in turns.

usage: bench/encoder.py [--build build] [--out bench/results] [--quick] [--fresh] [--rounds N] [--seconds S]
                        [--nets resnet10,resnet18,resnet50] [--px 64,96,120] [--threads 1,2] [--tasks ...]
                        [--best-body] [--only-table]

In every round each subject is measured once, one after the other, for S seconds of processor time; the table has the
medians of the rounds, and of the ratios in each round. A round is stored when it is complete, and not measured again: an
interrupted run goes on where it was. --fresh begins anew. --quick is one short round of the smallest network, in
encoder-quick.jsonl; --best-body leaves out all our kernel bodies but the fastest. A peer that is missing is named and left
out. bench/README.md tells how to read the table.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from rows import ROOT, measure, number, say, table

SWITCHES = ("DIP_NO_AMX", "DIP_NO_AVX512BF16", "DIP_NO_AVX512VNNI", "DIP_NO_AVX512", "DIP_NO_AVX2")
TASKS = ("encode", "tile", "train", "share", "up", "convs", "peak")
OTHER_BODIES = ("encode", "tile", "train", "share", "peak")  # bodies that this machine would not choose
BANDS = 3


class Subject:
    """A process that answers requests; see bench/support.h."""

    def __init__(self, name, command, tasks, environment=None):
        self.name, self.command, self.tasks, self.process = name, command, tasks, None
        self.every_round = True
        self.environment = dict(os.environ, OMP_WAIT_POLICY="PASSIVE", **(environment or {}))

    def start(self, threads):
        self.stop()
        env = dict(self.environment, DIP_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
        self.process = subprocess.Popen(self.command, env=env, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask(self, line):
        """None if it cannot: it says why itself."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline() or "null")
        except (BrokenPipeError, ValueError):
            return None

    def stop(self):
        if self.process:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
            self.process.stdout.close()
            self.process.wait()
        self.process = None


def request(task, net, px, batch, seconds, path=""):
    return f"{task} {net} {px} {BANDS} {batch} {seconds} {path}".rstrip()


def answers(subject, line):
    subject.start(1)
    result = subject.ask(line)
    subject.stop()
    return result


def bodies(build):
    """Every body that the switches reach, fastest first."""
    found, environment = {}, {}
    for switch in (None,) + SWITCHES:
        if switch:
            environment = {switch: "1"}
        subject = Subject("", [os.path.join(build, "bench_encoder"), "--serve"],
                          TASKS if not found else OTHER_BODIES, environment)
        result = answers(subject, request("peak", "resnet10", 64, 1, 0))
        if result and result["body"] not in found:
            subject.name = "ours " + result["body"]
            found[result["body"]] = subject
    if not found:
        raise SystemExit(f"bench: {build}/bench_encoder does not run; make bench-setup builds it")
    ours = list(found.values())
    for other in ours[1:]:
        other.every_round = False
    ours.insert(1, Subject("ours int8", ours[0].command + ["--precision", "int8"], ("encode", "tile", "share")))
    return ours


def peers(build):
    found = []
    torch = [sys.executable, os.path.join(ROOT, "bench", "peer_torch.py")]
    if subprocess.run([sys.executable, "-c", "import torch"], stderr=subprocess.DEVNULL, check=False).returncode:
        say("PyTorch is left out: python3 has no torch (make bench-setup installs it)")
    else:
        found += [Subject("PyTorch " + kind, torch + [kind], ("encode", "tile", "train")) for kind in ("bf16", "f32")]
    dnnl = os.path.join(build, "bench_dnnl")
    if not os.path.exists(dnnl):
        say("oneDNN is left out: it was not there when bench/ was built (make bench-setup installs it)")
    else:
        found += [Subject("oneDNN " + kind, [dnnl, kind], ("up", "convs")) for kind in ("bf16", "f32")]
    return found


class Run:
    def __init__(self, options, rows):
        self.options, self.rows = options, rows
        self.ours, self.peers = bodies(options.build), peers(options.build)
        if options.best_body:
            self.ours = [s for s in self.ours if s.every_round]
        self.scratch = tempfile.mkdtemp(prefix="diptych-bench-")

    def layers_file(self, net, px):
        """The network's convolutions, for whoever cannot build it."""
        path = os.path.join(self.scratch, f"{net}-{px}")
        if not os.path.exists(path):
            helper = Subject("", self.ours[0].command, ())
            layers = answers(helper, request("layers", net, px, 1, 0))["layers"]
            with open(path, "w", encoding="ascii") as file:
                file.write("".join(" ".join(map(str, layer)) + "\n" for layer in layers))
        return path

    def measure(self, subject, task, place, path):
        result = subject.ask(request(task, place["net"], place["px"], place["batch"], self.options.seconds, path))
        if result is None:
            say(f"{subject.name} failed at {task} {place['net']} {place['px']} px and is left out there")
            subject.start(place["threads"])
        return result

    def round(self, task, place, number_of_round):
        rows = []
        for subject in self.ours + self.peers:
            if task not in subject.tasks or (number_of_round > 0 and not subject.every_round):
                continue
            path = self.layers_file(place["net"], place["px"]) if task in ("up", "convs") else ""
            result = self.measure(subject, task, place, path)
            if result:
                rows.append(dict(place, task=task, round=number_of_round, subject=subject.name, **result))
        return rows

    def share(self, place):
        """Features of our bodies against PyTorch's in f32, on equal weights and inputs."""
        judge = next((p for p in self.peers if p.name == "PyTorch f32"), None)
        rows = []
        for subject in self.ours if judge else []:
            path = os.path.join(self.scratch, "shared")
            small = dict(place, batch=min(place["batch"], 32))
            if self.measure(subject, "share", small, path):
                result = self.measure(judge, "share", small, path)
                if result:
                    rows.append(dict(place, task="share", round=0, subject=subject.name, **dict(result, body=None)))
        return rows

    def configuration(self, place):
        for task in self.options.tasks:
            rounds = 1 if task == "share" else self.options.rounds
            for n in range(rounds):
                if self.rows.has(dict(place, task=task, round=n)):
                    continue
                say(f"{place['net']} {place['px']} px, {place['threads']} threads: {task}, round {n + 1} of {rounds}")
                made = self.share(place) if task == "share" else self.round(task, place, n)
                if made:
                    self.rows.add(made)

    def all(self):
        for threads in self.options.threads:
            for subject in self.ours + self.peers:
                subject.start(threads)
            for net in self.options.nets:
                for px in self.options.px:
                    batch = self.options.batch or (64 if px < 100 else 32) // (2 if net == "resnet50" else 1)
                    self.configuration(dict(net=net, px=px, threads=threads, batch=batch))

    def close(self):
        for subject in self.ours + self.peers:
            subject.stop()
        for name in os.listdir(self.scratch):
            os.remove(os.path.join(self.scratch, name))
        os.rmdir(self.scratch)


# ---- the table ----


class Results:
    def __init__(self, rows):
        self.rows = rows
        self.places = sorted({(r["net"], r["px"], r["threads"], r["batch"]) for r in rows},
                             key=lambda p: (int(p[0][6:]), p[1:]))
        self.subjects = list(dict.fromkeys(r["subject"] for r in rows))
        self.best = next(s for s in self.subjects if s.startswith("ours"))

    def of(self, place, task, subject):
        return [r for r in self.rows if r["task"] == task and r["subject"] == subject and
                (r["net"], r["px"], r["threads"], r["batch"]) == place]

    def rate(self, place, task, subject, clock="cpu_s", what="items"):
        values = [r[what] / r[clock] for r in self.of(place, task, subject)]
        return statistics.median(values) if values else None

    def ratio(self, place, task, one, peer, clock):
        """Median over rounds of one / peer in the same round."""
        ours = {r["round"]: r["items"] / r[clock] for r in self.of(place, task, one)}
        theirs = {r["round"]: r["items"] / r[clock] for r in self.of(place, task, peer)}
        both = [ours[n] / theirs[n] for n in ours if n in theirs]
        return statistics.median(both) if both else None

    def share_of_peak(self, place, task, subject):
        done, peak = (self.rate(place, t, subject, "cpu_s", "gflop") for t in (task, "peak"))
        return done and number(done) + (f" ({100 * done / peak:.0f} %)" if peak else "")

    def pair(self, place, task, subject):
        by_cpu, by_clock = (self.rate(place, task, subject, c) for c in ("cpu_s", "s"))
        return by_cpu and f"{number(by_cpu)} ({number(by_clock)})"

    def ratios(self, place, task, one, peer):
        by_cpu, by_clock = (self.ratio(place, task, one, peer, c) for c in ("cpu_s", "s"))
        return by_cpu and f"**{by_cpu:.2f}** ({by_clock:.2f})"

    def against(self, task, peers, one=None):
        """One of ours, the fastest body if none is named, beside others."""
        one = one or self.best
        columns = ["net", "px", "threads", "batch", one, "GFLOP/s (of peak)"]
        columns += peers + [f"{one} / {p}" for p in peers]
        lines = []
        for place in self.places:
            if not self.of(place, task, one):
                continue
            line = list(place) + [self.pair(place, task, one), self.share_of_peak(place, task, one)]
            line += [self.pair(place, task, p) for p in peers] + [self.ratios(place, task, one, p) for p in peers]
            lines.append(line)
        return table(columns, lines) if lines else None

    def every_body(self):
        subjects = [s for s in self.subjects if s.startswith("ours")]
        lines = []
        for place in self.places:
            for task in ("train", "encode"):
                if self.of(place, task, self.best):
                    lines.append([place[0], place[1], place[2], task] + [
                        (self.rate(place, task, s) and
                         f"{number(self.rate(place, task, s))}, {self.share_of_peak(place, task, s)}") for s in subjects])
        return table(["net", "px", "threads", "task"] + subjects, lines)

    def latency(self):
        subjects = [s for s in self.subjects if any(r["subject"] == s and r["task"] == "tile" for r in self.rows)]
        lines = []
        for place in self.places:
            cells = []
            for s in subjects:
                rows = self.of(place, "tile", s)
                middle = [statistics.median([r[k] * 1e3 for r in rows]) if rows else None for k in ("s", "p99_s", "cpu_s")]
                cells.append(rows and f"{middle[0]:.2f}, {middle[1]:.2f}, {middle[2]:.2f}" or None)
            if any(cells):
                lines.append(list(place[:3]) + cells)
        return table(["net", "px", "threads"] + subjects, lines) if lines else None

    def agreement(self):
        lines = []
        for place in self.places:
            if place[2] != min(p[2] for p in self.places):
                continue
            rows = [r for r in self.rows if r["task"] == "share" and
                    (r["net"], r["px"], r["threads"], r["batch"]) == place]
            for r in rows:
                lines.append([place[0], place[1], r["subject"], f"{r['cosine']:.5f}", f"{r['centred']:.4f}",
                              f"{r['own_bf16_cosine']:.5f}", f"{r['own_bf16_centred']:.4f}"])
        return lines and table(["net", "px", "subject", "cosine", "centred", "PyTorch bf16", "centred"], lines)

    def peaks(self):
        lines = []
        for threads in sorted({p[2] for p in self.places}):
            for s in self.subjects:
                rows = [r for r in self.rows if r["task"] == "peak" and r["subject"] == s and r["threads"] == threads]
                if rows:
                    cells = [statistics.median(r["gflop"] / r[c] for r in rows) for c in ("cpu_s", "s")]
                    lines.append([s, threads] + [number(c) for c in cells])
        return lines and table(["instructions", "threads", "a processor second", "by the clock"], lines)


def tell(rows, source):
    results = Results(rows)
    rounds = max(r["round"] for r in rows) + 1
    parts = [
        ("Training: images a processor second (a second by the clock)", results.against("train", ["PyTorch bf16", "PyTorch f32"])),
        ("Encoding", results.against("encode", ["PyTorch bf16", "PyTorch f32"])),
        ("Encoding in int8", results.against("encode", [results.best, "PyTorch bf16", "PyTorch f32"], "ours int8")),
        ("One tile: milliseconds, median, 99th percentile, processor time", results.latency()),
        ("All convolutions alone, forward and backward", results.against("convs", ["oneDNN bf16", "oneDNN f32"])),
        ("All convolutions alone, forward", results.against("up", ["oneDNN bf16", "oneDNN f32"])),
        ("Every body: images a processor second, GFLOP/s (of the peak of its instructions)", results.every_body()),
        ("Peak: GFLOP/s of multiply-adds on registers", results.peaks()),
        ("The same numbers: smallest cosine of h with PyTorch's in f32, same weights and inputs", results.agreement()),
    ]
    text = "# Training and encoding\n\n" + source + "\n"
    text += f"Medians of up to {rounds} rounds; how to read it: bench/README.md.\n"
    if statistics.median(r["load"] for r in rows) > rows[0]["machine"]["cores"]:
        text += ("\nThe machine was busy with other work: rows by the clock are of little worth, and with two threads neither are "
                 "the processor seconds of PyTorch's and oneDNN's backward passes in bf16, which wait for each other busily.\n")
    text += "".join(f"\n## {title}\n\n{body}" for title, body in parts if body)
    return text


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0], add_help=True)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--out", default=os.path.join(ROOT, "bench", "results"))
    for flag in ("--quick", "--fresh", "--best-body", "--only-table"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--nets")
    parser.add_argument("--px")
    parser.add_argument("--threads")
    parser.add_argument("--tasks", default=",".join(TASKS))
    options = parser.parse_args()
    quick = options.quick
    options.rounds = options.rounds or (1 if quick else 3)
    options.seconds = options.seconds or (0.1 if quick else 0.2)
    options.nets = (options.nets or ("resnet10" if quick else "resnet10,resnet18,resnet50")).split(",")
    options.px = [int(v) for v in (options.px or ("64" if quick else "64,96,120")).split(",")]
    options.threads = [int(v) for v in (options.threads or ("1" if quick else "1,2")).split(",")]
    options.tasks = options.tasks.split(",")
    if set(options.tasks) - set(TASKS):
        parser.error("tasks are " + ", ".join(TASKS))
    return options


measure("encoder", parse(), ("machine", "net", "px", "threads", "batch", "task", "round"), Run, tell)
