r"""The edges of the p-Laplacian path: flow and jump, the relation between them linearised, one Newton system solved.

The edges are those of ``net``, a plan of ``elimination``, or of a chain where it is None. One row of scratch ``nodes``
or ``edges`` holds one vector; their order is that of ``_NODES`` and ``_EDGES``.

The strength c of an edge is that of ``u = c |d|^(p - 2) d`` for p < 2, of ``u = |c d|^(p - 2) c d`` for p >= 2: its
power ``root(p)``, so that no p is too large for it.
"""

import numpy as np

from . import elimination, tridiagonal
from ._elementary import power
from ._jit import exact, inlined, kernel
from ._threads import kept_rows

__all__ = [
    "TINY",
    "add",
    "balance",
    "clip",
    "conjugate_relations",
    "differences",
    "ends",
    "fastest",
    "implied",
    "largest",
    "prepare",
    "pull",
    "relations",
    "resolve",
    "root",
    "scratch",
    "sharp_relations",
    "slack",
    "to_total",
    "total",
]

TINY = 2.3e-308

_NODES = 13  # z, y, s, D, r, dy, ds, unit, more, held, pivot, inverse, start
_EDGES = 13  # c, u, a, b, g, jump, du, unit_flow, more_flow, none, down, link, flow


def scratch(n, m, joins=0):
    """(nodes, edges, shares): room for one row."""
    flat = kept_rows(1, np.empty((0, _NODES * n + _EDGES * m + joins)))[0]
    nodes, edges = flat[: _NODES * n], flat[_NODES * n : _NODES * n + _EDGES * m]
    return nodes.reshape(_NODES, n), edges.reshape(_EDGES, m), flat[nodes.size + edges.size :]


@inlined
def ends(net, e):
    """(tail, head) of an edge."""
    if net is None:
        return e, e + 1
    return net[0][e], net[1][e]


@kernel
def root(p):
    """The power of a strength ``lam w`` that is stored."""
    return 1.0 / max(p - 1.0, 1.0)


@inlined
def differences(net, y, jump):
    """``y_head - y_tail`` of every edge."""
    for e in range(jump.size):
        tail, head = ends(net, e)
        jump[e] = y[head] - y[tail]


@inlined
def pull(net, u, r):
    """Add what the flows u bring to the nodes: u to its tail, -u to its head."""
    for e in range(u.size):
        tail, head = ends(net, e)
        r[tail] += u[e]
        r[head] -= u[e]


@inlined
def balance(net, z, y, u, kappa, tau, r):
    """``r = z - tau - kappa y`` plus what flows in."""
    for i in range(y.size):
        r[i] = z[i] - tau - kappa * y[i]
    pull(net, u, r)


@inlined
def prepare(net, nodes, edges, shares, stiffest):
    """Eliminate: D of the nodes, and edges with ``a (dy_h - dy_t) - b du = g``."""
    D, pivot, inverse = nodes[3], nodes[10], nodes[11]
    a, b, down, link = edges[2], edges[3], edges[10], edges[11]
    if net is None:
        tridiagonal.factor(D, a, b, pivot, inverse, down, link)
    else:
        for e in range(a.size):
            down[e] = min(a[e] / b[e], stiffest) if a[e] > 0 else 0.0
            link[e] = down[e] / a[e] if a[e] > 0 else 1.0 / b[e]
        elimination.factor(net, D, down, inverse, shares, pivot)


@inlined
def resolve(net, nodes, edges, shares, r, g, dy, du):
    """Solve for one right-hand side; ``r`` is overwritten."""
    pivot, inverse, down, link = nodes[10], nodes[11], edges[10], edges[11]
    if net is None:
        tridiagonal.substitute(edges[3], pivot, inverse, down, link, r, g, dy, du)
    else:
        for e in range(du.size):
            du[e] = -g[e] * link[e]
        pull(net, du, r)
        elimination.substitute(net, inverse, shares, r, dy)
        for e in range(du.size):
            tail, head = ends(net, e)
            du[e] += down[e] * (dy[head] - dy[tail])


