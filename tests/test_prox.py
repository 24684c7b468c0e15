"""Proximal operators: against slow versions and other libraries, and by the laws that every one of them obeys."""

import pickle
from dataclasses import fields

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

import regmax
from regmax import prox
from regmax.adapters import cvxpy as witness

from . import reference
from .instances import cases, families, feasible_rows, label, proxes, scale_of, shortened

every_case = pytest.mark.parametrize(("n", "proximal"), **cases(samples=proxes))
some_case = pytest.mark.parametrize("proximal", proxes(7), ids=label)


def rows(proximal, n, dtype=np.float64):
    for family, x in families(n, dtype=dtype).items():
        x = feasible_rows(proximal, x)
        if len(x):
            yield family, x


def noise(n, count=24, seed=3):
    return 1.5 * np.random.default_rng(seed).normal(size=(count, n))


# Against slow, obvious versions and other libraries.


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_simplex_and_ball_equal_sorting(n):
    for x in noise(n):
        np.testing.assert_allclose(prox.simplex(x, 3.0), 3 * reference.sparsemax(x / 3), atol=1e-13)
        outside = np.abs(x).sum() > 0.7
        expected = np.sign(x) * 0.7 * reference.sparsemax(np.abs(x) / 0.7) if outside else x
        np.testing.assert_allclose(prox.l1_ball(x, 0.7), expected, atol=1e-13)


