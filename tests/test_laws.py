"""Every operator, every law: one short test each, over all operators of the registry."""

import numpy as np
import pytest

import regmax
from regmax.adapters import cvxpy as witness

from .instances import SIZES, cases, families, feasible_rows, label, numbers, operators, scale, strength

every_case = pytest.mark.parametrize(("n", "operator"), **cases())
smooth_case = pytest.mark.parametrize(("n", "operator"), **cases((2, 7)))


def rows(n, operator, dtype=np.float64):
    """(family, rows) for every family that the operator can serve in this dtype."""
    for family, x in families(n, dtype=dtype).items():
        x = feasible_rows(operator, x)
        if len(x):
            yield family, x


def scattered(n, count=24, seed=3):
    """Scores and directions for difference quotients."""
    rng = np.random.default_rng(seed)
    return 1.5 * rng.normal(size=(count, n)), rng.normal(size=(count, n))


def smooth(forward, backward):
    """Rows whose one-sided differences agree: there is no kink between the points they were taken at."""
    size = 1 + np.abs(forward).reshape(len(forward), -1).max(axis=1)
    return np.abs(forward - backward).reshape(len(forward), -1).max(axis=1) <= 1e-5 * size


def differences(function, x, v, h=1e-6):
    """Central differences of ``function`` along v where it has no kink, and which rows those are."""
    ahead, here, behind = function(x + h * v), function(x), function(x - h * v)
    trusted = smooth((ahead - here) / h, (here - behind) / h)
    assert trusted.mean() >= 0.5
    return ((ahead - behind) / (2 * h))[trusted], trusted


@every_case
def test_weights_lie_in_the_domain(n, operator):
    for family, x in rows(n, operator):
        size = np.max(getattr(operator, "total", 1.0))
        allowed = 4 * np.sqrt(n) * np.finfo(float).eps * size
        assert np.max(operator.certify(x, operator.argmax(x)).feasibility) <= allowed, family


@every_case
def test_certificate_gap(n, operator):
    for family, x in rows(n, operator):
        gap = operator.certify(x, operator.argmax(x)).gap
        assert np.max(gap / scale(operator, x)) <= 1e-12, family


@every_case
def test_nothing_is_certified_for_an_empty_batch(n, operator):
    none = np.empty((0, n))
    assert operator.certify(none, none).gap.shape == (0,)


@every_case
def test_certificate_gap_in_float32(n, operator):
    for family, x in rows(n, operator, np.float32):
        y = operator.argmax(x)
        found = operator.certify(x, y)
        assert y.dtype == np.float32
        assert np.max(found.gap / scale(operator, x)) <= 1e-5, family
        assert np.max(found.feasibility) <= 1e-5 * np.max(getattr(operator, "total", 1.0)), family


@smooth_case
def test_certificate_bounds_the_distance_and_the_suboptimality(n, operator):
    x, _ = scattered(n)
    y = operator.argmax(x)
    domain = operator._domain(operator._spread(operator._batch(x)))
    other = domain.sample(np.random.default_rng(0), np.ones(x.shape, bool))
    found = operator.certify(x, other)
    gamma = strength(operator, x)
    better = np.sum(x * (y - other), axis=1) - gamma * (operator.value(y) - operator.value(other))
    assert np.all(better <= found.gap + 1e-12)
    assert np.all(np.linalg.norm(y - other, axis=1) <= found.error_bound + 1e-9)


@smooth_case
@pytest.mark.parametrize("share", [1e-10, 1e-5, 1e-2])
def test_the_gap_of_an_inexact_answer_is_near_what_it_lacks(n, operator, share):
    """Even where it misses ties by less than can be seen, and no subgradient there proves anything."""
    x, _ = scattered(n)
    y = operator.argmax(x)
    domain = operator._domain(operator._spread(operator._batch(x)))
    other = (1 - share) * y + share * domain.sample(np.random.default_rng(0), np.ones(x.shape, bool))
    lacks = np.sum(x * (y - other), axis=1) - strength(operator, x) * (operator.value(y) - operator.value(other))
    assert np.all(operator.certify(x, other).gap <= np.maximum(lacks, 0.0) + 1e-6 * scale(operator, x))


@smooth_case
def test_a_wrong_answer_has_a_gap(n, operator):
    x, _ = scattered(n)
    y = operator.argmax(x)
    shifted = np.roll(y, 1, axis=1)
    wrong = np.abs(shifted - y).max(axis=1) > 1e-2
    assert np.all(operator.certify(x, shifted).gap[wrong] > 1e-6)


