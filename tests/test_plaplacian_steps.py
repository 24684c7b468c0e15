"""What one step of the p-Laplacian solves, the supports that p = 2 tries, and inputs of any size on the simplex."""

import warnings

import numpy as np
import pytest

import regmax
from regmax.adapters import cvxpy as witness
from regmax.solvers import elimination, plaplacian, plaplacian_graph, plaplacian_network, tridiagonal
from regmax.solvers import plaplacian_active as active
from regmax.solvers.plaplacian_edges import scratch
from regmax.solvers.plaplacian_path import SETTLED, simplex
from regmax.verify import families

from . import reference
from .test_plaplacian import GRAPHS, path, random_graph, rows


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 33])
def test_the_chain_is_eliminated_exactly(n):
    rng = np.random.default_rng(n)
    for kind in ("plain", "rigid", "slack", "pinned"):
        D, r = rng.uniform(0.1, 2, n), rng.normal(size=n)
        a, b, g = rng.uniform(0.1, 2, n - 1), rng.uniform(0.1, 2, n - 1), rng.normal(size=n - 1)
        if kind != "plain" and n > 1:
            {"rigid": b, "slack": a, "pinned": a}[kind][::2] = 0.0
        if kind == "pinned":
            D[::2] = 1e9
        B = np.diff(np.eye(n), axis=0)
        whole = np.block([[np.diag(D), B.T], [a[:, None] * B, -np.diag(b)]])
        expected = np.linalg.solve(whole, np.concatenate([r, g]))
        pivot, inverse, dy, down, link, du = (np.empty(k) for k in (n, n, n, n - 1, n - 1, n - 1))
        tridiagonal.factor(D, a, b, pivot, inverse, down, link)
        tridiagonal.substitute(b, pivot, inverse, down, link, r.copy(), g, dy, du)
        np.testing.assert_allclose(np.concatenate([dy, du]), expected, atol=1e-11)
        D[0] = tridiagonal.PINNED
        tridiagonal.factor(D, a, b, pivot, inverse, down, link)
        tridiagonal.substitute(b, pivot, inverse, down, link, r.copy(), g, dy, du)
        assert abs(dy[0]) <= 1e-15
        assert np.isfinite(du).all()


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_is_eliminated_however_stiff(graph):
    rng = np.random.default_rng(0)
    edges = GRAPHS[graph][1].astype(np.int64)
    net = elimination.plan(edges, 24, 10_000)
    assert sorted(net[3]) == list(range(24))
    inverse, rest, shares, dy = np.empty(24), np.empty(24), np.empty(net[5].size), np.empty(24)
    B = np.zeros((len(edges), 24))
    B[np.arange(len(edges)), edges[:, 0]], B[np.arange(len(edges)), edges[:, 1]] = -1, 1
    D, K, r = rng.uniform(0.1, 2, 24), rng.uniform(0, 2, len(edges)), rng.normal(size=24)
    elimination.factor(net, D, K, inverse, shares, rest)
    elimination.substitute(net, inverse, shares, r.copy(), dy)
    np.testing.assert_allclose(dy, np.linalg.solve(np.diag(D) + B.T @ (K[:, None] * B), r), atol=1e-13)
    elimination.factor(net, D, np.full(len(edges), 1e100), inverse, shares, rest)
    elimination.substitute(net, inverse, shares, r.copy(), dy)
    for part in reference.parts(24, edges):
        np.testing.assert_allclose(dy[part], r[part].sum() / D[part].sum(), rtol=1e-13)
    assert elimination.plan(edges, 24, -1)[3].size == 0


