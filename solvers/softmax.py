"""Softmax: exponential weights, shifted by the maximum. Its Jacobian is the one of every weighted family.

Source: Boltzmann's distribution; the shift is folklore.
"""

from ._elementary import exp
from ._jit import exact, kernel
from .rows import enter, normalise, room, row_sum

__all__ = ["softmax", "softmax_row", "weighted_jacobian_row"]


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


@kernel
def weighted_jacobian_row(g, v, gamma, out):
    """``(diag g - g g^T / sum g) v / gamma`` with weights ``g >= 0``; an infinite result only where it is not 0.

    v is taken relative to its value at the largest weight, where the difference to the mean would cancel.
    """
    zero = v.dtype.type(0)
    heaviest = 0
    for i in range(g.size):
        heaviest = i if g[i] > g[heaviest] else heaviest
    total, mean, origin = row_sum(g), zero, v[heaviest]
    for i in range(v.size):
        mean += g[i] * (v[i] - origin) if g[i] > zero else zero
    if total == zero:
        out[:] = zero
        return
    centred(v, origin, mean / total, out)
    for i in range(v.size):
        out[i] = g[i] * out[i] if g[i] > zero else zero
        out[i] = out[i] / gamma if out[i] != zero else zero


@kernel
def softmax_jacobian(y, v, gamma, out, start, stop):
    for r in range(start, stop):
        weighted_jacobian_row(y[r], v[r], gamma[r], out[r])