@every_case
def test_loss_is_zero_at_the_argmax_and_positive_elsewhere(n, operator):
    for family, x in rows(n, operator):
        y = operator.argmax(x)
        size = scale(operator, x)
        assert np.max(operator.loss(x, y) / size) <= 1e-12, family
        other = operator.argmax(np.where(x > np.finfo(float).min / 2, -x, x))
        loss = operator.loss(x, other)
        assert np.all(loss >= 0), family
        if operator.is_gradient and family in ("normal 1", "ties", "ramp", "alternating", "all equal"):
            formula = operator.max(x) + operator.gamma * operator.value(other) - np.sum(x * other, axis=1)
            np.testing.assert_allclose(formula, loss, atol=1e-9 * np.max(size))  # loss itself is clamped at 0
        apart = np.abs(y - other).max(axis=1) > 1e-3
        assert np.all(loss[apart] > 0), family


@smooth_case
def test_gradient_of_the_loss_is_argmax_minus_target(n, operator):
    x, v = scattered(n)
    target = operator.argmax(np.flip(x))
    gradient = operator.loss_gradient(x, target)
    np.testing.assert_allclose(gradient, operator.argmax(x) - target, atol=1e-15)
    if operator.is_gradient:
        found, trusted = differences(lambda x: operator.loss(x, target), x, v)
        np.testing.assert_allclose(np.sum(gradient * v, axis=1)[trusted], found, atol=2e-6)


@smooth_case
def test_gradient_of_max_is_argmax(n, operator):
    if not operator.is_gradient:
        assert operator.name == "topkmax"
        return
    x, v = scattered(n)
    found, trusted = differences(operator.max, x, v)
    np.testing.assert_allclose(np.sum(operator.argmax(x) * v, axis=1)[trusted], found, atol=2e-7)


@smooth_case
def test_jacobian_equals_differences(n, operator):
    x, v = scattered(n)
    found, trusted = differences(operator.argmax, x, v)
    expected = operator.jacobian(operator.argmax(x), v, x=x)[trusted]
    np.testing.assert_allclose(expected, found, atol=1e-6 * (1 + np.abs(found).max()))


def dense_jacobian(operator, x, product):
    columns = [product(operator.argmax(x), np.broadcast_to(e, x.shape), x=x) for e in np.eye(x.shape[1])]
    return np.stack(columns, axis=-1)


@smooth_case
def test_jacobian_is_symmetric_semidefinite_and_kills_constants(n, operator):
    x, _ = scattered(n, 8)
    J = dense_jacobian(operator, x, operator.jacobian)
    size = 1 + np.abs(J).max()
    np.testing.assert_allclose(J @ np.ones(n), 0, atol=1e-12 * size)
    np.testing.assert_allclose(np.swapaxes(J, 1, 2), dense_jacobian(operator, x, operator.vjp), atol=1e-12 * size)
    if operator.is_gradient:
        np.testing.assert_allclose(J, np.swapaxes(J, 1, 2), atol=1e-12 * size)
        assert np.linalg.eigvalsh(J).min() >= -1e-12 * size


@smooth_case
def test_parameter_derivatives_equal_differences(n, operator):
    x, v = scattered(n)
    gradients = operator.parameter_vjp(x, operator.argmax(x), v)
    fields = {k: p for k, p in numbers(operator).items() if k != "k"}
    assert set(gradients) == set(fields)
    for name, value in fields.items():
        direction = np.ones_like(value) if np.ndim(value) == 0 else 0.5 * value + 0.1
        found, trusted = along_parameter(operator, name, direction, x, v)
        single = [operator.parameter_vjp(x[r], operator.argmax(x[r]), v[r])[name] for r in range(len(x))]
        slopes = np.array([np.sum(gradient * direction) for gradient in single])
        np.testing.assert_allclose(slopes[trusted], found[trusted], atol=2e-6 * (1 + np.abs(found[trusted]).max()))
        np.testing.assert_allclose(gradients[name], sum(single), rtol=1e-9, atol=1e-9)


def along_parameter(operator, name, direction, x, v, h=1e-6):
    """Differences of <v, argmax> per row as one parameter moves (forward only at its bound), and which to trust."""
    value = np.asarray(getattr(operator, name), dtype=float)

    def at(step):
        moved = type(operator)(**{**vars(operator), name: (value + step * direction)[()]})
        return np.sum(v * moved.argmax(x), axis=1)

    here, ahead = at(0), at(h)
    bound = 1.0 if name == "p" and operator.name == "plaplacemax" else 0.0
    if (name in ("lam", "upper") or operator.name in ("fusedmax", "graphfusedmax", "plaplacemax")) and np.any(
        value - h * direction < bound
    ):
        further = at(2 * h)
        return (ahead - here) / h, smooth((ahead - here) / h, (further - ahead) / h)
    behind = at(-h)
    return (ahead - behind) / (2 * h), smooth((ahead - here) / h, (here - behind) / h)


