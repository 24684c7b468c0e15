r"""Penalties that are norms: the squared p-norm and the p-norm itself, p > 1, with ``1/p + 1/q = 1``.

Both weights are ``d^(q-1) / sum d^(q-1)`` with ``d = [z - t]_+`` and z = (x - max x) / gamma. The norm asks
``|d|_q = 1`` (convex and decreasing in t: Newton from the left); the squared norm asks that the derivative of
``t + |d|_q^2 / 2`` vanish (bracketed). Source: Niculae & Blondel 2017 for the squared norm, Blondel, Martins &
Niculae 2020 for the norm; the conditions are derived in docs/theory.md.
"""

import numpy as np

from ._elementary import power, whole_power
from ._jit import kernel
from .entmax import norm_threshold, relative_powers, whole_order
from .rows import enter, limits, normalise, room, row_sum, scale
from .simplex import sparsemax_row
from .softmax import at_heaviest, centred, even_up_heaviest
from .threshold import MAX_STEPS, onward, safeguarded

__all__ = ["normmax", "normmax_jacobian", "pnormmax", "pnormmax_jacobian"]


@kernel
def _general_sums(z, t, q):
    zero, one, tiny = z.dtype.type(0), z.dtype.type(1), limits(z)[0]
    lowest, lower, sum_q = zero, zero, zero
    for i in range(z.size):
        d = z[i] - t
        a = power(d, q - one, tiny)
        d = max(d, tiny)
        lower += a
        lowest += a / d
        sum_q += a * d
    return lowest, lower, sum_q


@kernel
def _whole_sums(z, t, q):
    zero, one = z.dtype.type(0), z.dtype.type(1)
    lowest, lower, sum_q = zero, zero, zero
    for i in range(z.size):
        d = max(z[i] - t, zero)
        a = whole_power(d, q - 2, one) if d > zero else zero
        lowest += a
        lower += a * d
        sum_q += a * d * d
    return lowest, lower, sum_q


@kernel
def _power_sums(z, t, q):
    """(sum d^(q-2), sum d^(q-1), sum d^q) over the support of ``d = [z - t]_+``."""
    whole = whole_order(q, z)
    return _whole_sums(z, t, whole) if whole > 0 else _general_sums(z, t, q)


@kernel
def _blended_powers(z, low, high, share, q, out):
    """``(1 - share) [z - low]_+^(q-1) + share [z - high]_+^(q-1)``, normalised."""
    zero, one, tiny = z.dtype.type(0), z.dtype.type(1), limits(z)[0]
    whole = whole_order(q, z)
    if whole > 0:
        for i in range(z.size):
            out[i] = whole_power(max(z[i] - low, zero), whole - 1, one)
    else:
        for i in range(z.size):
            out[i] = power(z[i] - low, q - one, tiny)
    if share > zero:
        for i in range(z.size):
            out[i] += share * (power(z[i] - high, q - one, tiny) - out[i])
    normalise(out)


@kernel
def normmax_row(x, top, gamma, p, out, z):
    one, zero = x.dtype.type(1), x.dtype.type(0)
    scale(x, top, gamma, z)
    q = p / (p - one)
    whole = whole_order(q, x)
    if whole > 0:
        t = norm_threshold(z, zero, one, whole)
    else:
        low, t = -one, -one
        for _ in range(MAX_STEPS):
            _, s, f = _general_sums(z, t, q)
            low, following = onward(low, t, f - one, (f - f ** (one - one / q)) / s, z)
            if following == t:
                break
            t = following
            if t == low:
                break
    _blended_powers(z, t, t, zero, q, out)


@kernel
def normmax(x, gamma, p, out, start, stop):
    work, z = room(x), np.empty_like(x[0])
    for r in range(start, stop):
        y = out[r]
        row, top, live = enter(x[r], y, work)
        if live:
            normmax_row(row, top, gamma[r], p[r], y, z)


