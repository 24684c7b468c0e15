"""What every operator promises about arrays: shapes, axes, strides, dtypes, masks, dead and broken rows, parameters."""

import numpy as np
import pytest

import regmax
from regmax.solvers.rows import FLOOR

from .instances import feasible_rows, label, numbers, operators

every = pytest.mark.parametrize("operator", operators(5), ids=label)
by_kind = pytest.mark.parametrize("kind", regmax.operators().values(), ids=lambda kind: kind.name)


def scores(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def per_row(operator, x):
    return np.stack([operator.argmax(row) for row in x.reshape(-1, x.shape[-1])]).reshape(x.shape)


@every
@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 5), (2, 3, 5), (0, 5), (2, 0, 5)])
def test_any_shape(operator, shape):
    x = scores(*shape)
    y = operator.argmax(x)
    assert y.shape == shape
    assert np.shape(operator.max(x)) == shape[:-1]
    if x.size:
        np.testing.assert_array_equal(y, per_row(operator, x))


@by_kind
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis(kind, axis):
    operator = kind.samples(4)[0]
    x = scores(4, 4, 4)
    y = operator.argmax(x, axis=axis)
    expected = np.moveaxis(operator.argmax(np.moveaxis(x, axis, -1)), -1, axis)
    np.testing.assert_array_equal(y, expected)
    assert y.flags.c_contiguous
    v = scores(4, 4, 4, seed=1)
    expected = np.moveaxis(
        operator.jacobian(*(np.moveaxis(a, axis, -1) for a in (y, v)), x=np.moveaxis(x, axis, -1)), -1, axis
    )
    np.testing.assert_array_equal(operator.jacobian(y, v, axis=axis, x=x), expected)
    moved = operator.certify(np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)).gap
    np.testing.assert_array_equal(operator.certify(x, y, axis=axis).gap, moved)
    labels = np.random.default_rng(0).integers(4, size=(4, 4))
    if operator.name not in ("budgetmax", "kregularmax"):  # whose domain holds no label
        expected = operator.loss(np.moveaxis(x, axis, -1), labels)
        np.testing.assert_array_equal(operator.loss(x, labels, axis=axis), expected)


@every
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[::2],
        lambda x: x[:, ::-1],
        lambda x: x[::-1],
        lambda x: np.asfortranarray(x),
        lambda x: np.broadcast_to(x[0], (4, 5)),
        lambda x: x.astype(">f8"),
        lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    ],
)
def test_strides_and_byte_order(operator, view):
    x = view(scores(8, 5))
    np.testing.assert_array_equal(operator.argmax(x), operator.argmax(np.array(x, dtype=float)))


@every
def test_input_is_read_only_and_unchanged(operator):
    x = scores(6, 5)
    x[0, 1] = -np.inf if operator.name != "budgetmax" else 0
    x[1, 2] = np.finfo(float).min if operator.name != "budgetmax" else 0
    before = x.copy()
    x.setflags(write=False)
    y = operator.argmax(x)
    y.setflags(write=False)
    operator.jacobian(y, x * 0 + 1 if np.isfinite(x).all() else np.ones_like(x), x=x)
    operator.certify(x, y)
    operator.max(x)
    operator.loss(x, y)
    operator.parameter_vjp(x, y, np.ones_like(x))
    np.testing.assert_array_equal(x, before)


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8, bool])
def test_dtypes(operator, dtype):
    x = (scores(6, 5) * 3).astype(dtype)
    y = operator.argmax(x)
    kept = np.dtype(dtype).kind == "f"
    assert y.dtype == (dtype if kept else np.float64)
    wide = operator.argmax(x.astype(np.float64))
    steep = getattr(operator, "alpha", 0) > 2 or (getattr(operator, "p", 0) > 2 and operator.name == "pnormmax")
    if not (steep and kept):
        np.testing.assert_allclose(y, wide, atol=3 * np.finfo(y.dtype).eps * max(1, np.max(wide)) + 1e-5 * kept)
    if dtype == np.float16:
        np.testing.assert_array_equal(y, operator.argmax(x.astype(np.float32)).astype(np.float16))