def instance(seed):
    """(scores with maximum 0 in units of their range, strengths, kappa) of a chain: any size, spread and strengths."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 3, 8, 40, 150]))
    x = (rng.normal(size=n), np.cumsum(rng.normal(size=n)), rng.integers(0, 3, n), np.zeros(n))[seed % 4] * 1.0
    kappa = 10.0 ** -rng.uniform(0, 6)
    c = kappa * 10.0 ** rng.uniform(-3, 8) * rng.choice([0.0, 0.5, 1.0, 100.0], n - 1)
    return (x - x.max()) / max(1.0, np.ptp(x)), c, kappa


def solved(solve, z, c, kappa):
    """(weights, flows, what is off, steps)."""
    nodes, edges, shares = scratch(z.size, z.size - 1)
    nodes[0], edges[0] = z, c
    off, steps = solve(None, kappa, nodes, edges, shares)
    return nodes[1].copy(), edges[1].copy(), off, steps


@pytest.mark.parametrize("seed", range(60))
def test_the_support_is_that_of_the_path(seed):
    z, c, kappa = instance(seed)
    y, u, off, steps = solved(active.settle, z, c, kappa)
    assert off <= SETTLED
    assert steps <= active.CAP
    assert y.min() >= 0.0
    balance = z - kappa * y
    balance[:-1] += u
    balance[1:] -= u
    tau = balance.max()
    np.testing.assert_allclose(balance[y > 0], tau, atol=1e-12)
    np.testing.assert_allclose(u, c * np.diff(y), atol=1e-12 * (1 + c.max(initial=0)))
    expected, _, left, _ = solved(lambda *a: simplex(a[0], 2.0, *a[1:]), z, c, kappa)
    assert left <= 1e-9
    np.testing.assert_allclose(y / y.sum(), expected / expected.sum(), atol=1e-8)


def test_the_search_for_the_support_equals_its_python_source():
    for seed in range(12):
        for found, expected in zip(
            solved(active.settle, *instance(seed)), solved(active.settle.py_func, *instance(seed)), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-13)


def test_a_chain_frees_what_a_surplus_reaches_and_no_more():
    held, kappa = tridiagonal.PINNED, 1.0
    pull, gain = np.array([-np.inf, 5.0, -2.0, -2.0, -2.0, -1.0, 1.0, -9.0]), np.array([1.0, 1, 1, 1, 1, 1, 1])
    for net, freed in ((None, [1, 2, 3, 6]), (GRAPHS["chain"], [1, 6])):
        D = np.array([kappa, *[held] * 7])
        active._release(net, kappa, D, pull, gain) if net is None else active._release.py_func(
            net, kappa, D, pull, gain
        )
        assert np.flatnonzero(D[1:] == kappa).tolist() == [i - 1 for i in freed]
    D = np.array([kappa, *[held] * 7])
    active._release(None, kappa, D, pull, 0.0 * gain)
    assert np.flatnonzero(D[1:] == kappa).tolist() == [0, 5]


def test_where_the_support_is_not_found_the_path_answers(monkeypatch):
    z = np.sin(np.arange(40.0)) / 2 - 0.5
    expected = regmax.plaplacemax(z, p=2, lam=0.3)  # compiled before anything is replaced
    c, (nodes, edges, shares) = np.full(39, 0.3), scratch(40, 39)
    nodes[0], edges[0] = z - z.max(), c
    with monkeypatch.context() as change:
        change.setattr(active, "CAP", 1)
        assert solved(active.settle.py_func, z, c, 1.0)[2:] == (np.inf, 1)
        change.setattr(plaplacian, "settle", active.settle.py_func)
        left, steps, _ = plaplacian._bounded_row.py_func(None, 2.0, np.finfo(float).eps, nodes, edges, shares)
    assert left <= 1e-9
    assert steps > 5
    np.testing.assert_allclose(nodes[1], expected, atol=1e-12)


@pytest.mark.parametrize("lam", [0.1, 10.0, 1e3])
def test_p_of_two_equals_cvxpy(lam):
    x = rows(24)
    for weights in (None, np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], 23)):
        operator = regmax.Plaplacemax(2.0, lam, weights=weights)
        for row, y in zip(x, operator(x), strict=True):
            np.testing.assert_allclose(y, witness.argmax(operator, row), atol=1e-6)


@pytest.mark.parametrize("n", [256, 1000])
def test_few_supports_are_tried(n):
    skipped = ("huge", "-inf", "additive mask", "mixed scale", "offset -1e9", "exponential ramp")
    x = np.concatenate([x[:2] for name, x in families(n).items() if name not in skipped])
    x = np.concatenate([x, np.sin(np.arange(n) / 10)[None], np.random.default_rng(0).normal(size=(20, n))])
    ones, left, out = np.ones(len(x)), np.zeros((len(x), 2)), np.empty_like(x)
    for lam in (1e-3, 0.1, 1.0, 20.0, 100.0, 1e3, 1e5, 1e7, 1e10):
        plaplacian.plaplacemax(
            x, ones, 2 * ones, lam * ones, np.empty((1, 0)), left, np.empty((len(x), 0)), out, 0, len(x)
        )
        assert left[:, 0].max() <= SETTLED
        assert left[:, 1].max() <= (10 if lam <= 100 else active.CAP), (lam, left[:, 1])


def hostile(seed):
    """(scores, strength, gamma, weights, mask), each of any size."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 3, 5, 17, 64]))
    x = (rng.normal(size=n), rng.integers(0, 3, n), np.zeros(n), rng.normal(size=n) * 10.0 ** rng.uniform(-8, 8, n))
    weights = (None, 10.0 ** rng.uniform(-12, 12, n - 1), rng.choice([0.0, 1e-8, 1.0, 1e8, 1e15, 1e19, 1e30], n - 1))
    where = rng.random(n) < 0.8 if seed % 2 else np.ones(n, bool)
    lam, gamma = 10.0 ** rng.uniform(-6, 8), 10.0 ** rng.uniform(-3, 3)
    return x[seed % 4] * 10.0 ** rng.uniform(-3, 6), lam, gamma, weights[seed % 3], where


