r"""Graphs and grids: the total variation prox, graphfusedmax, their Jacobians and the flows that certify them.

The weights of graphfusedmax are the projection of the prox r onto the simplex, ``[r - tau]_+`` that sums to 1. Given a
lower bound on tau, only candidates can be in the support: r exceeds z by at most the capacities of a vertex's edges.
So the prox is solved on the candidates alone, the edges that leave them being filled; that changes nothing above the
bound. ``balance`` solves it, and raises the bound as it goes.

All rows are solved in float64. A row is divided by a power of two, so that no sum of it can overflow.
"""

import math

import numpy as np

from ._jit import kernel
from .balance import balance, scratch
from .graph import group_means, neighbours
from .grid import grid_flows
from .rows import enter, floor_of, in_float64, place_of, room, scale
from .simplex import sparsemax_row

__all__ = ["graph_flows", "graph_tv", "graph_tv_jacobian", "graphfusedmax", "graphfusedmax_jacobian"]

# Excesses are even within this part of the range of x: the rounding of a few sums.
_SLACK = 2.0**-50
# Flows so near to the capacity, as a part of the range of x, are that of a filled edge.
_NEAR = 2.0**-40
# Entries of a grid from which on sweeps over its rows and columns save more than they cost.
_WORTH_SWEEPS = 256


@kernel
def _capacities(row, lam, weights, edges, c):
    """lam w_e, and 0 where an end is masked; an empty ``weights`` stands for ones."""
    floor = floor_of(row)
    for e in range(c.size):
        w = weights[e] if weights.size > 0 else 1.0
        joined = row[edges[e, 0]] > floor and row[edges[e, 1]] > floor
        c[e] = lam * w if w > 0.0 and lam > 0.0 and joined else 0.0


@kernel
def _drain(edges, f, x, y):
    """What flows leave of x."""
    y[:] = x
    for e in range(f.size):
        i, j = min(edges[e, 0], edges[e, 1]), max(edges[e, 0], edges[e, 1])
        y[i] -= f[e]
        y[j] += f[e]


@kernel
def _spread(x):
    """How far the live entries are apart."""
    low, high = np.inf, -np.inf
    for i in range(x.size):
        if x[i] > -np.inf:
            low, high = min(low, x[i]), max(high, x[i])
    return high - low


@kernel
def _head_start(edges, sides, x, c, width, f, y):
    """Good flows for an even grid that is worth it, none for other graphs; and what they leave of x."""
    f[:] = 0.0
    if sides[0] * sides[1] >= _WORTH_SWEEPS and c.min() == c.max() > 0.0:
        grid_flows(x.reshape((sides[0], sides[1])), c[0], _NEAR * width, f)
    _drain(edges, f, x, y)


@kernel
def _prox(edges, graph, sides, x, c, f, y, kept):
    """Write the prox of x to y, and the flows that prove it to f."""
    width = _spread(x)
    _head_start(edges, sides, x, c, width, f, y)
    balance(graph, x, c, f, y, _SLACK * width, np.inf, kept)


@kernel
def _graph_tv_rows(x, lam, weights, edges, sides, graph, out):
    n, m = x.shape[1], edges.shape[0]
    work, kept = room(x), scratch(n)
    z, y, c, f = np.empty(n), np.empty(n), np.empty(m), np.empty(m)
    for r in range(x.shape[0]):
        row, top, live = enter(x[r], out[r], work)
        if not live:
            continue
        largest, low = abs(top), top
        for i in range(n):
            if row[i] > -np.inf:
                largest, low = max(largest, abs(row[i])), min(low, row[i])
        # Entries of both signs stay where they are, or a large one would cost those that it is not joined to digits.
        anchor = max(low, min(top, 0.0))
        power = min(max(math.frexp(largest)[1], -1000), 1000)
        up, down = math.ldexp(1.0, power), math.ldexp(1.0, -power)
        for i in range(n):
            z[i] = row[i] * down - anchor * down
        _capacities(row, lam[r] * down, weights[r % weights.shape[0]], edges, c)
        _prox(edges, graph, sides, z, c, f, y, kept)
        for i in range(n):
            out[r, i] = (y[i] + anchor * down) * up if row[i] > -np.inf else 0.0


def graph_tv(x, lam, weights, edges, sides, out, start, stop):
    """The prox of ``lam sum w_e |y_i - y_j|``, row by row; masked entries get 0. ``sides`` of a grid, or zeros."""
    rows, strengths = in_float64(x[start:stop], lam[start:stop])
    (shares,) = in_float64(weights[start:stop] if len(weights) > 1 else weights)
    answer = np.empty_like(rows)
    _graph_tv_rows(rows, strengths, shares, edges, sides, neighbours(edges, x.shape[1]), answer)
    out[start:stop] = answer


@kernel
def _graph_flow_rows(x, c, edges, sides, graph, flow):
    n, m = x.shape[1], edges.shape[0]
    kept, z, y, capacity = scratch(n), np.empty(n), np.empty(n), np.empty(m)
    for r in range(x.shape[0]):
        z[:], capacity[:], flow[r] = x[r], c[r], 0.0
        if np.all(np.isfinite(z)):
            _prox(edges, graph, sides, z, capacity, flow[r], y, kept)


