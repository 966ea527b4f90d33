"""Numbers that follow from names, in PyTorch as in the tests in C, and what is stored of a result that is compared."""
import numpy as np
import torch

PROJECTIONS = 32


def noise(seed, count):
    """Uniform in [-1, 1), from a 32-bit mix of seed and position."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    x ^= x >> np.uint32(16)
    return torch.from_numpy((x >> np.uint32(8)).astype(np.float32) / np.float32(8388608) - 1)


def seed_of(name):
    """FNV-1a."""
    h = 2166136261
    for byte in name.encode():
        h = (h ^ byte) * 16777619 % 2**32
    return h


def write(label, value, rounded):
    """A line: how far rounding moves the value, its norm, its dot products with PROJECTIONS noise vectors of unit variance."""
    flat = value.detach().reshape(-1).double()
    moved = float((rounded.detach().reshape(-1).double() - flat).norm() / flat.norm())
    dots = [float((noise(1000 + p, flat.numel()).double() * 3**0.5 * flat).sum())
            for p in range(PROJECTIONS)]
    print(label, "%.4f" % moved, " ".join("%.7g" % v for v in [float(flat.norm())] + dots))
