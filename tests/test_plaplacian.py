"""The p-Laplacian: against its dual, CVXPY and its limits, on chains, graphs and vectors; and its number of steps."""

import warnings
from functools import partial

import cvxpy
import numpy as np
import pytest

import regmax
from regmax import prox
from regmax.solvers import plaplacian, plaplacian_graph, plaplacian_network, plaplacian_path
from regmax.verify import families

from . import reference

EXPONENTS = (1.0, 1.05, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 8.0)
STRENGTHS = (1e-3, 0.1, 1.0, 20.0, 1000.0)


def path(n):
    return np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)


def random_graph(n, m, seed=0):
    edges = np.random.default_rng(seed).integers(0, n, (m, 2))
    return np.unique(np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1), axis=0)


GRAPHS = {
    "chain": (None, path(24)),
    "grid": (regmax.grid_edges(4, 6),) * 2,
    "random": (random_graph(24, 40),) * 2,
    "parts": (random_graph(12, 20),) * 2,
    "star": (np.stack([np.zeros(23, int), np.arange(1, 24)], axis=1),) * 2,
    "empty": (np.empty((0, 2), int),) * 2,
}

some_graph = pytest.mark.parametrize("graph", GRAPHS)


def rows(n, seed=0):
    """Noise, a wave, ties, steps of any size, a ramp, one peak, nothing at all."""
    rng = np.random.default_rng(seed)
    k = np.arange(n)
    x = (rng.normal(size=n), np.sin(k / 3) + 0.1 * rng.normal(size=n), k % 3, 2.0 ** -(k % 40), k / 4, k == n // 2)
    return np.array([*x, np.zeros(n)], dtype=float)


def gap_of_prox(proximal, x, y):
    """In units of the square of the largest value."""
    return 0.5 * (proximal.certify(x, y).error_bound / np.maximum(np.abs(x).max(axis=-1), 1e-300)) ** 2


@some_graph
@pytest.mark.parametrize("p", EXPONENTS)
def test_the_certificate_proves_every_answer(graph, p):
    edges, listed = GRAPHS[graph]
    x = rows(24)
    weights = np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], len(listed))
    for lam in STRENGTHS:
        for shares in (None, weights):
            operator = regmax.Plaplacemax(p, lam, edges=edges, weights=shares)
            found = operator.certify(x, operator(x))
            assert (found.gap <= 1e-12 * np.maximum(1, np.ptp(x, axis=1))).all(), (lam, found.gap)
            assert found.feasibility.max() <= 1e-15 * 24
            proximal = prox.PLaplacian(p, lam, edges, shares)
            assert gap_of_prox(proximal, x, proximal(x)).max() <= 1e-12, lam


@some_graph
@pytest.mark.parametrize("p", [1.25, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("lam", [0.1, 1.0])
def test_equals_the_smooth_dual(graph, p, lam):
    edges, listed = GRAPHS[graph]
    weights = np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], len(listed))
    for x in rows(24)[:3]:
        expected = reference.plaplacian(x[:, None], listed, lam * weights, p)[:, 0]
        np.testing.assert_allclose(prox.plaplacian(x, p, lam, edges, weights), expected, atol=1e-6)
        expected = reference.plaplacian(x[:, None], listed, lam * weights, p, bounded=True)[:, 0]
        operator = regmax.Plaplacemax(p, lam, edges=edges, weights=weights)
        unsure = np.sqrt(2 * operator.certify(x, np.maximum(expected, 0.0)).gap)  # the reference stops early
        np.testing.assert_allclose(operator(x), expected, atol=1e-6 + unsure)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("graph", ["grid", "random", "empty"])
def test_vectors_equal_cvxpy(graph, p):
    edges = GRAPHS[graph][0]
    x = np.random.default_rng(0).normal(size=(24, 3))
    y = cvxpy.Variable(x.shape)
    size = cvxpy.norm(y[edges[:, 0]] - y[edges[:, 1]], 2, axis=1) if len(edges) else cvxpy.Constant(np.zeros(1))
    penalty = cvxpy.sum(cvxpy.power(size, p, approx=False)) / p
    cvxpy.Problem(cvxpy.Minimize(0.5 * cvxpy.sum_squares(y - x) + 0.4 * penalty)).solve(cvxpy.CLARABEL)
    proximal = prox.PLaplacian(p, 0.4, edges)
    found = proximal(x, axis=(0, 1))
    np.testing.assert_allclose(found, y.value, atol=2e-4)
    assert p == 1 or proximal.certify(x, found, axis=(0, 1)).gap <= 1e-11  # p = 1: its flows fill boxes, not balls
    assert proximal.objective(x, found, axis=(0, 1)) <= proximal.objective(x, y.value, axis=(0, 1)) + 1e-12
    turned = prox.plaplacian(x.T, p, 0.4, edges, axis=(1, 0))
    np.testing.assert_allclose(turned.T, found, atol=1e-12)


