r"""p-Laplacian on any graph, p >= 1: ``sum c_e |y_h - y_t|^p / p`` over edges e from t to h, for numbers or vectors y.

Small graphs are eliminated node by node, large ones and vectors factorised by SciPy, and total variation has its own.
"""

from functools import partial

import numpy as np

from . import elimination, graph_tv
from .plaplacian import bounded_rows, free_rows, jacobian_rows, on_rows, split
from .plaplacian_edges import root
from .plaplacian_network import Network, linearised, solve_free, solve_simplex
from .rows import enter, floor_of, limits, room, scale

__all__ = [
    "plaplacemax",
    "plaplacemax_jacobian",
    "plaplacian",
    "plaplacian_jacobian",
]

_SMALL = 512  # nodes up to which a graph may be eliminated node by node,
_CHEAP = 300_000  # if that takes no more joins
_NO_GRID = np.zeros(2, np.int64)


def _strengths(live, lam, weights, p, edges):
    """``(lam w)^root(p)`` of every edge, 0 where an end is masked."""
    w = weights.astype(np.float64) if weights.size else np.ones(len(edges))
    some = (w > 0) & live[edges[:, 0]] & live[edges[:, 1]]
    power = root(np.float64(p))
    return np.where(some, np.float64(lam) ** power * w**power, 0.0)


def _weights_row(z, net, p, resolution):
    """(weights, flows, what is left, steps) for scores with maximum 0, -inf where masked."""
    live = z > -np.inf
    with np.errstate(over="ignore"):
        pull = net.c ** max(p - 1, 1)
    around = np.bincount(net.head, pull, net.n) + np.bincount(net.tail, pull, net.n)
    lowest = max((z[live].sum() - 1) / live.sum(), -1 - around[z == 0].min()) - 1  # below tau
    y, *others = solve_simplex(np.maximum(z, lowest - around), net, np.float64(p), resolution)
    return np.where(live, y, 0.0), *others


def _weights_rows(edges, x, gamma, p, lam, weights, left, flow, out, start, stop):
    work, z = room(x), np.empty(x.shape[1])
    for r in range(start, stop):
        left[r] = 0.0
        row, top, some = enter(x[r], out[r], work)
        if some:
            scale(row.astype(np.float64), np.float64(top), np.float64(gamma[r]), z)
            net = Network(z.size, edges, _strengths(z > -np.inf, lam[r], weights[r % len(weights)], p[r], edges))
            out[r], u, *left[r] = _weights_row(z, net, p[r], limits(x)[1])
            net.report(u, flow[r])


def _weights_jacobian_rows(edges, y, v, live, gamma, p, lam, weights, out, start, stop):
    for r in range(start, stop):
        net = Network(y.shape[1], edges, _strengths(live[r], lam[r], weights[r % len(weights)], p[r], edges))
        free = live[r] & (y[r] > 0)
        unit, found = (
            linearised(y[r][:, None], one[:, None], net, p[r], free)[:, 0] for one in (np.ones(free.size), v[r])
        )
        mass = unit.sum()
        out[r] = (found - (found.sum() / mass if mass > 0 else 0.0) * unit) / gamma[r]


def _prox_rows(edges, nodes, x, p, lam, weights, left, flow, out, start, stop):
    for r in range(start, stop):
        z = x[r].reshape(nodes, -1)
        left[r] = 0.0
        live = (z > floor_of(x)).all(axis=1)
        if np.isnan(z).any() or not np.all(z < np.inf):
            out[r] = np.nan
        elif not live.any():
            out[r] = 0.0
        else:
            held = np.where(live[:, None], z, z[live][0]).astype(np.float64)
            net = Network(nodes, edges, _strengths(live, lam[r], weights[r % len(weights)], p[r], edges))
            y, u, *left[r] = solve_free(held, net, np.float64(p[r]), limits(x)[1])
            net.report(u, flow[r])
            out[r] = np.where(live[:, None], y, 0.0).reshape(-1)


