"""Euclidean projections onto the simplex and the capped simplex, and the temperature that keeps k weights.

Sparsemax needs no sort: Newton's method on the convex function ``t -> sum [z - t]_+`` started left of its root
never overshoots (Michelot 1986 started from the mean; ``max - 1`` is nearer).
Sources: Martins & Astudillo 2016; Kiwiel 2008 for the capped simplex; docs/theory.md for the temperature.
"""

import numpy as np

from ._jit import kernel
from .rows import enter, kth_largest, limits, normalise, row_sum, scale
from .softmax import weighted_jacobian_row
from .threshold import MAX_STEPS, safeguarded

__all__ = ["budgetmax", "budgetmax_jacobian", "complete", "sparsemax", "sparsemax_jacobian", "sparsemax_row", "topkmax"]


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
def complete(out):
    """Project weights onto the simplex that are its point but for a common shift; equal weights stay equal.

    One step where the shift is rounding. A large one (scores whose spacing exceeds 1) takes a few more.
    """
    one, zero, eps = out.dtype.type(1), out.dtype.type(0), limits(out)[1]
    for _ in range(out.size + 4):
        support, top = 0, zero
        for i in range(out.size):
            support += out[i] > zero
            top = max(top, out[i])
        step = (row_sum(out) - one) / out.dtype.type(support)
        if not step < top:
            # The step is lost in the spacing of the weights: those that tie at the top share everything.
            for i in range(out.size):
                out[i] = one if out[i] == top else zero
            step = zero
            normalise(out)
        remaining = 0
        for i in range(out.size):
            out[i] = max(out[i] - step, zero) if out[i] > zero else zero
            remaining += out[i] > zero
        if remaining == support and abs(step) <= eps:
            return


@kernel
def _capped_sum(z, upper, t):
    """(sum of clip(z - t, 0, upper), number of entries strictly between the bounds)."""
    zero = z.dtype.type(0)
    total, free = zero, 0
    for i in range(z.size):
        d = z[i] - t
        total += min(d, upper[i]) if d > zero else zero
        free += zero < d < upper[i]
    return total, free


@kernel
def _capped_threshold(z, upper, total, least):
    """(low, high, share): the weights are ``(1 - share) clip(z - low) + share clip(z - high)`` of two neighbours.

    At the first ``low`` every entry is at its cap or above the total; at ``high`` the sum is zero. The factor keeps
    ``low`` below the least entry where that is so large that it swallows the total.
    """
    one, zero = z.dtype.type(1), z.dtype.type(0)
    tiny, eps, _, _ = limits(z)
    low, high = least + z.dtype.type(4) * eps * least - total - one, -tiny
    above, below = _capped_sum(z, upper, low)[0], zero
    t = -total / z.dtype.type(z.size)
    if not low < t < high:
        t = low
    for step in range(MAX_STEPS):
        current, free = _capped_sum(z, upper, t)
        if abs(current - total) <= eps * total:
            low, high = t, t
            break
        if current > total:
            low, above = t, current
        else:
            high, below = t, current
        following = t + (current - total) / z.dtype.type(free) if free > 0 else low
        following = safeguarded(low, high, following, step, eps)
        if following == low or following == high:
            break
        t = following
    share = min(max((above - total) / (above - below), zero), one) if above > below else zero
    return low, high, share


@kernel
def budgetmax_row(z, upper, total, least, out):
    """z: scores over gamma with maximum 0, -inf where masked; least: the least of the others."""
    zero = z.dtype.type(0)
    low, high, share = _capped_threshold(z, upper, total, least)
    for i in range(z.size):
        a = min(max(z[i] - low, zero), upper[i])
        b = min(max(z[i] - high, zero), upper[i])
        out[i] = a + share * (b - a)
    free = 0
    for i in range(z.size):
        free += zero < out[i] < upper[i]
    if free > 0:
        missing = (total - row_sum(out)) / z.dtype.type(free)
        for i in range(z.size):
            if zero < out[i] < upper[i]:
                out[i] = min(max(out[i] + missing, zero), upper[i])


@kernel
def budgetmax(x, gamma, upper, total, out, start, stop):
    work, z = x[0].copy(), x[0].copy()
    for r in range(start, stop):
        row, top, live = enter(x[r], out[r], work)
        if live:
            _, least, _ = scale(row, top, gamma[r], z)
            budgetmax_row(z, upper[r % upper.shape[0]], total[r], least, out[r])


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
def topkmax_row(z, k, out):
    """z: scores up to a power of two, -inf where masked. Fill ``out``, return the temperature.

    It is the middle of those that leave the k largest and their ties.
    """
    one, zero = z.dtype.type(1), z.dtype.type(0)
    tiny, _, _, void = limits(z)
    v = kth_largest(z, k)
    rest, kept, following = zero, 0, void
    for i in range(z.size):
        rest += z[i] - v if z[i] > v else zero
        kept += np.int64(z[i] >= v)
        following = max(following, z[i]) if z[i] < v else following
    count = z.dtype.type(kept)
    half_gap = (v - following) / (one + one) if following > void else rest / count
    temperature = max(rest + count * half_gap, tiny) if rest + half_gap > zero else one
    base = half_gap / temperature if half_gap > zero else one / count
    for i in range(z.size):
        out[i] = (z[i] - v) / temperature + base if z[i] >= v else zero
    return temperature


@kernel
def topkmax(x, k, temperature, out, start, stop):
    work, z = x[0].copy(), x[0].copy()
    one, zero = x.dtype.type(1), x.dtype.type(0)
    _, eps, huge, void = limits(x)
    for r in range(start, stop):
        temperature[r] = one
        row, _, live = enter(x[r], out[r], work)
        if live:
            count, widest = 0, zero
            for i in range(row.size):
                if row[i] > void:
                    count += 1
                    widest = max(widest, abs(row[i]))
            # The weights ignore the scale of the scores: shrink them where sums of differences would overflow.
            shrink = one if widest < huge * eps else eps
            for i in range(row.size):
                z[i] = row[i] * shrink
            found = topkmax_row(z, min(np.int64(k[r]), count), out[r])
            temperature[r] = min(found, huge * shrink) / shrink