@kernel
def pnormmax_row(x, top, gamma, p, out, z):
    one, zero = x.dtype.type(1), x.dtype.type(0)
    two = one + one
    if p == two:
        sparsemax_row(x, top, gamma, out)
        return
    scale(x, top, gamma, z)
    q, eps = p / (p - one), limits(x)[1]
    low, high = -one, -(x.dtype.type(x.size) ** (-two / q))
    above, below = one, one
    t = low
    for step in range(MAX_STEPS):
        lowest, lower, f = _power_sums(z, t, q)
        shrink = f ** (two / q - one)
        slope = shrink * lower
        if abs(slope - one) <= two * two * eps:
            low, high = t, t
            break
        if slope > one:
            low, above = t, slope
        else:
            high, below = t, slope
        curvature = (two - q) * shrink * lower * lower / f + (q - one) * shrink * lowest
        following = safeguarded(low, high, t + (slope - one) / curvature, step, z)
        if following == low or following == high:
            break
        t = following
    # As in entmax above 2: for p > 2 weights near zero move by far more than an ulp, so blend two neighbours.
    share = min(max((above - one) / (above - below), zero), one) if above > below and p > two else zero
    _blended_powers(z, low, high, share, q, out)


@kernel
def pnormmax(x, gamma, p, out, start, stop):
    work, z = room(x), np.empty_like(x[0])
    for r in range(start, stop):
        y = out[r]
        row, top, live = enter(x[r], y, work)
        if live:
            pnormmax_row(row, top, gamma[r], p[r], y, z)


@kernel
def _norm(y, p):
    """The p-norm of y >= 0, by powers of ratios, which do not overflow."""
    zero = y.dtype.type(0)
    top, total = zero, zero
    for i in range(y.size):
        top = max(top, y[i])
    for i in range(y.size):
        total += (y[i] / top) ** p if y[i] > zero else zero
    return top * total ** (y.dtype.type(1) / p)


@kernel
def _times(scale, x):
    """Write ``scale x`` over x; 0 stays 0 even if the scale is infinite."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        x[i] = scale * x[i] if x[i] != zero else zero


@kernel
def normmax_jacobian(y, v, gamma, p, out, start, stop):
    """``(I - y 1^T) G (I - 1 y^T) v``, ``G = N (y / N)^(2-p) / (gamma (p-1))``, N the norm: it is flat along y."""
    one, zero = y.dtype.type(1), y.dtype.type(0)
    g = np.empty_like(y[0])
    for r in range(start, stop):
        norm = _norm(y[r], p[r])
        reference = relative_powers(y[r], one + one - p[r], 1, g)
        mean = zero
        for i in range(g.size):
            mean += y[r, i] * v[r, i] if y[r, i] > zero else zero
        for i in range(g.size):
            out[r, i] = g[i] * (v[r, i] - mean) if y[r, i] > zero else zero
        total = row_sum(out[r])
        for i in range(g.size):
            out[r, i] -= y[r, i] * total
        _times(norm * (reference / norm) ** (one + one - p[r]) / (gamma[r] * (p[r] - one)), out[r])


@kernel
def pnormmax_jacobian(y, v, gamma, p, out, start, stop):
    """``H - H 1 1^T H / (1^T H 1)``, ``gamma (p-1) H = (y / N)^(2-p) - (2-p) / N^2 y y^T``, N the norm of y."""
    one, zero = y.dtype.type(1), y.dtype.type(0)
    g = np.empty_like(y[0])
    for r in range(start, stop):
        norm = _norm(y[r], p[r])
        exponent = one + one - p[r]
        reference = relative_powers(y[r], exponent, 2, g)
        inverse = (norm / reference) ** exponent
        c = exponent * inverse / (norm * norm)
        origin = at_heaviest(g, v[r])  # where the difference to the mean would cancel
        along, total, mean, mass = zero, zero, zero, row_sum(y[r])
        for i in range(g.size):
            along += y[r, i] * (v[r, i] - origin) if y[r, i] > zero else zero
        for i in range(g.size):
            if y[r, i] > zero:
                total += g[i] - c * y[r, i] * mass
                mean += (g[i] * (v[r, i] - origin) if v[r, i] != origin else zero) - c * y[r, i] * along
        ratio = mean / total if total > zero else zero
        centred(v[r], origin, ratio, out[r])
        for i in range(g.size):
            out[r, i] = g[i] * out[r, i] - c * y[r, i] * (along - ratio * mass) if y[r, i] > zero else zero
        even_up_heaviest(g, out[r])
        _times(one / (inverse * gamma[r] * (p[r] - one)), out[r])
