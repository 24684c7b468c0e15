"""Tensors of any shape, dtype and mask; parameters as tensors; what cannot be served is said in one sentence."""

import warnings

import numpy as np
import pytest
import scipy.sparse
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import regmax
import regmax.adapters.torch as rt

from ..own_regularizers import Entropy as MyEntropy
from .cases import LEARNABLE, SETTINGS, WEIGHTS, N, function, in_numpy, nested, quantized, scores

NAMES = list(regmax.operators())
ROWWISE = [name for name in NAMES if name not in ("tv2dmax", "kregularmax")]
every_operator = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def by_twins(monkeypatch):
    """As on a device without kernels of its own."""
    from regmax.adapters.torch import _ops

    monkeypatch.setattr(_ops, "on_host", lambda x: False)


@every_operator
def test_dims_strides_and_batches(name):
    x, f = scores(4, 5), function(name)
    y = f(x)
    torch.testing.assert_close(f(x.movedim(-1, 0), dim=0).movedim(0, -1), y, rtol=0, atol=0)
    torch.testing.assert_close(f(x.transpose(1, 2), dim=1).transpose(1, 2), y, rtol=0, atol=0)
    torch.testing.assert_close(f(x[::2, ::3]), y[::2, ::3], rtol=0, atol=0)
    torch.testing.assert_close(f(x.flip(0)), y.flip(0), rtol=0, atol=0)
    torch.testing.assert_close(f(x[2, 3]), y[2, 3], rtol=0, atol=0)
    assert f(x[:0]).shape == (0, 5, N)
    leaf = x.clone().requires_grad_()
    (moved,) = torch.autograd.grad((f(leaf.transpose(0, 2), dim=0) ** 2).sum(), leaf)
    (straight,) = torch.autograd.grad((f(leaf) ** 2).sum(), leaf)
    torch.testing.assert_close(moved, straight.expand_as(moved), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["tv2dmax", "kregularmax"])
def test_matrices_have_two_dims(name):
    settings = {key: value for key, value in SETTINGS[name].items() if key != "shape"}
    x, f = scores(4).reshape(4, 2, 3), getattr(rt, name)
    y = f(x, **settings)
    torch.testing.assert_close(y.reshape(4, N), function(name)(x.reshape(4, N)), rtol=0, atol=0)
    torch.testing.assert_close(f(x.movedim(0, 2), dim=(0, 1), **settings).movedim(2, 0), y, rtol=0, atol=0)
    if name == "tv2dmax":
        torch.testing.assert_close(f(x.mT, **settings).mT, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ROWWISE)
@pytest.mark.parametrize("twins", [False, True])
def test_masks(name, twins, request):
    if twins:
        request.getfixturevalue("by_twins")
    given = {**SETTINGS[name], **({"total": 0.4} if name == "budgetmax" else {})}
    f = lambda x, **more: getattr(rt, name)(x, **given, **more)  # noqa: E731
    x = scores(5)
    mask = torch.ones(5, N, dtype=torch.bool)
    mask[0, 1:3] = mask[1, 0] = mask[2, 5] = False
    mask[3] = False
    x[4, 2] = torch.nan
    ours = regmax.operators()[name](**{k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in given.items()})
    expected = torch.from_numpy(ours(x.numpy(), where=mask.numpy()))
    hidden = torch.where(mask, x, -torch.inf)
    additive = torch.where(mask, x, torch.finfo(x.dtype).min)
    for y in (f(x, mask=mask), f(hidden), f(additive)):
        torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9 if twins else 0, equal_nan=True)
    assert (f(hidden)[~mask] == 0).all()
    for masked in (x, hidden, additive):
        leaf = masked.clone().requires_grad_()
        y = f(leaf, mask=mask)
        (g,) = torch.autograd.grad((torch.nan_to_num(y) ** 2).sum(), leaf)
        assert (g[~mask] == 0).all()
        assert torch.isfinite(g[:4]).all()
        (twice,) = torch.autograd.grad((torch.nan_to_num(f(leaf, mask=mask)) ** 2).sum(), leaf, create_graph=True)
        torch.testing.assert_close(twice[:4], g[:4])


