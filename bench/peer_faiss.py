#!/usr/bin/python3
"""Debian's FAISS as a peer of `diptych bench`, in the protocol of docs/bench.md.

usage: peer_faiss.py ivfpq | hnsw

ivfpq: inverted lists of residual 4-bit codes with fast scan, refined from float16. Parameters lists, codes; nprobe, depth.
hnsw: a graph over float32. Parameters M, ef_construction; ef.
"""
import os
import sys
import time

import faiss
import numpy

K_MEANS_ROWS = 256  # a list


def table(path):
    """An .fbin file, mapped."""
    rows, dim = numpy.fromfile(path, numpy.uint32, 2)
    return numpy.memmap(path, numpy.float32, "r", 8, (int(rows), int(dim)))


def write(path, values):
    with open(path, "wb") as out:
        numpy.array(values.shape, numpy.uint32).tofile(out)
        values.tofile(out)


class IvfPq:
    defaults = "", "nprobe=2,4,8,16,32,64,128,256 depth=2,8,32"

    def make(self, n, dim, fields):
        lists = int(fields.pop("lists", 2 ** round(numpy.log2(max(n, 1) ** 0.5))))
        codes = int(fields.pop("codes", dim // 2))
        self.name = f"IVF{lists},PQ{codes}x4fsr,Refine(SQfp16)"
        index = faiss.index_factory(dim, self.name)
        faiss.downcast_index(index.base_index).cp.max_points_per_centroid = K_MEANS_ROWS
        return index

    def set(self, index, fields):
        faiss.downcast_index(index.base_index).nprobe = int(fields.pop("nprobe", 1))
        index.k_factor = float(fields.pop("depth", 1))


class Hnsw:
    defaults = "M=16 ef_construction=200", "ef=10,20,40,80,160,320"

    def make(self, n, dim, fields):
        m = int(fields.pop("M", 16))
        self.name = f"HNSW{m},Flat"
        index = faiss.IndexHNSWFlat(dim, m)
        index.hnsw.efConstruction = int(fields.pop("ef_construction", 40))
        return index

    def set(self, index, fields):
        index.hnsw.efSearch = int(fields.pop("ef", 16))


KINDS = {"ivfpq": IvfPq, "hnsw": Hnsw}


class Peer:
    def __init__(self, kind):
        self.kind = kind
        self.index = None

    @staticmethod
    def refuse_rest(fields):
        if fields:
            raise ValueError("there is no parameter " + ", ".join(fields))

    def opened(self, word, path, wall, cpu):
        return (f"{word}\tseconds={wall:.6f}\tcpu={cpu:.6f}\tbytes={os.path.getsize(path)}"
                f"\tdescribe={self.kind.name}")

    def build(self, fields):
        faiss.omp_set_num_threads(int(fields.pop("threads")))
        base, path = table(fields.pop("base")), os.path.join(fields.pop("folder"), "index.faiss")
        fields.pop("metric")
        wall, cpu = time.perf_counter(), time.process_time()
        index = self.kind.make(*base.shape, fields)
        self.refuse_rest(fields)
        index.train(base)
        index.add(base)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        faiss.write_index(index, path)
        self.index = index
        return self.opened("built", path, wall, cpu)

    def open(self, fields):
        faiss.omp_set_num_threads(int(fields.pop("threads")))
        base, path = table(fields.pop("base")), os.path.join(fields.pop("folder"), "index.faiss")
        fields.pop("metric")
        self.kind.make(*base.shape, fields)  # for its name
        wall, cpu = time.perf_counter(), time.process_time()
        self.index = faiss.read_index(path)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return self.opened("opened", path, wall, cpu)

    def search(self, fields):
        faiss.omp_set_num_threads(int(fields.pop("threads")))
        queries, out = numpy.array(table(fields.pop("queries"))), fields.pop("out")
        k, batch = int(fields.pop("k")), int(fields.pop("batch"))
        self.kind.set(self.index, fields)
        self.refuse_rest(fields)
        found, latencies = [], []
        cpu, began = time.process_time(), time.perf_counter()
        before = began
        for first in range(0, len(queries), batch):
            found.append(self.index.search(queries[first:first + batch], k)[1])
            now = time.perf_counter()
            latencies.append(now - before)
            before = now
        cpu = time.process_time() - cpu
        write(out + ".ibin", numpy.concatenate(found).astype(numpy.int32))
        write(out + ".fbin", numpy.array(latencies, numpy.float32).reshape(-1, 1))
        return f"searched\tseconds={before - began:.9f}\tcpu={cpu:.9f}"


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in KINDS:
        sys.exit(__doc__)
    peer = Peer(KINDS[sys.argv[1]]())
    build, search = peer.kind.defaults
    print(f"ready\tprotocol=1\tengine=faiss-debian-{sys.argv[1]}\tversion={faiss.__version__}"
          f"\tbuild={build}\tsearch={search}", flush=True)
    requests = {"build": peer.build, "open": peer.open, "search": peer.search}
    for line in sys.stdin:
        word, *fields = line.rstrip("\n").split("\t")
        if word == "quit":
            break
        try:
            print(requests[word](dict(field.split("=", 1) for field in fields)), flush=True)
        except Exception as failure:  # told to the comparison, which goes on with the next point
            print("error\ttext=" + repr(failure).replace("\t", " ").replace("\n", " "), flush=True)


main()