@by_kind
@pytest.mark.parametrize("dtype", [np.complex128, object, "U3", "M8[s]", np.longdouble])
def test_other_dtypes_raise(kind, dtype):
    x = np.zeros((2, 5), dtype="M8[s]") if dtype == "M8[s]" else np.zeros((2, 5)).astype(dtype)
    with pytest.raises(TypeError, match=f"^{kind.name}: x must be an array of real numbers"):
        kind.samples(5)[0].argmax(x)


def induced(operator, row, live):
    """The answer on the live entries alone, for penalties that do not know position."""
    y = np.zeros_like(row)
    y[live] = operator.argmax(row[live])
    return y


@every
def test_masked_entries_are_absent(operator):
    x = scores(40, 5)
    where = np.random.default_rng(1).random(x.shape) < 0.6
    where[:, 0] = True
    if operator.name == "budgetmax" and operator != regmax.Budgetmax():
        check_masked_caps(operator, x, where)
        return
    left = feasible_rows(operator, np.where(where, x, -np.inf))
    where = left > -np.inf
    x = np.where(where, left, 0.5)
    y = operator.argmax(x, where=where)
    assert np.all(y[~where] == 0)
    np.testing.assert_array_equal(y, operator.argmax(np.where(where, x, -np.inf)))
    np.testing.assert_array_equal(y, operator.argmax(np.where(where, x, np.finfo(float).min)))
    np.testing.assert_array_equal(y, operator.argmax(np.where(where, x, FLOOR[x.dtype])))
    assert np.max(operator.certify(x, y, where=where).gap) < 1e-12
    fixed = operator.matrix or operator.name == "topkmax" or getattr(operator, "edges", None) is not None
    if operator.permutes and getattr(operator, "weights", None) is None and not fixed:
        expected = [induced(operator, row, live) for row, live in zip(x, where, strict=True)]
        np.testing.assert_allclose(y, expected, atol=1e-14)


def check_masked_caps(operator, x, where):
    """Caps that no longer reach the total are refused; those that do are respected."""
    room = np.where(where, operator.upper, 0).sum(axis=1)
    with pytest.raises(ValueError, match="budgetmax: upper must sum to at least"):
        operator.argmax(x, where=where)
    enough = room >= operator.total
    y = operator.argmax(x[enough], where=where[enough])
    assert np.all(y[~where[enough]] == 0)
    assert np.max(operator.certify(x[enough], y, where=where[enough]).gap, initial=0) < 1e-12


@pytest.mark.parametrize("lam", [0.1, 1.0, np.inf])
def test_fusedmax_neighbours_are_neighbours_in_position(lam):
    x = np.array([1.0, 0.9, 5.0, 0.2, 0.3])
    where = np.array([True, True, False, True, True])
    split = regmax.fusedmax(x, lam=lam, where=where)
    separated = regmax.fusedmax(np.where(where, x, 0.0)[where], lam=1e3 if np.isinf(lam) else lam, weights=[1, 0, 1])
    np.testing.assert_allclose(split[where], separated, atol=1e-12)


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_half_the_most_negative_number_masks(operator, dtype):
    if operator.name == "budgetmax":
        return
    x = scores(4, 5).astype(dtype)
    masked = x.copy()
    masked[:, 3] = np.finfo(dtype).min / 2
    dropped = x.copy()
    dropped[:, 3] = -np.inf
    np.testing.assert_array_equal(operator.argmax(masked), operator.argmax(dropped))


