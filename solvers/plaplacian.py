r"""p-Laplacian on chains and small graphs: the prox, its argmax over the simplex, Jacobians; p > 1, row by row.

Rows that are total variation, p = 1, are solved as such. See ``plaplacian_path`` for the method, ``plaplacian_active``
for that of p = 2 on the simplex.
"""

from functools import partial

import numpy as np

from ._elementary import power
from ._jit import kernel
from .plaplacian_active import settle
from .plaplacian_edges import TINY, ends, prepare, resolve, root, scratch, total
from .plaplacian_path import CAP, SETTLED, free, proved, rigid_strength, simplex, unite
from .rows import enter, in_float64, normalise, room, scale
from .tridiagonal import PINNED
from .tv import fusedmax, fusedmax_jacobian, tv, tv_jacobian

__all__ = [
    "CAP",
    "bounded_rows",
    "free_rows",
    "jacobian_rows",
    "on_rows",
    "plaplacemax",
    "plaplacemax_jacobian",
    "plaplacian",
    "plaplacian_jacobian",
    "split",
]

_UP, _FAINT = 2.0**100, 1e-290
_WIDEST = 1e100  # range of scores beyond which products of pivots underflow
_STIFFEST = 1e100  # K of an edge of a graph where only values are asked for


@kernel
def _strengths(net, live, lam, weights, p, c):
    """``c_e = (lam w_e)^root(p)`` between live entries, else 0. An empty ``weights`` stands for ones."""
    plain = lam ** root(p)
    for e in range(c.size):
        tail, head = ends(net, e)
        w = weights[e] if weights.size > 0 else 1.0
        c[e] = plain * w ** root(p) if live[tail] and live[head] and w > 0 and lam > 0 else 0.0


@kernel
def _scale_strengths(c, factor, most):
    """Scale, up to a limit."""
    for e in range(c.size):
        c[e] = min(c[e] * factor, most)


@kernel
def _report(net, u, unit, flow):
    """Flows from the smaller to the larger vertex of each edge, where room is given for them."""
    for e in range(flow.size):
        tail, head = ends(net, e)
        flow[e] = -unit * u[e] if tail < head else unit * u[e]


@kernel
def _raise(net, z, c, p, around):
    """Raise entries to where they still have weight 0 in the answer; z has maximum 0 and -inf where masked."""
    around[:] = 0.0
    for e in range(c.size):
        tail, head = ends(net, e)
        pull = c[e] if p <= 2 else power(c[e], p - 1.0, TINY)
        around[tail] += pull
        around[head] += pull
    mass, count, reach, at_peak = 0.0, 0, 0.0, np.inf
    for i in range(z.size):
        if z[i] > -np.inf:
            mass += z[i]
            count += 1
        at_peak = min(at_peak, around[i]) if z[i] == 0 else at_peak
        reach = max(reach, around[i])
    lowest = max((mass - 1.0) / count, -1.0 - at_peak) - 1.0  # below tau
    for i in range(z.size):
        # Scores are raised alike, lest two come closer than rounding; masks as far as they can be.
        z[i] = max(z[i], lowest - (reach if z[i] > -np.inf else around[i]))


@kernel
def _bounded_row(net, p, resolution, nodes, edges, shares):
    """The weights y for scores z with maximum 0, -inf where masked; (what is left of the gap, steps, unit of flows)."""
    z, y, r, c = nodes[0], nodes[1], nodes[4], edges[0]
    _raise(net, z, c, p, r)
    spread = max(1.0, -z.min())
    kappa, most = 1.0 / spread, rigid_strength(z.size, p, resolution)
    for i in range(z.size):
        z[i] *= kappa
    _scale_strengths(c, kappa ** root(p), most)
    left, steps = settle(net, kappa, nodes, edges, shares) if p == 2 and spread < _WIDEST else (np.inf, 0)
    if not left <= SETTLED:
        left, more = simplex(net, p, kappa, nodes, edges, shares)
        steps += more
    unite(net, y, c, most)
    normalise(y)
    if not left <= SETTLED:
        shown = proved(net, p, kappa, nodes, edges)
        left = shown if shown < left else left
    return left, steps, spread


