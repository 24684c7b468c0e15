r"""The primal-dual path of the p-Laplacian: the prox of ``sum c_e |y_h - y_t|^p / p``, free or on the simplex, p > 1.

y >= 0 is kept by an interior point method (Mehrotra 1992), and the relation between the flow u and the jump d of an
edge is linearised in both: for p >= 2 ``u = c |d|^(p - 2) d``, for p < 2 (Chan, Golub & Mulet 1999)
``u (d^2 + eps^2)^((2 - p) / 2) = c d`` with eps going down, for p > 2 and strong edges the conjugate of that. Each step
is one elimination. On the simplex the last steps are Newton's on the support.

The net of edges and the rows of scratch are those of ``plaplacian_edges``. Scores are scaled so that their range is at
most 1; ``kappa`` is then the weight of the quadratic part.
"""

import numpy as np

from ._jit import kernel
from .plaplacian_edges import (
    add,
    balance,
    clip,
    conjugate_relations,
    differences,
    ends,
    fastest,
    implied,
    largest,
    prepare,
    relations,
    resolve,
    root,
    sharp_relations,
    slack,
    to_total,
    total,
)
from .tridiagonal import PINNED

__all__ = [
    "BOUND",
    "CAP",
    "POLISH",
    "SETTLED",
    "SHRINK",
    "STILL",
    "STOP",
    "STRAY",
    "free",
    "proved",
    "rigid_strength",
    "simplex",
    "unite",
]

#: Steps before a row is given up.
CAP = 100
STOP = 2e-14
_FINE = 1e-22  # the same for p < 2, where flows at weights that small count,
_SPENT = 1e-60  # nothing is won below
_MORE = 8  # if so many more steps reach it
SHRINK = 0.03  # of eps, per step
SETTLED = 1e-12
STRAY = 1e-11  # an entry or a balance below this is rounding
NOTHING = 1e-13  # a weight below this is none
ROUNDS = 6  # half as many for p < 2, where the path says more
BOUND = 3.0  # on the second-order correction, in units of the mean of y s: without it steps may swing for ever
POLISH = 8  # Newton steps on one support, fewer where one moves nothing
STILL = 1e-16
CLOSE = 0.995  # of the way to the boundary; late steps, which lead to the solution, go all but y s of it,
_LEAST = 1e-8  # or this,
_CURVED = 1e-4  # or for p < 2 this, lest y s outruns eps
ASTRAY = 1e-7  # a last step above this led away
STIFF = 1.0  # strengths above which jumps become small
STIFFEST = 1e13  # K of an edge of a graph: with more, the rounding of dy would show in the flows


@kernel
def _last_eps(c, n, p):
    """Where eps changes the energy by no more than rounding does."""
    return (STOP / (1.0 + n * largest(c))) ** (1.0 / p)


@kernel
def _residual(r, s):
    worst = 0.0
    for i in range(r.size):
        worst = max(worst, abs(r[i] + s[i]))
    return worst


@kernel
def _follow(net, p, kappa, nodes, edges, shares):
    """Follow the path to y on the simplex; (what is left of the gap, tau, steps)."""
    z, y, s, D, r, dy, ds = nodes[0], nodes[1], nodes[2], nodes[3], nodes[4], nodes[5], nodes[6]
    c, u, a, b, g, jump, du = edges[0], edges[1], edges[2], edges[3], edges[4], edges[5], edges[6]
    unit, more, held, unit_flow, more_flow, none = nodes[7], nodes[8], nodes[9], edges[7], edges[8], edges[9]
    n = y.size
    stiff = p > 2 and largest(c) > STIFF
    eps, last, left, late = 1.0, STOP if stiff else _last_eps(c, n, p), np.inf, 0
    tau, least = min(1.0, max(-total(z) / n, 1.0 / n)), _LEAST if p >= 2 else _CURVED
    u[:], none[:] = 0.0, 0.0
    for i in range(n):
        y[i] = 1.0 / n
        s[i] = kappa * y[i] - z[i] + tau
    for step in range(CAP):
        balance(net, z, y, u, kappa, tau, r)
        differences(net, y, jump)
        complementary, missing = 0.0, 1.0 - total(y)
        for i in range(n):
            complementary += y[i] * s[i]
        near = complementary <= STOP and abs(missing) <= STOP and (p >= 2 or eps <= last)
        if near and _residual(r, s) <= STOP * (1.0 + largest(u)):
            left = complementary + slack(jump, u, c, p)
        late += left <= 2.0 * STOP
        enough = complementary <= _FINE or late > _MORE if p < 2 else True
        if (late > 0 and enough) or (p >= 2 and complementary <= _SPENT):
            return left, tau, step
        if stiff:
            conjugate_relations(jump, u, c, p, eps, a, b, g)
        else:
            relations(jump, u, c, p, eps, a, b, g)
        for i in range(n):
            held[i] = s[i] / y[i]
            D[i] = kappa + held[i]
            ds[i] = 1.0
        prepare(net, nodes, edges, shares, STIFFEST)
        resolve(net, nodes, edges, shares, ds, none, unit, unit_flow)
        resolve(net, nodes, edges, shares, r, g, dy, du)
        moved = to_total(missing, unit, unit_flow, dy, du)
        for i in range(n):
            ds[i] = -s[i] - held[i] * dy[i]
        reach = 1.0 / max(1.0, fastest(dy, y), fastest(ds, s))
        ahead = 0.0
        for i in range(n):
            ahead += (y[i] + reach * dy[i]) * (s[i] + reach * ds[i])
        centre = (ahead / complementary) ** 3 * complementary / n
        most = BOUND * complementary / n
        for i in range(n):
            ds[i] = (centre - min(max(dy[i] * ds[i], -most), most)) / y[i]
            r[i] = ds[i]
        resolve(net, nodes, edges, shares, r, none, more, more_flow)
        moved += to_total(0.0, unit, unit_flow, more, more_flow)
        for i in range(n):
            dy[i] += more[i]
            ds[i] -= s[i] + held[i] * dy[i]
        add(du, 1.0, more_flow)
        if not abs(total(dy) + total(ds) + total(du) + moved) < np.inf:  # rounding is all that steps have left
            return left, tau, step
        close = max(CLOSE, 1.0 - max(complementary, least))
        reach = 1.0 / max(1.0, fastest(dy, y) / close, fastest(ds, s) / close)
        add(y, reach, dy)
        add(s, reach, ds)
        add(u, reach, du)
        tau += reach * moved
        if p < 2:
            clip(u, c)
        eps = max(eps * SHRINK, last if late == 0 else _FINE * last)
    return left, tau, CAP


