"""What HTTP adds to a search: requests a second and latencies over loopback at 1, 8 and 64 connections, beside the library call's
own in the same run; accepted and refused requests of more clients than are let in; and the stages of a query by a tile that is
sent. Into bench/results/serve.md.

  bench/serve.py [--places N] [--seconds S] [--archive FOLDER] [--build FOLDER] [--out FILE]

The archive holds SIMULATED vectors of N places in two modalities, without pixels; it is made once and kept in FOLDER. Tiles that
are sent are those of a second, small SIMULATED archive."""

import argparse
import glob
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

import numpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rows  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DIM, GROUPS, NOISE, SEED = 128, 2000, 0.7, 1
CROWDS = (256, 512)  # connections, of which the queue refuses some
PLACES, PX, UPLOADS = 200, 64, 300


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


def crowd(build, url, connections, seconds, ids):
    words = [f"{build}/bench_load", str(urllib.parse.urlsplit(url).port), str(connections), str(seconds), ids]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def ask(connection, method, path, body=None):
    """The parsed answer, milliseconds until it was read, and those of its stages as the server timed them."""
    begin = time.perf_counter()
    connection.request(method, path, body)
    answer = connection.getresponse()
    content = answer.read()
    took = 1e3 * (time.perf_counter() - begin)
    if answer.status != 200:
        sys.exit(f"bench/serve.py: {method} {path}: {answer.status} {content[:200]}")
    return json.loads(content), took, {n: float(ms) for n, ms in re.findall(r"(\w+);dur=([0-9.]+)", answer.getheader("Server-Timing"))}


def send_tiles(program):
    """Each of some tiles is sent, and then searched with: a list of (request, milliseconds, stages)."""
    with tempfile.TemporaryDirectory() as folder:
        run = lambda *words: subprocess.run([program, *words, "--quiet"], check=True, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: E731
        run("simulate", "a", "--places", str(PLACES), "--size", str(PX))
        run("train", "a", "--epochs", "1")
        run("encode", "a")
        run("index", "a")
        run("export", "a", "--out", "out", "--what", "tiles")
        files = sorted(glob.glob(f"{folder}/out/tiles/s1/*.tif"))
        server, url = start(program, f"{folder}/a")
        try:
            connection, found = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc), []
            for i in range(UPLOADS):
                with open(files[i % len(files)], "rb") as file:
                    query, *encoded = ask(connection, "POST", "/encode", file.read())
                _, *searched = ask(connection, "GET", f"/search?similar_to=queries/{query['id']}&collections=s2")
                found += [("POST /encode", *encoded), ("GET /search", *searched)]
            return found[UPLOADS // 5:]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def stage_table(found):
    """Medians, and of the sum of stages as a share of the server's total."""
    names = ("queue", "parse", "encode", "search", "render")
    lines = ["| request | " + " | ".join(names) + " | sum | total | sum / total | by the client |", "|---" * (len(names) + 5) + "|"]
    for request in ("POST /encode", "GET /search"):
        rows_of = [(took, stages) for name, took, stages in found if name == request]
        middle = lambda get: statistics.median(get(took, stages) for took, stages in rows_of)  # noqa: E731, B023
        total_of = lambda s: sum(v for n, v in s.items() if n != "total")  # noqa: E731
        cells = [f"{middle(lambda _, s, n=n: s.get(n, 0)):.3f}" for n in names]
        cells += [f"{middle(lambda _, s: total_of(s)):.3f}", f"{middle(lambda _, s: s['total']):.3f}",
                  f"{middle(lambda _, s: total_of(s) / s['total']):.3f}", f"{middle(lambda took, _: took):.3f}"]
        lines.append(f"| {request} | " + " | ".join(cells) + " |")
    return lines


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
        crowds = [crowd(o.build, url, n, o.seconds, ids) for n in CROWDS]
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait()
    sent = send_tiles(program)
    m = rows.machine()
    lines = ["# What HTTP adds to a search", "",
             f"{library['tiles']:,} tiles of simulated vectors without pixels, {DIM} values, two modalities; searches by stored "
             f"item, 10 hits, another item each time; wrk on the same machine ({m['cpu']}, {m['cores']} processors, "
             f"{os.getloadavg()[2]:.1f} at work in the last quarter of an hour). Made by `make bench-serve`.", "",
             "| what | connections | a second | p50 | p99 | refused | broken |", "|---|---|---|---|---|---|---|",
             f"| library call | | {library['per_second']:,} | {library['p50_us']:,} µs | {library['p99_us']:,} µs | | |"]
    lines += [f"| {'GET' if r['path'] != '/search' else 'POST'} {r['path']} | {r['connections']} | {r['per_second']:,} | "
              f"{r['p50_us']:,} µs | {r['p99_us']:,} µs | {r['refused']:,} | {r['broken']} |" for r in results]
    lines += ["", "More clients than the queue takes. Latencies are those of accepted requests; who was refused (503) came again after the "
              "second that the answer named.", "",
              "| connections | accepted a second | p50 | p99 | p99 / p50 | refused | broken |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {c['connections']} | {c['per_second']:,} | {c['p50_us']:,} µs | {c['p99_us']:,} µs | {c['p99_us'] / c['p50_us']:.1f} | "
              f"{c['refused']:,} | {c['broken']} |" for c in crowds]
    lines += ["", f"A query by a tile that is sent: {UPLOADS} GeoTIFFs of {PX} × {PX} px and two bands one after the other, each searched with "
              f"at once among {PLACES} simulated tiles. Medians, ms, as `Server-Timing` tells them.", "", *stage_table(sent)]
    with open(o.out, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
