"""Every operator in every mode of torch, by the table that the documentation prints."""

import warnings

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

import regmax
import regmax.adapters.torch as rt
from regmax.adapters.torch import _ops
from regmax.adapters.torch.capabilities import DEVICES, DTYPES, MODES, table

from .cases import SETTINGS, function, in_numpy, of_any_size, scores
from .modes import ANSWERS, along, compiled, expected, leaf, require_close

TABLE = table()
every_operator = pytest.mark.parametrize("name", list(TABLE))


def loss(f):
    """A number that sees all weights differently."""
    return lambda x: (f(x) * torch.arange(1.0, x.shape[-1] + 1, dtype=x.dtype) + f(x) ** 2).sum()


def backward(f):
    assert gradcheck(f, leaf(scores(3)), check_batched_grad=True)


def double_backward(f):
    assert gradgradcheck(f, leaf(scores(2)))


def forward_mode(f):
    assert gradcheck(f, leaf(scores(3)), check_forward_ad=True, check_backward_ad=False)
    x, v = scores(3), scores(3, seed=1)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(f(forward_ad.make_dual(x, v))).tangent
    _, expected = torch.func.jvp(f, (x,), (v,))
    torch.testing.assert_close(tangent, expected)


def transforms(f):
    x = scores(4)
    row, of_row = x[0], lambda r: f(r[None])[0]
    whole = torch.autograd.functional.jacobian(of_row, row)
    torch.testing.assert_close(torch.func.jacrev(of_row)(row), whole)
    torch.testing.assert_close(torch.func.jacfwd(of_row)(row), whole)
    torch.testing.assert_close(torch.vmap(of_row)(x), f(x), rtol=0, atol=0)
    torch.testing.assert_close(torch.func.grad(loss(f))(x), torch.autograd.grad(loss(f)(y := leaf(x)), y)[0])
    rows = torch.stack([torch.func.grad(loss(of_row))(r) for r in x])
    torch.testing.assert_close(torch.vmap(torch.func.grad(loss(of_row)))(x), rows)
    expected = torch.autograd.functional.hessian(loss(of_row), row)
    torch.testing.assert_close(torch.func.hessian(loss(of_row))(row), expected)
    torch.testing.assert_close(torch.func.jacrev(torch.func.jacrev(loss(of_row)))(row), expected)
    # Forward over forward mode is what torch gets wrong in autograd functions, silently.
    forward, backward = torch.func.jacfwd, torch.func.jacrev
    torch.testing.assert_close(forward(forward(loss(of_row)))(row), expected)
    third = backward(backward(backward(loss(of_row))))(row)
    torch.testing.assert_close(forward(forward(forward(loss(of_row))))(row), third)
    torch.testing.assert_close(forward(backward(forward(loss(of_row))))(row), third)
    h = 1e-5 * torch.eye(len(row), dtype=row.dtype)
    ahead, behind = (torch.stack([torch.func.hessian(loss(of_row))(row + s * e) for e in h], -1) for s in (1, -1))
    torch.testing.assert_close(third, (ahead - behind) / 2e-5, rtol=1e-3, atol=1e-3)


def by_compiler(f):
    x = leaf(scores(3))
    torch.testing.assert_close(compiled(f)(x), f(x), rtol=0, atol=0)
    expected = torch.autograd.grad(loss(f)(x), x)
    torch.testing.assert_close(torch.autograd.grad(compiled(loss(f))(x), x), expected)


@every_operator
@pytest.mark.parametrize("dynamic", [True, None])
def test_compiled_code_takes_scores_of_any_size(name, dynamic):
    """Sizes that change are left open by compilers, from the start or from the second size on."""
    f = of_any_size(name)
    growing = compiled(f, dynamic=dynamic)
    for seed, shape in enumerate([(2, 4, 6), (3, 5, 8), (4, 6, 7)]):
        x = leaf(torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))
        torch.testing.assert_close(growing(x.detach()), f(x.detach()), rtol=0, atol=0)
        torch.testing.assert_close(growing(x), f(x), rtol=0, atol=0)
        expected = torch.autograd.grad(loss(f)(x), x)
        torch.testing.assert_close(torch.autograd.grad(loss(growing)(x), x), expected)


@every_operator
def test_instances_and_functions_of_numpy_compile(name):
    x, given = scores(3), dict(SETTINGS[name])
    if name == "kregularmax":  # whose function takes matrices alone
        x, given = x.reshape(3, 2, 3), {"k": 2, "gamma": 0.8}
    omega = in_numpy(name) if name != "kregularmax" else regmax.Kregularmax(**given)
    calls = [lambda x: rt.argmax(omega, x), omega, lambda x: getattr(regmax, name)(x, **given)]
    for call in calls[:2] if name == "graphfusedmax" else calls:  # its edges are a tensor here
        y = leaf(x)
        torch.testing.assert_close(compiled(call)(y), rt.argmax(omega, x), rtol=0, atol=0)
        (expected,) = torch.autograd.grad(along(lambda x: rt.argmax(omega, x))(y), y)
        torch.testing.assert_close(*torch.autograd.grad(compiled(along(call))(y), y), expected)


