r"""p-Laplacian on any graph, p > 1: ``sum c_e |y_h - y_t|^p / p`` over edges e from t to h, for numbers or vectors y.

The path of ``plaplacian``: the same relation of flow and jump, the same interior point method, with factorisations of
``D + B^T K B`` in place of the elimination along a chain. K says what a flow gains per jump: a number, or for vectors
``size I + more e e^T`` with e the direction of the jump. Values have shape (n, d); d > 1 only without bounds.
"""

from functools import partial

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from . import elimination, graph_tv
from .plaplacian import bounded_rows, free_rows, jacobian_rows, on_rows, split
from .plaplacian_path import BOUND, CAP, POLISH, SETTLED, SHRINK, STILL, STOP, STRAY, rigid_strength
from .rows import enter, floor_of, limits, room, scale

__all__ = [
    "plaplacemax",
    "plaplacemax_jacobian",
    "plaplacian",
    "plaplacian_jacobian",
]

_DENSE = 256  # unknowns up to which a dense factorisation is faster
_PLANAR = 2.5  # edges per node up to which a sparse factorisation fills in little
_HELD = 1e30  # the diagonal of a node that must not move
_LARGE = 20_000  # unknowns above which one that fills in is given up for conjugate gradients
_SMALL = 512  # nodes up to which a graph may be eliminated node by node,
_CHEAP = 300_000  # if that takes no more joins
_STIFFEST = 1e10  # of what a factorisation is asked to hold; with more, rounding of the others would drown the diagonal
_NO_GRID = np.zeros(2, np.int64)


class Network:
    """The edges that count, their tails, heads and strengths c > 0, of a graph with n nodes."""

    def __init__(self, n, edges, c):
        some = c > 0
        self.n, self.tail, self.head, self.c = n, edges[some, 0], edges[some, 1], c[some]
        self.rigid = np.zeros(self.c.size, bool)

    def jumps(self, y):
        """``y_h - y_t`` of every edge."""
        return y[self.head] - y[self.tail]

    def divergence(self, u):
        """What flows take from the nodes: u from its head, -u from its tail."""
        total = np.zeros((self.n, u.shape[1]))
        for k in range(u.shape[1]):
            total[:, k] = np.bincount(self.head, u[:, k], self.n) - np.bincount(self.tail, u[:, k], self.n)
        return total

    def scaled(self, factor, p, resolution):
        """The same edges, scaled up to the strength that keeps ends within ``resolution`` under any flow there is."""
        most = rigid_strength(self.n, p, resolution)
        other: Network = object.__new__(Network)
        other.n, other.tail, other.head, other.c = self.n, self.tail, self.head, np.minimum(self.c * factor, most)
        other.rigid = other.c == most
        return other

    def united(self, y):
        """One value for what rigid edges join: its jumps, below rounding, would else come out as rounding."""
        if not self.rigid.any():
            return y
        tail, head = self.tail[self.rigid], self.head[self.rigid]
        joined = scipy.sparse.coo_array((np.ones(tail.size), (tail, head)), shape=(self.n, self.n))
        count, group = scipy.sparse.csgraph.connected_components(joined, directed=False)
        size = np.bincount(group, minlength=count)
        return np.stack([(np.bincount(group, column, count) / size)[group] for column in y.T], axis=1)