def test_vectors_of_one_number_are_numbers():
    edges, x = GRAPHS["random"][0], rows(24)[:3]
    for p in (1.25, 2.0, 3.0):
        one = prox.plaplacian(x[..., None], p, 0.3, edges, axis=(-2, -1))[..., 0]
        np.testing.assert_allclose(one, prox.plaplacian(x, p, 0.3, edges), atol=1e-13)


@pytest.mark.parametrize("lam", [0.0, 0.1, 1.0, 20.0, np.inf])
def test_p_of_one_is_total_variation(lam):
    x = rows(24)
    edges = GRAPHS["random"][0]
    np.testing.assert_array_equal(regmax.plaplacemax(x, p=1, lam=lam), regmax.fusedmax(x, lam=lam))
    np.testing.assert_array_equal(prox.plaplacian(x, 1, lam), prox.tv(x, lam))
    expected = regmax.graphfusedmax(x, edges=edges, lam=lam)
    np.testing.assert_array_equal(regmax.plaplacemax(x, p=1, lam=lam, edges=edges), expected)
    np.testing.assert_array_equal(prox.plaplacian(x, 1, lam, edges), prox.graph_tv(x, edges, lam))
    for p in (1.001, 1.00001):
        near = 20 * 24 * (p - 1) ** 0.5
        np.testing.assert_allclose(regmax.plaplacemax(x, p=p, lam=lam), regmax.fusedmax(x, lam=lam), atol=near)
        np.testing.assert_allclose(prox.plaplacian(x, p, lam, edges), prox.graph_tv(x, edges, lam), atol=near)


@some_graph
def test_p_of_two_is_a_linear_solve(graph):
    edges, listed = GRAPHS[graph]
    x, weights = rows(24), np.linspace(0.5, 2, len(listed))
    incidence = np.zeros((len(listed), 24))
    incidence[np.arange(len(listed)), listed[:, 0]] = -1
    incidence[np.arange(len(listed)), listed[:, 1]] = 1
    for lam in STRENGTHS:
        H = np.eye(24) + lam * incidence.T @ (weights[:, None] * incidence)
        found = prox.plaplacian(x, 2, lam, edges, weights)
        np.testing.assert_allclose(found, np.linalg.solve(H, x.T).T, atol=1e-11)
        np.testing.assert_allclose(prox.PLaplacian(2.0, lam, edges, weights).jacobian(x, x), found, atol=1e-12)


def test_projecting_after_the_prox_is_wrong():
    x = rows(24)
    for p, wrong in ((1.0, False), (1.5, True), (2.0, True), (4.0, True)):
        operator = regmax.Plaplacemax(p, 1.0)
        late = regmax.sparsemax(prox.plaplacian(x, p, 1.0))
        assert (operator.certify(x, late).gap.max() > 1e-3) == wrong


@some_graph
def test_strengths_without_end_and_none(graph):
    edges, listed = GRAPHS[graph]
    x = rows(24)
    for p in (1.05, 1.5, 2.0, 4.0):
        np.testing.assert_allclose(prox.plaplacian(x, p, 0, edges), x, atol=1e-15)
        np.testing.assert_allclose(regmax.plaplacemax(x, p=p, lam=0, edges=edges), regmax.sparsemax(x), atol=1e-15)
        y = prox.plaplacian(x, p, np.inf, edges)
        for part in reference.parts(24, listed):
            np.testing.assert_allclose(
                y[:, part], np.repeat(x[:, part].mean(axis=1)[:, None], part.size, 1), atol=1e-14
            )
        assert (
            regmax.Plaplacemax(p, np.inf, edges=edges)
            .certify(x, regmax.plaplacemax(x, p=p, lam=np.inf, edges=edges))
            .gap.max()
            <= 1e-12
        )


