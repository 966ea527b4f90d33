#!/usr/bin/env python3
"""Writes losses.txt: values and gradients of the losses by PyTorch's autograd, in double precision.

usage: make_losses.py > losses.txt      (python3-torch, python3-numpy)
"""
import itertools

import torch
import torch.nn.functional as F

N, D = 7, 5


def line(name, tensor):
    print(name, " ".join("%.9g" % v for v in tensor.flatten().tolist()))


def logits(u, v, tau):
    return u @ v.t() / tau


# Past pairs: number of each, vectors of both modalities; none at first.
past_pairs, past1, past2 = [], torch.zeros(0, D).double(), torch.zeros(0, D).double()


def seen():
    """(N, past): which past pairs a pair may look at: not its own."""
    return torch.arange(N)[:, None] != torch.tensor(past_pairs, dtype=torch.long)[None, :]


def past_logits(u, v, tau):
    """Cosines of a modality's N vectors with past ones."""
    return logits(u, F.normalize(v, dim=1), tau).masked_fill(~seen(), -float("inf"))


def contrast(x1, x2, tau, smoothing, within):
    u1, u2 = F.normalize(x1, dim=1), F.normalize(x2, dim=1)
    if within:
        u = torch.cat([u1, u2])
        s = logits(u, u, tau)
        keep = ~torch.eye(2 * N, dtype=torch.bool)
        s = s[keep].view(2 * N, 2 * N - 1)
        past = torch.cat([torch.cat([past_logits(v, past1, tau), past_logits(v, past2, tau)], 1)
                          for v in (u1, u2)])
        partner = torch.tensor([i + N - 1 if i < N else i - N for i in range(2 * N)])
    else:
        s = torch.cat([logits(u1, u2, tau), logits(u2, u1, tau)])
        partner = torch.arange(2 * N) % N
        past = torch.cat([past_logits(u1, past2, tau), past_logits(u2, past1, tau)])
    log_p = s - torch.logsumexp(torch.cat([s, past], 1), 1, keepdim=True)
    return -((1 - smoothing) * log_p.gather(1, partner[:, None]).squeeze(1)
             + smoothing * log_p.mean(1)).mean()


def soft(x1, x2, tau, target):
    u1, u2 = F.normalize(x1, dim=1), F.normalize(x2, dim=1)
    s1 = torch.cat([logits(u1, u2, tau), past_logits(u1, past2, tau)], 1)
    s2 = torch.cat([logits(u2, u1, tau), past_logits(u2, past1, tau)], 1)
    log_p = F.log_softmax(torch.cat([s1, s2]), 1).clamp_min(-1e9)
    return -(torch.cat([target, target]) * log_p).sum(1).mean()


def soft_targets(x1, x2, source, tau):
    u1, u2 = (F.normalize(x - x.mean(0), dim=1) for x in (x1, x2))
    v1 = torch.cat([u1, F.normalize(past1 - x1.mean(0), dim=1)])
    v2 = torch.cat([u2, F.normalize(past2 - x2.mean(0), dim=1)])
    first, second, across = u1 @ v1.t(), u2 @ v2.t(), (u1 @ v2.t() + u2 @ v1.t()) / 2
    s = {"fused": (first + second) / 2, "all": (first + second + 2 * across) / 4,
         "first": first, "second": second, "across": across}[source]
    hidden = torch.cat([torch.eye(N, dtype=torch.bool), ~seen()], 1)
    return F.softmax((s / tau).masked_fill(hidden, -float("inf")), dim=1)


def discrepancy(x1, x2, form):
    s = F.cosine_similarity(x1, x2)
    return (1 - s).mean() if form == "cosine" else -torch.log1p(s.exp()).mean()


def similar(x1, x2, source):
    apart = torch.cat([torch.eye(N), (~seen()).double()], 1) * 1e9
    y1, y2 = torch.cat([x1, past1]), torch.cat([x2, past2])
    if source == "fused":
        u1, u2, v1, v2 = (F.normalize(x, dim=1) for x in (x1, x2, y1, y2))
        j1 = j2 = (u1 @ v1.t() + u2 @ v2.t() - apart).argmax(1)
    else:
        j1, j2 = ((torch.cdist(x, y) + apart).argmin(1) for x, y in ((x1, y1), (x2, y2)))
    return (F.cosine_similarity(x1, y1[j1]).mean() + F.cosine_similarity(x2, y2[j2]).mean()) / 2


def sigreg(x1, x2, along):
    t = torch.linspace(0, 3, 17, dtype=torch.float64)
    wanted = torch.exp(-t * t / 2)
    values = []
    for x in (x1, x2):
        angle = (x @ along.t()).unsqueeze(2) * t
        error = (angle.cos().mean(0) - wanted) ** 2 + angle.sin().mean(0) ** 2
        values.append(2 * N * torch.trapz(error * wanted, t, dim=1).mean())
    return sum(values) / 2


def case(name, loss, x1, x2):
    x1, x2 = x1.clone().requires_grad_(), x2.clone().requires_grad_()
    value = loss(x1, x2)
    value.backward()
    print("case", name, "%.9g" % value.item())
    line("d1", x1.grad)
    line("d2", x2.grad)


def cases(x1, x2):
    for tau, smoothing, within in itertools.product((0.1, 0.5), (0.0, 0.2), (1, 0)):
        case("contrast %g %g %d" % (tau, smoothing, within),
             lambda a, b: contrast(a, b, tau, smoothing, within), x1, x2)
    for position, source in enumerate(("fused", "all", "first", "second", "across")):
        target = soft_targets(x1, x2, source, 0.3)
        print("targets %d 0.3" % position)
        line("t", torch.cat([target[:, :N].flatten(), target[:, N:].flatten()]))
        case("soft %d 0.3 0.2" % position, lambda a, b: soft(a, b, 0.2, target), x1, x2)
    for position, source in enumerate(("own", "fused")):
        case("similar %d" % position, lambda a, b: similar(a, b, source), x1, x2)


def main():
    torch.manual_seed(3)
    # float32 numbers, so that both sides start from the same values
    x1, x2 = (torch.randn(N, D).double() for _ in range(2))
    print("size", N, D)
    line("x1", x1)
    line("x2", x2)
    for position, form in enumerate(("cosine", "log")):
        case("discrepancy %d" % position, lambda a, b: discrepancy(a, b, form), x1, x2)
    along = F.normalize(torch.randn(4, D, generator=torch.Generator().manual_seed(4)), dim=1).double()
    case("sigreg 4 along " + " ".join("%.9g" % v for v in along.flatten().tolist()),
         lambda a, b: sigreg(a, b, along), x1, x2)
    cases(x1, x2)
    global past_pairs, past1, past2
    past_pairs = [40, 2, 41, 42, 5]
    past1, past2 = (torch.randn(len(past_pairs), D).double() for _ in range(2))
    print("past", len(past_pairs), "pairs", *past_pairs)
    line("x", torch.cat([past1, past2]))
    cases(x1, x2)


main()