@kernel
def _polish(net, p, kappa, tau, nodes, edges, shares):
    """Newton's method, nodes of D = PINNED held at 0: (how well the others balance, steps). Leaves r balanced."""
    z, y, D, r, dy, ones, unit = nodes[0], nodes[1], nodes[3], nodes[4], nodes[5], nodes[6], nodes[7]
    c, u, a, b, g, jump, du = edges[0], edges[1], edges[2], edges[3], edges[4], edges[5], edges[6]
    unit_flow, none = edges[7], edges[9]
    n, steps, moved = y.size, 0, 1.0
    while steps < POLISH and moved > STILL:
        balance(net, z, y, u, kappa, tau, r)
        differences(net, y, jump)
        sharp_relations(jump, u, c, p, a, b, g)
        for i in range(n):
            loose = D[i] < PINNED
            r[i] = r[i] if loose else 0.0
            ones[i] = 1.0 if loose else 0.0
        for e in range(c.size):
            tail, head = ends(net, e)
            if D[tail] == PINNED and D[head] == PINNED:
                a[e], b[e], g[e] = 0.0, 1.0, u[e]
        prepare(net, nodes, edges, shares, STIFFEST)
        resolve(net, nodes, edges, shares, ones, none, unit, unit_flow)
        resolve(net, nodes, edges, shares, r, g, dy, du)
        tau += to_total(1.0 - total(y), unit, unit_flow, dy, du)
        add(y, 1.0, dy)
        add(u, 1.0, du)
        if p < 2:
            clip(u, c)
        steps, moved = steps + 1, largest(dy)
    balance(net, z, y, u, kappa, tau, r)
    differences(net, y, jump)
    off = 0.0
    for i in range(n):
        apart = abs(r[i]) if D[i] < PINNED else 0.0
        off = off if apart <= off else (apart if apart < np.inf else np.inf)  # NaN is inf, and max would lose it
    return off + slack(jump, u, c, p), steps


@kernel
def _moved_support(y, r, D, kappa):
    """Hold what fell below 0, free what is pulled above; whether anything changed."""
    changed = False
    for i in range(y.size):
        if D[i] < PINNED and not y[i] >= -STRAY:
            D[i] = PINNED
            changed = True
        elif D[i] == PINNED and r[i] > STRAY:
            D[i] = kappa
            changed = True
    return changed