def test_functions_of_numpy_keep_their_signature_in_compiled_code():
    x = scores(3).reshape(3, 2, 3)
    found = compiled(lambda x: regmax.kregularmax(x, 2))(x)
    torch.testing.assert_close(found, rt.kregularmax(x, k=2), rtol=0, atol=0)
    for bad in (lambda x: regmax.sparsemax(x, 2.0), lambda x: regmax.sparsemax(x, beta=2.0)):
        with pytest.raises(Exception, match=r"argument 0 is longer|beta is not one of"):
            compiled(bad)(x)


def transforms_by_compiler(f):
    row, of_row = scores(3)[0], lambda r: f(r[None])[0]
    each = torch.vmap(torch.func.grad(loss(of_row)))
    torch.testing.assert_close(compiled(each, backend="eager")(scores(3)), each(scores(3)))
    for transform in (torch.func.jacfwd, torch.func.jacrev):
        torch.testing.assert_close(compiled(transform(of_row), backend="eager")(row), transform(of_row)(row))
    hessian = torch.func.hessian(loss(of_row))
    torch.testing.assert_close(compiled(hessian, backend="eager")(row), hessian(row))


def exported(f):
    class Layer(torch.nn.Module):
        def forward(self, x):
            return f(x)

    x = scores(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (FutureWarning, DeprecationWarning))  # of torch about itself
        program = torch.export.export(Layer(), (x,))
    torch.testing.assert_close(program.module()(x), f(x), rtol=0, atol=0)


def under_watch(f):
    x = leaf(scores(3))
    (expected,) = torch.autograd.grad(along(f)(x), x)
    torch.testing.assert_close(ANSWERS["checkpoint"](f, x)[0], expected, rtol=0, atol=0)
    checkpoint(along(f), x, use_reentrant=True).backward()
    torch.testing.assert_close(x.grad, expected, rtol=0, atol=0)


def in_half_precision(f):
    x = scores(3)
    require_close(ANSWERS["autocast"](f, x), 2 * ANSWERS["backward"](f, x), x.dtype)


CHECKS = {
    "backward": backward,
    "double backward": double_backward,
    "forward AD": forward_mode,
    "torch.func": transforms,
    "compile": by_compiler,
    "compile + func": transforms_by_compiler,
    "export": exported,
    "checkpoint": under_watch,
    "autocast": in_half_precision,
}


def test_the_table_is_whole():
    assert list(CHECKS) == list(MODES) == list(ANSWERS)
    assert list(TABLE) == list(regmax.operators())


@pytest.fixture(params=list(DEVICES))
def device(request, monkeypatch):
    """Where the scores are; another device is played by a CPU that the kernels cannot reach."""
    if request.param == "other":
        monkeypatch.setattr(_ops, "on_host", lambda x: False)
    return request.param


def answers_as_proved(mode, f, x):
    """What other dtypes and devices must do, once the kernels are proved in float64."""
    found = ANSWERS[mode](f, x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ops, "on_host", lambda x: True)
        require_close(found, expected(mode, f, x), x.dtype)


def check(name, mode, dtype, device):
    if (dtype, device) == ("float64", "cpu"):
        CHECKS[mode](function(name))
    else:
        answers_as_proved(mode, function(name), scores(3, dtype=getattr(torch, dtype)))


@every_operator
@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("dtype", DTYPES)
def test_mode(name, mode, dtype, device):
    promised = TABLE[name][mode][device][dtype]
    if promised is True:
        check(name, mode, dtype, device)
    else:
        with pytest.raises(Exception, match=name):
            check(name, mode, dtype, device)


@every_operator
def test_values_are_those_of_numpy(name):
    for dtype in (torch.float64, torch.float32):
        x = scores(2, 5, dtype=dtype)
        torch.testing.assert_close(function(name)(x), torch.from_numpy(in_numpy(name)(x.numpy())), rtol=0, atol=0)


@every_operator
def test_the_custom_operator_keeps_the_rules_of_torch(name):
    from regmax.adapters.torch._declared import operator_of
    from regmax.adapters.torch.functional import problem

    with torch.no_grad():
        found = problem(operator_of(regmax.operators()[name]), _Watched(scores(3)), -1, None, dict(SETTINGS[name]))
    rows = torch.Tensor(found.rows).double().requires_grad_()
    arguments = (rows, [v.detach().as_subclass(torch.Tensor) for v in found.values], name, ",".join(found.call.names))
    torch.library.opcheck(_ops._weights, (*arguments, *found.call.texture))


class _Watched(torch.Tensor):
    """A tensor that is not plain, so that all numbers become tensors."""