@pytest.mark.parametrize("p", [1.05, 1.5, 2.0, 4.0])
def test_a_masked_entry_cuts_its_edges(p):
    where = np.random.default_rng(2).random(24) < 0.7
    within = np.cumsum(where) - 1
    x = rows(24)[:3]
    for edges, listed in (GRAPHS["chain"], GRAPHS["grid"]):
        joined = within[listed[where[listed].all(axis=1)]]
        expected = np.zeros_like(x)
        expected[:, where] = regmax.plaplacemax(x[:, where], p=p, edges=joined)
        np.testing.assert_allclose(regmax.plaplacemax(x, p=p, edges=edges, where=where), expected, atol=1e-10)
        expected[:, where] = prox.plaplacian(x[:, where], p, 0.3, joined)
        np.testing.assert_allclose(prox.plaplacian(x, p, 0.3, edges, where=where), expected, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1e20, 1e300])
@pytest.mark.parametrize("p", [1.25, 2.0, 4.0])
def test_huge_and_tiny(p, scale):
    x = rows(24)[:3]
    for edges, _ in (GRAPHS["chain"], GRAPHS["grid"]):
        strength = float(np.exp(np.clip((2 - p) * np.log(scale), -690, 690)))
        if 1e-290 < strength < 1e290:
            found = prox.plaplacian(x * scale, p, 0.3 * strength, edges)
            np.testing.assert_allclose(found / scale, prox.plaplacian(x, p, 0.3, edges), atol=1e-9)
        weights = regmax.Plaplacemax(p, 0.3, edges=edges)
        y = weights(x * scale)
        np.testing.assert_allclose(y.sum(axis=1), 1)
        assert (weights.certify(x * scale, y).gap <= 1e-12 * max(1, scale)).all()


def test_small_sizes_and_float32():
    for p in (1.05, 1.5, 2.0, 4.0):
        np.testing.assert_array_equal(regmax.plaplacemax([3.0], p=p), [1])
        np.testing.assert_array_equal(prox.plaplacian([3.0], p, 1.0), [3])
        np.testing.assert_array_equal(regmax.plaplacemax([3.0], p=p, edges=np.empty((0, 2), int)), [1])
        for edges, _ in GRAPHS.values():
            x = rows(24).astype(np.float32)
            for call in (
                lambda x, p=p, e=edges: regmax.plaplacemax(x, p=p, edges=e),
                lambda x, p=p, e=edges: prox.plaplacian(x, p, 0.3, e),
            ):
                assert call(x).dtype == np.float32
                np.testing.assert_allclose(call(x), call(x.astype(float)), atol=2e-6)


def assert_derivatives(make, given, x, v, along, change, axis):
    """Of ``make(**given)``, against central differences; the weights along ``change``."""

    def difference(step, **moves):
        ahead, back = (
            make(**{name: value + sign * step * moves.get(name, 0.0) for name, value in given.items()})(
                x + sign * step * moves.get("x", 0.0), **axis
            )
            for sign in (1, -1)
        )
        return (ahead - back) / (2 * step)

    operator = make(**given)
    y = operator(x, **axis)
    np.testing.assert_allclose(operator.jacobian(y, along, **axis, x=x), difference(1e-6, x=along), atol=3e-7)
    found = operator.parameter_vjp(x, y, v, **axis)
    for name in ("p", "lam"):
        np.testing.assert_allclose(found[name], np.sum(v * difference(1e-6, **{name: 1.0})), atol=3e-7)
    expected = np.sum(v * difference(1e-6, weights=change))
    np.testing.assert_allclose(np.sum(found["weights"] * change), expected, atol=3e-7)


@pytest.mark.parametrize("graph", ["chain", "grid", "vectors"])
@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
def test_derivatives_equal_differences(graph, p):
    rng = np.random.default_rng(3)
    edges = None if graph == "chain" else regmax.grid_edges(3, 4)
    shape, axis = ((12, 2), {"axis": (0, 1)}) if graph == "vectors" else ((12,), {})
    x, v, along = rng.normal(size=(3, *shape))
    count = 11 if edges is None else len(edges)
    given = {"p": p, "lam": 0.3, "weights": rng.uniform(0.5, 2, count)}
    for kind in (prox.PLaplacian, regmax.Plaplacemax)[: 1 if axis else 2]:
        assert_derivatives(partial(kind, edges=edges), given, x, v, along, rng.normal(size=count), axis)


