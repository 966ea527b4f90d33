#!/usr/bin/python3
"""Plain ResNets in PyTorch, under torchvision's names, with weights that follow from the names.

Writes resnet.txt, what they make of one batch:  /usr/bin/python3 resnet.py > resnet.txt     (python3-torch, python3-numpy)
tests/train/test_init.c makes the same weights and compares. tests/train/test_init_pytorch.sh uses this file for a check in which
PyTorch writes the weights, in three number formats, and reads the model that came of them.

Of each result only its norm and projections are stored (tests/encoder/reference/noise.py); beside them how far it moves when
weights and activations are rounded to bfloat16.
"""
import json
import os
import struct
import sys

import numpy as np
import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../encoder/reference"))
from noise import noise, seed_of, write

BATCH, SIDE = 2, 64
BLOCKS = {"resnet18": ("basic", [2, 2, 2, 2]), "resnet50": ("bottleneck", [3, 4, 6, 3]),
          "tiny": ("basic", [1, 1]), "tiny50": ("bottleneck", [1, 1])}


class Block(nn.Module):
    def __init__(self, kind, channels, width, stride, rounded):
        super().__init__()
        # kernel, stride, channels of each convolution
        convs = [(3, stride, width), (3, 1, width)]
        if kind == "bottleneck":
            convs = [(1, 1, width), (3, stride, width), (1, 1, 4 * width)]
        before = channels
        for i, (kernel, step, out) in enumerate(convs, 1):
            setattr(self, f"conv{i}", nn.Conv2d(before, out, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(out))
            before = out
        self.depth, self.out, self.rounded, self.downsample = len(convs), before, rounded, None
        if stride != 1 or channels != before:
            self.downsample = nn.Sequential(nn.Conv2d(channels, before, 1, stride, bias=False), nn.BatchNorm2d(before))

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = self.rounded(torch.relu(y)) if i < self.depth else y
        return self.rounded(torch.relu(y + (x if self.downsample is None else self.downsample(x))))


class ResNet(nn.Module):
    def __init__(self, name, bands, width=64, rounded=lambda x: x):
        super().__init__()
        kind, counts = BLOCKS[name]
        self.rounded, channels, self.stages = rounded, width, len(counts)
        self.conv1, self.bn1 = nn.Conv2d(bands, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        for stage, count in enumerate(counts):
            blocks = []
            for b in range(count):
                blocks.append(Block(kind, channels, width << stage, 2 if stage and not b else 1, rounded))
                channels = blocks[-1].out
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, 19)

    def forward(self, x):
        x = self.rounded(torch.relu(self.bn1(self.conv1(self.rounded(x)))))
        x = torch.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x.mean((2, 3))


def fill(net, prefix):
    """Weights from the names; the same rule is in test_init.c."""
    for name, value in net.state_dict().items():
        if not value.is_floating_point():
            continue
        amplitude, offset = 0.25, 0.0
        if value.dim() > 1:
            amplitude = (3.0 / value[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            amplitude, offset = 0.5, 1.0
        elif name.endswith("weight"):
            offset = 1.0
        values = noise(seed_of(prefix + name), value.numel())
        value.copy_((np.float32(amplitude) * values + offset).reshape(value.shape))


def write_safetensors(path, tensors, kind):
    """kind: F32, F16 or BF16; whole numbers stay as they are."""
    header, data = {}, b""
    for name, value in tensors.items():
        raw, dtype = value.numpy().tobytes(), "I64"
        if value.is_floating_point():
            dtype = kind
            raw = {"F32": lambda: value.numpy(), "F16": lambda: value.half().numpy(),
                   "BF16": lambda: value.bfloat16().view(torch.int16).numpy()}[kind]().tobytes()
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    out = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + size + at for at in entry["data_offsets"])
            out[name] = np.frombuffer(raw[begin:end], "<f4").reshape(entry["shape"])
    return out


def features(name, bands, rounded):
    prefix = f"{name}.{bands}."
    net = ResNet(name, bands, rounded=(lambda x: x.bfloat16().float()) if rounded else (lambda x: x)).eval()
    fill(net, prefix)
    if rounded:
        for value in net.parameters():
            if value.dim() > 1:
                value.copy_(value.bfloat16().float())
    x = 1.7 * noise(seed_of(prefix + "input"), BATCH * SIDE * SIDE * bands)
    return net(x.reshape(BATCH, SIDE, SIDE, bands).permute(0, 3, 1, 2))


def main():
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in ("resnet18", "resnet50"):
            for bands in (2, 10):
                write(f"{name} {bands}", features(name, bands, False), features(name, bands, True))


if __name__ == "__main__":
    main()