class _Relation:
    """Flow and jump of every edge, linearised: ``du = K B dy - off``."""

    def __init__(self, net, y, u, p, eps):
        jump = net.jumps(y)
        square = np.sum(jump * jump, axis=1)
        length = np.sqrt(square)
        self.net, self.direction = net, jump / np.where(length > 0, length, 1.0)[:, None]
        if p < 2:
            e = square + eps * eps
            m = e ** (1 - p / 2)
            along = (2 - p) * np.sum(u * jump, axis=1) * m / e
            size = net.c / m
            more = -np.clip(along, 0.0, net.c * (3 - p) / 2) / m
        else:
            size = net.c * square ** (p / 2 - 1) if p > 2 else net.c
            more = (p - 2) * size
        # A stiffer edge closes its jump in a few steps more.
        excess = np.maximum(size / _STIFFEST, 1.0)
        self.size, self.more, self.off = size / excess, more / excess, (u - size[:, None] * jump) / excess[:, None]

    def along(self, jump):
        """K times jumps."""
        inner = np.sum(self.direction * jump, axis=1)
        return self.size[:, None] * jump + (self.more * inner)[:, None] * self.direction

    def flow(self, dy):
        return self.along(self.net.jumps(dy)) - self.off

    def system(self, diagonal):
        """``diag + B^T K B`` over all entries of all nodes, node by node."""
        net, d = self.net, self.direction.shape[1]
        K = self.more[:, None, None] * self.direction[:, :, None] * self.direction[:, None, :]
        K[:, np.arange(d), np.arange(d)] += self.size[:, None]
        places = {"t": net.tail[:, None] * d + np.arange(d), "h": net.head[:, None] * d + np.arange(d)}
        whole = np.arange(net.n * d)
        rows, columns, values = [whole], [whole], [diagonal.reshape(-1)]
        for i, j in ("tt", "hh", "th", "ht"):
            rows.append(np.repeat(places[i], d, axis=1).reshape(-1))
            columns.append(np.tile(places[j], (1, d)).reshape(-1))
            values.append((K if i == j else -K).reshape(-1))
        where = (np.concatenate(rows), np.concatenate(columns))
        return scipy.sparse.csc_matrix((np.concatenate(values), where), shape=(whole.size, whole.size))


class _Sharp(_Relation):
    """The same without eps, for flows near the solution: where p < 2 the jump is the smooth function, of the flow."""

    def __init__(self, net, y, u, p):
        if p >= 2:
            super().__init__(net, y, u, p, 0.0)
            return
        carried = np.linalg.norm(u, axis=1)
        t = carried / net.c
        self.net, self.direction = net, u / np.where(carried > 0, carried, 1.0)[:, None]
        slope = t ** ((2 - p) / (p - 1)) / net.c
        self.size = 1 / np.maximum(slope, 1 / _STIFFEST)
        self.more = (p - 2) * self.size
        self.off = self.along(net.jumps(y) * -1.0 + slope[:, None] * u)


def _dense(matrix):
    factor = scipy.linalg.cho_factor(matrix.toarray(), check_finite=False)
    return lambda b: scipy.linalg.cho_solve(factor, b.reshape(-1), check_finite=False).reshape(b.shape)