@pytest.mark.parametrize("p", [2.0, 3.0, 8.0])
def test_hostile_rows_are_proved(p):
    for seed in range(150):
        x, lam, gamma, weights, where = hostile(seed)
        operator = regmax.Plaplacemax(p, lam, gamma, weights=weights)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            y = operator.argmax(x, where=where)
        spread = max(gamma, np.ptp(x[where])) if where.any() else 1.0
        assert operator.certify(x, y, where=where).gap <= 1e-11 * spread, seed


@pytest.mark.parametrize("p", [1.1, 2.0, 3.0])
@pytest.mark.parametrize("edges", [None, path(24), regmax.grid_edges(4, 6)])
def test_a_mask_beside_strong_edges_costs_no_digits(p, edges):
    x, where = rows(24)[:3], np.arange(24) % 7 > 0
    for lam in (1e10, 1e20, 1e30):
        weights = np.where(np.arange(23 if edges is None else len(edges)) % 3, 1.0, 1.0 / lam)
        operator = regmax.Plaplacemax(p, lam, edges=edges, weights=weights)
        assert operator.certify(x, operator.argmax(x, where=where), where=where).gap.max() <= 1e-12, lam


@pytest.mark.parametrize("lam", [1e20, 1e50, 1e100, 1e200, 1e300])
@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 8.0, 20.0])
def test_huge_strengths_converge(p, lam):
    x, operator = rows(24), regmax.Plaplacemax(p, lam)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = operator(x)
    assert operator.certify(x, y).gap.max() <= 1e-12 * max(1.0, np.ptp(x))


