"""Topkmax on any device: sparsemax at the temperature that leaves k weights. Source: docs/theory.md."""

import math

import torch

from ._rows import limits, row_sum, rowwise, tidy

__all__ = ["jvp", "vjp", "weights"]


def _factor(x, top):
    """A power of two that moves scores where differences neither overflow nor underflow; the weights ignore it."""
    tiny, eps, huge = limits(x)
    least = torch.where(x > -math.inf, x, top).amin(-1, keepdim=True)
    widest = torch.maximum(top.abs(), least.abs())
    one = torch.ones_like(top)
    return torch.where(widest < huge * eps, torch.where(widest > tiny / (eps * eps), one, eps**-3), eps)


@rowwise
def weights(x, top, p):
    z = x * _factor(x, top)
    count = (z > -math.inf).sum(-1, keepdim=True)
    k = torch.minimum(p["k"].expand_as(count), count)
    edge = z.sort(-1, descending=True).values.gather(-1, k - 1)
    kept = z >= edge
    above = torch.where(kept, z - edge, 0)
    rest, m = row_sum(above), row_sum(kept.to(z.dtype))
    following = torch.where(kept, -math.inf, z).amax(-1, keepdim=True)
    gap = following > -math.inf
    half_gap = torch.where(gap, (edge - torch.where(gap, following, edge)) / 2, rest / m)
    # Where the gap below underflows, its half does not separate, but any tiny temperature does.
    coldest = torch.where(gap, limits(x)[0], torch.ones_like(edge))
    temperature = torch.where(rest + half_gap > 0, rest + m * half_gap, coldest)
    base = torch.where(half_gap > 0, half_gap / temperature, 1 / m)
    return torch.where(kept, above / temperature + base, 0)


def _split(chosen, dtype):
    """One, split evenly over the chosen entries of each row."""
    share = chosen.to(dtype)
    return share / row_sum(share).clamp_min(1)


def _temperature(x, y):
    """(T, its gradient in the scores, split evenly among equal scores at either edge of the gap, the kept entries)."""
    kept = y > 0
    rest = (y == 0) & (x > -math.inf)
    fixed = x.detach()
    edge = torch.where(kept, fixed, math.inf).amin(-1, keepdim=True)
    following = torch.where(rest, fixed, -math.inf).amax(-1, keepdim=True)
    at_edge, at_following = _split(kept & (fixed == edge), x.dtype), _split(rest & (fixed == following), x.dtype)
    one = kept.to(x.dtype)
    m = row_sum(one)
    between = one - m / 2 * (at_edge + at_following)
    gradient = torch.where(rest.any(-1, keepdim=True), between, 2 * (one - m * at_edge))
    # T is linear where no entry crosses the gap, and does not see a shift.
    origin = torch.where(torch.isfinite(edge), edge, 0)
    seen = gradient != 0
    found = row_sum(gradient * (torch.where(seen, x, origin) - origin)).clamp(max=limits(x)[2])
    return torch.where(found > 0, found, 1), gradient, kept


def _pieces(x, y, v):
    temperature, slope, kept = _temperature(x, y)
    even = _split(kept, y.dtype)
    held = torch.where(kept, v, 0)
    return temperature, slope, y - even, held - even * row_sum(held)


def jvp(x, y, labels, dx, dp, p):
    temperature, slope, uneven, change = _pieces(x, y, dx)
    moved = row_sum(torch.where(slope == 0, 0, slope * dx))
    return tidy(y, (change - uneven * moved) / temperature)


def vjp(x, y, labels, g, p, wanted):
    temperature, slope, uneven, change = _pieces(x, y, g)
    return tidy(y, (change - slope * row_sum(uneven * g)) / temperature), {}
