r"""Entmax for every ``alpha > 0``: weights are q-exponentials ``[1 + e (z_i - u)]_+^(1/e)``, e = alpha - 1.

With ``f(u) = sum y_i`` and ``s(u) = sum y_i^(2 - alpha)``, Newton's method on the norm ``f^e`` reads
``u += (f - f^(1-e)) / (e s)``. For ``alpha <= 2`` (below 1 included) that norm is convex or concave in the right
sense, so from ``u = 0`` the steps never overshoot; at e -> 0 the step is ``log f`` and one step ends softmax.
Above 2 it is neither: there the threshold is bracketed.
Sources: Peters, Niculae & Martins 2019; Blondel, Martins & Niculae 2020 for the family.
"""

import numpy as np

from ._elementary import exp, log, power, power_near_one, whole_power
from ._jit import inlined, kernel
from .rows import enter, extent, limits, normalise, room
from .simplex import sparsemax_row
from .softmax import even_up_heaviest, softmax_row, weighted_jacobian_row
from .threshold import MAX_STEPS, onward, safeguarded

__all__ = ["entmax", "entmax_jacobian", "entmax_row", "norm_threshold", "relative_powers", "whole_order"]

_MAX_POWER = 8


@kernel
def whole_order(order, x):
    """The whole number from 2 to 8 that ``order`` is but for rounding, else 0; x is any row of its dtype."""
    whole = np.rint(order)
    if 2 <= whole <= _MAX_POWER and abs(order - whole) <= whole * whole * limits(x)[1]:
        return np.int64(whole)
    return 0


@kernel
def _sums(x, top, scale, t, exponent):
    """(sum d^exponent, sum d^(exponent-1) over d > 0), ``d = [scale (x - top) - t]_+``, for a whole exponent >= 1."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    f, s = zero, zero
    for i in range(x.size):
        d = max((x[i] - top) * scale - t, zero)
        p = whole_power(d, exponent - 1, one) if d > zero else zero
        s += p
        f += p * d
    return f, s


@kernel
def norm_threshold(x, top, scale, exponent):
    """t with ``sum [scale (x - top) - t]_+^exponent = 1``, the exponent whole and >= 2: Newton on the norm, from -1.

    For exponent 1, where the sum has kinks, t may stop left of it. docs/theory.md bounds what the last step leaves.
    """
    one = x.dtype.type(1)
    size, eps = x.dtype.type(x.size), limits(x)[1]
    low, t = -one, -one
    while True:
        f, s = _sums(x, top, scale, t, exponent)
        excess = f - one
        root = np.sqrt(f) if exponent == 2 else f ** (one - one / x.dtype.type(exponent))
        step = (f - root) / s
        if size * (excess * excess) <= eps:
            return t + step
        low, following = onward(low, t, excess, step, x)
        if following == t or following == low:
            return following
        t = following


@kernel
def _whole_power_row(x, top, gamma, exponent, out):
    """alpha = 1 + 1/exponent: powers by multiplication only."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    scale = one / (x.dtype.type(exponent) * gamma)
    t = norm_threshold(x, top, scale, exponent)
    for i in range(x.size):
        out[i] = whole_power(max((x[i] - top) * scale - t, zero), exponent, one)
    normalise(out)


@kernel
def _power_sums(x, top, inverse, e, u):
    """(sum y_i(u), sum y_i / d_i) with ``d_i = 1 + e (z_i - u)``."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    exponent, huge = one / e, limits(x)[2]
    f, s = zero, zero
    for i in range(x.size):
        w = min(max(e * ((x[i] - top) * inverse - u), -one), huge)
        y, slope = power_near_one(w, exponent, one)
        f += y
        s += slope
    return f, s


@kernel
def _left_of_root(x, top, gamma, e):
    """A start for Newton's method in u: y falls as e grows, so the root for a larger e lies left of that for e."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    if e < zero:
        return zero
    whole = min(np.floor(one / e), x.dtype.type(_MAX_POWER))
    t = norm_threshold(x, top, one / (whole * gamma), np.int64(whole))
    return whole * (t + one)


@kernel
def _general_row(x, top, gamma, e, out):
    """Any alpha in (0, 2]: Newton from the left in u."""
    one, size = x.dtype.type(1), x.dtype.type(x.size)
    _, eps, huge, _ = limits(x)
    inverse, exponent = one / gamma, one / e
    order = min(abs(exponent), one + one)
    low, u = one - one, _left_of_root(x, top, gamma, e)
    for _ in range(MAX_STEPS):
        f, s = _power_sums(x, top, inverse, e, u)
        step = -f * np.expm1(-e * np.log(f)) / (e * s)
        if size * abs(step) ** order <= eps:
            u += step
            break
        low, following = onward(low, u, f - one, step, x)
        if following == u or following == low:
            u = following
            break
        u = following
    for i in range(x.size):
        out[i] = power_near_one(min(max(e * ((x[i] - top) * inverse - u), -one), huge), exponent, one)[0]
    normalise(out)


