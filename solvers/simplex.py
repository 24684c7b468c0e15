"""Euclidean projections onto the simplex and the capped simplex, and the temperature that keeps k weights.

Sparsemax needs no sort: Newton's method on the convex function ``t -> sum [z - t]_+`` started left of its root
never overshoots (Michelot 1986 started from the mean; ``max - 1`` is nearer).
Sources: Martins & Astudillo 2016; Kiwiel 2008 for the capped simplex; docs/theory.md for the temperature.
"""

import numpy as np

from ._jit import exact, kernel
from .rows import BLOCK, compensated, enter, extent, kth_largest, limits, normalise, room, row_sum
from .softmax import even_jacobian_row
from .threshold import MAX_STEPS, middle, onward, safeguarded

__all__ = [
    "budgetmax",
    "budgetmax_jacobian",
    "complete",
    "l1_ball",
    "l1_ball_jacobian",
    "sparsemax",
    "sparsemax_jacobian",
    "sparsemax_row",
    "topkmax",
]


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
def _above(x, top, inverse, t, start, stop):
    """(sum of [z - t]_+, how many entries are above t) from start to stop."""
    zero = x.dtype.type(0)
    total, support = zero, np.int32(0)
    for i in range(np.uintp(start), np.uintp(stop)):  # a signed index might count from the end
        d = (x[i] - top) * inverse - t
        total += d if d > zero else zero
        support = np.int32(support + np.int32(d > zero))
    return total, np.int64(support)


@exact
def _excess(x, top, inverse, t):
    """:func:`_above` with the sum less 1, by compensated blocks."""
    total, lost, support = -x.dtype.type(1), x.dtype.type(0), 0
    for start in range(0, x.size, BLOCK):
        part, count = _above(x, top, inverse, t, start, min(start + BLOCK, x.size))
        total, lost = compensated(total, lost, part)
        support += count
    return total, support


@exact
def _threshold(x, top, inverse, t, support):
    """(t, step, support) with the root at ``t + step``, from t left of it; ``support`` is 0 or that of the root.

    A step from the left that keeps the support is exact, because the sum was linear on its way.
    """
    low, last = t, False
    while True:
        excess, above = _excess(x, top, inverse, t)
        step = excess / x.dtype.type(above)
        if above == support or last:
            return t, step, above
        support = above if excess >= x.dtype.type(0) else 0
        low, following = onward(low, t, excess, step, x)
        if following == t:
            return t, step, above
        t, last = following, following == low


# From this length on entries are worth looking for before they are summed.
_LONG = 16384
_STRIDE = 512


@kernel
def _survivors(x, top, inverse, t, out):
    """Write the few z above t to the front of ``out``, return how many; 0 if they are not few."""
    count = 0
    for start in range(0, x.size, _STRIDE):
        stop = min(start + _STRIDE, x.size)
        if _above(x, top, inverse, t, start, stop)[1] > 0:
            for i in range(start, stop):
                out[count] = (x[i] - top) * inverse
                count += out[count] > t
            if count > x.size // 8:
                return 0
    return count


@exact
def _above_threshold(x, top, inverse, t, step, out):
    """Write ``[z - t - step]_+``; the step is below the resolution of t but not of the weights."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        d = ((x[i] - top) * inverse - t) - step
        out[i] = d if d > zero else zero


@kernel
def _head_start(x, top, inverse, out):
    """(a point at or left of the threshold, how many entries are above it) by the way of the few that may be."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    few = _survivors(x, top, inverse, -one, out)
    if few == 0:
        return -one, 0
    t, step, support = _threshold(out[:few], zero, one, -one, 0)
    return t + step, support


@kernel
def sparsemax_row(x, top, gamma, out):
    one = x.dtype.type(1)
    inverse = one / gamma
    t, support = _head_start(x, top, inverse, out) if x.size > _LONG else (-one, 0)
    t, step, _ = _threshold(x, top, inverse, t, support)
    _above_threshold(x, top, inverse, t, step, out)


@kernel
def sparsemax(x, gamma, out, start, stop):
    work = room(x)
    for r in range(start, stop):
        y = out[r]
        row, top, live = enter(x[r], y, work)
        if live:
            sparsemax_row(row, top, gamma[r], y)