@every
def test_dead_and_broken_rows(operator):
    x = scores(6, 5)
    x[0] = -np.inf
    x[1, 2] = np.nan
    x[2, 0] = np.inf
    x[3] = np.finfo(float).min
    y = operator.argmax(x)
    np.testing.assert_array_equal(y[[0, 3]], 0)
    assert np.isnan(y[1:3]).all()
    np.testing.assert_array_equal(y[4:], operator.argmax(x[4:]))
    np.testing.assert_array_equal(operator.max(x)[[0, 3]], -np.inf)
    assert np.isnan(operator.max(x)[1:3]).all()
    J = operator.jacobian(y, np.ones_like(x) + np.arange(5), x=np.where(np.isfinite(x), x, -np.inf))
    np.testing.assert_array_equal(J[[0, 3]], 0)
    assert np.isnan(J[1:3]).all()
    found = operator.certify(x, y)
    np.testing.assert_array_equal([found.gap[0], found.feasibility[3], found.error_bound[0]], 0)
    assert np.isnan(found.gap[1:3]).all()


@every
def test_one_row_does_not_touch_another(operator):
    x = scores(4, 5)
    other = x.copy()
    other[0], other[2] = np.nan, 1e300
    np.testing.assert_array_equal(operator.argmax(other)[[1, 3]], operator.argmax(x)[[1, 3]])


@by_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_batch_or_on_addresses(kind, dtype):
    """A vectorised loop that sums while it writes adds up in another order where input and output lie too close."""
    for n in range(1, 50):
        operator = kind.samples(n)[0]
        x, v = scores(20, n, seed=n).astype(dtype), scores(20, n, seed=-n % 997).astype(dtype)
        y = operator.argmax(x)
        np.testing.assert_array_equal(y, [operator.argmax(row.copy()) for row in x])
        J = operator.jacobian(y, v, x=x)
        rows = zip(y, v, x, strict=True)
        np.testing.assert_array_equal(J, [operator.jacobian(a.copy(), b.copy(), x=c.copy()) for a, b, c in rows])


@by_kind
def test_parameters_per_row(kind):
    samples = [s for s in kind.samples(5) if not any(isinstance(getattr(s, k), np.ndarray) for k in numbers(s))]
    whole = {name: value for name, value in vars(samples[0]).items() if name not in numbers(samples[0])}
    samples = [s for s in samples if all(np.array_equal(getattr(s, k), v) for k, v in whole.items())]
    x = scores(3, len(samples), 5)
    fields = {name: np.array([vars(s)[name] for s in samples]) for name in numbers(samples[0])}
    if kind.name == "budgetmax":
        fields["upper"] = fields["upper"][:, None]
    together = kind(**whole, **fields)
    y = together.argmax(x)
    v = scores(3, len(samples), 5, seed=2)
    for i, single in enumerate(samples):
        np.testing.assert_array_equal(y[:, i], single.argmax(x[:, i]))
        np.testing.assert_array_equal(together.jacobian(y, v, x=x)[:, i], single.jacobian(y[:, i], v[:, i], x=x[:, i]))
        np.testing.assert_allclose(together.max(x)[:, i], single.max(x[:, i]), rtol=1e-14)
        for name, gradient in single.parameter_vjp(x[:, i], y[:, i], v[:, i]).items():
            several = together.parameter_vjp(x, y, v)[name]
            assert several.shape == fields[name].shape
            np.testing.assert_allclose(several[i].sum(), gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [regmax.Fusedmax, regmax.Oscarmax])
def test_weights_per_row(kind):
    x = scores(2, 3, 5)
    size = 4 if kind is regmax.Fusedmax else 5
    weights = -np.sort(-np.random.default_rng(0).random((3, size)), axis=-1)
    y = kind(0.3, weights=weights).argmax(x)
    v = scores(2, 3, 5, seed=4)
    for i in range(3):
        single = kind(0.3, weights=weights[i])
        np.testing.assert_array_equal(y[:, i], single.argmax(x[:, i]))
        gradient = kind(0.3, weights=weights).parameter_vjp(x, y, v)["weights"]
        np.testing.assert_allclose(gradient[i], single.parameter_vjp(x[:, i], y[:, i], v[:, i])["weights"])


def test_upper_follows_the_axis():
    x = scores(5, 3)
    upper = np.linspace(0.3, 0.6, 5)[:, None]
    np.testing.assert_array_equal(regmax.budgetmax(x, upper=upper, axis=0), regmax.budgetmax(x.T, upper=upper[:, 0]).T)
    v = scores(5, 3, seed=1)
    operator = regmax.Budgetmax(upper)
    y = operator.argmax(x, axis=0)
    assert operator.parameter_vjp(x, y, v, axis=0)["upper"].shape == (5, 1)


