"""Matrices with given sums: against slow versions and other solvers, at their limits, and where they cannot be had."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import eye_array, kron, vstack

import regmax
from regmax import prox
from regmax.solvers import transport as solver

from . import reference


def scores(height, width, std=1.0, seed=0):
    return std * np.random.default_rng(seed).normal(size=(height, width))


def sums(y):
    return y.sum(axis=-1), y.sum(axis=-2)


def assert_solved(operator, x, where=None, gap=1e-12):
    """Right sums to 1e-13, and a gap that is small against the largest score for each row."""
    y = operator(x, where=where)
    found = operator.certify(x, y, where=where)
    live = np.isfinite(x) if where is None else where
    assert found.feasibility <= 1e-13
    assert found.gap <= gap * max(np.abs(x[live]).max(), 1.0) * x.shape[0]
    return y


MASKS = {
    "none": lambda n, m: np.ones((n, m), bool),
    "no diagonal": lambda n, m: ~np.eye(n, m, dtype=bool),
    "half": lambda n, m: np.random.default_rng(5).random((n, m)) < 0.5,
}

# Against slow, obvious versions and other solvers.


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (3, 3), (4, 6), (9, 6)])
@pytest.mark.parametrize("std", [0.1, 1.0, 5.0])
def test_projections_equal_thresholds_in_turn(shape, std):
    rng = np.random.default_rng(1)
    for seed in range(4):
        x = scores(*shape, std, seed)
        x = np.round(x * 2) / 2 if seed == 3 else x
        rows = rng.uniform(0.5, 2.0, shape[0])
        columns = rng.uniform(0.5, 2.0, shape[1])
        columns *= rows.sum() / columns.sum()
        upper = 1.7 * np.outer(rows, columns) / rows.sum()
        expected = reference.transport(x, rows, columns, upper)
        np.testing.assert_allclose(prox.transport(x, rows, columns, upper), expected, atol=1e-9)
        even = np.ones(shape[0]), np.full(shape[1], shape[0] / shape[1])
        expected = reference.transport(x, *even, np.full(shape, 2.0 * shape[0]))
        np.testing.assert_allclose(prox.birkhoff(x), expected, atol=1e-9)
        for k in {1, (shape[1] + 1) // 2, shape[1]}:
            expected = reference.transport(x, *even, np.full(shape, 1 / k))
            np.testing.assert_allclose(prox.kregular(x, k), expected, atol=1e-9)
            np.testing.assert_allclose(regmax.kregularmax(x, k, gamma=0.5), prox.kregular(2 * x, k), atol=1e-13)


def test_masked_projections_equal_thresholds_in_turn():
    x = scores(6, 6)
    for name in ("no diagonal", "half"):
        where = MASKS[name](6, 6)
        masked = np.where(where, x, -np.inf)
        expected = reference.transport(masked, np.ones(6), np.ones(6), np.ones((6, 6)))
        np.testing.assert_allclose(prox.birkhoff(x, where=where), expected, atol=1e-9)
        assert np.all(prox.birkhoff(x, where=where)[~where] == 0)


def heaviest(x, k):
    """The weight of the heaviest k-regular graph, by linear programming."""
    height, width = x.shape
    live = np.isfinite(x)
    equations = vstack([kron(eye_array(height), np.ones((1, width))), kron(np.ones((1, height)), eye_array(width))])
    totals = np.concatenate([np.full(height, k), np.full(width, height * k / width)])
    bounds = np.stack([np.zeros(x.size), live.reshape(-1)], axis=1)
    found = linprog(-np.where(live, x, 0.0).reshape(-1), A_eq=equations.tocsc(), b_eq=totals, bounds=bounds)
    return -found.fun


@pytest.mark.parametrize("seed", range(24))
def test_k_regular_graph_is_heaviest(seed):
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 9))
    x = rng.normal(size=(width * int(rng.integers(1, 4)), width)) * 10.0 ** rng.integers(-4, 9)
    x = [x, np.round(x / np.abs(x).max() * 3), np.zeros_like(x), np.where(rng.random(x.shape) < 0.1, -np.inf, x)][
        seed % 4
    ]
    for k in range(1, width + 1):
        try:
            graph = regmax.k_regular_graph(x, k)
        except ValueError:
            assert not np.isfinite(x).all()
            continue
        assert np.all(graph.sum(axis=1) == k)
        assert np.all(graph.sum(axis=0) == k * len(x) // width)
        size = np.abs(x[np.isfinite(x)]).max()
        np.testing.assert_allclose(x[graph].sum(), heaviest(x, k), rtol=0, atol=1e-8 * size + 1e-300)


@pytest.mark.parametrize("x", [scores(200, 200), np.round(scores(200, 200) * 2), np.zeros((50, 50))])
def test_k_regular_graph_for_one_is_an_assignment(x):
    rows, columns = linear_sum_assignment(x, maximize=True)
    graph = regmax.k_regular_graph(x, 1)
    np.testing.assert_allclose(x[graph].sum(), x[rows, columns].sum(), rtol=1e-12)


@pytest.mark.parametrize(
    "x",
    [
        np.diag([1e-320, 1e-320]),
        np.diag([5e-324, 0.0]),
        np.array([[1e308, 0.0], [0.0, 0.0]]),
        np.array([[1.7e308, -1.7e308], [-1.7e308, 1.7e308]]),
    ],
)
def test_k_regular_graph_of_scores_of_any_size(x):
    np.testing.assert_array_equal(regmax.k_regular_graph(x, 1), np.eye(2, dtype=bool))
    np.testing.assert_array_equal(regmax.k_regular_graph(x, 1.0), np.eye(2, dtype=bool))


def test_small_gamma_gives_the_graph():
    x = scores(12, 12)
    np.testing.assert_allclose(3 * regmax.kregularmax(x, 3, gamma=1e-6), regmax.k_regular_graph(x, 3), atol=1e-12)
    np.testing.assert_allclose(regmax.kregularmax(x, 3, gamma=1e9), 1 / 12, atol=1e-8)


# Where a semismooth Newton method from zero stalls, and other hard matrices.


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("std", [0.1, 1.0, 10.0, 100.0])
def test_scores_of_any_spread_are_solved(std, mask):
    where = MASKS[mask](256, 256)
    operator = regmax.Kregularmax(4)
    y = assert_solved(operator, scores(256, 256, std), where)
    assert np.all(y[~where] == 0)
    assert y.max() <= 0.25


def test_stages_are_needed_and_enough():
    """At this spread plain Newton steps from zero do not end (see the theory); these take a few dozen."""
    x = scores(256, 256, 10.0)
    found = regmax.Kregularmax(4).solve(x)
    assert found.residual <= 1e-14
    assert found.iterations <= 60
    np.testing.assert_allclose(found.weights, np.clip(x - found.rows[:, None] - found.columns, 0, 0.25), atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 32, 64])
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((64, 64)),
        np.round(scores(64, 64)),
        np.round(scores(64, 64) * 3) * 1e3,
        scores(64, 64) * 1e300,
        scores(64, 64) * 1e-300,
        np.arange(4096.0).reshape(64, 64),
        np.outer(np.arange(64.0), np.arange(64.0)),
        -(2.0 ** (np.arange(4096) % 40)).reshape(64, 64),
        np.where(MASKS["half"](64, 64), scores(64, 64), -1e9),
        scores(64, 64) + 1e9 * scores(64, 1, seed=1),
    ],
    ids=["zeros", "ties", "steep ties", "huge", "tiny", "ramp", "rank one", "powers", "soft mask", "offsets"],
)
def test_hard_matrices(x, k):
    assert_solved(regmax.Kregularmax(k), x)


def test_masks_with_one_point():
    x = scores(40, 40)
    causal = np.tril(np.ones((40, 40), bool))
    np.testing.assert_allclose(prox.birkhoff(x, where=causal), np.eye(40), atol=1e-13)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(regmax.kregularmax(x, 1, where=np.eye(40, dtype=bool)[order]), np.eye(40)[order])
    np.testing.assert_allclose(regmax.kregularmax(x, 40), 1 / 40, rtol=1e-15)


@pytest.mark.parametrize(("shape", "k"), [((73, 1), 1), ((165, 1), 1), ((2, 49), 49), ((333, 333), 333)])
def test_the_only_point_needs_no_walk(shape, k):
    x = scores(*shape)
    operator = regmax.Kregularmax(k, gamma=0.1)
    found = operator.solve(x)
    assert found.iterations <= 3
    np.testing.assert_allclose(found.weights, 1 / shape[1], rtol=1e-15)
    assert np.ptp(found.rows) <= 2 * np.ptp(x) + 1
    assert operator.certify(x, found.weights).gap <= 1e-14 * np.abs(x).max() * shape[0]


def test_what_is_masked_throughout_is_not_there():
    x = scores(5, 7)
    whole = np.full((8, 9), -np.inf)
    whole[1:6, 2:] = x
    y = regmax.kregularmax(whole, 2)
    np.testing.assert_allclose(y[1:6, 2:], regmax.kregularmax(x, 2), atol=1e-14)
    assert np.count_nonzero(y) == np.count_nonzero(y[1:6, 2:])
    np.testing.assert_array_equal(regmax.kregularmax(np.full((3, 3), -np.inf), 1), 0)
    broken = np.stack([x, x, x])
    broken[1, 0, 0] = np.nan
    for reading in ("both", "row"):
        y = regmax.kregularmax(broken, 2, reading=reading)
        assert np.isnan(y[1]).all()
        np.testing.assert_array_equal(y[0], regmax.kregularmax(x, 2, reading=reading))
        np.testing.assert_array_equal(y[2], y[0])


def test_a_batch_equals_its_matrices_whatever_the_axes():
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 6))
    y = regmax.kregularmax(x, 2)
    np.testing.assert_array_equal(y[1, 2], regmax.kregularmax(x[1, 2], 2))
    np.testing.assert_array_equal(regmax.kregularmax(np.moveaxis(x, 2, 0), 2, axis=(0, -1)), np.moveaxis(y, 2, 0))
    counts = np.array([[1], [2], [3]])
    several = regmax.kregularmax(x, counts)
    for i in range(3):
        np.testing.assert_array_equal(several[i], regmax.kregularmax(x[i], i + 1))
    rows, columns = np.ones((5, 4)), np.full(6, 4 / 6)
    np.testing.assert_allclose(prox.transport(x, rows, columns, 0.5), prox.kregular(x, 2), atol=1e-14)
    assert regmax.kregularmax(x.astype(np.float32), 2).dtype == np.float32
    assert regmax.kregularmax(np.arange(6).reshape(2, 3), 1).dtype == np.float64


def test_reading_row_is_the_capped_simplex():
    x = scores(5, 8)
    np.testing.assert_array_equal(regmax.kregularmax(x, 3, reading="row"), regmax.budgetmax(x, upper=1 / 3))
    np.testing.assert_array_equal(prox.kregular(x, 3, reading="row"), regmax.budgetmax(x, upper=1 / 3))


# Derivatives, potentials, degrees.


def dense_projection(free):
    """The matrix of the projection onto changes of the free entries without row and column sums."""
    height, width = free.shape
    places = np.flatnonzero(free)
    lines = np.concatenate(
        [places // width == np.arange(height)[:, None], places % width == np.arange(width)[:, None]]
    ).astype(float)
    inside = np.eye(len(places)) - np.linalg.pinv(lines) @ lines
    whole = np.zeros((free.size, free.size))
    whole[np.ix_(places, places)] = inside
    return whole


@pytest.mark.parametrize("std", [0.3, 1.0, 10.0])
def test_jacobian_equals_a_dense_projection(std):
    x, v = scores(9, 7, std), scores(9, 7, seed=4)
    y = prox.kregular(x, 2)
    expected = dense_projection((y > 0) & (y < 0.5)) @ v.reshape(-1)
    np.testing.assert_allclose(prox.KRegular(2).jacobian(y, v).reshape(-1), expected, atol=1e-12)
    np.testing.assert_allclose(regmax.Kregularmax(2, 0.5).jacobian(y, v).reshape(-1), 2 * expected, atol=1e-12)


def test_derivatives_in_sums_and_bounds():
    x, v, h = scores(5, 6), scores(5, 6, seed=4), 1e-6
    rows, columns, upper = np.full(5, 1.2), np.ones(6), np.full((5, 6), 0.4)
    given = {"rows": rows, "columns": columns, "upper": upper}
    operator = prox.Transport(**given)
    slopes = operator.parameter_vjp(x, operator(x), v)
    rng = np.random.default_rng(0)
    move = {"rows": rng.normal(size=5), "columns": rng.normal(size=6), "upper": rng.normal(size=(5, 6))}
    move["columns"] += (move["rows"].sum() - move["columns"].sum()) / 6

    def at(step):
        return np.sum(v * prox.Transport(**{name: given[name] + step * move[name] for name in given})(x))

    expected = (at(h) - at(-h)) / (2 * h)
    np.testing.assert_allclose(sum(np.sum(slopes[name] * move[name]) for name in given), expected, atol=1e-7)


@pytest.mark.parametrize("operator", [regmax.Kregularmax(4), prox.KRegular(4), prox.Birkhoff()], ids=str)
def test_warm_starts(operator):
    x = scores(64, 64, 3.0)
    cold = operator.solve(x)
    again = operator.solve(x, start=cold)
    assert isinstance(again.iterations, np.int64)
    assert again.iterations <= 2
    np.testing.assert_allclose(again.weights, cold.weights, atol=1e-12)
    near = operator.solve(x + 0.01 * scores(64, 64, seed=1), start=(cold.rows, cold.columns))
    assert near.iterations <= cold.iterations
    far = operator.solve(x, start=(np.zeros(64), np.zeros(64)))
    np.testing.assert_allclose(far.weights, cold.weights, atol=1e-12)
    several = operator.solve(np.stack([x, -x]))
    assert several.rows.shape == (2, 64)
    np.testing.assert_array_equal(several.weights[0], cold.weights)


@pytest.mark.parametrize("start", ["apart", "long", "absurd", "zero"])
def test_any_start_ends_at_the_solution(start):
    x = scores(30, 30)
    operator = regmax.Kregularmax(2, 0.1)
    cold = operator.solve(x)
    rows, columns = {
        "apart": (cold.rows + 1e12, cold.columns - 1e12),
        "long": (cold.rows * 1e9, cold.columns),
        "absurd": (np.full(30, 1e300), np.full(30, -1e308)),
        "zero": (np.zeros(30), np.zeros(30)),
    }[start]
    found = operator.solve(x, start=(rows, columns))
    assert found.residual <= 1e-14
    np.testing.assert_allclose(found.weights, cold.weights, atol=1e-13)


def test_offsets_of_rows_and_columns_cost_no_digits():
    """All numbers are dyadic, so that offsets change nothing but the potentials."""
    x = np.random.default_rng(1).integers(-64, 65, size=(12, 12)) / 64
    far = 2.0**30 * np.arange(12)
    for moved in (x + far, x + far[:, None], x + far + far[:, None]):
        for operator in (regmax.Kregularmax(2, 0.25), prox.KRegular(2)):
            best = operator(x)
            found = operator.solve(moved)
            np.testing.assert_allclose(found.weights, best, atol=1e-14)
            np.testing.assert_allclose(operator.solve(moved, start=found).weights, best, atol=1e-14)
            assert operator.certify(moved, best).gap <= 1e-13
            for part in (1e-3, 1e-6):
                y = best + part * (operator(-x) - best)
                error = np.linalg.norm(y - best)
                assert error <= operator.certify(moved, y).error_bound <= 1e4 * error


def test_gamma_that_had_to_be_raised_is_reported():
    x = scores(8, 8)
    assert regmax.Kregularmax(2, 0.1).solve(x).residual <= 1e-15
    assert 1e-15 < regmax.Kregularmax(2, 1e-30).solve(x).residual <= 1e-10


@pytest.mark.parametrize("gamma", [1.0, 0.1])
def test_entries_at_their_bounds_are_there_exactly(gamma):
    for seed in range(300):
        x = np.round(scores(6, 6, seed=seed), 1)
        for k in (1, 2, 3):
            y = regmax.kregularmax(x, k, gamma=gamma)
            assert np.all((y == 0) | (y > 1e-9))
            assert np.all((y == 1 / k) | (y < 1 / k - 1e-9))


def test_tiny_totals():
    tiny = np.full(4, 1e-310)
    np.testing.assert_allclose(prox.transport(1e-310 * np.ones((4, 4)), tiny, tiny), 2.5e-311, rtol=1e-11)
    np.testing.assert_allclose(prox.transport(np.eye(4), tiny, tiny), 1e-310 * np.eye(4), rtol=1e-11)


def test_certificate_bounds_the_distance_of_any_point():
    x = scores(12, 12, 3.0)
    operator = regmax.Kregularmax(3)
    best = operator(x)
    for seed in range(10):
        other = operator(scores(12, 12, 3.0, seed + 10))
        for part in (1.0, 0.1, 1e-3, 1e-6):
            y = best + part * (other - best)
            found = operator.certify(x, y)
            assert np.linalg.norm(y - best) <= found.error_bound * (1 + 1e-9)
            lost = np.sum(x * (best - y)) - operator.value(best) + operator.value(y)
            assert lost <= found.gap + 1e-12
            assert found.gap <= 10 * max(np.sum(x * (best - other)), 1.0) * part


def test_degree_histogram():
    x = scores(20, 20, 100.0)
    graph = regmax.k_regular_graph(x, 4)
    rows, columns = regmax.degree_histogram(graph)
    assert rows[4] == columns[4] == 20
    assert rows.sum() == columns.sum() == 20
    inside = regmax.degree_histogram(regmax.kregularmax(scores(20, 10), 4))
    assert inside.rows.shape == (11,)
    assert inside.columns.shape == (21,)
    assert inside.rows[:4].sum() == 0
    assert regmax.degree_histogram(np.ones((2, 3, 4, 5))).rows.shape == (2, 3, 6)
    assert regmax.degree_histogram(np.zeros((0, 3, 4))).columns.shape == (0, 4)


def test_what_does_not_converge_says_so(monkeypatch):
    x = scores(256, 256, 100.0)
    operator = regmax.Kregularmax(4)
    original = solver.transport

    def impatient(*arguments):
        original(*arguments)
        arguments[-4][:, solver.RESIDUAL] = 1e-3

    monkeypatch.setattr(solver, "transport", impatient)
    with pytest.warns(regmax.ConvergenceWarning, match="kregularmax: 1 of 1 rows did not converge"):
        operator(x)


# What cannot be had.

CAUSAL = np.tril(np.ones((6, 6), bool))
BLOCK = np.ones((6, 6), bool)
BLOCK[:3, 2:] = False


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (
            lambda x: regmax.kregularmax(x, 7),
            ValueError,
            "kregularmax: k must be at most the number of columns that take",
        ),
        (lambda x: regmax.kregularmax(x, 0), ValueError, "kregularmax: k must be an integer from 1"),
        (lambda x: regmax.kregularmax(x, np.inf), ValueError, "kregularmax: k must be an integer from 1"),
        (
            lambda x: regmax.kregularmax(x, 2, where=CAUSAL),
            ValueError,
            "kregularmax: row 0 cannot be served, it needs",
        ),
        (
            lambda x: regmax.kregularmax(x, 1, where=BLOCK),
            ValueError,
            "kregularmax: rows 0, 1, 2 cannot be served, they",
        ),
        (
            lambda x: prox.birkhoff(x, where=BLOCK),
            ValueError,
            "prox.birkhoff: rows 0, 1, 2 cannot be served, they need 3",
        ),
        (lambda x: prox.kregular(x, 3, where=CAUSAL), ValueError, "prox.kregular: row "),
        (
            lambda x: prox.kregular(x, 2, reading="row", where=CAUSAL),
            ValueError,
            "prox.kregular: row 0 cannot be served, it needs 1 in all and the columns open to it take at most 0.5",
        ),
        (
            lambda x: prox.KRegular(1, "row").solve(x),
            ValueError,
            "prox.kregular: solve needs the reading 'both', got 'row'",
        ),
        (
            lambda x: prox.transport(x, np.ones(6), np.ones(6), (1 - 1e-7) / 6),
            ValueError,
            "prox.transport: row 0 cannot be served, it needs 1 in all and the columns open to it take at most "
            "0.9999999",
        ),
        (
            lambda x: regmax.kregularmax(x, 2, reading="row", where=CAUSAL),
            ValueError,
            "kregularmax: row 0 cannot be served, it needs 1 in all and the columns open to it take at most 0.5",
        ),
        (
            lambda x: regmax.kregularmax(x, 1, reading="all"),
            ValueError,
            "kregularmax: reading must be one of 'both', 'row'",
        ),
        (
            lambda x: prox.transport(x, np.ones(6), np.full(6, 2.0)),
            ValueError,
            "prox.transport: rows and columns must have",
        ),
        (
            lambda x: prox.transport(x, -np.ones(6), np.ones(6)),
            ValueError,
            "prox.transport: rows must be >= 0 and finite",
        ),
        (lambda x: prox.transport(x, np.ones(5), np.ones(6)), ValueError, "prox.transport: rows must have 6 entries"),
        (
            lambda x: prox.transport(x, np.ones(6), np.ones(6), 0.1),
            ValueError,
            "prox.transport: row 0 cannot be served",
        ),
        (
            lambda x: regmax.k_regular_graph(x, 7),
            ValueError,
            "k_regular_graph: k must be at most the number of columns",
        ),
        (lambda x: regmax.k_regular_graph(x[:5], 1), ValueError, "k_regular_graph: k times the number of rows must be"),
        (lambda x: regmax.k_regular_graph(x, 1.5), ValueError, "k_regular_graph: k must be an integer from 1"),
        (lambda x: regmax.k_regular_graph(x * np.nan, 1), ValueError, "k_regular_graph: x must not hold NaN or +inf"),
        (
            lambda x: regmax.Kregularmax(1, reading="row").solve(x),
            ValueError,
            "kregularmax: solve needs the reading 'both'",
        ),
        (
            lambda x: regmax.Kregularmax(1).solve(x, start=(np.ones(5), np.ones(6))),
            ValueError,
            "kregularmax: start must hold rows of shape (6,), got (5,)",
        ),
        (
            lambda x: regmax.Kregularmax(1).solve(x, start=(x[0], x[0], x[0])),
            ValueError,
            "kregularmax: start must hold two parts (rows, columns), got 3",
        ),
        (
            lambda x: regmax.Kregularmax(1).solve(x, start=5),
            TypeError,
            "kregularmax: start must be a Solution or potentials (rows, columns), got 5",
        ),
        (
            lambda x: prox.Birkhoff().solve(x, start=("a", "b")),
            TypeError,
            "prox.birkhoff: start rows must be an array of real numbers, got dtype",
        ),
        (
            lambda x: regmax.Kregularmax(1).solve(x, start=(1j * x[0], x[0])),
            TypeError,
            "kregularmax: start rows must be an array of real numbers, got dtype complex128",
        ),
        (
            lambda x: prox.Birkhoff().solve(x, start=(np.nan * x[0], x[0])),
            ValueError,
            "prox.birkhoff: start must hold finite rows, got nan",
        ),
        (
            lambda x: regmax.k_regular_graph(x, np.array([1, 2])),
            ValueError,
            "k_regular_graph: k must broadcast against the batch of shape (), got shape (2,)",
        ),
        (
            lambda x: regmax.k_regular_graph(x, 2, where=CAUSAL),
            ValueError,
            "k_regular_graph: row 0 cannot be served, it needs 2 in all and the columns open to it take at most 1",
        ),
    ],
)
def test_one_sentence(call, kind, sentence):
    with pytest.raises(kind) as caught:
        call(scores(6, 6))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_masks_are_judged_as_by_linear_programming():
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(60):
        where = rng.random((6, 4)) < rng.choice([0.5, 0.7, 0.9])
        if not (where.any(axis=1).all() and where.any(axis=0).all()):
            continue
        k = int(rng.integers(1, 4))
        bounds = np.stack([np.zeros(24), where.reshape(-1) / k], axis=1)
        equations = vstack([kron(eye_array(6), np.ones((1, 4))), kron(np.ones((1, 6)), eye_array(4))]).tocsc()
        totals = np.concatenate([np.ones(6), np.full(4, 1.5)])
        possible = linprog(np.zeros(24), A_eq=equations, b_eq=totals, bounds=bounds).status == 0
        try:
            rows, columns = sums(regmax.kregularmax(scores(6, 4), k, where=where))
        except ValueError:
            assert not possible
        else:
            assert possible
            np.testing.assert_allclose(rows, 1, atol=1e-14)
            np.testing.assert_allclose(columns, 1.5, atol=1e-14)
        verdicts.append(possible)
    assert 5 < sum(verdicts) < len(verdicts) - 5
