"""The twins in plain torch against the solvers for NumPy: answers, derivatives of every order, and each row alone."""

import numpy as np
import pytest
import torch

import regmax
from regmax.solvers.gpu import TWINS
from regmax.verify import families

from ..instances import cases, feasible_rows, label, numbers, operators, scale

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def served(n):
    return [operator for operator in operators(n) if operator.name in TWINS]


SMALL = served(7)
every_operator = pytest.mark.parametrize("operator", SMALL, ids=label)
every_case = pytest.mark.parametrize(("n", "operator"), **cases((1, 2, 8, 33), served))


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


def tensors(operator, x, device):
    """The parameters of each row as the twins take them."""
    p = {}
    for name, value in operator._spread(operator._batch(x)).items():
        if operator.name == "kregularmax" and name in ("rows", "columns", "upper"):
            continue
        if name == "shape":
            p[name] = tuple(value.tolist())
        elif name in ("reading", "chain"):
            p[name] = value.item()
        elif name == "edges" and operator.name == "tv2dmax":
            continue
        elif value.shape == (1, 0):
            p[name] = None
        else:
            p[name] = torch.as_tensor(value.copy(), device=device)
            if value.ndim == 1:
                shared = np.ndim(getattr(operator, name)) == 0
                p[name] = p[name][: 1 if shared else None, None]
    return p


def solve(operator, x, device):
    """(scores, weights, labels, parameters) on the device, for rows as an array."""
    live = ~(x <= np.finfo(x.dtype).min / 2)
    scores = torch.as_tensor(np.where(live, x, -np.inf).astype(x.dtype), device=device)
    p, twin = tensors(operator, x, device), TWINS[operator.name]
    with torch.no_grad():
        y = twin.weights(scores, p)
        return scores, y, twin.groups(y, ~torch.isneginf(scores), p), p


def rows(n, operator, dtype):
    for family, x in families(n, dtype=dtype).items():
        x = feasible_rows(operator, x)
        if len(x):
            yield family, x


@every_case
@pytest.mark.parametrize(("dtype", "gap"), [(np.float64, 1e-12), (np.float32, 1e-5)], ids=["64", "32"])
def test_weights_are_certified(n, operator, dtype, gap, device):
    for family, x in rows(n, operator, dtype):
        y = solve(operator, x, device)[1].cpu().numpy()
        assert y.dtype == dtype
        found = operator.certify(x, y)
        total = np.max(getattr(operator, "total", 1.0))
        assert np.max(found.feasibility) <= 4 * np.sqrt(n) * np.finfo(dtype).eps * total, family
        assert np.max(found.gap / scale(operator, x)) <= gap, family
        assert (y[x <= np.finfo(dtype).min / 2] == 0).all(), family


@every_case
def test_weights_are_those_of_numpy(n, operator, device):
    for family in ("normal 1", "ties", "ramp", "-inf", "dominant"):
        x = feasible_rows(operator, families(n)[family])
        found = solve(operator, x, device)[1].cpu().numpy()
        np.testing.assert_allclose(found, operator.argmax(x), rtol=0, atol=1e-10, err_msg=family)


@every_operator
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["64", "32"])
def test_masked_and_broken_rows_are_alone(operator, dtype, device):
    x = 1.5 * np.random.default_rng(0).normal(size=(6, 7)).astype(dtype)
    before = solve(operator, x, device)[1]
    x[1], x[2, 3], x[3, 4] = -np.inf, np.nan, np.inf
    scores, y, labels, p = solve(operator, x, device)
    assert torch.equal(y[[0, 4, 5]], before[[0, 4, 5]])
    assert (y[1] == 0).all()
    assert y[2:4].isnan().all()
    assert not y[[0, 4, 5]].isnan().any()
    gx, slopes = TWINS[operator.name].vjp(scores, y, labels, torch.ones_like(y), p, ())
    assert not slopes
    assert (gx[1] == 0).all()
    assert gx[2:4].isnan().all()
    assert not gx[[0, 4, 5]].isnan().any()


@every_operator
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["64", "32"])
def test_no_rows(operator, dtype, device):
    p = tensors(operator, np.zeros((1, 7), dtype), device)
    x, twin = torch.empty(0, 7, dtype=getattr(torch, np.dtype(dtype).name), device=device), TWINS[operator.name]
    y = twin.weights(x, p)
    labels = twin.groups(y, x > 0, p)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert twin.vjp(x, y, labels, y, p, ())[0].shape == twin.jvp(x, y, labels, y, {}, p).shape == x.shape