@pytest.mark.parametrize("n", [2, 5, 12])
def test_capped_simplex_equals_breakpoints(n):
    for x in noise(n):
        expected = reference.capped_simplex(x, np.full(n, 0.8), 1.5)
        np.testing.assert_allclose(prox.capped_simplex(x, 0.8, 1.5), expected, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_tv_equals_enumeration(n):
    weights = np.linspace(0.5, 2.0, n - 1)
    for x in (*noise(n, 8), np.round(noise(n, 8)[0] * 2) / 2):
        np.testing.assert_allclose(prox.tv(x, 0.4, weights), reference.tv_prox(x, 0.4 * weights), atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_sorted_l1_equals_sort_regress_unsort(n):
    def slow(x, weights):
        order = np.argsort(-np.abs(x), kind="stable")
        y = np.empty_like(x)
        y[order] = np.maximum(reference.isotonic_decreasing(np.abs(x)[order] - weights), 0)
        return np.copysign(y, x)

    weights = np.linspace(1.0, 0.0, n) ** 2
    for x in (*noise(n, 10), np.round(noise(n, 1)[0] * 2) / 2, np.full(n, -0.3)):
        np.testing.assert_allclose(prox.slope(x, weights), slow(x, weights), atol=1e-13)
        pairs = 0.2 + 0.05 * np.arange(n - 1, -1, -1)
        np.testing.assert_allclose(prox.oscar(x, 0.2, 0.05), slow(x, pairs), atol=1e-13)


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("n", [1, 2, 9, 300])
def test_isotonic_equals_scipy(n, increasing):
    weights = np.random.default_rng(0).uniform(0.1, 2, n)
    for x in (*noise(n, 10), np.round(noise(n, 1)[0]), np.sort(noise(n, 1)[0])):
        for w in (None, weights):
            expected = isotonic_regression(x, weights=w, increasing=increasing).x
            np.testing.assert_allclose(prox.isotonic(x, w, increasing), expected, atol=1e-12)


@some_case
def test_equality_with_cvxpy(proximal):
    x = noise(7, 3)
    where = np.random.default_rng(1).random(x.shape) < 0.75
    where[:, 0] = True
    np.testing.assert_allclose(proximal(x), witness.prox(proximal, x), atol=1e-6)
    if proximal.name != "prox.capped_simplex":
        masked = feasible_rows(proximal, np.where(where, x, -np.inf))
        np.testing.assert_allclose(proximal(masked), witness.prox(proximal, masked), atol=1e-6)


# Laws.


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_certificate(n, proximal, dtype):
    for family, x in rows(proximal, n, dtype):
        y = proximal(x)
        assert y.dtype == dtype
        found, size = proximal.certify(x, y), scale_of(proximal, x, y)
        assert np.max(0.5 * (found.error_bound / size) ** 2) <= (1e-12 if dtype == np.float64 else 1e-5), family
        spacing = 8 * np.sqrt(n) * np.finfo(dtype).eps
        assert np.max(found.feasibility / np.maximum(size, np.abs(y).sum(axis=1))) <= spacing, family


@some_case
def test_the_certificate_bounds_distance_and_objective(proximal):
    x = noise(7)
    y = proximal(x)
    other = proximal(np.roll(x, 1, axis=0) * 0.9)  # feasible, and wrong
    found = proximal.certify(x, other)
    assert np.all(np.linalg.norm(other - y, axis=1) <= found.error_bound + 1e-9)
    assert np.all(proximal.objective(x, other) - proximal.objective(x, y) <= found.gap + 1e-12)
    wrong = np.abs(other - y).max(axis=1) > 1e-2
    assert np.all(found.gap[wrong] > 1e-6)


@some_case
def test_nothing_is_certified_for_an_empty_batch(proximal):
    none = np.empty((0, 7))
    assert proximal.certify(none, none).gap.shape == (0,)


@some_case
@pytest.mark.parametrize("share", [1e-9, 1e-5, 1e-2])
def test_the_gap_of_an_inexact_answer_is_what_it_lacks(proximal, share):
    x = noise(7)
    y = proximal(x)
    other = (1 - share) * y + share * proximal(np.roll(x, 1, axis=0))
    lacks = proximal.objective(x, other) - proximal.objective(x, y)
    assert np.all(proximal.certify(x, other).gap <= np.maximum(lacks, 0.0) + 1e-12 * scale_of(proximal, x, y) ** 2)


@some_case
def test_no_point_nearby_is_better(proximal):
    if proximal.certify(noise(7), noise(7)).feasibility.max() > 0:
        return  # a set: points nearby may lie outside
    x = noise(7)
    y = proximal(x)
    best = proximal.objective(x, y)
    for seed in range(20):
        step = 10.0 ** -(seed % 5) * np.random.default_rng(seed).normal(size=x.shape)
        assert np.all(proximal.objective(x, y + step) >= best - 1e-12)


@some_case
def test_scaling_everything_scales_the_answer(proximal):
    x = noise(7)
    if not set(proximal.homogeneous) <= set(vars(proximal)):
        return  # a set of one size
    given = {name: getattr(proximal, name) for name in proximal.homogeneous}
    scaled = {name: 4.0 * value for name, value in given.items() if value is not None}
    if proximal.name == "prox.plaplacian":
        scaled["lam"] = 4.0 ** (2.0 - proximal.p) * proximal.lam
    larger = type(proximal)(**{**vars(proximal), **scaled})
    np.testing.assert_allclose(larger(4 * x), 4 * proximal(x), rtol=1e-13, atol=1e-13)


@some_case
def test_masked_entries_are_not_there(proximal):
    """The answer of what is left: behind the others it is the same as leaving it away, in the middle it cuts edges."""
    if proximal.name == "prox.transport":
        return  # sums belong to whole rows and columns
    x = noise(5)
    short = shortened(proximal)
    if not len(feasible_rows(short, x)):
        return
    for hole in (-np.inf, np.finfo(float).min):
        y = proximal(np.concatenate([x, np.full((len(x), 2), hole)], axis=1))
        np.testing.assert_array_equal(y[:, 5:], 0)
        np.testing.assert_allclose(y[:, :5], short(x), atol=1e-14)
    v = noise(7, seed=9)
    where = np.arange(7) < 5
    whole = np.concatenate([x, x[:, :2]], axis=1)
    y = proximal(whole, where=where)
    found = proximal.jacobian(y, v, where=where)
    np.testing.assert_allclose(found[:, :5], short.jacobian(short(x), v[:, :5]), atol=1e-13)
    np.testing.assert_array_equal(found[:, 5:], 0)
    np.testing.assert_array_equal(found, proximal.jacobian(y, v, x=np.where(where, whole, -np.inf)))


def test_a_mask_in_the_middle_cuts_edges_but_not_an_order():
    x = np.array([3.0, 1.0, -np.inf, 2.0, 0.0])
    np.testing.assert_allclose(prox.tv(x, np.inf), [2, 2, 0, 1, 1])
    np.testing.assert_allclose(prox.isotonic(x), [1.5, 1.5, 0, 1.5, 1.5])
    weights = np.array([1.0, 1.0, 50.0, 2.0, 1.0])
    np.testing.assert_allclose(prox.isotonic(x, weights), [1.6, 1.6, 0, 1.6, 1.6])


@some_case
def test_hopeless_rows(proximal):
    x = noise(7, 4)
    clean = proximal(x)
    x[0, 3], x[1, 2], x[2] = np.nan, np.inf, -np.inf
    y = proximal(x)
    assert np.isnan(y[:2]).all()
    np.testing.assert_array_equal(y[2], 0)
    np.testing.assert_array_equal(y[3], clean[3])
    found = proximal.certify(x, y)
    assert np.isnan(found.gap[:2]).all()
    assert found.gap[2] == 0
    assert np.isnan(proximal.jacobian(y, np.ones_like(y))[0]).all()
    with np.errstate(invalid="raise"):
        assert np.isfinite(proximal.certify(x[3], y[3]).gap)


@some_case
def test_axes_layouts_and_dtypes(proximal):
    x = noise(7, 6)
    y = proximal(x)
    along_x = [f.name for f in fields(proximal) if f.metadata["kind"] == "item"]
    if not any(isinstance(getattr(proximal, name), np.ndarray) for name in along_x):
        np.testing.assert_array_equal(proximal(x.T.copy(), axis=0), y.T)
    np.testing.assert_array_equal(proximal(np.asfortranarray(x)), y)
    np.testing.assert_array_equal(proximal(x[::-1])[::-1], y)
    np.testing.assert_array_equal(proximal(x[0]), y[0])
    np.testing.assert_array_equal(proximal(x.reshape(2, 3, 7)).reshape(6, 7), y)
    assert proximal(x[:0]).shape == (0, 7)
    assert proximal(x.astype(np.float16)).dtype == np.float16
    assert proximal(np.arange(7)).dtype == np.float64
    assert pickle.loads(pickle.dumps(proximal)) == proximal


@some_case
def test_parameter_derivatives_of_dead_and_broken_rows(proximal):
    x = noise(7, 2)
    x[1] = -np.inf
    v = noise(7, 2, seed=8)
    y = proximal(x)
    for name, gradient in proximal.parameter_vjp(x, y, v).items():
        np.testing.assert_allclose(gradient, proximal.parameter_vjp(x[0], y[0], v[0])[name])
    x[1] = np.nan
    for gradient in proximal.parameter_vjp(x, proximal(x), v).values():
        assert np.isnan(gradient).any()


def test_parameters_per_row_equal_numbers():
    x = noise(9, 5)
    lam = np.linspace(0.1, 2, 5)
    for call in (prox.tv, prox.simplex, prox.l1_ball, lambda x, lam: prox.oscar(x, 0.1, lam)):
        together = call(x, lam)
        for r in range(5):
            np.testing.assert_array_equal(together[r], call(x[r], lam[r]))


def test_limits():
    x = noise(9)
    np.testing.assert_array_equal(prox.tv(x, 0), x)
    np.testing.assert_allclose(prox.tv(x, np.inf), np.broadcast_to(x.mean(axis=1, keepdims=True), x.shape))
    np.testing.assert_array_equal(prox.oscar(x, 0, 0), x)
    soft = np.sign(x) * np.maximum(np.abs(x) - 0.3, 0)
    np.testing.assert_allclose(prox.oscar(x, 0.3, 0), soft, atol=1e-15)
    np.testing.assert_array_equal(prox.oscar(x, 0, np.inf), 0)
    np.testing.assert_array_equal(prox.oscar(x, np.inf, 0), 0)
    np.testing.assert_allclose(prox.oscar([2.0], 0.5, np.inf), [1.5])
    np.testing.assert_array_equal(prox.l1_ball(x, np.inf), x)
    np.testing.assert_array_equal(prox.l1_ball(x, 0), 0)
    np.testing.assert_allclose(prox.simplex(x), regmax.sparsemax(x), atol=1e-16)
    np.testing.assert_allclose(prox.capped_simplex(x, np.inf), prox.simplex(x), atol=1e-14)


@pytest.mark.parametrize(
    ("scale", "weights"),
    [
        (1e300, [1e9, 2e9, 3e9]),
        (1e200, [1e110] * 3),
        (1e-300, [1e-25, 1e-25, 2e-25]),
        (1.0, [1.7e308] * 3),
        (1.0, [5e-324] * 3),
    ],
)
def test_isotonic_weights_of_any_size(scale, weights):
    x = np.array([2.0, 1.0, 0.3])
    relative = np.array(weights) / weights[0]
    expected = np.sum(relative * x) / np.sum(relative)
    y = prox.isotonic(scale * x, weights)
    np.testing.assert_allclose(y, scale * expected, rtol=1e-14)
    proximal = prox.Isotonic(np.array(weights))
    assert proximal.certify(scale * x, y).error_bound <= 1e-7 * scale
    assert proximal.certify(scale * x, y * [1, 1, 1.001]).error_bound > 1e-5 * scale
    found = proximal.jacobian(y, [1.0, 0.0, 0.0])
    np.testing.assert_allclose(found, relative[0] / relative.sum(), rtol=1e-12)
    if scale == 1:
        narrow = np.float32(np.clip(weights, 1e-45, 3e38))
        np.testing.assert_allclose(prox.isotonic(x.astype(np.float32), narrow), expected, rtol=1e-6)


def test_slope_weights_that_cannot_be_summed():
    np.testing.assert_array_equal(prox.slope(np.ones(1000, np.float32), np.linspace(1e36, 0, 1000)), 0)
    np.testing.assert_array_equal(prox.slope(np.ones(40), np.linspace(1e307, 0, 40)), 0)
    several = prox.slope(np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[1e307, 0.0], [0.5, 0.0]]))
    np.testing.assert_allclose(several, [[0, 0], [2.5, -1]])


