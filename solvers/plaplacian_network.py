r"""The path of the p-Laplacian on large graphs, p > 1, or >= 1 for vectors, by the factorisations of SciPy.

The same relation of flow and jump as in ``plaplacian_path``, the same interior point method, with factorisations of
``D + B^T K B`` in place of an elimination. K says what a flow gains per jump: a number, or for vectors
``size I + more e e^T`` with e the direction of the jump. Values have shape (n, d); d > 1 only without bounds.
"""

from functools import cached_property
from operator import itemgetter

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from .plaplacian_edges import root
from .plaplacian_path import (
    BOUND,
    CAP,
    POLISH,
    ROUNDS,
    SETTLED,
    SHRINK,
    STILL,
    STOP,
    STRAY,
    rigid_strength,
)

__all__ = ["Network", "linearised", "solve_free", "solve_simplex"]

_DENSE = 256  # unknowns up to which a dense factorisation is faster
_PLANAR = 2.5  # edges per node up to which a sparse factorisation fills in little
_HELD = 1e30  # the diagonal of a node that must not move
_LARGE = 20_000  # unknowns above which one that fills in is given up for conjugate gradients
_STIFFEST = 1e10  # of an edge in units of the diagonal at its ends, or 1; the rounding of more would show
_DROWNING = 1e14  # of an edge in units of that; its rounding would drown it
_HUB = 3.0  # square roots of n by which the degree of a hub exceeds the mean


class Network:
    """The edges that count, their tails, heads and strengths c > 0, as ``plaplacian_edges`` has them, of n nodes."""

    def __init__(self, n, edges, c):
        some = c > 0
        self.kept, self.n, self.tail, self.head, self.c = some, n, edges[some, 0], edges[some, 1], c[some]
        self.rigid = np.zeros(self.c.size, bool)

    @cached_property
    def place(self):
        """When each node is eliminated: in order of least degree, hubs last, for their rows are gone through anew."""
        degree = np.bincount(self.head, minlength=self.n) + np.bincount(self.tail, minlength=self.n)
        hub = degree > degree.mean() + _HUB * np.sqrt(self.n)
        place = np.cumsum(hub) - 1 + np.sum(~hub)
        place[~hub] = _least_degree(_laplacian(self, degree + 1.0)[~hub][:, ~hub])
        return place

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
        other.kept, other.n, other.tail, other.head = self.kept, self.n, self.tail, self.head
        with np.errstate(over="ignore"):
            other.c = np.minimum(self.c * factor, most)
        other.rigid = other.c == most
        return other

    def report(self, u, flow):
        """Flows from the smaller to the larger vertex of each edge, feature by feature, where there is room."""
        if flow.size:
            flow.reshape(u.shape[1], -1)[:, self.kept] = np.where(self.tail < self.head, -u.T, u.T)

    def united(self, y):
        """One value for what rigid edges join: its jumps, below rounding, would else come out as rounding."""
        if not self.rigid.any():
            return y
        tail, head = self.tail[self.rigid], self.head[self.rigid]
        joined = scipy.sparse.coo_array((np.ones(tail.size), (tail, head)), shape=(self.n, self.n))
        count, group = scipy.sparse.csgraph.connected_components(joined, directed=False)
        size = np.bincount(group, minlength=count)
        return np.stack([(np.bincount(group, column, count) / size)[group] for column in y.T], axis=1)


def _laplacian(net, diagonal):
    """A matrix with the given diagonal and -1 for every edge."""
    rows, columns = np.concatenate([net.tail, net.head]), np.concatenate([net.head, net.tail])
    return scipy.sparse.diags_array(diagonal, format="csr") - scipy.sparse.csr_array(
        (np.ones(rows.size), (rows, columns)), shape=(net.n, net.n)
    )


def _least_degree(matrix):
    """The order in which SuperLU eliminates, which it does not tell without doing so."""
    return _factored(matrix.tocsc(), "MMD_AT_PLUS_A").perm_c


