#!/usr/bin/env python3
"""The networks of bench_encoder in PyTorch: answers the same requests (bench/support.h). usage: peer_torch.py f32|bf16

Stem, blocks, batch norm and head are those of encoder/net.h; inputs and weights are channels_last; bf16 is autocast.
Training steps end with AdamW. For encoding, batch norm is folded into the convolutions, as ours is. "share" repeats what
bench_encoder wrote, without folding, and tells how well the features agree. OMP_NUM_THREADS sets the threads.
"""

import contextlib
import json
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SHAPES = {
    "resnet10": dict(width=32, blocks=(1, 1, 1, 1), stem=(3, 2), pool=False, bottleneck=False),
    "resnet18": dict(width=64, blocks=(2, 2, 2, 2), stem=(7, 2), pool=True, bottleneck=False),
    "resnet50": dict(width=64, blocks=(3, 4, 6, 3), stem=(7, 2), pool=True, bottleneck=True),
}


def conv(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3 (which has the stride), 1x1 with four times the width."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        plan = [(inputs, width, 3, stride), (width, width, 3, 1)]
        if bottleneck:
            plan = [(inputs, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        outputs = plan[-1][1]
        self.count = len(plan)
        for i, shape in enumerate(plan, 1):
            setattr(self, f"conv{i}", conv(*shape))
            setattr(self, f"bn{i}", nn.BatchNorm2d(shape[1]))
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.count:
                y = F.relu(y, inplace=True)
        return F.relu(y + (self.downsample(x) if self.downsample else x), inplace=True)


class Net(nn.Module):
    def __init__(self, name, bands):
        super().__init__()
        shape = SHAPES[name]
        self.pool, width = shape["pool"], shape["width"]
        self.conv1 = conv(bands, width, *shape["stem"])
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, blocks in enumerate(shape["blocks"]):
            made = []
            for b in range(blocks):
                stride = 2 if stage and not b else 1
                made.append(Block(channels, width << stage, stride, shape["bottleneck"]))
                channels = (width << stage) * (4 if shape["bottleneck"] else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.head = nn.Sequential(nn.Linear(channels, 128))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.pool:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        h = x.mean((2, 3))
        return h, self.head(h)


def fold(module):
    """Batch norm into the convolution before it, everywhere."""
    children = list(module.named_children())
    for (name, child), (after, norm) in zip(children, children[1:]):
        if isinstance(child, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, norm))
            setattr(module, after, nn.Identity())
    for child in module.children():
        fold(child)
    return module


class Held:
    """Model, input and upstream gradient of the last request."""

    key = None

    def __init__(self, task, net, px, bands, batch):
        generator = torch.Generator().manual_seed(1)
        self.model = Net(net, bands).to(memory_format=torch.channels_last)
        x = torch.randn(batch, bands, px, px, generator=generator)
        self.input = x.contiguous(memory_format=torch.channels_last)
        self.gradient = torch.randn(batch, 128, generator=generator) / batch
        if task == "train":
            self.model.train()
            self.optimiser = torch.optim.AdamW(self.model.parameters(), 1e-4, (0.9, 0.95), 1e-8, 0.05, foreach=True)
        else:
            self.model = fold(self.model.eval()).to(memory_format=torch.channels_last)


def autocast(kind):
    return torch.autocast("cpu", torch.bfloat16) if kind == "bf16" else contextlib.nullcontext()


def step(held, kind):
    held.optimiser.zero_grad(set_to_none=True)
    with autocast(kind):
        _, z = held.model(held.input)
    (z.float() * held.gradient).sum().backward()
    held.optimiser.step()


def measure(call, seconds, least):
    wall, begin = [], time.process_time()
    while len(wall) < least or time.process_time() - begin < seconds:
        before = time.perf_counter()
        call()
        wall.append(time.perf_counter() - before)
    cpu = (time.process_time() - begin) / len(wall)
    wall.sort()
    return dict(calls=len(wall), s=wall[len(wall) // 2], best_s=wall[0], p99_s=wall[len(wall) * 99 // 100], cpu_s=cpu)


def agreement(a, b):
    """Smallest cosine of the rows, as they are and without the mean of all rows, which most of their length is."""
    def smallest(x, y):
        return float(F.cosine_similarity(x.double(), y.double()).min())
    return smallest(a, b), smallest(a - a.mean(0), b - b.mean(0))


def share(net, px, bands, batch, path):
    with open(path, "rb") as file:
        head = json.loads(file.readline())
        values = torch.frombuffer(bytearray(file.read()), dtype=torch.float32)
    model, at = Net(net, bands).eval(), 0
    state = model.state_dict()
    for name, shape in head["tensors"]:
        count = state[name].numel()
        state[name].copy_(values[at:at + count].reshape(shape))
        at += count
    missing = len([n for n in state if not n.endswith("num_batches_tracked")]) - len(head["tensors"])
    if missing:
        raise SystemExit(f"peer_torch: the networks differ by {missing} tensors")
    pixels = batch * px * px * bands
    x = values[at:at + pixels].reshape(batch, px, px, bands).permute(0, 3, 1, 2)
    ours = values[at + pixels:].reshape(batch, head["features"])
    with torch.no_grad():
        theirs, _ = model(x)
        with autocast("bf16"):
            rounded, _ = model(x)
    cosine, centred = agreement(ours, theirs)
    own_cosine, own_centred = agreement(rounded.float(), theirs)
    return dict(cosine=cosine, centred=centred, own_bf16_cosine=own_cosine, own_bf16_centred=own_centred)


def answer(kind, held, line):
    task, net, px, bands, batch, seconds, *path = line.split()
    px, bands, batch, seconds = int(px), int(bands), int(batch), float(seconds)
    if task == "share":
        return held, share(net, px, bands, batch, path[0])
    key = (task == "train", net, px, bands, batch)
    fresh = not held or held.key != key
    if fresh:
        held = None
        held = Held(task, net, px, bands, batch)
        held.key = key
    if task == "train":
        def call():
            step(held, kind)
    else:
        x = held.input[:1] if task == "tile" else held.input

        def call():
            held.model(x)
    # One autocast around all calls of an encoder keeps its converted weights.
    with contextlib.ExitStack() as stack:
        if task != "train":
            stack.enter_context(torch.no_grad())
            stack.enter_context(autocast(kind))
        call()
        result = measure(call, seconds, 20 if task == "tile" else 1)
    return held, dict(result, items=1 if task == "tile" else batch)


def main():
    kind = sys.argv[1]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    held = None
    for line in sys.stdin:
        held, result = answer(kind, held, line)
        print(json.dumps(dict(result, body=kind)), flush=True)


main()