@kernel
def _bounded_rows(net, resolution, x, gamma, p, lam, weights, nodes, edges, shares, live, left, flow, out):
    work = room(x)
    z, y = nodes[0], nodes[1]
    for r in range(x.shape[0]):
        left[r] = 0.0
        row, top, some = enter(x[r], out[r], work)
        if not some:
            continue
        for i in range(row.size):
            live[i] = row[i] > -np.inf
            y[i] = row[i]
        scale(y, top, gamma[r], z)
        _strengths(net, live, lam[r], weights[r % weights.shape[0]], p[r], edges[0])
        left[r, 0], left[r, 1], unit = _bounded_row(net, p[r], resolution, nodes, edges, shares)
        _report(net, edges[1], unit, flow[r])
        for i in range(row.size):
            out[r, i] = y[i] if live[i] else 0.0


@kernel
def _free_row(net, p, resolution, nodes, edges, shares):
    """The prox y of z; (the last move in units of the range of z, steps, that unit)."""
    z, y, c = nodes[0], nodes[1], edges[0]
    n = z.size
    low, high, mean = z[0], z[0], 0.0
    for i in range(n):
        low, high = min(low, z[i]), max(high, z[i])
        mean += z[i] / n
    width = high - low
    if not width > 0:
        y[:] = z
        return 0.0, 0, 0.0
    up = _UP if width < _FAINT else 1.0  # else 1 / width would overflow
    for i in range(n):
        z[i] = (z[i] - mean) * up / (width * up)
    most = rigid_strength(n, p, resolution)
    _scale_strengths(c, width ** ((p - 2.0) * root(p)), most)
    moved, steps = free(net, p, nodes, edges, shares)
    for i in range(n):
        y[i] = mean + width * y[i]
    unite(net, y, c, most)
    return moved, steps, width


@kernel
def _free_rows(net, resolution, x, p, lam, weights, nodes, edges, shares, live, left, flow, out):
    work = room(x)
    z, y = nodes[0], nodes[1]
    for r in range(x.shape[0]):
        left[r] = 0.0
        row, top, some = enter(x[r], out[r], work)
        if not some:
            continue
        for i in range(row.size):
            live[i] = row[i] > -np.inf
            z[i] = row[i] if live[i] else top
        _strengths(net, live, lam[r], weights[r % weights.shape[0]], p[r], edges[0])
        left[r, 0], left[r, 1], unit = _free_row(net, p[r], resolution, nodes, edges, shares)
        _report(net, edges[1], unit, flow[r])
        for i in range(row.size):
            out[r, i] = y[i] if live[i] else 0.0


@kernel
def _stiffness(net, y, c, p, moves, a, b):
    """The edges as the Jacobian sees them: du / dd = a / b; none between entries that do not move."""
    for e in range(c.size):
        tail, head = ends(net, e)
        jump = abs(y[head] - y[tail])
        near = power(jump * (c[e] if p > 2 else 1.0), abs(2.0 - p), TINY) if p != 2 else 1.0
        a[e] = c[e] * (p - 1.0) * (near if p > 2 else 1.0)
        b[e] = near if p < 2 and c[e] > 0 else 1.0
        if not (moves[tail] or moves[head]):
            a[e], b[e] = 0.0, 1.0


@kernel
def _jacobian_rows(net, y, v, live, gamma, p, lam, weights, bounded, nodes, edges, shares, moves, out):
    """``H^-1 v`` on the entries that move, less its part along ``H^-1 1`` if bounded; H = I + B^T diag(du / dd) B."""
    row, D, r, found, unit = nodes[1], nodes[3], nodes[4], nodes[5], nodes[7]
    c, a, b, flow, none = edges[0], edges[2], edges[3], edges[6], edges[9]
    none[:] = 0.0
    for k in range(y.shape[0]):
        for i in range(row.size):
            moves[i] = live[k, i] and (y[k, i] > 0 or not bounded)
            row[i] = y[k, i]
            D[i] = 1.0 if moves[i] else PINNED
            r[i] = v[k, i] if moves[i] else 0.0
        _strengths(net, live[k], lam[k], weights[k % weights.shape[0]], p[k], c)
        _stiffness(net, row, c, p[k], moves, a, b)
        prepare(net, nodes, edges, shares, _STIFFEST)
        resolve(net, nodes, edges, shares, r, none, found, flow)
        for i in range(row.size):
            r[i] = 1.0 if moves[i] else 0.0
        resolve(net, nodes, edges, shares, r, none, unit, flow)
        for i in range(row.size):
            found[i] = found[i] if moves[i] else 0.0
            unit[i] = unit[i] if moves[i] else 0.0
        mass = total(unit)
        mean = total(found) / mass if bounded and mass > 0 else 0.0
        for i in range(row.size):
            out[k, i] = (found[i] - mean * unit[i]) / gamma[k]