def _factored(matrix, order):
    return scipy.sparse.linalg.splu(matrix, order, 0.0, options={"SymmetricMode": True})


class _Relation:
    """Flow and jump of every edge, linearised: ``du = K B dy - off``; the system will have ``diagonal``."""

    def __init__(self, net, y, u, p, eps, diagonal):
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
            size = net.c * (net.c * length) ** (p - 2) if p > 2 else net.c
            more = (p - 2) * size
        # A stiffer edge closes its jump in a few steps more.
        excess = np.maximum(size / _stiffest(net, diagonal), 1.0)
        self.size, self.more, self.off = size / excess, more / excess, (u - size[:, None] * jump) / excess[:, None]

    def along(self, jump):
        """K times jumps."""
        inner = np.sum(self.direction * jump, axis=1)
        return self.size[:, None] * jump + (self.more * inner)[:, None] * self.direction

    def flow(self, dy):
        return self.along(self.net.jumps(dy)) - self.off

    def system(self, diagonal, place):
        """``diag + B^T K B`` over all entries of all nodes, node by node, each at its place."""
        net, d = self.net, self.direction.shape[1]
        K = self.more[:, None, None] * self.direction[:, :, None] * self.direction[:, None, :]
        K[:, np.arange(d), np.arange(d)] += self.size[:, None]
        entries = place[:, None] * d + np.arange(d)
        places, whole = {"t": entries[net.tail], "h": entries[net.head]}, entries.reshape(-1)
        rows, columns, values = [whole], [whole], [diagonal.reshape(-1)]
        for i, j in ("tt", "hh", "th", "ht"):
            rows.append(np.repeat(places[i], d, axis=1).reshape(-1))
            columns.append(np.tile(places[j], (1, d)).reshape(-1))
            values.append((K if i == j else -K).reshape(-1))
        where = (np.concatenate(rows), np.concatenate(columns))
        return scipy.sparse.csc_matrix((np.concatenate(values), where), shape=(whole.size, whole.size))


class _Sharp(_Relation):
    """The same without eps, for flows near the solution: where p < 2 the jump is the smooth function, of the flow."""

    def __init__(self, net, y, u, p, diagonal):
        if p >= 2:
            super().__init__(net, y, u, p, 0.0, diagonal)
            return
        carried = np.linalg.norm(u, axis=1)
        t = carried / net.c
        self.net, self.direction = net, u / np.where(carried > 0, carried, 1.0)[:, None]
        slope = t ** ((2 - p) / (p - 1)) / net.c
        self.size = 1 / np.maximum(slope, 1 / _stiffest(net, diagonal))
        self.more = (p - 2) * self.size
        self.off = self.along(net.jumps(y) * -1.0 + slope[:, None] * u)


def _stiffest(net, diagonal):
    """The most K of every edge; between nodes that hardly move a flow would else take long to change."""
    least = diagonal.min(axis=1)
    least = np.minimum(least[net.tail], least[net.head])
    return np.minimum(_STIFFEST * np.maximum(least, 1.0), _DROWNING * least)


def _dense(matrix):
    factor = scipy.linalg.cho_factor(matrix.toarray(), check_finite=False)
    return lambda b: scipy.linalg.cho_solve(factor, b.reshape(-1), check_finite=False).reshape(b.shape)


def _sparse(relation, diagonal):
    place = relation.net.place
    factor = _factored(relation.system(diagonal, place), "NATURAL")

    def solve(b):
        moved = np.empty_like(b)
        moved[place] = b
        return factor.solve(moved.reshape(-1)).reshape(b.shape)[place]

    return solve


def _iterative(matrix):
    scale = scipy.sparse.diags_array(1.0 / matrix.diagonal())

    def solve(b):
        return scipy.sparse.linalg.cg(matrix, b.reshape(-1), rtol=1e-13, maxiter=5000, M=scale)[0].reshape(b.shape)

    return solve