@every_operator
def test_twins_answer_where_there_are_no_kernels(name, by_twins):
    x, f = scores(3, 4), function(name)
    expected = torch.from_numpy(in_numpy(name)(x.numpy()))
    torch.testing.assert_close(f(x), expected, rtol=1e-9, atol=1e-9)
    assert gradcheck(f, x.clone().requires_grad_())
    assert gradgradcheck(f, x[0].clone().requires_grad_())
    torch.testing.assert_close(torch.vmap(f)(x), f(x), rtol=1e-12, atol=1e-12)


PAIRS = [(name, parameter) for name, parameters in LEARNABLE.items() for parameter in parameters]


@pytest.mark.parametrize(("name", "parameter"), PAIRS)
@pytest.mark.parametrize("shared", [True, False])
def test_parameters_have_derivatives(name, parameter, shared):
    x = scores(3)
    start = WEIGHTS[name] if parameter == "weights" else torch.tensor(float(SETTINGS[name][parameter])).double()
    if not shared:
        factors = torch.linspace(0.9, 1.1, 3, dtype=torch.float64)
        wide = (3, N) if parameter == "upper" else (3, *start.shape)
        start = (start * factors.reshape(3, *[1] * (len(wide) - 1))).expand(wide).clone()
    settings = {key: value for key, value in SETTINGS[name].items() if key != parameter}

    def f(x, value):
        return getattr(rt, name)(x, **settings, **{parameter: value})

    inputs = (x.clone().requires_grad_(), start.clone().requires_grad_())
    assert gradcheck(f, inputs, check_forward_ad=True)
    assert gradgradcheck(f, inputs)
    loss = lambda value: (f(x, value) ** 2 * torch.arange(1.0, N + 1)).sum()  # noqa: E731
    leaf = start.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
    torch.testing.assert_close(torch.func.grad(loss)(start), first)
    torch.testing.assert_close(torch.func.jacfwd(loss)(start), first)
    second = torch.func.jacrev(torch.func.jacrev(loss))(start)
    for forward, backward in (("jacfwd", "jacrev"), ("jacrev", "jacfwd"), ("jacfwd", "jacfwd")):
        found = getattr(torch.func, forward)(getattr(torch.func, backward)(loss))(start)
        torch.testing.assert_close(found, second, rtol=1e-7, atol=1e-8)
    torch._dynamo.reset()
    compiled = torch.compile(torch.func.grad(loss), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(start), first)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(start, torch.ones_like(start))
        torch.testing.assert_close(forward_ad.unpack_dual(loss(dual)).tangent, first.sum())


@pytest.mark.parametrize("name", ["pnormmax", "normmax"])
def test_second_derivatives_in_every_order_of_modes_where_weights_are_tiny(name):
    """Close to p = 1 weights are 1e-300, and powers of them beyond all numbers."""
    p = torch.tensor(1.001, dtype=torch.float64)
    x = torch.tensor([0.9, 0.4, -0.3, 0.5], dtype=torch.float64)
    f = lambda p: (getattr(rt, name)(x, p=p) * torch.arange(1.0, 5)).sum()  # noqa: E731
    forward, backward = torch.func.jacfwd, torch.func.jacrev
    expected = backward(backward(f))(p)
    assert expected > 0
    for one, other in ((forward, forward), (forward, backward), (backward, forward)):
        torch.testing.assert_close(one(other(f))(p) / expected, torch.ones_like(p), rtol=1e-9, atol=0)