def _prox_jacobian_rows(edges, nodes, y, v, live, p, lam, weights, out, start, stop):
    for r in range(start, stop):
        free = live[r].reshape(nodes, -1).all(axis=1)
        values, given = (rows[r].astype(np.float64).reshape(nodes, -1) for rows in (y, v))
        net = Network(nodes, edges, _strengths(free, lam[r], weights[r % len(weights)], p[r], edges))
        out[r] = linearised(values, given, net, p[r], free).reshape(-1)


def _net(edges, n):
    """The plan by which a small graph is eliminated; None where SciPy's factorisations are faster."""
    net = elimination.plan(edges, n, _CHEAP) if n <= _SMALL else None
    return net if net is not None and net[3].size == n else None


def plaplacemax(x, gamma, p, lam, weights, edges, left, flow, out, start, stop):
    """Row by row; ``left`` (rows, 2): what is left of the gap, in units of the range of the scores, and the steps."""
    straight, curved = split(p[start:stop], lam[start:stop])
    variation = partial(_with_edges, graph_tv.graphfusedmax, (edges, _NO_GRID))
    on_rows(variation, straight, start, (x, gamma, lam, weights), out)
    net = _net(edges, x.shape[1])
    driver = partial(_weights_rows, edges) if net is None else partial(bounded_rows, net)
    on_rows(driver, curved, start, (x, gamma, p, lam, weights), left, flow, out)


def plaplacemax_jacobian(y, v, live, gamma, p, lam, weights, edges, out, start, stop):
    """One linear solve on the support."""
    straight, curved = split(p[start:stop], lam[start:stop])
    variation = partial(_with_edges, graph_tv.graphfusedmax_jacobian, (edges,))
    on_rows(variation, straight, start, (y, v, gamma, lam, weights), out)
    net = _net(edges, y.shape[1])
    driver = partial(_weights_jacobian_rows, edges) if net is None else partial(jacobian_rows, net, True)
    on_rows(driver, curved, start, (y, v, live, gamma, p, lam, weights), out)


def plaplacian(x, p, lam, weights, edges, nodes, left, flow, out, start, stop):
    """The prox, rows of flattened (nodes, d) values; ``left`` (rows, 2): the last move, relative, and the steps."""
    if x.shape[1] > nodes:
        _prox_rows(edges, nodes, x, p, lam, weights, left, flow, out, start, stop)
        return
    straight, curved = split(p[start:stop], lam[start:stop])
    variation = partial(_with_edges, graph_tv.graph_tv, (edges, _NO_GRID))
    on_rows(variation, straight, start, (x, lam, weights), out)
    net = _net(edges, x.shape[1])
    driver = partial(_prox_rows, edges, nodes) if net is None else partial(free_rows, net)
    on_rows(driver, curved, start, (x, p, lam, weights), left, flow, out)


def plaplacian_jacobian(y, v, live, p, lam, weights, edges, nodes, out, start, stop):
    """One linear solve."""
    if y.shape[1] > nodes:
        _prox_jacobian_rows(edges, nodes, y, v, live, p, lam, weights, out, start, stop)
        return
    straight, curved = split(p[start:stop], lam[start:stop])
    variation = partial(_with_edges, graph_tv.graph_tv_jacobian, (edges,))
    on_rows(variation, straight, start, (y, v, live, lam, weights), out)
    net = _net(edges, y.shape[1])
    if net is None:
        on_rows(partial(_prox_jacobian_rows, edges, nodes), curved, start, (y, v, live, p, lam, weights), out)
    else:
        inputs = (y, v, live, np.ones_like(lam), p, lam, weights)
        on_rows(partial(jacobian_rows, net, False), curved, start, inputs, out)


def _with_edges(driver, graph, *arguments):
    """Call a driver of total variation, whose graph stands behind the other inputs."""
    *inputs, out, start, stop = arguments
    driver(*inputs, *graph, out, start, stop)
