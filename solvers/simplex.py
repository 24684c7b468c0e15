"""Euclidean projections onto the simplex and the capped simplex, and the temperature that keeps k weights.

Sparsemax needs no sort: Newton's method on the convex function ``t -> sum [z - t]_+`` started left of its root
never overshoots (Michelot 1986 started from the mean; ``max - 1`` is nearer).
Sources: Martins & Astudillo 2016; Kiwiel 2008 for the capped simplex; ``mathematics`` in docs/theory.md.
"""

import numpy as np

from ._jit import kernel
from .rows import enter, floor_of, kth_largest
from .softmax import weighted_jacobian_row
from .threshold import MAX_STEPS, safeguarded

__all__ = ["budgetmax", "budgetmax_jacobian", "sparsemax", "sparsemax_jacobian", "sparsemax_row", "topkmax"]


@kernel
def sparsemax_row(x, top, gamma, out):
    one, zero = x.dtype.type(1), x.dtype.type(0)
    inverse = one / gamma
    t = -one
    while True:
        total, support = zero, 0
        for i in range(x.size):
            d = (x[i] - top) * inverse - t
            total += d if d > zero else zero
            support += d > zero
        step = (total - one) / x.dtype.type(support)
        if not t + step > t:
            break
        t += step
    # The last step is below the resolution of t but not of the weights.
    for i in range(x.size):
        d = ((x[i] - top) * inverse - t) - step
        out[i] = d if d > zero else zero


@kernel
def sparsemax(x, gamma, out, start, stop):
    work = x[0].copy()
    for r in range(start, stop):
        row, top, live = enter(x[r], out[r], work)
        if live:
            sparsemax_row(row, top, gamma[r], out[r])


@kernel
def sparsemax_jacobian(y, v, gamma, out, start, stop):
    one, zero = y.dtype.type(1), y.dtype.type(0)
    work = y[0].copy()
    for r in range(start, stop):
        for i in range(work.size):
            work[i] = one if y[r, i] > zero else zero
        weighted_jacobian_row(work, v[r], gamma[r], out[r])


@kernel
def _capped_sum(x, top, inverse, upper, t):
    """(sum of clip(z - t, 0, upper), number of entries strictly between the bounds)."""
    zero = x.dtype.type(0)
    total, free = zero, 0
    for i in range(x.size):
        d = (x[i] - top) * inverse - t
        total += min(d, upper[i]) if d > zero else zero
        free += zero < d < upper[i]
    return total, free


@kernel
def budgetmax_row(x, top, gamma, upper, total, out):
    one, zero = x.dtype.type(1), x.dtype.type(0)
    inverse = one / gamma
    least = zero
    for i in range(x.size):
        z = (x[i] - top) * inverse
        least = min(least, z) if z > -np.inf else least
    # At `low` every entry is at its cap or above the total; at `high` the sum is zero.
    low, high = least - total - one, -np.finfo(x.dtype).tiny
    low = max(low, np.finfo(x.dtype).min)
    above, below = _capped_sum(x, top, inverse, upper, low)[0], zero
    t = -total / x.dtype.type(x.size)
    if not low < t < high:
        t = low
    for _ in range(MAX_STEPS):
        current, free = _capped_sum(x, top, inverse, upper, t)
        if current >= total:
            low, above = t, current
        else:
            high, below = t, current
        if current == total:
            break
        following = t + (current - total) / x.dtype.type(free) if free > 0 else low
        following = safeguarded(low, high, following)
        if following == low or following == high:
            break
        t = following
    # low and high are neighbours, or low is the root: between them the sum is linear up to rounding.
    share = min(max((above - total) / (above - below), zero), one) if above > below else zero
    missing, free = total, 0
    for i in range(x.size):
        z = (x[i] - top) * inverse
        a = min(max(z - low, zero), upper[i])
        b = min(max(z - high, zero), upper[i])
        out[i] = a + share * (b - a)
        missing -= out[i]
        free += zero < out[i] < upper[i]
    if free > 0:
        missing /= x.dtype.type(free)
        for i in range(x.size):
            if zero < out[i] < upper[i]:
                out[i] = min(max(out[i] + missing, zero), upper[i])


@kernel
def budgetmax(x, gamma, upper, total, out, start, stop):
    work = x[0].copy()
    for r in range(start, stop):
        row, top, live = enter(x[r], out[r], work)
        if live:
            budgetmax_row(row, top, gamma[r], upper[r % upper.shape[0]], total[r], out[r])


@kernel
def budgetmax_jacobian(y, v, gamma, upper, out, start, stop):
    one, zero = y.dtype.type(1), y.dtype.type(0)
    work = y[0].copy()
    for r in range(start, stop):
        bound = upper[r % upper.shape[0]]
        for i in range(work.size):
            work[i] = one if zero < y[r, i] < bound[i] else zero
        weighted_jacobian_row(work, v[r], gamma[r], out[r])


@kernel
def topkmax_row(x, k, out):
    """Fill ``out`` and return the temperature: the middle of those that leave the k largest and their ties."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    floor = floor_of(x)
    v = kth_largest(x, k)
    rest, kept, following = zero, 0, -np.inf * one
    for i in range(x.size):
        rest += x[i] - v if x[i] > v else zero
        kept += np.int64(x[i] >= v)
        following = max(following, x[i]) if x[i] < v else following
    count = x.dtype.type(kept)
    if following > floor:
        temperature = rest + count * (v - following) / x.dtype.type(2)
        temperature = max(temperature, np.finfo(x.dtype).tiny)
    else:
        temperature = rest + rest if rest > zero else one
    base = (one - rest / temperature) / count
    for i in range(x.size):
        out[i] = (x[i] - v) / temperature + base if x[i] >= v else zero
    return temperature


@kernel
def topkmax(x, k, temperature, out, start, stop):
    floor = floor_of(x)
    work = x[0].copy()
    for r in range(start, stop):
        temperature[r] = 1
        row, _, live = enter(x[r], out[r], work)
        if live:
            count = 0
            for i in range(row.size):
                count += row[i] > floor
            temperature[r] = topkmax_row(row, min(np.int64(k[r]), count), out[r])