def test_both_ways_to_solve_a_graph_agree(monkeypatch):
    x, v = rows(24), np.cos(rows(24))
    for name in ("grid", "random", "parts", "empty"):
        edges = GRAPHS[name][0]
        for p in (1.25, 2.0, 4.0):
            operators = regmax.Plaplacemax(p, 0.3, edges=edges), prox.PLaplacian(p, 0.3, edges)
            fast = [(operator(x), operator.jacobian(operator(x), v)) for operator in operators]
            with monkeypatch.context() as change:
                change.setattr(plaplacian_graph, "_SMALL", 0)
                for operator, (y, jv) in zip(operators, fast, strict=True):
                    np.testing.assert_allclose(operator(x), y, atol=1e-6)  # as near as a gap of 1e-12 proves
                    np.testing.assert_allclose(operator.jacobian(y, v), jv, atol=1e-5)  # the stiffest edge times eps


def test_a_grid_of_edges():
    assert regmax.grid_edges(2, 3).tolist() == [[0, 1], [1, 2], [3, 4], [4, 5], [0, 3], [1, 4], [2, 5]]
    assert regmax.grid_edges(1, 1).shape == (0, 2)
    image = np.random.default_rng(0).normal(size=(5, 7))
    expected = regmax.tv2dmax(image, lam=0.1).ravel()
    np.testing.assert_allclose(regmax.graphfusedmax(image.ravel(), edges=regmax.grid_edges(5, 7)), expected, atol=1e-14)
    with pytest.raises(ValueError, match="grid_edges: w must be >= 1, got 0"):
        regmax.grid_edges(3, 0)
    with pytest.raises(TypeError, match=r"grid_edges: h must be an integer, got 2\.5"):
        regmax.grid_edges(2.5, 2)


@pytest.mark.parametrize("p", EXPONENTS[1:])
def test_the_number_of_steps_is_bounded(p):
    skipped = ("huge", "-inf", "additive mask", "mixed scale", "offset -1e9", "exponential ramp")
    x = np.concatenate([x[:1] for name, x in families(1000).items() if name not in skipped])
    count = len(x)
    ones, left, out, no_flow = np.ones(count), np.zeros((count, 2)), np.empty_like(x), np.empty((count, 0))
    most = 60 if p < 2 else 20 + plaplacian_path.POLISH * plaplacian_path.ROUNDS
    for lam in STRENGTHS:
        plaplacian.plaplacemax(x, ones, p * ones, lam * ones, np.empty((1, 0)), left, no_flow, out, 0, count)
        assert left[:, 0].max() <= 1e-9
        assert left[:, 1].max() <= most, (lam, left[:, 1])
        plaplacian.plaplacian(x, p * ones, lam * ones, np.empty((1, 0)), left, no_flow, out, 0, count)
        assert left[:, 0].max() <= 1e-9
        assert left[:, 1].max() <= most, (lam, left[:, 1])


def test_what_does_not_converge_says_so(monkeypatch):
    """The way of SciPy, whose cap is read at every call."""
    monkeypatch.setattr(plaplacian_graph, "_SMALL", 0)
    monkeypatch.setattr(plaplacian_network, "CAP", 3)
    x, edges = rows(24), GRAPHS["grid"][0]
    for operator in (regmax.Plaplacemax(1.5, 1.0, edges=edges), prox.PLaplacian(1.5, 1.0, edges)):
        with pytest.warns(regmax.ConvergenceWarning, match="rows did not converge"):
            y = operator(x)
        found = operator.certify(x, y)
        assert np.isfinite(y).all()
        assert found.gap.max() > 1e-6
        exact = type(operator)(1.5, 1.0, edges=edges)
        with monkeypatch.context() as change:
            change.setattr(plaplacian_network, "CAP", 100)
            distance = np.linalg.norm(y - exact(x), axis=1)
        assert (distance <= found.error_bound + 1e-9).all()


def assert_proved(operator, x, **axis):
    gap = operator.certify(x, operator(x, **axis), **axis).gap
    assert gap.max() <= 1e-11 * max(1.0, np.abs(x).max() ** 2 * x[0].size)


