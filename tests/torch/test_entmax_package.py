"""What the entmax package does beside what regmax does: every line of the table in docs/torch.md is a test here."""

import re
from importlib.metadata import version
from pathlib import Path

import entmax
import pytest
import torch
from torch.autograd import grad, gradgradcheck

import regmax.adapters.torch as rt

from .cases import scores

PAGE = Path(__file__).resolve().parents[2] / "docs" / "torch.md"
THEIRS = {
    "sparsemax": entmax.sparsemax,
    "entmax15": entmax.entmax15,
    "entmax_bisect": lambda x: entmax.entmax_bisect(x, alpha=1.7),
}
OURS = {
    "sparsemax": rt.sparsemax,
    "entmax15": rt.entmax,
    "entmax_bisect": lambda x: rt.entmax(x, alpha=1.7),
}


def loss(f):
    return lambda x: (f(x) * torch.arange(1.0, x.shape[-1] + 1, dtype=x.dtype)).sum()


def leaf(x):
    return x.detach().clone().requires_grad_()


def same(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def compiled_slope(f):
    torch._dynamo.reset()
    x = leaf(scores(3))
    return grad(torch.compile(loss(f), fullgraph=True, backend="aot_eager")(x), x)[0]


def slope(f, x):
    x = leaf(x)
    return grad(loss(f)(x), x)[0]


def compiling():
    for name, theirs in THEIRS.items():
        with pytest.raises(torch._dynamo.exc.Unsupported, match="failed to bind arguments"):
            compiled_slope(theirs)
        same(compiled_slope(OURS[name]), slope(theirs, scores(3)))


def mapping():
    for name, theirs in THEIRS.items():
        with pytest.raises(RuntimeError, match="must override the setup_context"):
            torch.vmap(theirs)(scores(3))
        same(torch.vmap(OURS[name])(scores(3)), theirs(scores(3)))


def forward_mode():
    x, v = scores(3), scores(3, seed=1)
    for name, theirs in THEIRS.items():
        with pytest.raises(RuntimeError, match="must override the setup_context"):
            torch.func.jvp(theirs, (x,), (v,))
        found = torch.func.jvp(OURS[name], (x,), (v,))[1]
        y = theirs(at := leaf(x))
        same(found, grad(y, at, v)[0])  # the Jacobian is symmetric


def functional_gradient():
    for name, theirs in THEIRS.items():
        with pytest.raises(RuntimeError, match="must override the setup_context"):
            torch.func.grad(loss(theirs))(scores(3))
        same(torch.func.grad(loss(OURS[name]))(scores(3)), slope(theirs, scores(3)))


def twice(f):
    x = leaf(scores(3))
    (first,) = grad(loss(f)(x), x, create_graph=True)
    return grad((first**2).sum(), x)[0]


def double_backward():
    for name in ("entmax15", "entmax_bisect"):
        assert twice(THEIRS[name]).isnan().any()
        assert gradgradcheck(OURS[name], leaf(scores(3)))


def double_backward_of_sparsemax():
    assert gradgradcheck(THEIRS["sparsemax"], leaf(scores(3)))
    assert gradgradcheck(OURS["sparsemax"], leaf(scores(3)))


def a_masked_row():
    x = scores(3)
    x[1] = -torch.inf
    for name, theirs in THEIRS.items():
        if name == "entmax_bisect":
            y = theirs(x)
            assert y[1].isnan().all()
            assert not y[[0, 2]].isnan().any()
        else:
            with pytest.raises(RuntimeError, match="index -1 is out of bounds"):
                theirs(x)
        ours = OURS[name](x)
        assert (ours[1] == 0).all()
        same(ours[[0, 2]], theirs(x[[0, 2]]))


def wide_rows(scale):
    return scale * torch.randn(50, 512, generator=torch.Generator().manual_seed(0))


def errors(f, exact, scale):
    """How far weights of bfloat16 scores are from those in float32, and their sums from 1, at most."""
    x = wide_rows(scale).bfloat16()
    y = f(x).float()
    return (y - exact(x.float())).abs().max().item(), (y.sum(-1) - 1).abs().max().item()


def half_precision():
    unit = torch.finfo(torch.bfloat16).eps
    for name, off in (("entmax15", 0.01), ("entmax_bisect", 0.05)):
        assert max(errors(THEIRS[name], OURS[name], scale)[0] for scale in (1, 10)) > off
    assert errors(THEIRS["entmax15"], OURS["entmax15"], 1)[1] > 0.05
    for ours in OURS.values():
        for scale in (1, 10):
            assert errors(ours, ours, scale)[0] <= unit / 2
            assert errors(ours, ours, scale)[1] <= unit


def half_precision_of_large_scores():
    x = wide_rows(1000).bfloat16()
    assert THEIRS["entmax_bisect"](x).isnan().all()
    assert not OURS["entmax_bisect"](x).isnan().any()


def alpha_of_one():
    x = scores(3)
    for alpha in (1.0, torch.ones(3, 1, dtype=torch.float64)):
        same(entmax.entmax_bisect(x, alpha=alpha), torch.full_like(x, 1 / x.shape[-1]))
    for alpha in (1.0, torch.ones(3, dtype=torch.float64)):
        same(rt.entmax(x, alpha=alpha), torch.softmax(x, -1))


#: The first column of the table in docs/torch.md.
LINES = {
    "`torch.compile(fullgraph=True)` with backward": compiling,
    "`torch.vmap`": mapping,
    "`torch.func.jvp`": forward_mode,
    "`torch.func.grad`": functional_gradient,
    "double backward of entmax": double_backward,
    "double backward of sparsemax": double_backward_of_sparsemax,
    "a row of all -inf": a_masked_row,
    "bfloat16, 512 scores of size 1 and 10": half_precision,
    "bfloat16, scores of size 1000": half_precision_of_large_scores,
    "`alpha = 1`": alpha_of_one,
}


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # of torch, compiling theirs
@pytest.mark.parametrize("line", LINES)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # what forward mode loads
def test_line_of_the_table(line):
    LINES[line]()


def test_the_page_has_these_lines_and_this_version():
    page = PAGE.read_text(encoding="utf-8")
    (table,) = re.findall(rf"\| entmax {version('entmax')} \|[^\n]*\n\|---[^\n]*\n((?:\|[^\n]*\n)+)", page)
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()] == list(LINES)