def directions(operator, x, device, seed=5):
    """(cotangent, tangent of the scores, tangents of the parameters) for rows as an array."""
    rng, p = np.random.default_rng(seed), tensors(operator, x, device)
    g, dx = (torch.as_tensor(rng.normal(size=x.shape), device=device) for _ in range(2))
    names = [name for name in numbers(operator) if name != "k"]
    return g, dx, {name: torch.as_tensor(rng.normal(size=p[name].shape), device=device) for name in names}


def scattered(operator):
    x = 1.5 * np.random.default_rng(3).normal(size=(5, 7))
    x[1, 2] = x[2, 0] = -np.inf
    return feasible_rows(operator, x)


def compare_with_numpy(operator, x, device):
    scores, y, labels, p = solve(operator, x, device)
    g, dx, dp = directions(operator, x, device)
    twin, weights, cotangent = TWINS[operator.name], y.cpu().numpy(), g.cpu().numpy()
    gx, slopes = twin.vjp(scores, y, labels, g, p, tuple(dp))
    np.testing.assert_allclose(gx.cpu(), operator.vjp(weights, cotangent, x=x), rtol=1e-9, atol=1e-10)
    dy = twin.jvp(scores, y, labels, dx, {}, p)
    np.testing.assert_allclose(dy.cpu(), operator.jacobian(weights, dx.cpu().numpy(), x=x), rtol=1e-9, atol=1e-10)
    for name, expected in operator.parameter_vjp(x, weights, cotangent).items():
        assert slopes[name].shape == p[name].shape
        found = slopes[name].cpu().numpy()
        if found.size != np.size(expected):
            found = found.sum(0) if np.ndim(expected) else found.sum()
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-9, atol=1e-10, err_msg=name)


@every_operator
def test_products_are_those_of_numpy(operator, device):
    compare_with_numpy(operator, scattered(operator), device)


@pytest.mark.parametrize("operator", [regmax.Entmax(30.0), regmax.Pnormmax(50.0)], ids=label)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steep_products_are_those_of_numpy(operator, dtype, device):
    rng = np.random.default_rng(0)
    x, v = (rng.normal(size=(200, 30)).astype(dtype) for _ in range(2))
    _, y, labels, p = solve(operator, x, device)
    product = TWINS[operator.name].vjp(None, y, labels, torch.as_tensor(v, device=device), p, ())[0].cpu().numpy()
    expected = operator.jacobian(y.cpu().numpy(), v)
    assert np.isfinite(product).all()
    sizes = np.maximum(np.abs(expected).max(axis=1, keepdims=True), 1.0)
    np.testing.assert_allclose(product / sizes, expected / sizes, atol=1e3 * np.finfo(dtype).eps)


@every_operator
def test_products_are_adjoint(operator, device):
    x = scattered(operator)
    scores, y, labels, p = solve(operator, x, device)
    g, dx, dp = directions(operator, x, device)
    dx = torch.where(torch.isneginf(scores), 0, dx)
    gx, slopes = TWINS[operator.name].vjp(scores, y, labels, g, p, tuple(dp))
    dy = TWINS[operator.name].jvp(scores, y, labels, dx, dp, p)
    there = (gx * dx).sum() + sum((slopes[name] * dp[name]).sum() for name in dp)
    torch.testing.assert_close((g * dy).sum(), there, rtol=1e-9, atol=1e-10)


@every_operator
def test_products_under_vmap_are_a_loop(operator, device):
    x = scattered(operator)
    scores, y, labels, p = solve(operator, x, device)
    g = torch.as_tensor(np.random.default_rng(1).normal(size=(3, *x.shape)), device=device)
    names, twin = tuple(name for name in numbers(operator) if name != "k"), TWINS[operator.name]
    found = torch.func.vmap(lambda one: twin.vjp(scores, y, labels, one, p, names))(g)
    each = [twin.vjp(scores, y, labels, one, p, names) for one in g]
    torch.testing.assert_close(found[0], torch.stack([gx for gx, _ in each]), rtol=1e-12, atol=1e-12)
    for name in names:
        torch.testing.assert_close(found[1][name], torch.stack([slopes[name] for _, slopes in each]))
    forward = torch.func.vmap(lambda one: twin.jvp(scores, y, labels, one, {}, p))(g)
    torch.testing.assert_close(forward, torch.stack([twin.jvp(scores, y, labels, one, {}, p) for one in g]))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # what forward mode loads