def test_bfloat16():
    import ml_dtypes

    x = scores(6, 5).astype(ml_dtypes.bfloat16)
    x[0, 1] = ml_dtypes.finfo(ml_dtypes.bfloat16).min
    for operator in operators(5):
        if operator.name == "budgetmax":
            continue
        y = operator.argmax(x)
        assert y.dtype == ml_dtypes.bfloat16
        wide = np.where(x.astype(np.float32) < -1e38, -np.inf, x.astype(np.float32)).astype(np.float32)
        np.testing.assert_array_equal(y, operator.argmax(wide).astype(ml_dtypes.bfloat16))


def test_functions_are_the_operators():
    x = scores(3, 5)
    for name, kind in regmax.operators().items():
        np.testing.assert_array_equal(getattr(regmax, name)(x), kind().argmax(x))
        assert getattr(regmax, name.capitalize()) is kind


def test_exact_identities():
    x = scores(20, 7)
    np.testing.assert_array_equal(regmax.entmax(x, alpha=1), regmax.softmax(x))
    np.testing.assert_array_equal(regmax.entmax(x, alpha=2), regmax.sparsemax(x))
    np.testing.assert_array_equal(regmax.pnormmax(x, p=2), regmax.sparsemax(x))
    np.testing.assert_allclose(regmax.fusedmax(x, lam=0), regmax.sparsemax(x), atol=1e-15)
    np.testing.assert_allclose(regmax.oscarmax(x, lam=0), regmax.sparsemax(x), atol=1e-15)
    np.testing.assert_allclose(regmax.budgetmax(x), regmax.sparsemax(x), atol=1e-15)
    np.testing.assert_allclose(regmax.budgetmax(x, upper=1 / 7), 1 / 7, atol=1e-15)
    np.testing.assert_allclose(regmax.fusedmax(x, lam=np.inf), 1 / 7, atol=1e-15)
    np.testing.assert_allclose(regmax.oscarmax(x, lam=np.inf), 1 / 7, atol=1e-15)
    np.testing.assert_allclose(regmax.fusedmax([1, 2.1, 1.9], lam=0.1), [0, 0.5, 0.5], atol=1e-15)
    np.testing.assert_allclose(regmax.entmax(x, alpha=1 + 1e-9), regmax.softmax(x), atol=1e-7)
    np.testing.assert_allclose(regmax.entmax(x, alpha=1 - 1e-9), regmax.softmax(x), atol=1e-7)
    np.testing.assert_allclose(regmax.entmax(x, alpha=2 - 1e-9), regmax.sparsemax(x), atol=1e-7)
    np.testing.assert_allclose(regmax.normmax(x, p=1e4), regmax.normmax(x, p=2e4), atol=1e-2)


def test_loss_of_labels():
    x = scores(4, 5)
    labels = np.array([0, 3, 1, 4])
    onehot = np.eye(5)[labels]
    for operator in operators(5):
        if operator.name == "kregularmax" or (operator.name == "budgetmax" and operator != regmax.Budgetmax()):
            continue
        np.testing.assert_array_equal(operator.loss(x, labels), operator.loss(x, onehot))
        if operator.name not in (
            "fusedmax",
            "graphfusedmax",
            "tv2dmax",
            "plaplacemax",
            "topkmax",
        ):  # Omega vanishes at the vertices
            expected = operator.max(x) - x[np.arange(4), labels]
            np.testing.assert_allclose(operator.loss(x, labels), expected, atol=1e-13)
    masked = np.where(onehot, -np.inf, x)
    np.testing.assert_array_equal(regmax.Sparsemax().loss(masked, labels), np.inf)
    gradient = regmax.Sparsemax().loss_gradient(masked, labels)
    assert np.all(gradient[onehot == 1] == 0)
