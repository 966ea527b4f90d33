#!/usr/bin/python3
"""Writes net.txt: what PyTorch makes of four small networks, forward and backward.

Needs Debian's python3-torch and python3-numpy:  /usr/bin/python3 make_reference.py > net.txt

Weights, inputs and upstream gradients come from noise(), which tests/train/test_backward.c repeats, so only
results are stored, and of each result only its norm and its projections: the root mean square of a difference of
projections estimates the norm of the difference.

Results are those of float32. Beside each stands how far it moves, relative to its norm, when PyTorch itself
rounds to bfloat16 what Diptych stores as bfloat16 (input, convolution weights, every activation, every activation's
gradient): values that rounding carries across a ReLU's zero make that ten per cent and more in the gradients.
"""

import numpy as np
import torch
import torch.nn.functional as F

from noise import noise, seed_of, write


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.bfloat16().float()

    @staticmethod
    def backward(ctx, g):
        return g.bfloat16().float()


class Weights(torch.autograd.Function):
    """Rounds on the way up only: the gradient of a weight stays float32."""

    @staticmethod
    def forward(ctx, x):
        return x.bfloat16().float()

    @staticmethod
    def backward(ctx, g):
        return g


class Net:
    def __init__(self, config, rounded):
        self.c, self.rounded = config, rounded
        self.tensors, self.running = {}, {}

    def round(self, x):
        return Round.apply(x) if self.rounded else x

    def tensor(self, name, shape, amplitude, offset=0.0):
        if name not in self.tensors:
            value = offset + amplitude * noise(seed_of(name), int(np.prod(shape))).reshape(shape)
            self.tensors[name] = value.clone().requires_grad_()
        return self.tensors[name]

    def conv(self, name, x, out, kernel, stride):
        shape = (out, x.shape[1], kernel, kernel)
        w = self.tensor(name + ".weight", shape, (6 / (out * kernel * kernel)) ** 0.5)
        w = Weights.apply(w) if self.rounded else w
        return self.round(F.conv2d(x, w, stride=stride, padding=kernel // 2))

    def norm(self, name, x):
        n = x.shape[1]
        if name not in self.running:
            self.running[name] = (torch.zeros(n), torch.ones(n))
        mean, var = self.running[name]
        return F.batch_norm(x, mean, var, self.tensor(name + ".weight", (n,), 0.25, 1.0),
                            self.tensor(name + ".bias", (n,), 0.25), self.training, 0.1, 1e-5)

    def block(self, owner, weights, path, x, width, stride):
        """Kernel, stride and width of each convolution; the 3x3 that comes first has the stride."""
        bottleneck = [(1, 1, width), (3, stride, width), (1, 1, 4 * width)]
        convs = bottleneck if self.c["bottleneck"] else [(3, stride, width), (3, 1, width)]
        out, y = convs[-1][2], x
        for i, (kernel, step, channels) in enumerate(convs, 1):
            if i > 1:
                y = self.round(F.relu(y))
            y = self.conv(f"{weights}.{path}.conv{i}", y, channels, kernel, step)
            y = self.norm(f"{owner}.{path}.bn{i}", y)
        if stride != 1 or x.shape[1] != out:
            x = self.conv(f"{weights}.{path}.downsample.0", x, out, 1, stride)
            x = self.norm(f"{owner}.{path}.downsample.1", x)
        return self.round(F.relu(y + x))

    def pool(self, x):
        gem = self.c.get("gem", False)
        return x.clamp_min(1e-6).pow(3).mean((2, 3)).pow(1 / 3) if gem else x.mean((2, 3))

    def linear(self, name, x, out):
        w = self.tensor(name + ".weight", (out, x.shape[1]), x.shape[1] ** -0.5)
        return F.linear(x, w, self.tensor(name + ".bias", (out,), 0.25))

    def layout(self, head, x):
        """Means of cells of a stage's result, each through the same linear map."""
        grid, _, channels = self.c["layout"]
        edges = [i * x.shape[2] // grid for i in range(grid + 1)]
        rows = [x[:, :, a:b].mean(2) for a, b in zip(edges, edges[1:])]
        cells = torch.stack([r[:, :, a:b].mean(2) for r in rows for a, b in zip(edges, edges[1:])], 1)
        w = self.tensor(f"{head}.layout.weight", (channels, x.shape[1]), x.shape[1] ** -0.5)
        y = F.linear(cells.reshape(-1, x.shape[1]), w)
        y = y.reshape(x.shape[0], grid * grid, channels)
        if self.c["centred"]:
            y = y - y.mean(1, keepdim=True)
        return y.reshape(x.shape[0], -1)

    def forward(self, owner, x, training):
        c, self.training, layout = self.c, training, None
        head = "shared" if c["head_shared"] else owner
        x = self.conv(f"{owner}.conv1", self.round(x), c["width"][0], c["stem"], c["stride"])
        x = self.round(F.relu(self.norm(f"{owner}.bn1", x)))
        if c["pool"]:
            x = F.max_pool2d(x, 3, 2, 1)
        pooled = []
        for stage, (width, blocks) in enumerate(zip(c["width"], c["blocks"])):
            for b in range(blocks):
                weights = owner if stage < c["shared_from"] else "shared"
                stride = 2 if stage and not b else 1
                x = self.block(owner, weights, f"layer{stage + 1}.{b}", x, width, stride)
            pooled.append(self.pool(x))
            if c["layout"] and stage == c["layout"][1]:
                layout = self.layout(head, x)
        h = torch.cat(pooled[-c.get("pool_stages", 1):], 1)
        z = h
        if c["hidden"]:
            z = F.relu(self.linear(f"{head}.head.0", z, c["hidden"]))
        z = self.linear(f"{head}.head.{2 if c['hidden'] else 0}", z, c["embed"])
        return h, z, layout


CONFIGS = {
    # first: identity shortcut, shared late stage, shared linear head, few images, layout of an early stage
    "a": dict(px=16, stem=3, stride=1, pool=False, width=[32, 64], blocks=[2, 1], shared_from=1,
              bottleneck=False, head_shared=True, hidden=0, embed=32, batch=5, layout=(5, 0, 6), centred=True,
              bands={"s1": 2, "s2": 3}),
    # second: pooled stem, nothing shared, two-layer heads, images in sixteens and a rest
    "b": dict(px=21, stem=7, stride=2, pool=True, width=[32, 64], blocks=[1, 2], shared_from=2,
              bottleneck=False, head_shared=False, hidden=64, embed=32, batch=34, layout=None,
              bands={"one": 1, "ten": 10}),
    # third: bottlenecks with and without shortcut, an odd side to stride over, own and shared, layout of the last stage
    "c": dict(px=17, stem=3, stride=1, pool=False, width=[32, 64], blocks=[2, 1], shared_from=1,
              bottleneck=True, head_shared=True, hidden=0, embed=32, batch=18, layout=(2, 1, 33), centred=False,
              bands={"sar": 2, "msi": 12}),
    # fourth: generalised mean of two stages
    "d": dict(px=16, stem=3, stride=1, pool=False, width=[32, 64], blocks=[2, 1], shared_from=1,
              bottleneck=False, head_shared=True, hidden=0, embed=32, batch=6, gem=True,
              pool_stages=2, layout=(5, 0, 6), centred=False, bands={"red": 1, "blue": 4}),
}


def results(config, rounded):
    """Everything that is compared, by label: both modalities forward, then backward, then evaluated."""
    net, out, inputs = Net(config, rounded), {}, {}
    for owner, bands in config["bands"].items():
        n, px = config["batch"], config["px"]
        x = 1.7 * noise(seed_of(owner), n * px * px * bands).reshape(n, px, px, bands)
        inputs[owner] = x.permute(0, 3, 1, 2)
        h, z, layout = net.forward(owner, inputs[owner], True)
        out[f"{owner} h"], out[f"{owner} z"] = h, z
        dh = 0.1 * noise(seed_of(owner) ^ 1, h.numel()).reshape(h.shape)
        dz = noise(seed_of(owner) ^ 2, z.numel()).reshape(z.shape)
        loss = (h * dh).sum() + (z * dz).sum()
        if layout is not None:
            out[f"{owner} layout"] = layout
            loss += (layout * 0.3 * noise(seed_of(owner) ^ 3, layout.numel()).reshape(layout.shape)).sum()
        loss.backward()
    for owner in config["bands"]:
        with torch.no_grad():
            out[f"{owner} eval"] = net.forward(owner, inputs[owner], False)[1]
    for tensor, value in net.tensors.items():
        out[f"grad {tensor}"] = value.grad
    for tensor, (mean, var) in net.running.items():
        out[f"running {tensor}.running_mean"] = mean
        out[f"running {tensor}.running_var"] = var
    return out


def main():
    torch.set_num_threads(1)
    for name, config in CONFIGS.items():
        rounded = results(config, True)
        for label, value in results(config, False).items():
            write(f"{name} {label}", value, rounded[label])


main()
