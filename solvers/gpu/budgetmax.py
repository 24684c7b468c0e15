"""Budgetmax on any device: an exact threshold for the capped simplex. Sources: Malaviya et al. 2018; Kiwiel 2008."""

import math

import torch

from ._derivatives import ratio, weighted_product
from ._rows import fold, limits, offsets, row_sum, rowwise, tidy
from ._threshold import enclose, missing_share

__all__ = ["jvp", "vjp", "weights"]


def _clipped(x, inverse, upper, t):
    return torch.minimum(((x - t) * inverse).clamp_min(0), upper)


def _shrink(x, gamma, upper, total, low, high):
    """Two neighbouring floats, or one twice, that enclose the threshold at which the clipped sum is the total."""
    inverse = 1 / gamma

    def evaluate(t, low):
        d = (x - t) * inverse
        excess = row_sum(torch.minimum(d.clamp_min(0), upper)) - total
        free = row_sum(((d > 0) & (d < upper)).to(x.dtype))
        return excess, torch.where(free > 0, t + gamma * ratio(excess, free), low)

    t = high - gamma * total / x.shape[-1]
    t = torch.where((low < t) & (t < high), t, low + (high - low) / 2)
    return enclose(evaluate, low, high, t, limits(x)[1] * total)


def _complete(y, upper, total):
    """Spread what the weights lack over those strictly between their bounds, as long as that halves it."""
    allowed, last = limits(y)[1] * total, torch.full_like(y[:, :1], math.inf)
    while True:
        missing, inner = total - row_sum(y), (y > 0) & (y < upper)
        free = row_sum(inner.to(y.dtype))
        lacking = (free > 0) & (missing.abs() > allowed) & (missing.abs() <= last / 2)
        if not lacking.any():
            return y
        moved = torch.minimum((y + ratio(missing, free)).clamp_min(0), upper)
        y, last = torch.where(lacking & inner, moved, y), torch.where(lacking, missing.abs(), 0)


@rowwise
def weights(x, top, p):
    """The threshold is enclosed among the scores first, then in units of the weights about its place.

    A shift by the maximum would not do: capped scores at the top do not decide the rest, but could swallow it.
    """
    upper, total = p["upper"], p["total"]
    tiny, eps, huge = limits(x)
    live = x > -math.inf
    # Differences of the largest numbers would overflow.
    down = torch.where(torch.where(live, x.abs(), 0).amax(-1, keepdim=True) > huge / 8, 0.125, 1.0).to(x.dtype)
    x, top, gamma = x * down, top * down, p["gamma"] * down
    least = torch.where(live, x, top).amin(-1, keepdim=True)
    reach = torch.maximum(gamma * total, least.abs() * (2 * eps)).clamp_min(tiny)
    low, high = _shrink(x, gamma, upper, total, (least - reach).clamp_min(-huge), top)
    inverse = 1 / gamma
    z = torch.where(live, ((x - high) * inverse).clamp(-huge, huge), -math.inf)
    one = torch.ones_like(gamma)
    low = ((low - high) * inverse).clamp_min(-huge)
    low, high = _shrink(z, one, upper, total, low, torch.zeros_like(low))
    above, below = _clipped(z, one, upper, low), _clipped(z, one, upper, high)
    y = above + missing_share(row_sum(above), row_sum(below), total) * (below - above)
    return _complete(y, upper, total)


def _parts(y, upper):
    """(strictly between the bounds, at the upper one where some weight is between, how many are between)."""
    free = (y > 0) & (y < upper)
    count = row_sum(free.to(y.dtype))
    return free, (y > 0) & ~free & (count > 0), count


def _product(y, v, p):
    free = _parts(y, p["upper"])[0]
    return weighted_product(free.to(y.dtype), torch.where(free, v, 0)) / p["gamma"]


def jvp(x, y, labels, dx, dp, p):
    free, capped, count = _parts(y, p["upper"])
    moved, lifted = dx, torch.zeros_like(y)
    if "gamma" in dp:
        moved = moved - offsets(x, y) / p["gamma"] * dp["gamma"]
    if "upper" in dp:
        lifted = torch.where(capped, dp["upper"], 0)
    spread = dp.get("total", 0) - row_sum(lifted)
    lifted = lifted + torch.where(free, ratio(spread.expand_as(count), count), 0)
    return tidy(y, _product(y, moved, p) + lifted)


def vjp(x, y, labels, g, p, wanted):
    free, capped, count = _parts(y, p["upper"])
    gx = tidy(y, _product(y, g, p))
    mean = ratio(row_sum(torch.where(free, g, 0)), count)
    mean = mean + (row_sum(y) - row_sum(y)).detach()  # NaN where the weights are
    slopes = {
        "gamma": lambda: row_sum(-offsets(x, y) / p["gamma"] * gx),
        "upper": lambda: tidy(y, torch.where(capped, g - mean, 0)),
        "total": lambda: mean,
    }
    return gx, {name: fold(slopes[name](), p[name]) for name in wanted}
