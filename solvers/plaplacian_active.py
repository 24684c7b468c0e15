r"""p = 2 on the simplex by its support: Newton's method on ``min(A y - z + tau, y) = 0`` and ``sum y = 1`` at once.

``A = kappa I + B^T diag(c) B`` is an M-matrix: for one tau this is policy iteration (Howard 1960), whose y only grow,
and the sum of y is convex and decreasing in tau, so that few supports are tried before one repeats itself. It begins
with the support of the free solution's projection. Where strong edges would make the support grow entry by entry, a
chain carries the surplus on; what is not settled after CAP supports is left to ``plaplacian_path``.
"""

import numpy as np

from ._jit import kernel
from .plaplacian_edges import TINY, add, balance, ends, prepare, resolve, to_total, total
from .plaplacian_path import SETTLED, STIFFEST
from .simplex import sparsemax_row
from .tridiagonal import PINNED

__all__ = ["CAP", "DEARTH", "FAR", "PULLED", "settle"]

#: Supports that are tried.
CAP = 20
PULLED = 1e-15  # a pull below this is rounding
DEARTH = 2.0  # at 1 the support would overshoot: the parabola that it ends in grows as it moves
FAR = 12  # steps after which it moves by one entry at a time, as what is proved to end does


@kernel
def _begin(net, kappa, nodes, edges, shares):
    """Hold what the projection of the free solution A^-1 z onto the simplex leaves at 0; a first tau."""
    z, y, D, r, found = nodes[0], nodes[1], nodes[3], nodes[4], nodes[5]
    c, u, a, b, du, gain, none = edges[0], edges[1], edges[2], edges[3], edges[6], edges[8], edges[9]
    D[:], r[:], none[:], a[:], b[:] = kappa, z, 0.0, c, 1.0
    prepare(net, nodes, edges, shares, STIFFEST)
    resolve(net, nodes, edges, shares, r, none, found, du)
    sparsemax_row(found, found.max(), 1.0, y)
    shift, count = 0.0, 0
    for i in range(y.size):
        free = y[i] > 0.0
        D[i] = kappa if free else PINNED
        shift += found[i] - y[i] if free else 0.0
        count += free
    y[:], u[:] = 0.0, 0.0
    for e in range(c.size):
        gain[e] = c[e] / (c[e] + kappa)
    return kappa * shift / count


@kernel
def _step(net, kappa, tau, nodes, edges, shares):
    """From any y, u and tau to those that balance on the free entries, y = 0 on the others; tau."""
    y, D, r, dy, ones, unit = nodes[1], nodes[3], nodes[4], nodes[5], nodes[6], nodes[7]
    c, u, g, du, unit_flow, none = edges[0], edges[1], edges[4], edges[6], edges[7], edges[9]
    for e in range(c.size):
        tail, head = ends(net, e)
        g[e] = u[e] - c[e] * (y[head] - y[tail])
    for i in range(y.size):
        loose = D[i] < PINNED
        r[i] = r[i] if loose else 0.0
        ones[i] = 1.0 if loose else 0.0
    prepare(net, nodes, edges, shares, STIFFEST)
    resolve(net, nodes, edges, shares, ones, none, unit, unit_flow)
    resolve(net, nodes, edges, shares, r, g, dy, du)
    tau += to_total(1.0 - total(y), unit, unit_flow, dy, du)
    add(y, 1.0, dy)
    add(u, 1.0, du)
    return tau


@kernel
def _drop(y, r, D, dearth, pull):
    """Hold what fell below 0, put the held at 0, write what pulls at them: (how many fell, how many are to be freed).

    What pulls back counts ``dearth`` times.
    """
    fallen, pulled = 0, 0
    for i in range(y.size):
        free = D[i] < PINNED
        kept = free & (y[i] >= 0.0)
        above = r[i] - PULLED
        pull[i] = -np.inf if free else above * (1.0 if above > 0.0 else dearth)
        pulled += not pull[i] <= 0.0  # so does NaN
        fallen += free & (not kept)
        D[i] = D[i] if kept else PINNED
        y[i] = y[i] if kept else 0.0
    return fallen, pulled


@kernel
def _release(net, kappa, D, pull, gain):
    """Free what is pulled above 0; on a chain also what its surplus pulls when it flows on to the right and left."""
    n = D.size
    if net is not None:
        for i in range(n):
            D[i] = kappa if pull[i] > 0.0 else D[i]
        return
    right, left = max(pull[0], 0.0), max(pull[n - 1], 0.0)
    D[0] = kappa if right > 0.0 else D[0]
    D[n - 1] = kappa if left > 0.0 else D[n - 1]
    for i in range(1, n):
        j = n - 1 - i
        right = max(right * gain[i - 1] + pull[i], 0.0)
        left = max(left * gain[j] + pull[j], 0.0)
        D[i] = kappa if right > 0.0 else D[i]
        D[j] = kappa if left > 0.0 else D[j]


@kernel
def _off(net, y, r, D, u, c):
    """How far the free entries are from balance, and flows from jumps, the worst and ``(u - c d)^2 / 2 c`` summed."""
    off, torn, energy = 0.0, 0.0, 0.0
    for i in range(y.size):
        apart = abs(r[i]) if D[i] < PINNED else 0.0
        if not apart <= SETTLED:  # NaN is not, and max would lose it
            return np.inf
        off = max(off, apart)
    for e in range(c.size):
        tail, head = ends(net, e)
        missing = u[e] - c[e] * (y[head] - y[tail])
        torn = max(torn, abs(missing) / (1.0 + c[e]))
        energy += 0.5 * missing * missing / c[e] if c[e] > TINY else 0.0
    return off + torn + energy


@kernel
def settle(net, kappa, nodes, edges, shares):
    """y on the simplex, p = 2, for scores z of a range of at most 1: (what is off, inf if it is not found, steps)."""
    z, y, D, r, pull, c, u, gain = nodes[0], nodes[1], nodes[3], nodes[4], nodes[8], edges[0], edges[1], edges[8]
    tau, steps = _begin(net, kappa, nodes, edges, shares), 1
    balance(net, z, y, u, kappa, tau, r)
    while steps < CAP:
        tau = _step(net, kappa, tau, nodes, edges, shares)
        steps += 1
        balance(net, z, y, u, kappa, tau, r)
        fallen, pulled = _drop(y, r, D, DEARTH if steps <= FAR else np.inf, pull)
        if pulled > 0:
            _release(net, kappa, D, pull, gain)
        elif fallen == 0:
            off = _off(net, y, r, D, u, c)
            if off <= SETTLED:
                return off, steps
    return np.inf, steps