def graph_flows(x, c, edges, sides, flow, start, stop):
    """The flows that make each row of x, float64, even-most; from the smaller vertex to the larger, at most c."""
    graph = neighbours(edges, x.shape[1])
    _graph_flow_rows(x[start:stop], c[start:stop], edges, sides, graph, flow[start:stop])


@kernel
def _graph_tv_jacobian_rows(graph, y, v, live, lam, weights, out):
    member = np.empty(y.shape[1], np.int32)
    for r in range(y.shape[0]):
        group_means(graph, y[r], v[r], live[r], lam[r], weights[r % weights.shape[0]], member, out[r])


def graph_tv_jacobian(y, v, live, lam, weights, edges, out, start, stop):
    """The mean of v over each connected group of equal live entries whose edges have weight."""
    part = slice(start, stop)
    shares = weights[part] if len(weights) > 1 else weights
    graph = neighbours(edges, y.shape[1])
    _graph_tv_jacobian_rows(graph, y[part], v[part], live[part], lam[part], shares, out[part])


@kernel
def _candidates(graph, z, c, peak, y, f):
    """Write z to y where a vertex can be in the support, less what edges to others take; -inf elsewhere."""
    first, neighbour, edge = graph
    total, count = 0.0, 0
    for i in range(z.size):
        if z[i] > -np.inf:
            total += z[i]
            count += 1
    pull = 0.0
    for k in range(first[peak], first[peak + 1]):
        pull += c[edge[k]]
    tau = max((total - 1.0) / count, -1.0 - pull)
    tau += 2.0**-48 * tau
    for i in range(z.size):
        pull = 0.0
        for k in range(first[i], first[i + 1]):
            pull += c[edge[k]]
        y[i] = z[i] if z[i] > tau - pull * (1.0 + 2.0**-48) else -np.inf
    f[:] = 0.0
    for i in range(z.size):
        if y[i] > -np.inf:
            for k in range(first[i], first[i + 1]):
                j, e = neighbour[k], edge[k]
                if not y[j] > -np.inf and c[e] > 0.0:
                    f[e] = c[e] if i < j else -c[e]
                    y[i] -= c[e]


@kernel
def _lowest(graph, c):
    """Below the maximum by so much a score makes no difference; twice what edges can bridge, lest that be rounding."""
    first, _, edge = graph
    widest = 0.0
    for i in range(first.size - 1):
        pull = 0.0
        for k in range(first[i], first[i + 1]):
            pull += c[edge[k]]
        widest = max(widest, pull)
    return -4.0 * (1.0 + widest)


@kernel
def _graphfusedmax_rows(x, gamma, lam, weights, edges, sides, graph, out):
    n, m = x.shape[1], edges.shape[0]
    work, kept = room(x), scratch(n)
    z, y, c, f = np.empty(n), np.empty(n), np.empty(m), np.empty(m)
    for r in range(x.shape[0]):
        row, top, live = enter(x[r], out[r], work)
        if not live:
            continue
        scale(row, top, gamma[r], z)
        _capacities(row, lam[r], weights[r % weights.shape[0]], edges, c)
        lowest = _lowest(graph, c)
        for i in range(n):
            z[i] = max(z[i], lowest) if row[i] > -np.inf else -np.inf
        _candidates(graph, z, c, place_of(row, top), y, f)
        width = _spread(y)
        if y.min() > -np.inf:
            _head_start(edges, sides, z, c, width, f, y)
        balance(graph, z, c, f, y, _SLACK * width, 1.0, kept)
        sparsemax_row(y, y.max(), 1.0, z)
        out[r] = z


def graphfusedmax(x, gamma, lam, weights, edges, sides, out, start, stop):
    rows, temperatures, strengths = in_float64(x[start:stop], gamma[start:stop], lam[start:stop])
    (shares,) = in_float64(weights[start:stop] if len(weights) > 1 else weights)
    answer = np.empty_like(rows)
    graph = neighbours(edges, x.shape[1])
    _graphfusedmax_rows(rows, temperatures, strengths, shares, edges, sides, graph, answer)
    out[start:stop] = answer


@kernel
def _graphfusedmax_jacobian_rows(graph, y, v, gamma, lam, weights, out):
    zero, n = y.dtype.type(0), y.shape[1]
    member, live = np.empty(n, np.int32), np.empty(n, np.bool_)
    for r in range(y.shape[0]):
        mean, support = zero, 0
        for i in range(n):
            live[i] = y[r, i] > zero
            if live[i]:
                mean += v[r, i]
                support += 1
        mean /= y.dtype.type(max(support, 1))
        group_means(graph, y[r], v[r], live, lam[r], weights[r % weights.shape[0]], member, out[r])
        for i in range(n):
            out[r, i] = (out[r, i] - mean) / gamma[r] if live[i] else zero


def graphfusedmax_jacobian(y, v, gamma, lam, weights, edges, out, start, stop):
    """Average v over each connected group, subtract its mean over the support, zero outside."""
    part = slice(start, stop)
    shares = weights[part] if len(weights) > 1 else weights
    graph = neighbours(edges, y.shape[1])
    _graphfusedmax_jacobian_rows(graph, y[part], v[part], gamma[part], lam[part], shares, out[part])