@kernel
def _finish(net, p, kappa, tau, nodes, edges, shares):
    """From a point of the path to the solution, its support first guessed, then found: (what is off, steps)."""
    y, s, D, r, start, u, flow = nodes[1], nodes[2], nodes[3], nodes[4], nodes[12], edges[1], edges[12]
    n = y.size
    for i in range(n):
        D[i] = kappa if y[i] > s[i] else PINNED
    start[:], flow[:] = y, u
    steps = 0
    for _ in range(ROUNDS if p >= 2 else ROUNDS // 2):
        u[:] = flow
        for i in range(n):
            y[i] = start[i] if D[i] < PINNED else 0.0
        off, more = _polish(net, p, kappa, tau, nodes, edges, shares)
        steps += more
        if not _moved_support(y, r, D, kappa) and off <= SETTLED:
            for i in range(n):
                y[i] = max(y[i], 0.0) if D[i] < PINNED else 0.0
            return off, steps
    for i in range(n):
        y[i] = start[i] if start[i] > min(s[i], NOTHING) else 0.0
    u[:] = flow
    return np.inf, steps


@kernel
def simplex(net, p, kappa, nodes, edges, shares):
    """y on the simplex for scores z of a range of at most 1; (what is left of the gap, steps)."""
    left, tau, steps = _follow(net, p, kappa, nodes, edges, shares)
    off, more = _finish(net, p, kappa, tau, nodes, edges, shares)
    return min(left, off), steps + more


@kernel
def proved(net, p, kappa, nodes, edges):
    """What is left of the gap at y on the simplex, by the flows u or those that y implies: u becomes the better."""
    y, c, u, jump, flow = nodes[1], edges[0], edges[1], edges[5], edges[12]
    differences(net, y, jump)
    implied(jump, c, p, flow)
    left, other = _left(net, p, kappa, nodes, edges, u), _left(net, p, kappa, nodes, edges, flow)
    if other < left:
        u[:] = flow
    return min(left, other)


@kernel
def _left(net, p, kappa, nodes, edges, u):
    """What flows leave of the gap at y on the simplex, the jumps given."""
    z, y, r, c, jump = nodes[0], nodes[1], nodes[4], edges[0], edges[5]
    balance(net, z, y, u, kappa, 0.0, r)
    high, mean = -np.inf, 0.0
    for i in range(y.size):
        high = max(high, r[i])
        mean += y[i] * r[i]
    return high - mean + slack(jump, u, c, p)


@kernel
def _newton(net, nodes, edges, shares, p):
    """One step of Newton's method without bounds, the relations given; the move."""
    z, y, r, dy, c, u, g, du = nodes[0], nodes[1], nodes[4], nodes[5], edges[0], edges[1], edges[4], edges[6]
    balance(net, z, y, u, 1.0, 0.0, r)
    prepare(net, nodes, edges, shares, STIFFEST)
    resolve(net, nodes, edges, shares, r, g, dy, du)
    add(y, 1.0, dy)
    add(u, 1.0, du)
    if p < 2:
        clip(u, c)
    return largest(dy)


@kernel
def free(net, p, nodes, edges, shares):
    """The prox of z of a range of 1, by Newton's method with eps going down but for p = 2; (the last move, steps)."""
    z, y, D, start, flow = nodes[0], nodes[1], nodes[3], nodes[12], edges[12]
    c, u, a, b, g, jump = edges[0], edges[1], edges[2], edges[3], edges[4], edges[5]
    y[:], D[:], u[:] = total(z) / z.size, 1.0, 0.0
    eps, last, moved, steps = 1.0, _last_eps(c, y.size, p) if p < 2 else STOP, np.inf, 0
    while steps < CAP and not (moved <= SETTLED and (p == 2 or eps <= last)):
        differences(net, y, jump)
        if p > 2:
            conjugate_relations(jump, u, c, p, eps, a, b, g)
        else:
            relations(jump, u, c, p, eps, a, b, g)
        moved = _newton(net, nodes, edges, shares, p)
        eps = max(eps * SHRINK, last)
        steps += 1
    if p >= 2:
        return moved, steps
    start[:], flow[:] = y, u
    more, moved = 0, 1.0
    while more < POLISH and moved > STILL:
        differences(net, y, jump)
        sharp_relations(jump, u, c, p, a, b, g)
        moved = _newton(net, nodes, edges, shares, p)
        more += 1
    if not moved <= ASTRAY:
        y[:], u[:] = start, flow
    return moved, steps + more


@kernel
def rigid_strength(n, p, resolution):
    """The strength of an edge that keeps its ends within ``resolution`` under any flow there is."""
    return (4.0 * n) ** root(p) * resolution ** -min(p - 1.0, 1.0)


@kernel
def _root(group, i):
    while group[i] != i:
        group[i] = group[group[i]]
        i = group[i]
    return i


@kernel
def unite(net, y, c, most):
    """One value for what rigid edges join: its jumps, below rounding, would else come out as rounding."""
    some = False
    for e in range(c.size):
        some |= c[e] >= most
    if not some:
        return
    group, size, sums = np.arange(y.size), np.zeros(y.size), np.zeros(y.size)
    for e in range(c.size):
        if c[e] >= most:
            tail, head = ends(net, e)
            group[_root(group, head)] = _root(group, tail)
    for i in range(y.size):
        size[_root(group, i)] += 1.0
        sums[_root(group, i)] += y[i]
    for i in range(y.size):
        y[i] = sums[_root(group, i)] / size[_root(group, i)] if size[_root(group, i)] > 1.0 else y[i]