def test_huge_strengths_of_large_p_are_no_infinite_ones():
    x, operator = rows(24)[:3], regmax.Plaplacemax(100.0, 1e300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = operator(x)
    assert operator.certify(x, y).gap.max() <= 1e-14
    assert np.ptp(y, axis=1).min() > 1e-3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("p", [2.0, 3.0, 8.0])
def test_faint_strengths_do_nothing(p):
    for x in (np.array([1.0, -1.0]), -np.arange(64) * 1e-2):
        for lam in (1e-25, 1e-30, 1e-150, 1e-300):
            np.testing.assert_allclose(regmax.plaplacemax(x, p=p, lam=lam), regmax.sparsemax(x), atol=1e-12)


#: (p, strength, scores, weights of edges, edges) for which the path once ran into numbers beyond floats.
STEEP = [
    (3.0, 1e-12, [0.0, -1, -2, -3, -4], [1e17, 1e-17, 1e8, 1e-19], None),
    (3.0, 1e50, [0.0, 5e7, 1e8], [1.0], [[0, 2]]),
    (2.0, 0.1, [-1e300, 1e300, 1e300], [1.0, 1e30], None),
    (2.0, 0.1, [0.0, 1e300, -1e300, 1e300, 0.0], [1e30, 1.0, 1.0, 1e30], None),
    (2.0, 1e30, [-41241157.9, 83231.3, 202969117.9], [1.0, 1.0, 1.0], [[0, 1], [1, 2], [0, 2]]),
]


@pytest.mark.parametrize(("p", "lam", "x", "weights", "edges"), STEEP)
def test_steep_rows_have_an_answer(p, lam, x, weights, edges):
    x = np.array(x)
    operator = regmax.Plaplacemax(p, lam, weights=np.array(weights), edges=None if edges is None else np.array(edges))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", regmax.ConvergenceWarning)
        y = operator(x)
    assert operator.certify(x, y).gap <= 1e-7 * np.ptp(x)


def test_nodes_of_many_edges_are_eliminated_last():
    n = 20_000
    spine, legs = path(30), np.arange(30, n)
    star = np.stack([np.zeros(n - 1, int), np.arange(1, n)], axis=1)
    caterpillar = np.concatenate([spine, np.stack([legs % 30, legs], axis=1)])
    for edges in (star, caterpillar):
        net = plaplacian_network.Network(n, edges, np.ones(n - 1))
        assert sorted(net.place) == list(range(n))
        matrix = plaplacian_network._laplacian(net, np.full(n, float(n)))
        order = np.argsort(net.place)
        assert plaplacian_network._factored(matrix[order][:, order].tocsc(), "NATURAL").L.nnz == 2 * n - 1  # a tree
    assert plaplacian_network.Network(n, star, np.ones(n - 1)).place[0] == n - 1
    complete = np.argwhere(np.tri(300, k=-1))
    assert sorted(plaplacian_network.Network(300, complete, np.ones(len(complete))).place) == list(range(300))


@pytest.mark.parametrize("n", [200, 600])
def test_edges_of_any_strength_take_few_steps(n):
    rng = np.random.default_rng(1)
    edges = random_graph(n, 3 * n)
    weights, x = 10.0 ** rng.uniform(-8, 8, (1, len(edges))), rng.normal(size=(1, n))
    one, left, flow, y = np.ones(1), np.zeros((1, 2)), np.empty((1, 0)), np.empty((1, n))
    plaplacian_graph.plaplacemax(x, one, 1.5 * one, 0.1 * one, weights, edges, left, flow, y, 0, 1)
    assert left[0, 0] <= SETTLED
    assert left[0, 1] <= 60
    assert regmax.Plaplacemax(1.5, 0.1, edges=edges, weights=weights).certify(x, y).gap <= 1e-14


@pytest.mark.parametrize("small", [512, 0])
def test_what_converged_does_not_warn(small, monkeypatch):
    monkeypatch.setattr(plaplacian_graph, "_SMALL", small)
    cases = [(np.array([-5876.026696904225, 767789.1353446866]), 1.01, 1e9, 1e-3, path(2))]
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, p, size = int(rng.integers(3, 11)), rng.choice([1.01, 1.05, 1.2, 1.5, 2, 3, 8]), 10.0 ** rng.choice([8, 9])
        ring = np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1)
        cases.append((size * rng.normal(size=n), p, min(size * 10.0 ** rng.choice([0, 3, 6, 290]), 1e300), 1.0, ring))
    for x, p, lam, gamma, edges in cases:
        operator = regmax.Plaplacemax(p, lam, gamma, edges)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            y = operator(x)
        assert operator.certify(x, y).gap <= 1e-13 * np.ptp(x)