def _room(net, n):
    """Scratch for one row, and a mask."""
    m, joins = (n - 1, 0) if net is None else (net[0].size, net[5].size)
    return *scratch(n, m, joins), np.empty(n, bool)


def bounded_rows(net, x, gamma, p, lam, weights, left, flow, out, start, stop):
    """plaplacemax on the edges of a net, all rows; in float64, because tiny steps need the digits.

    ``flow`` (rows, edges or 0): what carries the answer, from the smaller to the larger vertex, a proof of it.
    """
    found = np.empty(x.shape)
    inputs = in_float64(x, gamma, p, lam, weights)
    _bounded_rows(net, np.finfo(x.dtype).eps.item(), *inputs, *_room(net, x.shape[1]), left, flow, found)
    out[:] = found


def free_rows(net, x, p, lam, weights, left, flow, out, start, stop):
    """The prox on the edges of a net, all rows."""
    found = np.empty(x.shape)
    inputs = in_float64(x, p, lam, weights)
    _free_rows(net, np.finfo(x.dtype).eps.item(), *inputs, *_room(net, x.shape[1]), left, flow, found)
    out[:] = found


def jacobian_rows(net, bounded, y, v, live, gamma, p, lam, weights, out, start, stop):
    """One linear solve per row, for plaplacemax on the support; all rows."""
    found = np.empty(y.shape)
    y, v, gamma, p, lam, weights = in_float64(y, v, gamma, p, lam, weights)
    _jacobian_rows(net, y, v, live.copy(), gamma, p, lam, weights, bounded, *_room(net, y.shape[1]), found)
    out[:] = found


def split(p, lam):
    """(rows of total variation, the others): p = 1, or no edge gives way at all."""
    straight = (p == 1) | (lam == 0) | np.isinf(lam)
    return np.flatnonzero(straight), np.flatnonzero(~straight)


def on_rows(driver, chosen, start, inputs, *outputs):
    """Call a driver on some rows, counted from ``start``; an input of one row is shared by all."""
    if chosen.size:
        taken = [array[start + chosen] if len(array) > 1 else array for array in inputs]
        answers = [np.empty((chosen.size, out.shape[1]), out.dtype) for out in outputs]
        driver(*taken, *answers, 0, chosen.size)
        for out, answer in zip(outputs, answers, strict=True):
            out[start + chosen] = answer


def plaplacemax(x, gamma, p, lam, weights, left, flow, out, start, stop):
    """Row by row; ``left`` (rows, 2): what is left of the gap, in units of the range of the scores, and the steps.

    ``flow`` (rows, edges or 0): the flows of rows that are not total variation.
    """
    straight, curved = split(p[start:stop], lam[start:stop])
    on_rows(fusedmax, straight, start, (x, gamma, lam, weights), out)
    on_rows(partial(bounded_rows, None), curved, start, (x, gamma, p, lam, weights), left, flow, out)


def plaplacian(x, p, lam, weights, left, flow, out, start, stop):
    """The prox, row by row; ``left`` (rows, 2): the last move, relative to the range, and the steps; flows likewise."""
    straight, curved = split(p[start:stop], lam[start:stop])
    on_rows(tv, straight, start, (x, lam, weights), out)
    on_rows(partial(free_rows, None), curved, start, (x, p, lam, weights), left, flow, out)


def plaplacemax_jacobian(y, v, live, gamma, p, lam, weights, out, start, stop):
    """One linear solve on the support."""
    straight, curved = split(p[start:stop], lam[start:stop])
    on_rows(fusedmax_jacobian, straight, start, (y, v, gamma, lam, weights), out)
    on_rows(partial(jacobian_rows, None, True), curved, start, (y, v, live, gamma, p, lam, weights), out)


def plaplacian_jacobian(y, v, live, p, lam, weights, out, start, stop):
    """One linear solve."""
    straight, curved = split(p[start:stop], lam[start:stop])
    on_rows(tv_jacobian, straight, start, (y, v, live, lam, weights), out)
    on_rows(partial(jacobian_rows, None, False), curved, start, (y, v, live, np.ones_like(lam), p, lam, weights), out)
