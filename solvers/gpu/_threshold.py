"""Monotone root search, all rows at once: a row that has ended moves no more, whatever the others need.

The steps are those of :mod:`regmax.solvers.threshold`.
"""

import torch

from ._rows import limits

__all__ = ["enclose", "from_the_left", "missing_share"]

# Newton's method alone mostly ends in fewer; a midpoint between loses the step that brings it back.
_PATIENCE = 12
_MAX_STEPS = _PATIENCE + 3 * 64


def _onward(low, t, excess, step):
    """(low, next); ``next == low`` says that t is the root, or that no number is left between low and it."""
    forward = excess >= -16 * limits(t)[1]
    back = low + (t - low) / 2
    back = torch.where((low < back) & (back < t), back, low)
    return torch.where(forward, t, low), torch.where(forward, torch.where(t + step > t, t + step, t), back)


def from_the_left(evaluate, t):
    """The root right of t by steps that do not overshoot; ``evaluate(t)`` gives (excess, Newton's step)."""
    low, done = t, torch.zeros_like(t, dtype=torch.bool)
    while not done.all():
        low, following = _onward(low, t, *evaluate(t))
        t = torch.where(done, t, following)
        done = done | (following == low)
    return t


def _middle(low, high):
    """A point strictly between, halving exponents first and digits next; one of the two if there is none."""
    negative = low < 0
    near, far = torch.where(negative, -high, low), torch.where(negative, -low, high)
    start = near.clamp_min(limits(low)[0])
    point = torch.where(far > 4 * start, start.sqrt() * far.abs().sqrt(), near)
    point = torch.where((near < point) & (point < far), point, near + (far - near) / 2)
    return torch.where(negative & (high > 0), 0, torch.where(negative, -point, point))


def _safeguarded(low, high, newton, step):
    if step >= _PATIENCE and step % 3 == 2:
        return _middle(low, high)
    eps = limits(low)[1]
    proposal = torch.maximum(torch.minimum(newton, high - high.abs() * eps), low + low.abs() * eps)
    return torch.where((low < proposal) & (proposal < high), proposal, _middle(low, high))


def enclose(evaluate, low, high, t, allowed):
    """Two neighbouring floats, or one twice, around the root of a decreasing function.

    ``evaluate(t, low)`` gives (excess, proposal); an excess up to ``allowed`` is a root.
    """
    done = torch.zeros_like(t, dtype=torch.bool)
    for step in range(_MAX_STEPS):
        excess, newton = evaluate(t, low)
        hit = excess.abs() <= allowed
        low = torch.where(~done & (hit | (excess > 0)), t, low)
        high = torch.where(~done & (hit | ~(excess > 0)), t, high)
        following = _safeguarded(low, high, newton, step)
        done = done | hit | (following == low) | (following == high)
        if done.all():
            break
        t = torch.where(done, t, following)
    return low, high


def missing_share(above, below, target):
    """How much of the upper neighbour a blend of two takes to meet the target."""
    wide = above > below
    return torch.where(wide, ((above - target) / torch.where(wide, above - below, 1)).clamp(0, 1), 0)
