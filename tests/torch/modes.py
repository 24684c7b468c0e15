"""What an operator answers in each mode of torch, for any dtype and device: weights, derivatives along fixed vectors.

Losses are linear in the weights, so that dtypes of low precision round once: all between is the adapter's.
"""

import warnings

import torch
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint


def compiled(f, **options):
    torch._dynamo.reset()
    return torch.compile(f, fullgraph=True, **{"backend": "aot_eager", **options})


def leaf(x):
    return x.detach().clone().requires_grad_()


def direction(x, power=2):
    """A vector of small numbers, exact in every dtype."""
    return (torch.arange(1, x.shape[-1] + 1, device=x.device) ** power % 11).to(x.dtype)


def along(f):
    """The weights seen along another such vector."""
    return lambda x: (f(x) * direction(x, 3)).sum()


def backward(f, x):
    x = leaf(x)
    y = f(x)
    return y.detach(), *torch.autograd.grad(along(lambda _: y)(x), x)


def double_backward(f, x):
    x = leaf(x)
    (g,) = torch.autograd.grad(along(f)(x), x, create_graph=True)
    return g.detach(), *torch.autograd.grad((g * direction(x)).sum(), x)


def forward_mode(f, x):
    with forward_ad.dual_level():
        return tuple(forward_ad.unpack_dual(f(forward_ad.make_dual(x, direction(x).expand_as(x)))))


def transforms(f, x):
    def of_row(row):
        return f(row[None])[0]

    jacobians = torch.func.jacrev(of_row)(x[0]), torch.func.jacfwd(of_row)(x[0])
    rows = torch.vmap(of_row)(x), torch.vmap(torch.func.grad(along(of_row)))(x)
    return *jacobians, *rows, torch.func.hessian(along(of_row))(x[0])


def by_compiler(f, x):
    x = leaf(x)
    y = compiled(f)(x)
    return y.detach(), *torch.autograd.grad(along(lambda _: y)(x), x)


def transforms_by_compiler(f, x):
    def of_row(row):
        return f(row[None])[0]

    return (compiled(torch.func.hessian(along(of_row)), backend="eager")(x[0]),)


def exported(f, x):
    class Layer(torch.nn.Module):
        def forward(self, x):
            return f(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (FutureWarning, DeprecationWarning))  # of torch about itself
        program = torch.export.export(Layer(), (x,))
    return (program.module()(x),)


def under_watch(f, x):
    torch.use_deterministic_algorithms(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Anomaly Detection has been enabled")
            with torch.autograd.detect_anomaly(check_nan=True):
                return torch.autograd.grad(checkpoint(along(f), x := leaf(x), use_reentrant=False), x)
    finally:
        torch.use_deterministic_algorithms(False)


def under_autocast(f, x):
    found = []
    for dtype in (torch.float16, torch.bfloat16):
        with torch.autocast(x.device.type, dtype=dtype):
            found += backward(f, x)
    return tuple(found)


ANSWERS = {
    "backward": backward,
    "double backward": double_backward,
    "forward AD": forward_mode,
    "torch.func": transforms,
    "compile": by_compiler,
    "compile + func": transforms_by_compiler,
    "export": exported,
    "checkpoint": under_watch,
    "autocast": under_autocast,
}


def expected(mode, f, x):
    """The answers in float64, by the kernels where f is on the CPU, and without a compiler."""
    with torch.compiler.set_stance("force_eager"):
        return ANSWERS[mode](f, x.double())


def require_close(found, expected, dtype):
    """Each as near as its dtype allows: two units of its last place if that is of low precision."""
    units = {torch.float64: 1e6, torch.float32: 50}.get(dtype, 1) * torch.finfo(dtype).eps
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(
            one.double().cpu(), other, rtol=units, atol=units * max(1e-3, float(other.abs().max()))
        )