@every_operator
def test_products_have_the_same_derivative_forwards_and_backwards(operator, device):
    x = scattered(operator)
    scores, y, labels, p = solve(operator, x, device)
    g, t, _ = directions(operator, x, device)
    names, twin = tuple(name for name in numbers(operator) if name != "k"), TWINS[operator.name]
    scores, t = torch.where(torch.isneginf(scores), -3.0, scores), torch.where(y > 0, t, 0)

    def total(x, y, p):
        gx, slopes = twin.vjp(x, y, labels, g, p, names)
        return (gx**2).sum() + sum((slope**2).sum() for slope in slopes.values())

    real = {name: p[name] for name in names}
    inputs, moves = (scores, y, real), (t, t, {name: 0.1 * value for name, value in real.items()})
    back = torch.func.grad(lambda x, y, q: total(x, y, {**p, **q}), argnums=(0, 1, 2))(*inputs)
    _, ahead = torch.func.jvp(lambda x, y, q: total(x, y, {**p, **q}), inputs, moves)
    there = (back[0] * t).sum() + (back[1] * t).sum() + sum((back[2][name] * moves[2][name]).sum() for name in names)
    torch.testing.assert_close(ahead, there, rtol=1e-8, atol=1e-8)


def as_function(operator, x, device):
    """(the map from scores and real parameters to weights, those parameters), differentiable to any order."""
    twin, p = TWINS[operator.name], tensors(operator, x, device)
    names = tuple(name for name in numbers(operator) if name != "k")

    class Map(torch.autograd.Function):
        @staticmethod
        def forward(ctx, scores, *values):
            whole = {**p, **dict(zip(names, values, strict=True))}
            y = twin.weights(scores, whole)
            labels = twin.groups(y, ~torch.isneginf(scores), whole)
            ctx.labels = labels
            ctx.save_for_backward(scores, y, *values)
            return y

        @staticmethod
        def backward(ctx, g):
            scores, y, *values = ctx.saved_tensors
            whole = {**p, **dict(zip(names, values, strict=True))}
            gx, slopes = twin.vjp(scores, y, ctx.labels, g, whole, names)
            return gx, *(slopes[name] for name in names)

    return Map.apply, [p[name] for name in names]


@every_operator
def test_second_derivatives_equal_differences(operator, device):
    """Along the line in scores and parameters on which the first ones are known."""
    x = 1.5 * np.random.default_rng(4).normal(size=(3, 7))
    apply, values = as_function(operator, x, device)
    g, dx, dp = directions(operator, x, device)
    scores = torch.as_tensor(x, device=device)
    moves = [dx, *(0.1 * one * (value > (name == "p")) for (name, one), value in zip(dp.items(), values, strict=True))]
    moves = [
        move if value.shape[-1] == 1 or value is scores else 0 * move
        for move, value in zip(moves, [scores, *values], strict=True)
    ]

    def slopes(h):
        inputs = [(one + h * move).requires_grad_() for one, move in zip([scores, *values], moves, strict=True)]
        first = torch.autograd.grad((apply(*inputs) * g).sum(), inputs, create_graph=True)
        return inputs, sum((one * move).sum() for one, move in zip(first, moves, strict=True))

    inputs, here = slopes(0.0)
    second = torch.autograd.grad(here, inputs, allow_unused=True) if here.requires_grad else [None] * len(inputs)
    along = sum((one * move).sum() for one, move in zip(second, moves, strict=True) if one is not None)
    h = 1e-5
    ahead, behind = slopes(h)[1], slopes(-h)[1]
    if (ahead - 2 * here + behind).abs() < 1e-5 * (1 + here.abs()):  # no kink on the way
        torch.testing.assert_close(
            torch.as_tensor(along, dtype=here.dtype), (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-5
        )
    else:
        assert operator.name not in ("softmax", "plaplacemax")


@pytest.mark.parametrize("name", sorted(TWINS))
def test_products_compile_without_a_break(name):
    operator = next(one for one in SMALL if one.name == name)
    x = scattered(operator)
    scores, y, labels, p = solve(operator, x, "cpu")
    g, dx, dp = directions(operator, x, "cpu")
    twin = TWINS[name]

    def both(scores, y, g, dx):
        return twin.vjp(scores, y, labels, g, p, tuple(dp)), twin.jvp(scores, y, labels, dx, dp, p)

    torch._dynamo.reset()  # or the functions of the other operators count as versions of this one
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(scores, y, g, dx), both(scores, y, g, dx))