def _solver(relation, diagonal):
    """What solves the system: dense, sparse, or where a factorisation would fill the memory by conjugate gradients."""
    n = relation.net.n
    if diagonal.size <= _DENSE:
        return _dense(relation.system(diagonal, np.arange(n)))
    if diagonal.size > _LARGE and relation.net.tail.size > _PLANAR * n:
        return _iterative(relation.system(diagonal, np.arange(n)))
    return _sparse(relation, diagonal)


def _clipped(u, c):
    """No flow exceeds its edge, because no jump exceeds 1."""
    return u * np.minimum(1.0, c / np.maximum(np.linalg.norm(u, axis=1), 1e-300))[:, None]


def _slack(net, y, u, p):
    jump = net.jumps(y)
    size, carried = np.linalg.norm(jump, axis=1), np.linalg.norm(u, axis=1)
    if p >= 2:
        stored = size * (net.c * size) ** (p - 1) / p + carried * carried ** (1 / (p - 1)) / net.c * (p - 1) / p
    else:
        held = (carried / net.c) ** (p / (p - 1)) * (p - 1) / p if p > 1 else 0.0
        stored = net.c * (size**p / p + held)
    return np.abs(stored - np.sum(u * jump, axis=1)).sum()


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
        diagonal = kappa + s / y
        relation = _Relation(net, y, u, p, eps, diagonal)
        solve = _solver(relation, diagonal)
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
    """(y, u) by Newton's method on the support, first guessed, then found; of the path where that leads away."""
    free, path = y > s, u
    start = np.where(free, y, 0.0)
    for _ in range(ROUNDS):
        y, u, r = _newton_on(free, z, net, p, kappa, np.where(free, start, 0.0), path, tau)
        lost, found = free & ~(y >= -STRAY), ~free & (r > STRAY)
        if not (lost.any() or found.any()):
            if np.abs(r[free]).max(initial=0.0) + _slack(net, y, u, p) <= SETTLED:
                return np.maximum(y, 0.0), u
            break
        free = (free & ~lost) | found
        start = np.where(found, np.maximum(start, 0.0), start)
    return start, path


def _newton_on(free, z, net, p, kappa, y, u, tau):
    """Newton's method for the free nodes, the others held at 0: (y, u, what the balance is off by)."""
    diagonal = np.where(free, kappa, _HELD)
    for _ in range(POLISH):
        relation = _Sharp(net, y, u, p, diagonal)
        solve = _solver(relation, diagonal)
        unit = np.where(free, solve(np.where(free, 1.0, 0.0)), 0.0)
        r = z - tau - kappa * y - net.divergence(u - relation.off)
        dy = np.where(free, solve(np.where(free, r, 0.0)), 0.0)
        step = (dy.sum() - (1.0 - y.sum())) / unit.sum()
        dy -= step * unit
        y, u, tau = y + dy, u + relation.flow(dy), tau + step
        u = _clipped(u, net.c) if p < 2 else u
        if np.abs(dy).max() <= STILL:
            break
    return y, u, z - tau - kappa * y - net.divergence(u)


def solve_simplex(z, net, p, resolution):
    """(weights, flows, what is left of the gap in units of the range, steps) for scores z with maximum 0."""
    kappa = 1.0 / max(1.0, -z.min())
    z, net = (z * kappa)[:, None], net.scaled(kappa ** root(p), p, resolution)
    *point, left, steps = _interior(z, net, p, kappa)
    y, u = _polished(z, net, p, kappa, *point)
    y = net.united(y)
    y = y / y.sum()
    if not left <= SETTLED:
        shown, u = min(
            ((_proved(z, net, p, kappa, y, flow), flow) for flow in (u, _implied(net, y, p))), key=itemgetter(0)
        )
        left = min(left, shown)
    return y[:, 0], u / kappa, left, steps + POLISH