def test_no_negative_zeros():
    for y in (
        prox.l1_ball([-np.inf, 1.0, -2.0, -0.1]),
        prox.oscar([-np.inf, 1.0, -2.0, -0.1], 0.5, 0.1),
        prox.slope([-np.inf, 1.0, -0.1], [0.5, 0.4, 0.4]),
        prox.l1_ball([True, False, True]),
    ):
        assert not np.signbit(y[y == 0]).any()


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda: prox.simplex([1.0], 0), ValueError, "prox.simplex: radius must be > 0 and finite, got 0"),
        (lambda: prox.l1_ball([1.0], -1), ValueError, "prox.l1_ball: radius must be >= 0, got -1"),
        (lambda: prox.tv([1.0, 2.0], -0.1), ValueError, "prox.tv: lam must be >= 0, got -0.1"),
        (lambda: prox.tv([1.0, 2.0], np.nan), ValueError, "prox.tv: lam must be >= 0, got nan"),
        (
            lambda: prox.tv([1.0, 2.0], 1, [1.0, 2.0]),
            ValueError,
            "prox.tv: weights must have 1 entries on the last axis",
        ),
        (
            lambda: prox.slope([1.0, 2.0], [0.1, 0.2]),
            ValueError,
            "prox.slope: weights must be finite, >= 0 and non-inc",
        ),
        (lambda: prox.slope([1.0, 2.0], [0.1, -0.2]), ValueError, "prox.slope: weights must be finite, >= 0 and non-i"),
        (
            lambda: prox.slope([1.0, 2.0], None),
            TypeError,
            "prox.slope: weights must be a number or an array of numbers",
        ),
        (lambda: prox.oscar([1.0], 0.1, -1), ValueError, "prox.oscar: lam must be >= 0, got -1"),
        (lambda: prox.isotonic([1.0], [0.0]), ValueError, "prox.isotonic: weights must be > 0 and finite, got 0"),
        (lambda: prox.isotonic([1.0], None, 1), TypeError, "prox.isotonic: increasing must be True or False, got 1"),
        (lambda: prox.capped_simplex([1.0, 2.0], 0.4), ValueError, "prox.capped_simplex: upper must sum to at least"),
        (lambda: prox.tv(3.0, 1), ValueError, "prox.tv: x must have at least one dimension, got a scalar"),
        (lambda: prox.tv(np.empty((2, 0)), 1), ValueError, "prox.tv: the axis must have at least one entry"),
        (lambda: prox.tv([1j], 1), TypeError, "prox.tv: x must be an array of real numbers, got dtype complex128"),
        (lambda: prox.tv([1.0], 1, where=[1]), TypeError, "prox.tv: where must be boolean, got dtype int64"),
        (lambda: prox.TV().jacobian([1.0, 2.0], [1.0]), ValueError, "prox.tv: v must have the shape (2,), got (1,)"),
    ],
)
def test_one_sentence(call, kind, sentence):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