@every_case
def test_shift_invariance(n, operator):
    for family in ("normal 1", "ties", "ramp", "alternating", "dominant"):
        x = families(n)[family]
        for shift in (1.0, -256.0, 2.0**20):
            shifted = x + shift
            size = max(1.0, 1 / np.min(strength(operator, x)))
            np.testing.assert_allclose(
                operator.argmax(shifted), operator.argmax(shifted - shift), atol=1e-9 * size * n, err_msg=family
            )


@every_case
def test_permutation_equivariance_exactly_where_declared(n, operator):
    rng = np.random.default_rng(5)
    order = rng.permutation(n)
    x = families(n)["normal 1"]
    y = operator.argmax(x)
    moved = np.abs(operator.argmax(x[:, order]) - y[:, order]).max()
    if operator.permutes:
        assert moved <= 1e-13
    elif n == max(SIZES) and np.ptp(y) > 0:
        assert moved > 1e-6


@pytest.mark.parametrize("operator", operators(6), ids=label)
def test_equality_with_cvxpy(operator):
    x, _ = scattered(6, 4)
    where = np.random.default_rng(1).random(x.shape) < 0.75
    where[:, :2] = True
    np.testing.assert_allclose(operator.argmax(x), witness.argmax(operator, x), atol=5e-6)
    if operator.name != "budgetmax":
        masked = feasible_rows(operator, np.where(where, x, -np.inf))
        np.testing.assert_allclose(operator.argmax(masked), witness.argmax(operator, masked), atol=5e-6)


@pytest.mark.filterwarnings("ignore")  # CVXPY announces rational exponents and powers of rounding errors
@pytest.mark.parametrize("operator", operators(6), ids=label)
def test_max_equals_the_optimum_of_cvxpy(operator):
    x, _ = scattered(6, 2)
    for row in x:
        problem = operator.problem(row)
        problem.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
        y = problem.var_dict["y"]
        y.value = np.maximum(y.value, 0)
        total = float(operator._domain(operator._spread(operator._batch(row))).mass(1)[0])
        np.testing.assert_allclose(operator.max(row), problem.objective.value + total * row.max(), atol=1e-6)


@every_case
def test_float32_is_near_float64(n, operator):
    for family in ("normal 1", "ties", "ramp", "alternating", "dominant", "all equal", "-inf"):
        x = feasible_rows(operator, families(n)[family]).astype(np.float32)
        if not len(x):
            continue
        y, wide = operator.argmax(x), operator.argmax(x.astype(np.float64))
        steep = getattr(operator, "p", 1.5)
        if getattr(operator, "alpha", 1.5) > 2 or (steep > 2 and operator.name != "sparsemax"):
            continue  # the weight of an entry at the threshold is a root of the rounding there; the gap is the law
        np.testing.assert_allclose(y, wide, atol=2e-5, err_msg=family)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tail", [0.4, 1e-3, 1e-9])
def test_steep_operators_have_their_derivatives_between_two_weights(tail, dtype):
    """Closed forms of what moves from one weight to the other; curvatures at small weights need not be numbers."""
    y = np.array([tail, 0.0, 1 - tail], dtype)
    v = np.array([0.3, 5.0, -0.2], dtype)
    small, large = (np.longdouble(w) for w in (y[0], y[2]))
    for steep in (5.0, 30.0, 80.0):
        e = steep - 2
        norm = (small**steep + large**steep) ** (1 / np.longdouble(steep))
        apart = (small / norm) ** (steep - 1) - (large / norm) ** (steep - 1)
        curvature = (steep - 1) * ((small / norm) ** e + (large / norm) ** e) - e * apart**2
        for operator, moved in (
            (regmax.Entmax(steep, gamma=2.0), 0.5 / (2 * (small**e + large**e))),
            (regmax.Pnormmax(steep, gamma=2.0), 0.5 / (2 * curvature)),
        ):
            expected = moved * np.array([1.0, 0.0, -1.0])
            np.testing.assert_allclose(operator.jacobian(y, v), expected, rtol=2e4 * np.finfo(dtype).eps)


def test_limits_in_gamma():
    x, _ = scattered(7)
    best = (x == x.max(axis=1, keepdims=True)).astype(float)
    for operator in operators(7):
        if "gamma" not in vars(operator) or operator.name in ("budgetmax", "kregularmax"):
            continue
        fields = vars(operator)
        cold = type(operator)(**{**fields, "gamma": 1e-4 / (1 + fields.get("lam", 0) * 10)})
        hot = type(operator)(**{**fields, "gamma": 1e6})
        np.testing.assert_allclose(cold.argmax(x), best, atol=1e-3, err_msg=label(operator))
        if operator.name == "oscarmax" and operator.weights is not None:
            continue
        np.testing.assert_allclose(hot.argmax(x), 1 / 7, atol=1e-2, err_msg=label(operator))
