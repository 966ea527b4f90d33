"""What HTTP adds to a search: requests a second and latencies over loopback at 1, 8 and 64 connections, beside the library call's
own in the same run, into bench/results/serve.md.

  bench/serve.py [--places N] [--seconds S] [--archive FOLDER] [--build FOLDER] [--out FILE]

The archive holds SIMULATED vectors of N places in two modalities, without pixels; it is made once and kept in FOLDER."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys

import numpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rows  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DIM, GROUPS, NOISE, SEED = 128, 2000, 0.7, 1


def make_archive(program, folder, places):
    """Groups of places on a sphere, noise of each modality's own; aligned, so that the archive has a model, and indexed."""
    os.makedirs(folder, exist_ok=True)
    rng = numpy.random.default_rng(SEED)
    centres = rng.standard_normal((GROUPS, DIM), dtype=numpy.float32)
    group = rng.integers(0, GROUPS, places)
    lon, lat = rng.uniform(-170, 170, places), rng.uniform(-60, 70, places)
    with open(f"{folder}/manifest.csv", "w", encoding="ascii") as out:
        out.write("tile_id,modality,path,split,west,south,east,north,datetime\n")
        for m in ("s1", "s2"):
            for i in range(places):
                out.write(f"p{i:07d},{m},,train,{lon[i]:.4f},{lat[i]:.4f},{lon[i] + .01:.4f},{lat[i] + .01:.4f},2020-0{1 + i % 9}-01\n")
    for m in ("s1", "s2"):
        v = centres[group] + NOISE * rng.standard_normal((places, DIM), dtype=numpy.float32)
        v /= numpy.linalg.norm(v, axis=1, keepdims=True)
        numpy.save(f"{folder}/{m}.npy", v.astype(numpy.float16))
    run = lambda *words: subprocess.run([program, *words], check=True, cwd=folder)  # noqa: E731
    run("import", "big", "manifest.csv", "--batch", "20000", "--quiet")
    run("align", "big", "s1=s1.npy", "s2=s2.npy", "--steps", "100", "--quiet")
    run("index", "big")


def start(program, archive):
    server = subprocess.Popen([program, "serve", archive, "--listen", "127.0.0.1:0", "--quiet"],
                              stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        found = re.match(r"metrics\s+(http://\S+)/metrics", line)
        if found:
            return server, found.group(1)
    sys.exit("bench/serve.py: the server did not start")


def load(url, path, connections, seconds, ids):
    text = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", f"{HERE}/serve.lua", url],
                          env={**os.environ, "SERVE_PATH": path, "SERVE_IDS": ids},
                          check=True, capture_output=True, text=True).stdout
    requests, us, p50, p99, refused, broken = map(int, re.search(r"RESULT (.*)", text).group(1).split())
    return dict(path=path, connections=connections, per_second=round(requests / us * 1e6), p50_us=p50, p99_us=p99,
                refused=refused, broken=broken)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--places", type=int, default=500000)
    parse.add_argument("--seconds", type=int, default=10)
    parse.add_argument("--build", default=f"{rows.ROOT}/build")
    parse.add_argument("--archive", default=os.path.expanduser("~/.cache/diptych/serve"))
    parse.add_argument("--out", default=f"{HERE}/results/serve.md")
    o = parse.parse_args()
    program, folder = f"{os.path.abspath(o.build)}/diptych", os.path.abspath(f"{o.archive}/{o.places}")
    if not os.path.exists(f"{folder}/big/index/CURRENT"):
        make_archive(program, folder, o.places)
    ids = f"{folder}/ids.txt"
    library = json.loads(subprocess.run([f"{o.build}/bench_serve", f"{folder}/big", "5000", ids], check=True,
                                        capture_output=True, text=True).stdout)
    server, url = start(program, f"{folder}/big")
    try:
        load(url, "/search", 8, 2, ids)
        results = [load(url, path, n, o.seconds, ids) for path in ("/healthz", "/search") for n in (1, 8, 64)]
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait()
    m = rows.machine()
    lines = ["# What HTTP adds to a search", "",
             f"{library['tiles']:,} tiles of simulated vectors without pixels, {DIM} values, two modalities; searches by stored "
             f"item, 10 hits, another item each time; wrk on the same machine ({m['cpu']}, {m['cores']} processors, "
             f"which had other work). Made by `make bench-serve`.", "",
             "| what | connections | a second | p50 | p99 | refused | broken |", "|---|---|---|---|---|---|---|",
             f"| library call | | {library['per_second']:,} | {library['p50_us']:,} µs | {library['p99_us']:,} µs | | |"]
    lines += [f"| {'GET' if r['path'] != '/search' else 'POST'} {r['path']} | {r['connections']} | {r['per_second']:,} | "
              f"{r['p50_us']:,} µs | {r['p99_us']:,} µs | {r['refused']:,} | {r['broken']} |" for r in results]
    with open(o.out, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