@kernel
def _root_sums(z, t, exponent, tiny):
    """(sum d^exponent, sum d^(exponent-1)) over ``d = [z - t]_+``."""
    zero = z.dtype.type(0)
    f, s = zero, zero
    for i in range(z.size):
        d = z[i] - t
        y = power(d, exponent, tiny)
        f += y
        s += y / max(d, tiny)
    return f, s


@kernel
def _bracketed_row(x, top, gamma, e, out, z):
    """alpha > 2: bracketed in ``t = e u - 1``, then a blend of the two neighbouring thresholds.

    There a weight just above the threshold changes by ``ulp(t)^(1/e)``, far more than an ulp; blending puts what is
    missing on just those weights. z is stored: computed anew, a fused multiply-add could move it across the threshold.
    """
    one, zero = x.dtype.type(1), x.dtype.type(0)
    tiny, eps, _, _ = limits(x)
    exponent, scale = one / e, e / gamma
    for i in range(x.size):
        z[i] = (x[i] - top) * scale
    low, high = -one, -max(x.dtype.type(x.size) ** -e, tiny)
    t = low
    for step in range(MAX_STEPS):
        f, s = _root_sums(z, t, exponent, tiny)
        if abs(f - one) <= eps + eps:
            low, high = t, t
            break
        if f > one:
            low = t
        else:
            high = t
        following = safeguarded(low, high, t + e * (f - one) / s, step, z)
        if following == low or following == high:
            break
        t = following
    above, below = _root_sums(z, low, exponent, tiny)[0], _root_sums(z, high, exponent, tiny)[0]
    share = min(max((above - one) / (above - below), zero), one) if above > below else zero
    for i in range(x.size):
        weight = power(z[i] - low, exponent, tiny)
        out[i] = weight + share * (power(z[i] - high, exponent, tiny) - weight)
    normalise(out)


@kernel
def entmax_row(x, top, gamma, alpha, out, work):
    one = x.dtype.type(1)
    e = alpha - one
    if alpha == one:
        softmax_row(x, top, gamma, out)
    elif e == one:
        sparsemax_row(x, top, gamma, out)
    elif e > one:
        _bracketed_row(x, top, gamma, e, out, work)
    elif whole_order(one / e, x) > 0:
        _whole_power_row(x, top, gamma, whole_order(one / e, x), out)
    else:
        _general_row(x, top, gamma, e, out)


@kernel
def entmax(x, gamma, alpha, out, start, stop):
    work = room(x)
    spare = np.empty_like(x[0])
    for r in range(start, stop):
        y = out[r]
        row, top, live = enter(x[r], y, work)
        if live:
            entmax_row(row, top, gamma[r], alpha[r], y, spare)


@inlined
def relative_powers(y, exponent, place, out):
    """Write ``(y / reference)^exponent`` on the support, and return the reference, an entry of y.

    That is the entry with the largest power, or where the exponent is negative and the ``place`` 2, with the second
    largest; the largest may then be infinite.
    """
    zero, one = y.dtype.type(0), y.dtype.type(1)
    reference = extent(y)[0]
    if exponent < zero:
        least, second = reference, reference
        for i in range(y.size):
            if zero < y[i] < least:
                least, second = y[i], least
            elif zero < y[i] < second:
                second = y[i]
        reference = second if place == 2 else least
    reference = max(reference, limits(y)[0])
    inverse = one / reference
    if exponent == zero:
        for i in range(y.size):
            out[i] = one if y[i] > zero else zero
    elif exponent + exponent == one:
        for i in range(y.size):
            out[i] = np.sqrt(y[i] * inverse)
    else:
        for i in range(y.size):
            out[i] = power(y[i] * inverse, exponent, limits(y)[0])
    if exponent < zero:
        tiny, infinite = limits(y)[0], y.dtype.type(np.inf)
        for i in range(y.size):
            if zero < y[i] < reference:  # one entry at most, whose power may overflow
                steepness = exponent * log(max(y[i] * inverse, tiny))
                out[i] = exp(steepness) if steepness < -log(tiny) - one else infinite
    return reference


@kernel
def entmax_jacobian(y, v, gamma, alpha, out, start, stop):
    """Weights ``y^(2 - alpha)`` on the support, of which the second largest decides: relative to it."""
    two = y.dtype.type(2)
    work = np.empty_like(y[0])
    for r in range(start, stop):
        reference = relative_powers(y[r], two - alpha[r], 2, work)
        weighted_jacobian_row(work, v[r], gamma[r] * reference ** (alpha[r] - two), out[r])
        if alpha[r] > two:
            even_up_heaviest(work, out[r])