def agree(operator, other, x, device, atol=0.0):
    torch.testing.assert_close(solve(operator, x, device)[1], solve(other, x, device)[1], rtol=0, atol=atol)


def test_limits(device):
    x = scattered(regmax.Sparsemax())
    for gamma in (0.5, 2.0):
        agree(regmax.Entmax(1.0, gamma), regmax.Softmax(gamma), x, device)
        agree(regmax.Entmax(2.0, gamma), regmax.Sparsemax(gamma), x, device)
        agree(regmax.Pnormmax(2.0, gamma), regmax.Sparsemax(gamma), x, device)
        for without in (regmax.Fusedmax, regmax.Oscarmax, regmax.Graphfusedmax):
            given = {"edges": [[0, 3], [3, 6], [1, 4]]} if without is regmax.Graphfusedmax else {}
            agree(without(lam=0.0, gamma=gamma, **given), regmax.Sparsemax(gamma), x, device, 1e-15)
        agree(regmax.Plaplacemax(1.0, 0.3, gamma), regmax.Fusedmax(0.3, gamma), x, device)


@pytest.mark.parametrize(
    "operator",
    [
        regmax.Fusedmax(np.inf),
        regmax.Fusedmax(50.0, weights=np.tile([1.0, 0.0, 2.0, 1.0, 0.0, 1.0], (5, 1))),
        regmax.Fusedmax(1e9),
        regmax.Oscarmax(np.inf),
        regmax.Oscarmax(np.inf, weights=np.full((5, 7), 2.0)),
        regmax.Graphfusedmax(edges=[[0, 3], [3, 6], [1, 4]], lam=np.inf),
        regmax.Tv2dmax(np.inf, shape=(1, 7)),
        regmax.Plaplacemax(1.5, np.inf),
        regmax.Plaplacemax(2.0, 1e6),
        regmax.Plaplacemax(1.02, 0.3),
        regmax.Plaplacemax(1.1, 0.2, edges=[[0, 1], [1, 2], [2, 0], [2, 3], [3, 4], [4, 5], [5, 6], [6, 3]]),
        regmax.Entmax(np.array([0.5, 1.0, 1.5, 2.0, 3.0])),
        regmax.Pnormmax(np.array([1.1, 1.5, 2.0, 2.5, 9.0])),
        regmax.Plaplacemax(np.array([1.0, 1.5, 2.0, 3.0, 1.0]), np.array([0.1, 0.0, np.inf, 1.0, 1.0])),
        regmax.Kregularmax(np.array([1, 2, 3, 1, 7]), np.array([1.0, 0.5, 0.1, 0.05, 1.0]), shape=(1, 7)),
        regmax.Topkmax(np.array([1, 2, 3, 4, 7])),
        regmax.Budgetmax(np.linspace(0.2, 1.0, 7), np.array([1.0, 0.5, 0.1, 1e-3, 2.0])),
    ],
    ids=label,
)
def test_infinite_and_mixed_parameters(operator, device):
    x = scattered(regmax.Sparsemax())
    if operator.name == "kregularmax":
        x = np.where(np.isinf(x), 0.0, x)
    np.testing.assert_allclose(solve(operator, x, device)[1].cpu(), operator.argmax(x), rtol=0, atol=1e-10)
    compare_with_numpy(operator, x, device)


@pytest.mark.parametrize(
    "operator", [one for one in served(12) if one.name in ("tv2dmax", "plaplacemax", "kregularmax")], ids=label
)
def test_devices_without_float64(operator, device, monkeypatch):
    for name in ("graphfusedmax", "kregularmax", "plaplacemax"):
        monkeypatch.setattr(f"regmax.solvers.gpu.{name}.wide", lambda x: x)
    for family in ("normal 1", "ties", "ramp", "dominant", "-inf"):
        x = feasible_rows(operator, families(12, dtype=np.float32)[family])
        if len(x):
            found = operator.certify(x, solve(operator, x, device)[1].cpu().numpy())
            assert np.max(found.gap / scale(operator, x)) <= 1e-5, family
