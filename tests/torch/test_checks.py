"""Numbers in tensors that break their rule raise in every mode and on every device, with the sentence of eager code."""

import warnings

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import regmax
import regmax.adapters.torch as rt
from regmax.adapters.torch import _modes, _ops

from .cases import EDGES, N, scores

LABELS = torch.tensor([0, 3])


def number(value):
    return torch.tensor(value, dtype=torch.float64)


class Called(torch.nn.Module):
    """A function as a module, for export."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, *inputs):
        return self.f(*inputs)


def exported(f, *inputs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (FutureWarning, DeprecationWarning))  # of torch about itself
        return torch.export.export(Called(f), inputs).module()


def compiled(f, **options):
    torch._dynamo.reset()
    return torch.compile(f, fullgraph=True, backend="aot_eager", **options)


#: Each takes what a function is traced with, and what it is then called with.
MODES = {
    "eager": lambda f, good, bad: f(*bad),
    "vmap": lambda f, good, bad: torch.vmap(f)(*(one[None] for one in bad)),
    "grad": lambda f, good, bad: torch.func.grad(lambda *inputs: f(*inputs).sum())(*bad),
    "jvp": lambda f, good, bad: torch.func.jvp(lambda x: f(x, *bad[1:]), bad[:1], bad[:1]),
    "twice jvp": lambda f, good, bad: torch.func.jacfwd(torch.func.jacfwd(lambda x: f(x, *bad[1:])))(bad[0]),
    "compile": lambda f, good, bad: compiled(f)(*bad),
    "compile, dynamic": lambda f, good, bad: compiled(f, dynamic=True)(*bad),
    "compiled grad": lambda f, good, bad: compiled(torch.func.grad(lambda *inputs: f(*inputs).sum()))(*bad),
    "compiled vmap": lambda f, good, bad: compiled(torch.vmap(f))(*(one[None] for one in bad)),
    "export": lambda f, good, bad: exported(f, *good)(*bad),
    "make_fx": lambda f, good, bad: make_fx(f)(*good)(*bad),
}

SOFTMAX, BUDGET = regmax.Softmax(), regmax.Budgetmax(0.5, 1.1)


def loss(omega=SOFTMAX, **given):
    return lambda x, t: rt.fenchel_young_loss(omega, x, t, **given)


def weighted(x, weight):
    return rt.fenchel_young_loss(SOFTMAX, x, LABELS, weight=weight)


EVEN = torch.full((2, N), 1 / N, dtype=torch.float64)
TARGETS = {
    "labels above": ("target labels must be in 0..5, got 6", loss(), LABELS, torch.tensor([0, 6])),
    "labels below": ("target labels must be in 0..5, got -1", loss(), LABELS, torch.tensor([-1, -100])),
    "weight": ("weight must be >= 0, got -2.0", weighted, torch.ones(N), torch.tensor([1.0, 1, -2, 1, 1, 1])),
    "sum": (r"domain of the operator, got a row that violates it by 0\.8", loss(), EVEN, 0.2 * EVEN),
    "sign": (r"domain of the operator, got a row that violates it by", loss(), EVEN, 3 * EVEN - EVEN.cumsum(1)),
    "budget": (r"budgetmax: target must lie in the domain .* violates it by 0\.1", loss(BUDGET), 1.1 * EVEN, EVEN),
}


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("case", list(TARGETS))
def test_targets(case, mode):
    sentence, f, good, bad = TARGETS[case]
    x = scores(2)
    assert torch.isfinite(f(x, good)).all()
    with pytest.raises(ValueError, match=sentence):
        MODES[mode](f, (x, good), (x, bad))


def test_labels_that_count_nothing_need_no_domain():
    x = scores(3)
    ignored = torch.full((3,), -100)
    assert (rt.fenchel_young_loss(BUDGET, x, ignored, reduction="sum") == 0).all()
    with pytest.raises(ValueError, match="domain of the operator"):
        rt.fenchel_young_loss(BUDGET, x, torch.tensor([-100, 1, 2]))


def test_targets_of_matrices():
    x, omega = torch.zeros(2, 2, 3), regmax.Kregularmax(2)
    even = torch.full((2, 2, 3), 1 / 3)
    assert (rt.fenchel_young_loss(omega, x, even) == 0).all()
    uneven = even + torch.tensor([0.1, -0.1, 0.0])
    with pytest.raises(ValueError, match=r"violates it by 0\.2"):
        rt.fenchel_young_loss(omega, x, uneven)
    rows = regmax.Kregularmax(2, reading="row")
    assert torch.isfinite(rt.fenchel_young_loss(rows, x, uneven))
    steep = even + torch.tensor([0.3, -0.3, 0.0])
    with pytest.raises(ValueError, match=r"violates it by 0\.133"):
        rt.fenchel_young_loss(rows, x, steep)


PARAMETERS = {
    "gamma": ("softmax: gamma must be > 0 and finite, got -1.0", rt.softmax, "gamma", 1.0, -1.0),
    "alpha": ("entmax: alpha must be > 0 and finite, got nan", rt.entmax, "alpha", 1.5, torch.nan),
    "p": ("normmax: p must be > 1 and finite, got 1.0", rt.normmax, "p", 2.0, 1.0),
    "lam": ("fusedmax: lam must be >= 0, got -0.1", rt.fusedmax, "lam", 0.1, -0.1),
    "total": ("budgetmax: upper must sum to at least total", rt.budgetmax, "total", 1.0, 7.0),
    "weights": (
        "oscarmax: weights must be finite and non-increasing",
        rt.oscarmax,
        "weights",
        torch.linspace(3.0, 1.0, N),
        torch.linspace(1.0, 3.0, N),
    ),
    "edge weights": (
        "graphfusedmax: weights must be >= 0 and finite, got -1.0",
        lambda x, **more: rt.graphfusedmax(x, edges=EDGES, **more),
        "weights",
        torch.ones(len(EDGES)),
        -torch.ones(len(EDGES)),
    ),
}


@pytest.mark.parametrize("mode", ["eager", "vmap", "jvp", "compile", "compiled grad"])
@pytest.mark.parametrize("twins", [False, True])
@pytest.mark.parametrize("case", list(PARAMETERS))
def test_parameters(case, mode, twins, monkeypatch):
    if twins:  # as on a device without kernels of its own
        monkeypatch.setattr(_ops, "on_host", lambda x: False)
    sentence, f, name, good, bad = PARAMETERS[case]
    good, bad = (torch.as_tensor(value, dtype=torch.float64) for value in (good, bad))
    with pytest.raises(ValueError, match=sentence):
        MODES[mode](lambda x, value: f(x, **{name: value}), (scores(2), good), (scores(2), bad))


@pytest.mark.parametrize(
    ("sentence", "call"),
    [
        ("sparsemax: gamma must be > 0 and finite, got -1.0", lambda x: rt.sparsemax(x, gamma=-1.0)),
        ("topkmax: k must be at most the 6 entries of a row, got 7", lambda x: rt.topkmax(x, k=7)),
        ("topkmax: k must be an integer", lambda x: rt.topkmax(x, k=torch.tensor(0))),
        ("edges must hold vertices from 0 to 5, got -1", lambda x: rt.graphfusedmax(x, edges=torch.tensor([[0, -1]]))),
        ("k must be at most the number of columns", lambda x: rt.kregularmax(x, k=3, shape=(3, 2))),
        ("mask must leave each row k entries", lambda x: rt.kregularmax(x, k=3, shape=(2, 3), mask=x > x.amin())),
    ],
)
def test_numbers_where_there_are_no_kernels(sentence, call, monkeypatch):
    monkeypatch.setattr(_ops, "on_host", lambda x: False)
    with pytest.raises(ValueError, match=sentence):
        call(scores(1))


def test_the_check_keeps_the_rules_of_torch():
    from regmax.adapters.torch._checks import _sound

    torch.library.opcheck(_sound, (LABELS, LABELS >= 0, "labels must be from 0 to {}, got", [5]))


def test_a_device_is_told_the_sentence():
    _modes.assert_later(torch.tensor([True]), "gamma must be > 0")
    with pytest.raises(RuntimeError, match="gamma must be > 0"):
        _modes.assert_later(torch.tensor([True, False]), "gamma must be > 0")