@kernel
def sparsemax_jacobian(y, v, gamma, out, start, stop):
    for r in range(start, stop):
        even_jacobian_row(y[r], v[r], gamma[r], out[r])


@kernel
def l1_ball(x, radius, out, start, stop):
    """The nearest point of ``|y|_1 <= radius``: that of the simplex for the magnitudes, where they sum to more."""
    zero, void = x.dtype.type(0), limits(x)[3]
    work, magnitude = room(x), np.empty_like(x[0])
    for r in range(start, stop):
        row, _, live = enter(x[r], out[r], work)
        if not live:
            continue
        for i in range(row.size):
            magnitude[i] = abs(row[i]) if row[i] > void else zero
        top = extent(magnitude)[0]
        if row_sum(magnitude) <= radius[r]:
            for i in range(row.size):
                out[r, i] = row[i] if row[i] > void else zero
            continue
        sparsemax_row(magnitude, top, max(radius[r], limits(x)[0]), out[r])
        for i in range(row.size):
            size = out[r, i] * radius[r]
            out[r, i] = -size if row[i] < zero and size > zero else size


@kernel
def l1_ball_jacobian(y, v, live, radius, out, start, stop):
    """Inside the ball v; on its surface v less, with the signs of y, its signed mean over the support, zero outside."""
    zero, eps = y.dtype.type(0), limits(y)[1]
    magnitude = np.empty_like(y[0])
    for r in range(start, stop):
        total, support = zero, 0
        for i in range(y.shape[1]):
            magnitude[i] = abs(y[r, i])
            total += np.sign(y[r, i]) * v[r, i]
            support += y[r, i] != zero
        rounding = y.dtype.type(8) * eps * np.sqrt(y.dtype.type(y.shape[1]))
        inside = row_sum(magnitude) < radius[r] * (y.dtype.type(1) - rounding)
        mean = total / y.dtype.type(max(support, 1))
        for i in range(y.shape[1]):
            surface = v[r, i] - np.sign(y[r, i]) * mean if y[r, i] != zero else zero
            out[r, i] = (v[r, i] if live[r, i] else zero) if inside else surface


@kernel
def _capped_sum(x, inverse, upper, t):
    """(sum of clip((x - t) / gamma, 0, upper), number of entries strictly between the bounds)."""
    zero = x.dtype.type(0)
    total, free = zero, 0
    for i in range(x.size):
        d = (x[i] - t) * inverse
        total += min(d, upper[i]) if d > zero else zero
        free += zero < d < upper[i]
    return total, free


@kernel
def _shrink_bracket(x, gamma, upper, total, low, high):
    """Two neighbouring floats, or one twice, that enclose the threshold at which the capped sum is ``total``."""
    one = x.dtype.type(1)
    inverse, eps = one / gamma, limits(x)[1]
    t = high - gamma * total / x.dtype.type(x.size)
    if not low < t < high:
        t = middle(low, high, x)
    for step in range(MAX_STEPS):
        current, free = _capped_sum(x, inverse, upper, t)
        if abs(current - total) <= eps * total:
            return t, t
        if current > total:
            low = t
        else:
            high = t
        following = t + gamma * ((current - total) / x.dtype.type(free)) if free > 0 else low
        following = safeguarded(low, high, following, step, x)
        if following == low or following == high:
            break
        t = following
    return low, high


@kernel
def _complete_capped(upper, total, out):
    """Spread what the weights lack over those strictly between their bounds."""
    zero, eps, last = out.dtype.type(0), limits(out)[1], limits(out)[2]
    for _ in range(out.size):
        missing, free = total - row_sum(out), 0
        if abs(missing) + abs(missing) > last:
            return  # what is missing now is rounding
        last = abs(missing)
        for i in range(out.size):
            free += zero < out[i] < upper[i]
        if free == 0 or abs(missing) <= eps * total:
            return
        for i in range(out.size):
            if zero < out[i] < upper[i]:
                out[i] = min(max(out[i] + missing / out.dtype.type(free), zero), upper[i])