def _sparse(matrix):
    factor = scipy.sparse.linalg.splu(matrix, "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True})
    return lambda b: factor.solve(b.reshape(-1)).reshape(b.shape)


def _iterative(matrix):
    scale = scipy.sparse.diags_array(1.0 / matrix.diagonal())

    def solve(b):
        return scipy.sparse.linalg.cg(matrix, b.reshape(-1), rtol=1e-13, maxiter=5000, M=scale)[0].reshape(b.shape)

    return solve


def _solver(relation, diagonal):
    """What solves the system: dense, sparse, or where a factorisation would fill the memory by conjugate gradients."""
    matrix = relation.system(diagonal)
    if matrix.shape[0] <= _DENSE:
        return _dense(matrix)
    if matrix.shape[0] > _LARGE and relation.net.tail.size > _PLANAR * relation.net.n:
        return _iterative(matrix)
    return _sparse(matrix)


def _clipped(u, c):
    """No flow exceeds its edge, because no jump exceeds 1."""
    return u * np.minimum(1.0, c / np.maximum(np.linalg.norm(u, axis=1), 1e-300))[:, None]


def _slack(net, y, u, p):
    q = p / (p - 1)
    jump = net.jumps(y)
    size, flow = np.linalg.norm(jump, axis=1), np.linalg.norm(u, axis=1) / net.c
    return np.abs(net.c * (size**p / p + flow**q / q) - np.sum(u * jump, axis=1)).sum()


def _last_eps(net, p):
    """Where eps changes the energy by no more than rounding does."""
    return (STOP / (1.0 + net.n * net.c.max(initial=0.0))) ** (1 / p)


def _reach(v, dv):
    return 1.0 / max(np.max(-dv / v), 1e-300)


def _interior(z, net, p, kappa):
    """Follow the path to the simplex: (y, u, s, tau, what is left of the gap, steps)."""
    n = net.n
    tau = min(1.0, max(-z.sum() / n, 1.0 / n))
    y, u = np.full((n, 1), 1.0 / n), np.zeros((net.tail.size, 1))
    s = kappa * y - z + tau
    eps, last, left = 1.0, _last_eps(net, p), np.inf
    for step in range(CAP):
        r = z - tau - kappa * y - net.divergence(u)
        product, missing = np.sum(y * s), 1.0 - y.sum()
        settled = np.abs(r + s).max() <= STOP * (1.0 + np.abs(u).max(initial=0.0)) and abs(missing) <= STOP
        if settled and product <= STOP and (p >= 2 or eps <= last):
            left = product + _slack(net, y, u, p)
            if left <= 2 * STOP:
                return y, u, s, tau, left, step
        relation = _Relation(net, y, u, p, eps)
        solve = _solver(relation, kappa + s / y)
        unit = solve(np.ones((n, 1)))
        pulled = r + net.divergence(relation.off)
        dy = solve(pulled)
        moved = (dy.sum() - missing) / unit.sum()
        dy -= moved * unit
        ds = -s - s * dy / y
        reach = min(1.0, _reach(y, dy), _reach(s, ds))
        mean = product / n
        centre = (np.sum((y + reach * dy) * (s + reach * ds)) / product) ** 3 * mean
        push = (centre - np.clip(dy * ds, -BOUND * mean, BOUND * mean)) / y
        dy = solve(pulled + push)
        moved = (dy.sum() - missing) / unit.sum()
        dy -= moved * unit
        ds = push - s - s * dy / y
        reach = min(1.0, 0.995 * _reach(y, dy), 0.995 * _reach(s, ds))
        u = u + reach * relation.flow(dy)
        y, s, tau = y + reach * dy, s + reach * ds, tau + reach * moved
        u = _clipped(u, net.c) if p < 2 else u
        eps = max(eps * SHRINK, last)
    return y, u, s, tau, left, CAP


def _polished(z, net, p, kappa, y, u, s, tau):
    """Newton's method on the support, y > s; the point of the path where that leads away."""
    free = y > s
    start = np.where(free, y, 0.0)
    y = start
    for _ in range(POLISH):
        relation = _Sharp(net, y, u, p)
        solve = _solver(relation, np.where(free, kappa, _HELD))
        unit = np.where(free, solve(np.where(free, 1.0, 0.0)), 0.0)
        r = z - tau - kappa * y - net.divergence(u - relation.off)
        dy = np.where(free, solve(np.where(free, r, 0.0)), 0.0)
        step = (dy.sum() - (1.0 - y.sum())) / unit.sum()
        dy -= step * unit
        y, u, tau = y + dy, u + relation.flow(dy), tau + step
        u = _clipped(u, net.c) if p < 2 else u
        if np.abs(dy).max() <= STILL:
            break
    stays = y.min() > -STRAY and y.max() <= 1.0
    return np.maximum(y, 0.0) if stays else start


def solve_simplex(z, net, p, resolution):
    """(weights, what is left of the gap in units of the range, steps) for scores z >= -spread with maximum 0."""
    kappa = 1.0 / max(1.0, -z.min())
    z, net = (z * kappa)[:, None], net.scaled(kappa, p, resolution)
    *point, left, steps = _interior(z, net, p, kappa)
    y = net.united(_polished(z, net, p, kappa, *point))[:, 0]
    return y / y.sum(), left, steps + POLISH


def solve_free(z, net, p, resolution):
    """(the prox of z of shape (n, d), the last move in units of its range, steps)."""
    mean = np.mean(z / len(z), axis=0) * len(z)
    sides = z.max(axis=0) - z.min(axis=0)
    if not sides.any():
        return z.copy(), 0.0, 0
    width = sides.max() * np.linalg.norm(sides / sides.max())
    z = (z - mean) / width
    net = net.scaled(np.exp(np.clip((p - 2) * np.log(width), -700, 700)), p, resolution)
    y, u = np.broadcast_to(z.mean(axis=0), z.shape), np.zeros((net.tail.size, z.shape[1]))
    eps, last, moved, steps = 1.0, _last_eps(net, p), np.inf, 0
    for steps in range(CAP + 1):
        if steps == CAP or (moved <= SETTLED and (p >= 2 or eps <= last)):
            break
        relation = _Relation(net, y, u, p, eps)
        dy = _solver(relation, np.ones(z.shape))(z - y - net.divergence(u - relation.off))
        y, u = y + dy, u + relation.flow(dy)
        u = _clipped(u, net.c) if p < 2 else u
        moved = np.abs(dy).max()
        eps = max(eps * SHRINK, last)
    for _ in range(POLISH if 1 < p < 2 else 0):
        relation = _Sharp(net, y, u, p)
        dy = _solver(relation, np.ones(z.shape))(z - y - net.divergence(u - relation.off))
        if not np.abs(dy).max() <= SETTLED**0.5:
            break
        y, u = y + dy, _clipped(u + relation.flow(dy), net.c)
        if np.abs(dy).max() <= STILL:
            break
    return mean + width * net.united(y), moved, steps + (POLISH if 1 < p < 2 else 0)


def linearised(y, v, net, p, free):
    """``H^-1 v`` on the free nodes, H = I + B^T K B at y, and 0 elsewhere; y, v of shape (n, d)."""
    jump = net.jumps(y)
    length = np.linalg.norm(jump, axis=1)
    relation = object.__new__(_Relation)
    relation.net, relation.direction = net, jump / np.where(length > 0, length, 1.0)[:, None]
    with np.errstate(divide="ignore", over="ignore"):
        size = np.minimum(net.c * length ** (p - 2), _STIFFEST) if p != 2 else net.c
    relation.size, relation.more = size, np.where(length > 0, (p - 2) * size, 0.0)
    held = np.broadcast_to(free[:, None], y.shape)
    solve = _solver(relation, np.where(held, 1.0, _HELD))
    return np.where(held, solve(np.where(held, v, 0.0)), 0.0)


def _strengths(live, lam, weights, edges):
    """lam w of every edge, 0 where an end is masked."""
    w = weights if weights.size else np.ones(len(edges))
    return np.where((w > 0) & live[edges[:, 0]] & live[edges[:, 1]], lam * w.astype(np.float64), 0.0)


def _weights_row(z, net, p, resolution):
    """(weights, what is left, steps) for scores with maximum 0, -inf where masked."""
    live = z > -np.inf
    around = np.bincount(net.head, net.c, net.n) + np.bincount(net.tail, net.c, net.n)
    lowest = max((z[live].sum() - 1) / live.sum(), -1 - around[z == 0].min()) - around.max() - 1
    y, *left = solve_simplex(np.maximum(z, lowest), net, np.float64(p), resolution)
    return np.where(live, y, 0.0), *left


def _weights_rows(edges, x, gamma, p, lam, weights, left, out, start, stop):
    work, z = room(x), np.empty(x.shape[1])
    for r in range(start, stop):
        left[r] = 0.0
        row, top, some = enter(x[r], out[r], work)
        if some:
            scale(row.astype(np.float64), np.float64(top), np.float64(gamma[r]), z)
            net = Network(z.size, edges, _strengths(z > -np.inf, lam[r], weights[r % len(weights)], edges))
            out[r], *left[r] = _weights_row(z, net, p[r], limits(x)[1])


def _weights_jacobian_rows(edges, y, v, live, gamma, p, lam, weights, out, start, stop):
    for r in range(start, stop):
        net = Network(y.shape[1], edges, _strengths(live[r], lam[r], weights[r % len(weights)], edges))
        free = live[r] & (y[r] > 0)
        unit, found = (
            linearised(y[r][:, None], one[:, None], net, p[r], free)[:, 0] for one in (np.ones(free.size), v[r])
        )
        mass = unit.sum()
        out[r] = (found - (found.sum() / mass if mass > 0 else 0.0) * unit) / gamma[r]


def _prox_rows(edges, nodes, x, p, lam, weights, left, out, start, stop):
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
            net = Network(nodes, edges, _strengths(live, lam[r], weights[r % len(weights)], edges))
            y, *left[r] = solve_free(held, net, np.float64(p[r]), limits(x)[1])
            out[r] = np.where(live[:, None], y, 0.0).reshape(-1)


def _prox_jacobian_rows(edges, nodes, y, v, live, p, lam, weights, out, start, stop):
    for r in range(start, stop):
        free = live[r].reshape(nodes, -1).all(axis=1)
        values, given = (rows[r].astype(np.float64).reshape(nodes, -1) for rows in (y, v))
        net = Network(nodes, edges, _strengths(free, lam[r], weights[r % len(weights)], edges))
        out[r] = linearised(values, given, net, p[r], free).reshape(-1)


def _net(edges, n):
    """The plan by which a small graph is eliminated; None where SciPy's factorisations are faster."""
    net = elimination.plan(edges, n, _CHEAP) if n <= _SMALL else None
    return net if net is not None and net[3].size == n else None


def plaplacemax(x, gamma, p, lam, weights, edges, left, out, start, stop):
    """Row by row; ``left`` (rows, 2): what is left of the gap, in units of the range of the scores, and the steps."""
    straight, curved = split(p[start:stop], lam[start:stop])
    variation = partial(_with_edges, graph_tv.graphfusedmax, (edges, _NO_GRID))
    on_rows(variation, straight, start, (x, gamma, lam, weights), out)
    net = _net(edges, x.shape[1])
    driver = partial(_weights_rows, edges) if net is None else partial(bounded_rows, net)
    on_rows(driver, curved, start, (x, gamma, p, lam, weights), left, out)


def plaplacemax_jacobian(y, v, live, gamma, p, lam, weights, edges, out, start, stop):
    """One linear solve on the support."""
    straight, curved = split(p[start:stop], lam[start:stop])
    variation = partial(_with_edges, graph_tv.graphfusedmax_jacobian, (edges,))
    on_rows(variation, straight, start, (y, v, gamma, lam, weights), out)
    net = _net(edges, y.shape[1])
    driver = partial(_weights_jacobian_rows, edges) if net is None else partial(jacobian_rows, net, True)
    on_rows(driver, curved, start, (y, v, live, gamma, p, lam, weights), out)


def plaplacian(x, p, lam, weights, edges, nodes, left, out, start, stop):
    """The prox, rows of flattened (nodes, d) values; ``left`` (rows, 2): the last move, relative, and the steps."""
    if x.shape[1] > nodes:
        _prox_rows(edges, nodes, x, p, lam, weights, left, out, start, stop)
        return
    straight, curved = split(p[start:stop], lam[start:stop])
    variation = partial(_with_edges, graph_tv.graph_tv, (edges, _NO_GRID))
    on_rows(variation, straight, start, (x, lam, weights), out)
    net = _net(edges, x.shape[1])
    driver = partial(_prox_rows, edges, nodes) if net is None else partial(free_rows, net)
    on_rows(driver, curved, start, (x, p, lam, weights), left, out)


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