@pytest.mark.parametrize("lam", [0.1, 1.0, 5.0, 20.0, 1000.0])
@pytest.mark.parametrize("p", [1.05, 1.1])
def test_answers_near_total_variation_are_proved_though_their_flows_run_where_nothing_shows(p, lam, monkeypatch):
    x = np.concatenate([rows(256)[:4], np.random.default_rng(3).normal(size=(3, 256))])
    for operator in (regmax.Plaplacemax(p, lam), prox.PLaplacian(p, lam)):
        assert_proved(operator, x)
    edges = regmax.grid_edges(6, 7)
    for small in (512, 0):
        monkeypatch.setattr(plaplacian_graph, "_SMALL", small)
        for operator in (regmax.Plaplacemax(p, lam, edges=edges), prox.PLaplacian(p, lam, edges)):
            assert_proved(operator, np.ascontiguousarray(x[:, :42]))


@pytest.mark.parametrize("lam", [0.05, 0.2, 0.5, 1.0, 5.0])
def test_vectors_at_p_1_are_proved(lam):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        edges = np.argwhere(np.tril(rng.random((12, 12)) < 0.4, -1))
        assert_proved(prox.PLaplacian(1.0, lam, edges), rng.normal(size=(3, 12, 2)), axis=(-2, -1))


def test_a_node_is_masked_with_one_of_its_features_in_the_certificate_too():
    x = np.random.default_rng(0).normal(size=(6, 2))
    x[2, 0] = -np.inf
    operator = prox.PLaplacian(1.5, 0.3)
    assert operator.certify(x, operator.prox(x, (0, 1)), (0, 1)).gap <= 1e-15


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
def test_faint_values_are_smoothed_too(p):
    faint, scale = prox.plaplacian([1e-310, 0.0, 5e-311], p, 0.3), 2.0**-1000
    assert np.isfinite(faint).all()
    if p == 2:
        x = np.array([1.0, 0.0, 0.5])
        np.testing.assert_allclose(prox.plaplacian(x * scale, p, 0.3) / scale, prox.plaplacian(x, p, 0.3), rtol=1e-13)


@pytest.mark.parametrize("edges", [None, GRAPHS["star"][0][:3]])
@pytest.mark.parametrize(("p", "scale"), [(300, 1), (100, 1e3), (2000, 1), (30, 1e9), (1e5, 1)])
def test_large_p_is_solved_though_its_powers_are_beyond_all_numbers(p, scale, edges):
    x = scale * np.array([10.0, 0.0, -5.0, 8.0])
    operator = prox.PLaplacian(p, 0.3, edges)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = operator.prox(x)
    assert operator.certify(x, y).gap <= 1e-15 * scale**2


def flow_by_bisection(p, lam, x):
    """Of the only edge, ``u = lam |d|^(p - 1)`` with ``d = x - 2 u``, in logarithms."""
    low, high = 0.0, x / 2
    for _ in range(2000):
        u = (low + high) / 2
        above = u == x / 2 or (u > 0 and np.log(u) > np.log(lam) + (p - 1) * np.log(x - 2 * u))
        low, high = (low, u) if above else (u, high)
    return high


@pytest.mark.parametrize(
    ("p", "lam", "x"),
    [(300, 1.0, 10.0), (1000, 1.0, 2.7), (50, 1.0, 1e6), (1000, 1e12, 1.7), (4, 1e-300, 1e300), (1000, 1e300, 0.1)],
)
def test_large_p_on_one_edge_equals_bisection(p, lam, x):
    u, operator = flow_by_bisection(p, lam, x), prox.PLaplacian(p, lam)
    y = operator([x, 0.0])
    np.testing.assert_allclose(y, [x - u, u], rtol=1e-12, atol=1e-14 * x)
    assert operator.certify([x, 0.0], y).error_bound <= 1e-7 * x
    if x < 1:
        weights = regmax.Plaplacemax(p, lam)
        np.testing.assert_allclose(weights([x, 0.0]), [(1 + x) / 2 - u, (1 - x) / 2 + u], rtol=1e-12)
        assert weights.certify([x, 0.0], weights([x, 0.0])).gap <= 1e-14


def test_the_best_point_is_returned_where_a_large_graph_does_not_converge():
    x, operator = 100 * np.random.default_rng(0).normal(size=625), prox.PLaplacian(30, 1.0, regmax.grid_edges(25, 25))
    with pytest.warns(regmax.ConvergenceWarning):
        y = operator.prox(x)
    assert operator.objective(x, y) <= operator.objective(x, np.full(625, x.mean())) * (1 + 1e-12)
