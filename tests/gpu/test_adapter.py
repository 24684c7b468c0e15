"""The adapter on a CUDA device: the answers and derivatives of the CPU, without a visit there."""

import pytest
import torch

import regmax
import regmax.adapters.torch as rt
from regmax.adapters.torch.capabilities import DTYPES, MODES

from ..torch.cases import LEARNABLE, SETTINGS, scores
from ..torch.modes import ANSWERS, expected, require_close

pytestmark = pytest.mark.gpu
every_operator = pytest.mark.parametrize("name", list(regmax.operators()))


def function(name, device):
    given = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in SETTINGS[name].items()}
    return lambda x, **more: getattr(rt, name)(x, **{**given, **more})


@every_operator
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_answers_and_gradients_are_those_of_the_cpu(name, dtype):
    x, v = scores(50, dtype=dtype), scores(50, seed=1, dtype=dtype)
    there, here = x.cuda().requires_grad_(), x.clone().requires_grad_()
    y, expected = function(name, "cuda")(there), function(name, "cpu")(here)
    assert y.device == there.device
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-4}.get(dtype, 4 * torch.finfo(dtype).eps)
    torch.testing.assert_close(y.cpu(), expected, rtol=tolerance, atol=tolerance)
    (found,), (theirs,) = torch.autograd.grad(y, there, v.cuda()), torch.autograd.grad(expected, here, v)
    torch.testing.assert_close(found.cpu(), theirs, rtol=10 * tolerance, atol=10 * tolerance)


@every_operator
def test_parameters_learn_there(name):
    x = scores(5).cuda()
    for parameter in LEARNABLE[name]:
        if parameter == "weights":
            continue
        start = torch.tensor(float(SETTINGS[name][parameter]), dtype=torch.float64)
        there, here = start.cuda().requires_grad_(), start.clone().requires_grad_()
        (function(name, "cuda")(x, **{parameter: there}) ** 2).sum().backward()
        (function(name, "cpu")(x.cpu(), **{parameter: here}) ** 2).sum().backward()
        torch.testing.assert_close(there.grad.cpu(), here.grad, rtol=1e-7, atol=1e-9)


@every_operator
@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("dtype", DTYPES)
def test_modes_answer_as_on_the_cpu(name, mode, dtype):
    x = scores(3, dtype=getattr(torch, dtype))
    require_close(ANSWERS[mode](function(name, "cuda"), x.cuda()), expected(mode, function(name, "cpu"), x), x.dtype)


def test_parameters_of_another_device_are_refused():
    with pytest.raises(ValueError, match="gamma must be on the device cuda:0 of x, got cpu"):
        rt.sparsemax(scores(2).cuda(), gamma=torch.ones(()))