def _implied(net, y, p):
    """The flows of the jumps of y."""
    jump = net.jumps(y)
    size = np.abs(jump)
    return np.sign(jump) * ((net.c[:, None] * size) ** (p - 1) if p > 2 else net.c[:, None] * size ** (p - 1))


def _proved(z, net, p, kappa, y, u):
    """What the flows u leave of the gap at y on the simplex."""
    r = z - kappa * y - net.divergence(u)
    return r.max() - np.sum(y * r) + _slack(net, y, u, p)


def _free_gap(z, net, y, u, p):
    """How far the prox y of z and flows u are from proving each other."""
    return 0.5 * np.sum((z - y - net.divergence(u)) ** 2) + _slack(net, y, u, p)


def solve_free(z, net, p, resolution):
    """(the prox of z of shape (n, d), flows, the last move in units of its range, steps).

    The flows are those of the step that proved most: with eps near the rounding of y they are lost again. For p = 1
    they must follow each eps, because a later one changes them no more.
    """
    mean = np.mean(z / len(z), axis=0) * len(z)
    sides = z.max(axis=0) - z.min(axis=0)
    if not sides.any():
        return z.copy(), np.zeros((net.tail.size, z.shape[1])), 0.0, 0
    width = sides.max() * np.linalg.norm(sides / sides.max())
    z = (z - mean) / width
    net = net.scaled(width ** ((p - 2) * root(p)), p, resolution)
    y, u = np.broadcast_to(z.mean(axis=0), z.shape), np.zeros((net.tail.size, z.shape[1]))
    eps, last, moved = 1.0, _last_eps(net, p), np.inf
    best, least, ones = (y, u), np.inf, np.ones(z.shape)
    for steps in range(CAP + 1):
        gap = _free_gap(z, net, y, u, p)
        best, least = ((y, u), gap) if gap < least else (best, least)
        eps = max(eps * SHRINK, last) if steps > 0 and (p > 1 or gap <= eps * net.c.sum()) else eps
        if steps == CAP or (moved <= SETTLED and (p >= 2 or eps <= last)):
            break
        relation = _Relation(net, y, u, p, eps, ones)
        dy = _solver(relation, ones)(z - y - net.divergence(u - relation.off))
        y, u = y + dy, u + relation.flow(dy)
        u = _clipped(u, net.c) if p < 2 else u
        moved = np.abs(dy).max()
    for _ in range(POLISH if 1 < p < 2 else 0):
        relation = _Sharp(net, y, u, p, ones)
        dy = _solver(relation, ones)(z - y - net.divergence(u - relation.off))
        if not np.abs(dy).max() <= SETTLED**0.5:
            break
        y, u = y + dy, _clipped(u + relation.flow(dy), net.c)
        if np.abs(dy).max() <= STILL:
            break
    best = (y, u) if _free_gap(z, net, y, u, p) < least else best
    if not moved <= SETTLED:
        y, moved = best[0], np.inf
    return mean + width * net.united(y), width * best[1], moved, steps + (POLISH if 1 < p < 2 else 0)


def linearised(y, v, net, p, free):
    """``H^-1 v`` on the free nodes, H = I + B^T K B at y, and 0 elsewhere; y, v of shape (n, d)."""
    jump = net.jumps(y)
    length = np.linalg.norm(jump, axis=1)
    relation = object.__new__(_Relation)
    relation.net, relation.direction = net, jump / np.where(length > 0, length, 1.0)[:, None]
    with np.errstate(divide="ignore", over="ignore"):
        near = (length * (net.c if p > 2 else 1.0)) ** (p - 2)
        size = np.minimum(net.c * near, _STIFFEST) if p != 2 else net.c
    relation.size, relation.more = size, np.where(length > 0, (p - 2) * size, 0.0)
    held = np.broadcast_to(free[:, None], y.shape)
    solve = _solver(relation, np.where(held, 1.0, _HELD))
    return np.where(held, solve(np.where(held, v, 0.0)), 0.0)
