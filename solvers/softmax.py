"""Softmax: exponential weights, shifted by the maximum. Its Jacobian is the one of every weighted family.

Source: Boltzmann's distribution; the shift is folklore.
"""

import numpy as np

from ._elementary import exp
from ._jit import exact, inlined, kernel
from .rows import enter, extent, normalise, room, row_sum

__all__ = [
    "at_heaviest",
    "centred",
    "even_jacobian_row",
    "even_up_heaviest",
    "softmax",
    "softmax_row",
    "weighted_jacobian_row",
]


@kernel
def softmax_row(x, top, gamma, out):
    inverse = x.dtype.type(1) / gamma
    for i in range(x.size):
        out[i] = exp((x[i] - top) * inverse)
    normalise(out)


@kernel
def softmax(x, gamma, out, start, stop):
    work = room(x)
    for r in range(start, stop):
        y = out[r]
        row, top, live = enter(x[r], y, work)
        if live:
            softmax_row(row, top, gamma[r], y)


@exact
def centred(v, origin, mean, out):
    """Write ``(v - origin) - mean``, in that order: the mean may be far below the resolution of v."""
    for i in range(v.size):
        out[i] = (v[i] - origin) - mean


@exact
def _less_mean(y, v, origin, mean, inverse, out):
    """Write ``(v - origin - mean) inverse`` on the support of y, in that order, and 0 elsewhere."""
    zero = v.dtype.type(0)
    for i in range(v.size):
        d = ((v[i] - origin) - mean) * inverse
        out[i] = d if y[i] > zero else zero


@inlined
def even_jacobian_row(y, v, gamma, out):
    """``(v - mean v) / gamma`` on the support of y; of the mean, which may be large, the rest is found again."""
    one, zero = v.dtype.type(1), v.dtype.type(0)
    total, support, rest = zero, zero, zero
    for i in range(v.size):
        total += v[i] if y[i] > zero else zero
        support += one if y[i] > zero else zero
    support = max(support, one)
    origin = total / support
    for i in range(v.size):
        rest += v[i] - origin if y[i] > zero else zero
    _less_mean(y, v, origin, rest / support, one / gamma, out)


@exact
def _weighted(g, v, origin, mean, inverse, out):
    """Write ``g (v - origin - mean) inverse``, in that order."""
    zero = v.dtype.type(0)
    for i in range(v.size):
        d = (v[i] - origin) - mean
        out[i] = g[i] * d * inverse if g[i] > zero and d != zero else zero


@inlined
def at_heaviest(g, v):
    """v at the largest weight: where several are, their mean."""
    one, zero, top = g.dtype.type(1), g.dtype.type(0), extent(g)[0]
    total, ties = zero, zero
    for i in range(v.size):
        at = g[i] == top
        total += v[i] if at else zero
        ties += one if at else zero
    return total / ties


@inlined
def even_up_heaviest(g, out):
    """Where a weight is infinite, and no other, its product is what leaves the sum of all at 0."""
    zero = out.dtype.type(0)
    if extent(g)[0] < np.inf:
        return
    rest = zero
    for i in range(g.size):
        rest += out[i] if g[i] < np.inf else zero
    for i in range(g.size):
        out[i] = out[i] if g[i] < np.inf else -rest


@inlined
def weighted_jacobian_row(g, v, gamma, out):
    """``(diag g - g g^T / sum g) v / gamma`` with weights ``g >= 0``; an infinite result only where it is not 0.

    v is taken relative to what it is at the largest weight, where the difference to the mean would cancel. Where that
    weight is infinite, its product is left to ``even_up_heaviest``.
    """
    one, zero = v.dtype.type(1), v.dtype.type(0)
    total, mean, origin = row_sum(g), zero, at_heaviest(g, v)
    for i in range(v.size):
        mean += g[i] * (v[i] - origin) if g[i] > zero and v[i] != origin else zero
    if total == zero:
        out[:] = zero
        return
    _weighted(g, v, origin, mean / total, one / gamma, out)


@kernel
def softmax_jacobian(y, v, gamma, out, start, stop):
    for r in range(start, stop):
        weighted_jacobian_row(y[r], v[r], gamma[r], out[r])
