"""Where rounding is larger than the weights: long rows, large orders, huge and tiny scores."""

import numpy as np
import pytest

import regmax

by_kind = pytest.mark.parametrize("kind", regmax.operators().values(), ids=lambda kind: kind.name)


def scores(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_orders(dtype):
    """Powers of single weights overflow; their ratios do not."""
    x, v = (scores(500, 10, seed=s).astype(dtype) for s in (0, 1))
    for operator in (regmax.Pnormmax(50.0), regmax.Pnormmax(300.0), regmax.Normmax(100.0), regmax.Entmax(30.0)):
        y = operator.argmax(x)
        J = operator.jacobian(y, v)
        assert not np.isnan(J).any()
        finite = np.isfinite(J).all(axis=1) & (np.abs(J).max(axis=1) < 1e6)
        np.testing.assert_allclose(J[finite].sum(axis=1), 0, atol=1e-9 if dtype == np.float64 else 10)
        assert np.max(operator.certify(x, y).gap) < (1e-12 if dtype == np.float64 else 3e-5)
    if dtype == np.float64:  # a rounding of y to float32 alone changes y^p by 1e-3 here
        assert np.max(regmax.Normmax(1e4).certify(x, regmax.normmax(x, p=1e4)).gap) < 1e-11


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "lam", "size"), [(2, np.inf, 1e17), (8, np.inf, 1e6), (8, 0.5, 1e6), (10_000, 1e3, 10.0)]
)
def test_fusedmax_where_rounding_exceeds_the_weights(dtype, n, lam, size):
    x = (size * scores(20, n)).astype(dtype)
    operator = regmax.Fusedmax(lam)
    y = operator.argmax(x)
    found = operator.certify(x, y)
    assert np.max(found.feasibility) <= 4 * np.sqrt(n) * np.finfo(dtype).eps
    assert np.max(found.gap / np.abs(x).max(axis=1)) <= (1e-12 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("n", [70_000, 1_000_000])
def test_long_flat_rows_in_float32(n):
    """A first Newton step sums n large numbers; its rounding exceeds the weights."""
    rows = [np.zeros(n), np.arange(n) % 2, 1e-5 * scores(n)]
    rows[0][0] = 1e-3
    for row in rows:
        x = row.astype(np.float32)
        for operator in (regmax.Sparsemax(), regmax.Entmax(1.5), regmax.Fusedmax(0.01), regmax.Fusedmax(0.0)):
            found = operator.certify(x, operator.argmax(x))
            assert found.feasibility <= 4 * np.sqrt(n) * np.finfo(np.float32).eps
            assert found.gap <= 1e-5


def test_long_rows_of_oscarmax_with_large_penalties():
    x = scores(100_000)
    for dtype, allowed in ((np.float32, 1e-4), (np.float64, 1e-12)):
        found = regmax.Oscarmax(0.01, 0.01).certify(
            x.astype(dtype), regmax.oscarmax(x.astype(dtype), lam=0.01, gamma=0.01)
        )
        assert found.feasibility <= 4 * np.sqrt(x.size) * np.finfo(dtype).eps
        assert found.gap <= allowed
    np.testing.assert_array_equal(regmax.oscarmax([1.0, 1e300], lam=1e300), [0.5, 0.5])


def test_budgetmax_does_not_lose_what_lies_below_capped_scores():
    expected = [0.5, 0, 0.5]
    np.testing.assert_array_equal(regmax.budgetmax([1e17, 0, 1], upper=0.5), expected)
    np.testing.assert_array_equal(regmax.budgetmax(np.array([1e8, 0, 1], np.float32), upper=0.5), expected)
    np.testing.assert_array_equal(regmax.budgetmax([1e300, -1e300, 5], upper=0.5, gamma=1e-300), expected)


def test_topkmax_of_subnormal_scores():
    for dtype, size in ((np.float64, 1e-315), (np.float32, 1e-42)):
        x = (size * np.array([10.0, 20.0, 50.0])).astype(dtype)
        y = regmax.topkmax(x, k=2)
        np.testing.assert_array_equal(y > 0, [False, True, True])
        np.testing.assert_allclose(y.sum(), 1, rtol=1e-6)


def test_gamma_per_row_of_the_scores_own_dtype():
    x = scores(4, 3)
    gamma = np.array([1.0, 2.0, 3.0, 4.0])
    gamma.setflags(write=False)
    for name, kind in regmax.operators().items():
        if name != "topkmax" and not kind.matrix:
            y = kind(gamma=gamma).argmax(x)
            np.testing.assert_array_equal(y[2], kind(gamma=3.0).argmax(x[2]))
            np.testing.assert_array_equal(kind(gamma=gamma[:, None]).argmax(x[:, None])[:, 0], y)


def test_error_bound_of_infeasible_weights_is_infinite():
    found = regmax.Sparsemax().certify([1, 0.9, 0], [[0, 0, 0], [0.55, 0.45, 0]][0])
    assert found.feasibility == 1
    assert found.error_bound == np.inf
    assert regmax.Sparsemax().certify([1, 0.9, 0], [0.55, 0.45, 0]).error_bound < 1e-7


def test_oscarmax_with_weights_far_from_zero():
    weights = [-24290354.56, -24290358.77, -24290363.2]
    x = np.array([-105.5, 57.9, 101.3], np.float32)
    y = regmax.oscarmax(x, lam=12.19, weights=weights)
    np.testing.assert_allclose(y, regmax.oscarmax(x, lam=12.19, weights=np.array(weights) + 24290363.2), atol=1e-6)


def test_topkmax_keeps_what_differs_by_less_than_the_spacing_at_the_top():
    np.testing.assert_array_equal(regmax.topkmax([1, 0, -1e-17], k=2) > 0, [True, True, False])
    np.testing.assert_array_equal(regmax.topkmax([1.7e308, -0.8e308, 0], k=2) > 0, [True, False, True])


@by_kind
def test_extreme_scales_are_answered(kind):
    operator = kind.samples(4)[0]
    x = np.array([[3.0, 1.0, -2.0, 0.0]])
    hard = operator.argmax(x * 1e300)
    assert np.isfinite(hard).all()
    np.testing.assert_allclose(
        operator.argmax(x * 1e-300),
        operator.argmax(x * 0) if kind.name != "topkmax" else operator.argmax(x),
        atol=1e-15,
    )
    np.testing.assert_allclose(operator.argmax(x.astype(np.float32) * np.float32(1e37)), hard, atol=1e-6)
    assert np.isfinite(operator.max(x * 1e300)).all()


@pytest.mark.parametrize("lam", [1e5, np.inf])
def test_fusedmax_of_a_long_step_in_float32_is_uniform(lam):
    x = (np.arange(43_870) > 43_870 // 3).astype(np.float32)
    y = regmax.fusedmax(x, lam=lam)
    assert len(np.unique(y)) == 1
    assert regmax.Fusedmax(lam).certify(x, y).gap <= 1e-5


def test_certificate_of_an_infinite_penalty():
    found = regmax.Fusedmax(np.inf).certify([[0.0, 1.0], [np.nan, 1.0]], [[0.3, 0.7], [np.nan, np.nan]])
    np.testing.assert_array_equal(found.gap, [np.inf, np.nan])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_oscarmax_of_nearly_constant_weights(dtype):
    weights = np.full(100, 101, dtype)
    weights[-1] = 100.999
    np.testing.assert_allclose(regmax.oscarmax(scores(100).astype(dtype), lam=np.inf, weights=weights), 0.01, rtol=1e-6)
    weights = np.full(100_000, 101, dtype)
    weights[-1] = 100
    y = regmax.oscarmax(scores(100_000).astype(dtype), lam=1e4, weights=weights)
    assert np.count_nonzero(y) == 3
    assert regmax.Oscarmax(1e4, weights=weights).certify(scores(100_000).astype(dtype), y).gap <= 1e-5


@pytest.mark.parametrize(
    ("x", "parameters", "expected"),
    [
        (np.float32([1e15, 0]), {"upper": np.inf}, [1, 0]),
        ([1e32, 0], {"upper": np.inf}, [1, 0]),
        (np.float32([1, 1]), {"total": 1e-9, "gamma": 1e-6}, [5e-10, 5e-10]),
        ([0, 1.0], {"total": 1e-20, "gamma": 1e-40}, [0, 1e-20]),
        ([-10.0], {"upper": 0.01, "total": 1e-22, "gamma": 1e-17}, [1e-22]),
        ([-1e7] * 5, {"upper": [np.inf, 0.5, 0.3, 0.2, 0.1], "gamma": 1e-6}, [0.7 / 3] * 3 + [0.2, 0.1]),
    ],
)
def test_budgetmax_where_the_spacing_of_scores_exceeds_the_weights(x, parameters, expected):
    np.testing.assert_allclose(regmax.budgetmax(x, **parameters), expected, rtol=1e-6)


@by_kind
def test_parameter_derivatives_of_dead_and_broken_rows(kind):
    operator = kind.samples(3)[0]
    x = np.array([[1.0, 0.5, 0.2], [-np.inf] * 3])
    y, v = operator.argmax(x), np.array([[1.0, 0, 0.5], [1.0, 0, 0]])
    for name, gradient in operator.parameter_vjp(x, y, v).items():
        np.testing.assert_allclose(gradient, operator.parameter_vjp(x[0], y[0], v[0])[name])
    x[1] = np.nan
    for gradient in operator.parameter_vjp(x, operator.argmax(x), v).values():
        assert np.isnan(gradient)
