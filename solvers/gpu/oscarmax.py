r"""Oscarmax on any device: scores sorted, lowered, made non-increasing, projected, unsorted.

Isotonic regression by level sets: a segment whose residuals of mean 0 have a positive running sum is cut where that is
largest, all segments at once. Sources: Zeng & Figueiredo 2014; docs/theory.md.
"""

import math

import torch

from ._derivatives import Slope, symmetric, times
from ._rows import limits, row_sum, rowwise, scale
from ._segments import grouped_product, runs, segment_scan, start_of
from .sparsemax import project

__all__ = ["groups", "jvp", "vjp", "weights"]


def _by_rank(live, p):
    """(sorted weights, 0 beyond the live entries; how many are live); by default m - 1, ..., 0."""
    rank = torch.arange(live.shape[-1], device=live.device)
    count = live.sum(-1, keepdim=True)
    weights = p["weights"] if p["weights"] is not None else (count - 1 - rank).to(p["lam"].dtype)
    return torch.where(rank < count, weights, 0), count


def _bulge(weights, count):
    """The largest prefix sum of the weights about their mean: 0 only if the weights are constant."""
    rank = torch.arange(weights.shape[-1], device=weights.device)
    inside = rank < count
    last = weights.gather(-1, (count - 1).clamp_min(0))
    w = torch.where(inside, weights - last, 0)
    mean = row_sum(w / count.clamp_min(1))
    most = torch.where(inside, w - mean, 0).cumsum(-1).amax(-1, keepdim=True)
    return torch.where(weights[:, :1] == last, 0, torch.maximum(most, mean))


def _antitonic(z, live):
    """The nearest non-increasing rows, bitwise constant on their segments; what is not live comes last and is 0."""
    y, r, together = torch.zeros_like(z), z, live[:, 1:]
    active = torch.ones_like(z[:, :1], dtype=torch.bool)
    places, eps = torch.arange(z.shape[-1], device=z.device), limits(z)[1]
    while active.any():
        first, last, mean = runs(together)
        step = mean(r)
        y, r = torch.where(active, y + step, y), torch.where(active, r - step, r)
        sums = torch.where(places < last, segment_scan(r, first), 0)
        noise = 4 * eps * segment_scan(r.abs(), first).gather(-1, last)
        start = start_of(first)
        largest = torch.full_like(r, -math.inf).scatter_reduce(-1, start, sums, "amax").gather(-1, start)
        cut = (active & (sums == largest) & (sums > noise))[:, :-1] & together
        together = together & ~cut
        active = cut.any(-1, keepdim=True)
    return y


@rowwise
def weights(x, top, p):
    live = x > -math.inf
    w, count = _by_rank(live, p)
    z, order = scale(x, top, p["gamma"]).sort(dim=-1, descending=True, stable=True)
    some = z > -math.inf
    bulge = _bulge(w, count)
    lam = torch.where(bulge > 0, p["lam"], 0)
    least = torch.where(some, z, 0).amin(-1, keepdim=True)
    even = (bulge > 0) & (lam * bulge >= -2 * count * least)
    lowered = z - torch.where(even, 0, lam) * (w - w[:, :1])
    found = _antitonic(torch.where(some & ~even, lowered, 0), some)
    found = torch.where(some, found - found[:, :1], -math.inf)
    y = torch.where(even, some.to(x.dtype) / count, project(found))
    return torch.zeros_like(y).scatter(-1, order, y)


def groups(y, live, p):
    """The first rank of each cluster of equal weights; equal entries of equal penalty are not fused."""
    values, order = y.sort(dim=-1, descending=True, stable=True)
    first, last, _ = runs(values[:, 1:] == values[:, :-1])
    start = start_of(first)
    w = _by_rank(live, p)[0].expand_as(y)
    fused = p["lam"] * (w.gather(-1, start) - w.gather(-1, last)) > 0
    rank = torch.arange(y.shape[-1], device=y.device)
    return torch.zeros_like(order).scatter_(-1, order, torch.where(fused, start, rank))


def _order(y):
    return y.detach().argsort(dim=-1, descending=True, stable=True)


def _ranked(y, change):
    """``change(w)`` for the sorted weights w, at the entries they belong to."""
    return torch.zeros_like(y).scatter(-1, _order(y), change.expand_as(y))


def _penalties(x, y, p):
    return _ranked(y, -p["gamma"] * _by_rank(x.detach() > -math.inf, p)[0])


_SLOPES = {
    "lam": Slope(
        lambda x, y, labels, d, p: _penalties(x, y, p) * d,
        lambda x, y, labels, jg, p: row_sum(_penalties(x, y, p) * jg),
    ),
    "weights": Slope(
        lambda x, y, labels, d, p: _ranked(y, times(-p["gamma"] * p["lam"], d)),
        lambda x, y, labels, jg, p: times(-p["gamma"] * p["lam"], jg.gather(-1, _order(y))),
    ),
}

jvp, vjp = symmetric(grouped_product, **_SLOPES)
