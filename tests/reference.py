"""Slow, obvious versions of the algorithms, to compare the fast ones with."""

from itertools import product

import numpy as np
from scipy.optimize import brentq, minimize


def threshold_weights(z, weight):
    """Weights ``weight(z - t)``, t by bisection so that they sum to 1; weight increases and is at least 1 at 1."""

    def excess(t):
        return weight(z - t).sum() - 1

    return weight(z - brentq(excess, z.max() - 1 - 1e-9, z.max(), xtol=1e-16, rtol=8.9e-16))


def sparsemax(x):
    """By sorting (Held, Wolfe & Crowder 1974)."""
    s = np.sort(x)[::-1]
    taus = (np.cumsum(s) - 1) / np.arange(1, len(x) + 1)
    support = np.flatnonzero(s > taus)[-1]
    return np.maximum(x - taus[support], 0)


def entmax(x, alpha):
    """By bisection."""
    return threshold_weights((alpha - 1) * x, lambda d: np.maximum(d, 0) ** (1 / (alpha - 1)))


def capped_threshold(x, upper, total):
    """t with ``sum clip(x - t, 0, upper) = total``, by trying every breakpoint of the piecewise linear sum."""
    breaks = np.unique(np.concatenate([x, x - upper]))
    sums = np.array([np.clip(x - t, 0, upper).sum() for t in breaks])
    right = np.flatnonzero(sums <= total)[0]
    if right == 0 or sums[right] == total:
        return breaks[right]
    a, b, fa, fb = breaks[right - 1], breaks[right], sums[right - 1], sums[right]
    return a + (fa - total) * (b - a) / (fa - fb)


def capped_simplex(x, upper, total):
    return np.clip(x - capped_threshold(x, upper, total), 0, upper)


def transport(x, rows, columns, upper, sweeps=3000):
    """By thresholds of rows and of columns in turn (no acceleration, no stages); x of -inf is masked."""
    u, v = np.zeros(len(rows)), np.zeros(len(columns))
    for _ in range(sweeps):
        before = u.copy()
        for i, total in enumerate(rows):
            live = x[i] > -np.inf
            u[i] = capped_threshold((x[i] - v)[live], upper[i, live], total)
        for j, total in enumerate(columns):
            live = x[:, j] > -np.inf
            v[j] = capped_threshold((x[:, j] - u)[live], upper[live, j], total)
        if np.abs(u - before).max() <= 1e-15:
            break
    return np.clip(x - u[:, None] - v, 0, upper)


def tv_prox(x, weights):
    """Exact for short rows: every pattern of the signs (-1, 0, 1) of the differences, judged by its objective."""
    n = len(x)
    best, best_value = None, np.inf
    for signs in product((-1, 0, 1), repeat=n - 1):
        y = np.empty(n)
        start = 0
        for stop in range(1, n + 1):
            if stop == n or signs[stop - 1] != 0:
                left = signs[start - 1] * weights[start - 1] if start > 0 else 0
                right = signs[stop - 1] * weights[stop - 1] if stop < n else 0
                y[start:stop] = x[start:stop].mean() + (right - left) / (stop - start)
                start = stop
        value = 0.5 * ((y - x) ** 2).sum() + (weights * np.abs(np.diff(y))).sum()
        if value < best_value:
            best, best_value = y, value
    return best


def parts(n, edges):
    """The connected parts of a graph, as lists of vertices."""
    label = np.arange(n)
    for _ in range(n):
        for i, j in edges:
            label[i] = label[j] = min(label[i], label[j])
    return [np.flatnonzero(label == k) for k in np.unique(label)]


def graph_tv_prox(x, edges, capacity):
    """Exact for a handful of vertices: every order of their values, judged by its objective."""
    n = len(x)
    best, best_value = None, np.inf
    for rank in product(range(n), repeat=n):
        y = np.empty(n)
        for part in parts(n, [(i, j) for i, j in edges if rank[i] == rank[j]]):
            pull = sum(
                c * (np.sign(rank[j] - rank[i]) * (i in part) + np.sign(rank[i] - rank[j]) * (j in part))
                for (i, j), c in zip(edges, capacity, strict=True)
            )
            y[part] = x[part].mean() + pull / len(part)
        value = 0.5 * ((y - x) ** 2).sum() + sum(
            c * abs(y[i] - y[j]) for (i, j), c in zip(edges, capacity, strict=True)
        )
        if value < best_value:
            best, best_value = y, value
    return best


def isotonic_decreasing(x):
    """Non-increasing isotonic regression by the minimax formula."""
    n = len(x)
    return np.array([min(max(x[a : b + 1].mean() for b in range(i, n)) for a in range(i + 1)) for i in range(n)])


def fusedmax(x, lam, gamma):
    """Project the finished prox."""
    return sparsemax(tv_prox(x / gamma, np.full(len(x) - 1, lam)))


def oscarmax(x, lam, gamma, weights):
    """Sort, subtract, regress, unsort, project."""
    order = np.argsort(-x, kind="stable")
    z = np.empty_like(x)
    z[order] = isotonic_decreasing(x[order] / gamma - lam * weights)
    return sparsemax(z)


def plaplacian(x, edges, capacity, p, bounded=False):
    """The prox of ``sum c_e |y_i - y_j|^p / p``, or the weights on the simplex, from the flows of the smooth dual.

    x of shape (n, d); bounded only for d = 1. p = 1 only by way of a box, so p > 1 here.
    """
    d = x.shape[1]
    tail, head = edges[capacity > 0].T
    c, q = capacity[capacity > 0], p / (p - 1)

    def values(u):
        z = x.copy()
        np.add.at(z, tail, u)
        np.add.at(z, head, -u)
        return sparsemax(z[:, 0])[:, None] if bounded else z

    def dual(flat):
        u = flat.reshape(-1, d)
        size = np.linalg.norm(u, axis=1) / c
        y = values(u)
        pull = size ** (q - 2) if q >= 2 else np.where(size > 0, np.maximum(size, 1e-300) ** (q - 2), 0.0)
        inner = 0.5 * np.sum((y - x) ** 2) + np.sum(u * (y[head] - y[tail]))
        gradient = y[head] - y[tail] - (pull / c)[:, None] * u
        return np.sum(c * size**q) / q - inner, -gradient.ravel()

    if not c.size:
        return values(np.zeros((0, d)))
    options = {"maxiter": 50_000, "maxfun": 100_000, "ftol": 0.0, "gtol": 1e-13, "maxcor": 50}
    found = minimize(dual, np.zeros(c.size * d), jac=True, method="L-BFGS-B", options=options)
    return values(found.x.reshape(-1, d))


def random_search(objective, n, trials=6000):
    """A point of the simplex with a large ``objective``: random steps, shorter and shorter, kept where they help."""
    rng = np.random.default_rng(0)
    y = np.full(n, 1 / n)
    best = objective(y)
    for step in np.geomspace(0.5, 1e-5, trials):
        other = sparsemax(y + step * rng.normal(size=n))
        found = objective(other)
        if found > best:
            y, best = other, found
    return y