TIED = [(0, 0, 0, 0), (5, 5, 5, 5), (1, 1, 0, 0), (1, 0, 0, 0), (2, 1, 1, 0), (3, 3, 1, 1), (-torch.inf, 4, 4, 4)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("row", TIED, ids=str)
def test_topkmax_has_one_derivative_where_scores_tie(row, k, dtype):
    x, each = torch.tensor(row, dtype=dtype), torch.eye(4, dtype=dtype)
    omega, f = regmax.Topkmax(k), lambda x: rt.topkmax(x, k=k)
    y, leaf = omega(x.numpy()), x.clone().requires_grad_()
    J = torch.from_numpy(np.stack([omega.jacobian(y, e, x=x.numpy()) for e in each.numpy()], axis=1))
    found = [
        torch.from_numpy(np.stack([omega.vjp(y, e, x=x.numpy()) for e in each.numpy()])),
        torch.stack([torch.autograd.grad(f(leaf), leaf, e)[0] for e in each]),
        torch.stack([torch.autograd.grad(f(leaf), leaf, e, create_graph=True)[0] for e in each]).detach(),
        torch.func.jacrev(f)(x),
        torch.func.jacfwd(f)(x),
        torch.func.jvp(torch.func.jacfwd(f), (x,), (each[0],))[0],
    ]
    for one in found:
        torch.testing.assert_close(one, J)
    equal = torch.unique(x[x > -torch.inf]).numel() == 1
    if equal:  # the temperature is 1
        live = (x > -torch.inf).to(dtype)
        torch.testing.assert_close(J, torch.diag(live) - torch.outer(live, live) / live.sum())


@pytest.mark.parametrize("name", ["fusedmax", "oscarmax", "graphfusedmax", "tv2dmax", "plaplacemax"])
def test_infinite_strength_in_forward_mode(name):
    x, v = scores(3), scores(3, seed=1)
    f = lambda x: function(name)(x, lam=torch.inf)  # noqa: E731
    for y in (
        torch.func.jvp(f, (x,), (v,))[0],
        torch.func.jvp(lambda x: torch.func.jvp(f, (x,), (v,))[0], (x,), (v,))[0],
    ):
        torch.testing.assert_close(y, f(x), rtol=1e-12, atol=1e-12)


def repeated(transform, order):
    """A derivative of order ``order`` of a number that depends on a number by softmax."""
    x, v = scores()[:3], scores(seed=1)[:3]
    f = lambda s: (rt.softmax(x + s * v) * torch.tensor([1.0, 2.0, 4.0])).sum()  # noqa: E731
    for _ in range(order):
        f = transform(f)
    return f


WALKS = {
    "forward": lambda order: repeated(torch.func.jacfwd, order),
    "compiled": lambda order: torch.compile(repeated(torch.func.grad, order), fullgraph=True, backend="eager"),
}


@pytest.mark.parametrize("way", list(WALKS))
def test_fourth_derivatives_have_a_backward_pass_and_beyond_them_is_a_sentence(way):
    torch._dynamo.reset()
    s = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    for order in (3, 4):
        found = WALKS[way](order)(s)
        torch.testing.assert_close(found, repeated(torch.func.grad, order)(s.detach()))
        (next_one,) = torch.autograd.grad(found, s)
        torch.testing.assert_close(next_one, repeated(torch.func.grad, order + 1)(s.detach()))
    with pytest.raises(Exception, match="transforms end at the fourth derivative"):
        WALKS[way](5)(s)


@pytest.mark.parametrize("name", ["fusedmax", "graphfusedmax", "plaplacemax", "oscarmax"])
def test_additive_masks_hide_neighbours_from_second_derivatives_too(name):
    """An edge to a masked entry is none, whichever number hides it."""
    x = scores(3)
    hidden = [torch.where(torch.arange(N) == 2, low, x) for low in (-torch.inf, torch.finfo(x.dtype).min)]
    found = []
    for scored in hidden:
        lam = torch.tensor(0.2, dtype=x.dtype, requires_grad=True)
        leaf = scored.clone().requires_grad_()
        settings = {key: value for key, value in SETTINGS[name].items() if key != "lam"}
        y = getattr(rt, name)(leaf, lam=lam, **settings)
        first = torch.autograd.grad((y**3).sum(), (lam, leaf), create_graph=True)
        found.append((*first, torch.autograd.grad(first[0] + (first[1] ** 2).sum(), lam)[0]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_parameters_broadcast_like_those_of_numpy():
    x = scores(2, 3, 4)
    alpha = torch.tensor([1.2, 1.5, 2.0], dtype=torch.float64)[:, None]
    expected = regmax.entmax(x.numpy(), alpha=alpha.numpy())
    np.testing.assert_array_equal(rt.entmax(x, alpha=alpha).numpy(), expected)
    np.testing.assert_array_equal(rt.entmax(x, alpha=alpha.numpy()).numpy(), expected)
    bare = torch.func.vmap(lambda x, a: rt.entmax(x, alpha=a), in_dims=(1, 0))(x, alpha[:, 0])
    np.testing.assert_array_equal(bare.movedim(0, 1).numpy(), expected)


def test_the_functions_of_numpy_hand_tensors_on():
    x = scores(3).requires_grad_()
    mask = torch.arange(N) != 2
    y = regmax.fusedmax(x, lam=0.2, where=mask)
    torch.testing.assert_close(y, rt.fusedmax(x, lam=0.2, mask=mask), rtol=0, atol=0)
    assert y.requires_grad
    torch.testing.assert_close(regmax.Entmax(1.3)(x, axis=0), rt.entmax(x, alpha=1.3, dim=0), rtol=0, atol=0)


class OfTheUser(torch.Tensor):
    """A class of tensors that somebody else wrote."""


def test_tensors_of_a_class_of_the_user_are_tensors():
    x = scores(3).as_subclass(OfTheUser)
    for y in (regmax.entmax(x), rt.entmax(x)):
        assert isinstance(y, torch.Tensor)
        torch.testing.assert_close(y.as_subclass(torch.Tensor), rt.entmax(scores(3)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("fusedmax", {"lam": 0.2, "weights": (1.0, 2.0, 1.0, 2.0, 1.0)}),
        ("entmax", {"alpha": (1.2, 1.5, 2.0)}),
        ("budgetmax", {"upper": [0.3, 0.2, 0.4, 0.5, 0.1, 0.6]}),
        ("topkmax", {"k": np.array([1, 2, 3])}),
        ("graphfusedmax", {"edges": ((0, 1), (1, 2)), "lam": 0.2}),
        (
            "graphfusedmax",
            {"edges": scipy.sparse.csr_array(np.diag([1.0, 2, 3, 4, 5], 1) + np.diag([1.0, 2, 3, 4, 5], -1))},
        ),
    ],
)
def test_sequences_are_parameters_in_every_mode(name, given):
    x = scores(3)
    f = lambda x: getattr(rt, name)(x, **given)  # noqa: E731
    expected = torch.from_numpy(regmax.operators()[name](**given)(x.numpy()))
    torch.testing.assert_close(f(x), expected, rtol=0, atol=0)
    torch.testing.assert_close(torch.vmap(f)(x[None])[0], expected, rtol=0, atol=0)
    torch.testing.assert_close(torch.func.jvp(f, (x,), (x,))[0], expected, rtol=0, atol=0)
    leaf = x.clone().requires_grad_()
    (first,) = torch.autograd.grad((f(leaf) ** 2).sum(), leaf, create_graph=True)
    torch.testing.assert_close(first, torch.func.grad(lambda x: (f(x) ** 2).sum())(x))
    if name != "graphfusedmax":
        torch._dynamo.reset()
        torch.testing.assert_close(torch.compile(f, fullgraph=True, backend="eager")(x), expected, rtol=0, atol=0)


def test_tensors_without_memory_of_their_own():
    x = scores(3)
    torch.testing.assert_close(rt.sparsemax(torch._neg_view(x)), rt.sparsemax(-x), rtol=0, atol=0)
    torch.testing.assert_close(rt.sparsemax(torch._efficientzerotensor((2, 4))), torch.full((2, 4), 0.25))
    for name in NAMES:
        f = getattr(rt, name)
        given = {k: v.to("meta") if isinstance(v, torch.Tensor) else v for k, v in SETTINGS[name].items()}
        leaf = x.to("meta").requires_grad_()
        y = f(leaf, **given)
        assert (y.device.type, y.shape, y.dtype) == ("meta", x.shape, x.dtype)
        for more in (False, True):
            (g,) = torch.autograd.grad((y**2).sum(), leaf, create_graph=more, retain_graph=True)
            assert (g.device.type, g.shape, g.dtype) == ("meta", x.shape, x.dtype)


def test_integers_and_empty_graphs():
    y = rt.sparsemax(torch.tensor([[1, 2, 3], [0, 0, 0]]))
    assert y.dtype == torch.get_default_dtype()
    torch.testing.assert_close(y, torch.tensor([[0.0, 0.0, 1.0], [1 / 3] * 3]))
    x = scores(2)
    none = torch.empty((0, 2), dtype=torch.int64)
    torch.testing.assert_close(rt.graphfusedmax(x, edges=none), rt.sparsemax(x), rtol=0, atol=0)


def test_a_regularizer_of_ones_own():
    """It has a function by ``argmax``, and first derivatives backwards; what it lacks for others it says."""
    omega, x = MyEntropy(gamma=0.7), scores(3).requires_grad_()
    y, expected = rt.argmax(omega, x), rt.softmax(x, gamma=0.7)
    torch.testing.assert_close(y, expected, rtol=1e-8, atol=1e-8)
    v = scores(3, seed=1)
    found, theirs = torch.autograd.grad(y, x, v), torch.autograd.grad(expected, x, v)
    torch.testing.assert_close(found, theirs, rtol=1e-6, atol=1e-6)
    with pytest.raises(NotImplementedError, match="needs the operator in torch operations"):
        torch.autograd.grad(rt.argmax(omega, x), x, v, create_graph=True)
    with pytest.raises(NotImplementedError, match="needs the operator in torch operations"):
        torch.func.jvp(lambda x: rt.argmax(omega, x), (x.detach(),), (v,))


BAD = [
    (TypeError, "sparsemax: x must be a tensor, got ndarray", lambda: rt.sparsemax(np.zeros(3))),
    (TypeError, "real numbers, got dtype torch.complex64", lambda: rt.sparsemax(torch.zeros(3, dtype=torch.cfloat))),
    (TypeError, "dense tensor, got layout torch.sparse_coo", lambda: rt.sparsemax(torch.eye(3).to_sparse())),
    (TypeError, "dense tensor, got a nested tensor", lambda: rt.softmax(nested())),
    (TypeError, "real numbers, got dtype torch.quint8", lambda: rt.softmax(quantized())),
    (ValueError, "sparsemax: x must have at least one dimension", lambda: rt.sparsemax(torch.tensor(1.0))),
    (ValueError, "dim must be within the 2 dimensions of x, got 2", lambda: rt.softmax(torch.zeros(2, 2), dim=2)),
    (TypeError, "dim must be an integer, got 0.5", lambda: rt.softmax(torch.zeros(2), dim=0.5)),
    (ValueError, "dim must have at least one entry", lambda: rt.softmax(torch.zeros(2, 0))),
    (TypeError, "mask must be a dense boolean tensor, got torch.float32", lambda: rt.softmax(_x(), mask=torch.ones(3))),
    (TypeError, "mask must be a dense boolean tensor, got list", lambda: rt.softmax(_x(), mask=[True] * 3)),
    (ValueError, r"mask must broadcast to the shape \(2, 3\)", lambda: rt.softmax(_x(), mask=torch.ones(4) > 0)),
    (
        ValueError,
        "gamma must be on the device cpu of x, got meta",
        lambda: rt.softmax(_x(), gamma=torch.ones(1, device="meta")),
    ),
    (ValueError, "mask must be on the device cpu", lambda: rt.softmax(_x(), mask=torch.ones(3, device="meta") > 0)),
    (TypeError, "gamma must be a tensor of real numbers", lambda: rt.softmax(_x(), gamma=torch.ones(1).cfloat())),
    (ValueError, "softmax: gamma must be > 0 and finite, got -1", lambda: rt.softmax(_x(), gamma=-1)),
    (ValueError, "softmax: gamma must be > 0 and finite, got -1.0", lambda: rt.softmax(_x(), gamma=-torch.ones(()))),
    (ValueError, "entmax: alpha must be > 0 and finite, got nan", lambda: rt.entmax(_x(), alpha=float("nan"))),
    (ValueError, r"gamma must broadcast against the batch of shape \(2,\)", lambda: rt.softmax(_x(), gamma=_x()[0])),
    (TypeError, "softmax: lam is not one of its parameters", lambda: rt.softmax(_x(), lam=1.0)),
    (ValueError, "fusedmax: weights must have 2 entries on the last dim", lambda: rt.fusedmax(_x(), weights=_x()[0])),
    (ValueError, "topkmax: k must be at most the 3 entries", lambda: rt.topkmax(_x(), k=4)),
    (TypeError, "graphfusedmax: edges", lambda: rt.graphfusedmax(_x(), edges=torch.zeros(2, 2))),
    (ValueError, "must join different vertices", lambda: rt.graphfusedmax(_x(), edges=torch.tensor([[1, 1]]))),
    (ValueError, "dim must be the two dims of a matrix", lambda: rt.kregularmax(_x(), k=1, dim=1)),
    (ValueError, "tv2dmax: shape must fold the 6 entries of a row, got 4 x 5", lambda: rt.tv2dmax(_6(), shape=(4, 5))),
    (ValueError, "kregularmax: shape must fold the 6 entries", lambda: rt.kregularmax(_6(), k=1, shape=(2, 2))),
    (TypeError, "tv2dmax: shape must be two integers", lambda: rt.tv2dmax(_6(), shape=(2.0, 3))),
    (TypeError, "tv2dmax: shape must be two integers", lambda: rt.tv2dmax(_6(), shape="2x3")),
    (TypeError, "kregularmax: reading must be one of", lambda: rt.kregularmax(_6().reshape(2, 3), k=1, reading=3)),
    (TypeError, "softmax: gamma must be a number, an array or a tensor, got 'a'", lambda: rt.softmax(_x(), gamma="a")),
    (
        TypeError,
        "gamma must be a number, an array or a tensor, got None",
        lambda: rt.softmax(_x(), gamma=None),
    ),
    (
        TypeError,
        "gamma must be a number, an array or a tensor, got True",
        lambda: rt.softmax(_x(), gamma=True),
    ),
    (TypeError, "gamma must be a number, an array or a tensor, got 1j", lambda: torch.vmap(_imaginary)(_x())),
    (TypeError, "topkmax: k must be a tensor of integers", lambda: rt.topkmax(_x(), k=torch.tensor(2.5))),
    (TypeError, "dense boolean tensor, got torch.sparse_coo", lambda: rt.softmax(_x(), mask=(_x() == 0).to_sparse())),
    (TypeError, "learn must be names of parameters, got True", lambda: rt.Entmax(learn=True)),
    (ValueError, "entmax: alpha must be > 0 and finite, got -1", lambda: rt.Entmax(alpha=-1)),
    (ValueError, "fusedmax: lam must start above 0 to be learned, got 0.0", lambda: rt.Fusedmax(lam=0.0, learn="lam")),
    (TypeError, r"learn must be names of parameters, got \(3,\)", lambda: rt.Entmax(learn=(3,))),
    (TypeError, r"learn must be names of parameters, got \[3\]", lambda: rt.Entmax(learn=[3])),
    (ValueError, "lam must start at a finite value to be l", lambda: rt.Fusedmax(lam=float("inf"), learn="lam")),
    (ValueError, "upper must start at a finite", lambda: rt.Budgetmax(upper=torch.tensor([1, np.inf]), learn="upper")),
    (ValueError, "reduction must be one of", lambda: rt.FenchelYoungLoss(regmax.Softmax(), reduction="x")),
    (TypeError, "omega must be an operator of regmax, got str", lambda: rt.fenchel_young_loss("softmax", _x(), _x())),
    (
        TypeError,
        "argmax: omega must be an operator such as regmax.*, got str",
        lambda: rt.argmax("a", _x()),
    ),
    (TypeError, "argmax: omega .*, got the class Sparsemax", lambda: rt.argmax(regmax.Sparsemax, _x())),
    (TypeError, "argmax: omega .*, got a layer", lambda: rt.argmax(rt.Sparsemax(), _x())),
    (TypeError, "sparsemax: where must be a dense bool", lambda: regmax.sparsemax(_x(), where=np.ones(3, bool))),
    (ValueError, r"sparsemax: where must broadcast to", lambda: regmax.sparsemax(_x(), where=torch.ones(4) > 0)),
    (TypeError, "softmax: x must be a plain tensor, got MaskedTensor", lambda: rt.softmax(_masked())),
    (TypeError, "mask must be a dense boolean tensor, got a nested", lambda: rt.softmax(_x(), mask=nested(torch.bool))),
    (TypeError, "weight must be a tensor, got list", lambda: rt.FenchelYoungLoss(regmax.Softmax(), weight=[1.0])),
    (TypeError, "Entmax|entmax: beta is not one of its parameters", lambda: rt.Entmax(beta=1)),
    (ValueError, "topkmax: k cannot be learned, got 2", lambda: rt.Topkmax(k=2, learn=("k",))),
    (ValueError, "entmax: alpha must be > 0 and finite, got -1", lambda: rt.Entmax(alpha=-1, learn=("alpha",))),
]


def _x():
    return torch.zeros(2, 3)


def _6():
    return torch.arange(6.0)[None]


def _masked():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them a prototype
        return torch.masked.masked_tensor(_x(), _x() == 0)


def _imaginary(x):
    return rt.softmax(x, gamma=1j)


@pytest.mark.parametrize(("kind", "sentence", "call"), BAD, ids=[sentence for _, sentence, _ in BAD])
def test_bad_input_is_one_sentence(kind, sentence, call):
    with pytest.raises(kind, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)