@kernel
def relations(jump, u, c, p, eps, a, b, g):
    """Linearise the relation of flow and jump on every edge; ``g`` is what it is violated by."""
    half, curved = 0.5 * abs(2.0 - p), 0.5 * (p - 1.0)
    if p < 2:
        for e in range(c.size):
            d = jump[e]
            square = d * d + eps * eps
            m = power(square, half, TINY)
            a[e] = max(c[e] - (2.0 - p) * u[e] * d * m / square, c[e] * curved)
            b[e] = m
            g[e] = u[e] * m - c[e] * d
    else:
        for e in range(c.size):
            d = jump[e]
            w = c[e] * power(c[e] * c[e] * d * d, half, TINY) if p > 2 else c[e]
            a[e] = (p - 1.0) * w
            b[e] = 1.0
            g[e] = u[e] - w * d


@kernel
def conjugate_relations(jump, u, c, p, eps, a, b, g):
    """The same for p > 2 with flow and jump exchanged, ``c d (u^2 + eps^2)^((2 - q) / 2) = u``, 1/p + 1/q = 1.

    A jump that must become small takes the other relation p - 1 steps per factor of e.
    """
    q = p / (p - 1.0)
    for e in range(c.size):
        square = u[e] * u[e] + eps * eps
        m = c[e] * power(square, 1.0 - 0.5 * q, TINY)
        a[e] = m
        b[e] = max(1.0 - (2.0 - q) * jump[e] * m * u[e] / square, 0.5 * (q - 1.0))
        g[e] = u[e] - jump[e] * m


@kernel
def sharp_relations(jump, u, c, p, a, b, g):
    """The same without eps, for flows near the solution: where p < 2 the jump is the smooth function, of the flow."""
    if p >= 2:
        relations(jump, u, c, p, 0.0, a, b, g)
        return
    exponent = 1.0 / (p - 1.0)
    for e in range(c.size):
        some = c[e] > TINY
        full = c[e] if some else 1.0
        slope = power(abs(u[e]) / full, exponent - 1.0, TINY)
        a[e] = 1.0 if some else 0.0
        b[e] = exponent * slope / full if some else 1.0
        g[e] = (slope * u[e] / full if some else u[e]) - (jump[e] if some else 0.0)


@kernel
def implied(jump, c, p, flow):
    """The flows of jumps."""
    for e in range(c.size):
        d = abs(jump[e])
        size = power(c[e] * d, p - 1.0, TINY) if p > 2 else c[e] * power(d, p - 1.0, TINY)
        flow[e] = np.copysign(size, jump[e])


@kernel
def slack(jump, u, c, p):
    """How far flows and jumps are apart: the sum of ``h(d) + h*(u) - u d`` over the edges, h the integral of u(d)."""
    q = p / (p - 1.0)
    apart = 0.0
    for e in range(c.size):
        full, d, carried = c[e] if c[e] > TINY else 1.0, abs(jump[e]), abs(u[e])
        if p >= 2:
            stored = d * power(full * d, p - 1.0, TINY) / p + carried * power(carried, q - 1.0, TINY) / full / q
        else:
            stored = full * (power(d, p, TINY) / p + power(carried / full, q, TINY) / q)
        apart += abs(stored - u[e] * jump[e]) if c[e] > TINY else 0.0
    return apart


@exact
def largest(v):
    """The largest magnitude: among positive floats order is that of their bits, and integers vectorise."""
    top = 0
    for i in range(v.size):
        top = max(top, np.float64(abs(v[i])).view(np.int64))
    return np.int64(top).view(np.float64)


@exact
def fastest(dv, v):
    """How many times over dv would use up an entry of v, at most; 0 where it uses up none."""
    top = 0
    for i in range(v.size):
        top = max(top, np.float64(-dv[i] / v[i]).view(np.int64))
    return np.int64(top).view(np.float64)


@kernel
def total(v):
    """The sum."""
    found = 0.0
    for i in range(v.size):
        found += v[i]
    return found


@kernel
def add(target, factor, v):
    for i in range(target.size):
        target[i] += factor * v[i]


@inlined
def to_total(wanted, unit, unit_flow, dy, du):
    """Shift a solution along that for the unit vector until dy sums to ``wanted``; the step of tau this is."""
    step = (total(dy) - wanted) / total(unit)
    add(dy, -step, unit)
    add(du, -step, unit_flow)
    return step


@kernel
def clip(u, c):
    """No flow exceeds its edge, because no jump exceeds 1."""
    for e in range(u.size):
        u[e] = min(max(u[e], -c[e]), c[e])