@kernel
def budgetmax_row(x, top, gamma, upper, total, out, z):
    """The threshold is enclosed among the scores first, then in units of the weights about its place.

    A shift by the maximum would not do: capped scores at the top do not decide the rest, but could swallow it.
    """
    one, zero = x.dtype.type(1), x.dtype.type(0)
    tiny, eps, huge, void = limits(x)
    for i in range(x.size):
        z[i] = x[i] if x[i] > void else top
    least = extent(z)[1]
    low = max(least - max(gamma * total, abs(least) * (eps + eps), tiny), -huge)
    low, high = _shrink_bracket(x, gamma, upper, total, low, top)
    inverse = one / gamma
    for i in range(x.size):
        z[i] = min(max((x[i] - high) * inverse, -huge), huge) if x[i] > void else void
    low, high = _shrink_bracket(z, one, upper, total, max((low - high) * inverse, -huge), zero)
    above, below = _capped_sum(z, one, upper, low)[0], _capped_sum(z, one, upper, high)[0]
    share = min(max((total - below) / (above - below), zero), one) if above > below else one
    for i in range(x.size):
        b = min(max(z[i] - high, zero), upper[i])
        out[i] = b + share * (min(max(z[i] - low, zero), upper[i]) - b)
    _complete_capped(upper, total, out)


@kernel
def budgetmax(x, gamma, upper, total, out, start, stop):
    work, z = room(x), np.empty_like(x[0])
    for r in range(start, stop):
        y = out[r]
        row, top, live = enter(x[r], y, work)
        if live:
            budgetmax_row(row, top, gamma[r], upper[r % upper.shape[0]], total[r], y, z)


@kernel
def budgetmax_jacobian(y, v, gamma, upper, out, start, stop):
    one, zero = y.dtype.type(1), y.dtype.type(0)
    work = np.empty_like(y[0])
    for r in range(start, stop):
        bound = upper[r % upper.shape[0]]
        for i in range(work.size):
            work[i] = one if zero < y[r, i] < bound[i] else zero
        even_jacobian_row(work, v[r], gamma[r], out[r])


@kernel
def topkmax_row(z, k, out):
    """z: scores up to a power of two, -inf where masked. Fill ``out``, return the temperature.

    It is the middle of those that leave the k largest and their ties.
    """
    one, zero = z.dtype.type(1), z.dtype.type(0)
    void = limits(z)[3]
    v = kth_largest(z, k)
    rest, kept = zero, 0
    for i in range(z.size):
        rest += z[i] - v if z[i] > v else zero
        kept += np.int64(z[i] >= v)
    for i in range(z.size):
        out[i] = z[i] if z[i] < v else void
    following = extent(out)[0]
    count = z.dtype.type(kept)
    half_gap = (v - following) / (one + one) if following > void else rest / count
    # Where the gap below underflows, its half does not separate, but any tiny temperature does.
    coldest = limits(z)[0] if following > void else one
    temperature = rest + count * half_gap if rest + half_gap > zero else coldest
    base = half_gap / temperature if half_gap > zero else one / count
    for i in range(z.size):
        out[i] = (z[i] - v) / temperature + base if z[i] >= v else zero
    return temperature


@kernel
def topkmax(x, k, temperature, out, start, stop):
    work, z = room(x), np.empty_like(x[0])
    one = x.dtype.type(1)
    tiny, eps, huge, void = limits(x)
    for r in range(start, stop):
        temperature[r] = one
        y = out[r]
        row, top, live = enter(x[r], y, work)
        if live:
            count = 0
            for i in range(row.size):
                count += np.int64(row[i] > void)
                z[i] = row[i] if row[i] > void else top
            least = extent(z)[1]
            widest = max(abs(top), abs(least))
            # The weights ignore the scale of the scores: move it where differences would overflow or underflow.
            factor = one
            if not widest < huge * eps:
                factor = eps
            elif not widest > tiny / (eps * eps):
                factor = one / (eps * eps * eps)
            for i in range(row.size):
                z[i] = row[i] * factor
            found = topkmax_row(z, min(np.int64(k[r]), count), y)
            # Equal scores have no unit of their own: they get that of the scores, at every size.
            temperature[r] = min(found, huge * min(factor, one)) / factor if least < top else one
