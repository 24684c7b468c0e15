"""Operators as layers: parameters learned within their bounds, saved, copied, moved."""

import copy
import io
import pickle
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import scipy.sparse
import torch

import regmax
import regmax.adapters.torch as rt

from .cases import LEARNABLE, SETTINGS, WEIGHTS, N, function, scores

every_operator = pytest.mark.parametrize("name", list(regmax.operators()))


def module(name, **more):
    return getattr(rt, regmax.operators()[name].__name__)(**{**SETTINGS[name], **more})


@every_operator
def test_a_module_is_its_function(name):
    x = scores(3)
    torch.testing.assert_close(module(name)(x), function(name)(x), rtol=0, atol=0)
    assert regmax.operators()[name].__name__ in repr(module(name))
    turned = module(name, dim=0)(x.T)
    torch.testing.assert_close(turned.T, function(name)(x), rtol=0, atol=0)


# Caps and totals must fit each other, which is the user's to see to.
PAIRS = [(name, one) for name, parameters in LEARNABLE.items() for one in parameters if one not in ("upper", "total")]


@pytest.mark.parametrize(("name", "parameter"), PAIRS)
def test_what_is_learned_starts_where_it_was_told_and_moves(name, parameter):
    x = scores(4)
    start = WEIGHTS[name] if parameter == "weights" else SETTINGS[name][parameter]
    layer = module(name, **{parameter: start}, learn=(parameter,)).double()
    torch.testing.assert_close(getattr(layer, parameter), torch.as_tensor(start).double(), rtol=1e-5, atol=1e-5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        value = (layer(x) ** 2).sum()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] <= losses[0]
    assert losses[-1] < losses[0] or parameter in ("weights", "lam")


def test_bounds_hold_however_far_an_optimizer_goes():
    layer = rt.Entmax(alpha=1.5, gamma=1.0, learn=("alpha", "gamma"))
    with torch.no_grad():
        for raw in layer.parameters():
            raw.fill_(-20.0)
    assert layer.alpha > 0
    assert layer.gamma > 0
    assert torch.isfinite(layer(scores(2, dtype=torch.float32))).all()
    falling = rt.Oscarmax(weights=torch.tensor([3.0, 2.0, 1.0]), learn=("weights",))
    with torch.no_grad():
        next(falling.parameters()).copy_(torch.tensor([-5.0, 7.0, 2.0]))
    assert (falling.weights.diff() <= 0).all()


def test_what_is_learned_can_be_set():
    layer = rt.Entmax(alpha=torch.full((3, 1), 1.5), learn="alpha").double()
    for value in (1.8, torch.tensor(1.8), np.float32(1.8), torch.full((3, 1), 1.8)):
        layer.alpha = 1.2
        layer.alpha = value
        torch.testing.assert_close(layer.alpha, torch.full((3, 1), 1.8).double(), rtol=1e-6, atol=0)
        assert next(layer.parameters()).requires_grad
    for value, sentence in (
        (torch.tensor(-1.8), "entmax: alpha must be > 0 and finite, got -1.7"),
        (-1.8, "entmax: alpha must be > 0 and finite, got -1.8"),
        (torch.inf, "entmax: alpha must be > 0 and finite, got inf"),
    ):
        with pytest.raises(ValueError, match=sentence):
            layer.alpha = value
    torch.testing.assert_close(layer.alpha, torch.full((3, 1), 1.8).double(), rtol=1e-6, atol=0)
    with pytest.raises(TypeError, match="entmax: alpha must be a number, an array or a tensor, got 'a'"):
        layer.alpha = "a"


def test_a_sparse_adjacency_matrix_is_edges():
    adjacency = scipy.sparse.csr_array(np.diag([1.0, 2, 3, 4, 5], 1) + np.diag([1.0, 2, 3, 4, 5], -1))
    x = scores(3)
    for more in ({}, {"learn": "weights"}):
        layer = rt.Graphfusedmax(edges=adjacency, lam=0.2, **more).double()
        torch.testing.assert_close(layer(x), rt.graphfusedmax(x, edges=adjacency, lam=0.2), rtol=1e-6, atol=1e-6)


def test_state():
    x = scores(2, 3, dtype=torch.float32)
    layer = rt.Entmax(alpha=torch.full((3,), 1.5), learn="alpha")
    with torch.no_grad():
        next(layer.parameters()).add_(0.3)
    other = rt.Entmax(alpha=torch.full((3,), 1.1), learn="alpha")
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)
    assert "weights" in rt.Fusedmax(weights=torch.ones(5)).state_dict()


def saved(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "ForkingPickler": lambda layer: pickle.loads(ForkingPickler.dumps(layer)),
    "torch.save": saved,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def trained(name):
    """A layer that learns all it can, after a step."""
    layer = module(name, learn=tuple(one for one in LEARNABLE[name] if one != "weights")).double()
    with torch.no_grad():
        for raw in layer.parameters():
            raw.add_(0.3)
    return layer


@every_operator
@pytest.mark.parametrize("way", list(COPIES))
def test_copies(name, way):
    layer, x = trained(name), scores(3)
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.ModuleList([layer.eval()]))
    for twin in (COPIES[way](layer), COPIES[way](model)[1][0], COPIES[way](COPIES[way](layer))):
        torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=0)
        assert (repr(twin), twin.training) == (repr(layer), False)
        assert [key for key, _ in twin.named_parameters()] == [key for key, _ in layer.named_parameters()]
        for ours, theirs in zip(twin.state_dict().values(), layer.state_dict().values(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_copy_learns_alone():
    x = scores(2, 3, dtype=torch.float32)
    layer = rt.Oscarmax(weights=torch.linspace(2.0, 1.0, N), learn=("weights", "gamma"))
    model = torch.nn.Sequential(layer, rt.Fusedmax(lam=0.3, weights=torch.ones(N - 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    again, steps = pickle.loads(pickle.dumps((model, optimizer)))
    before = again(x)
    (again(x) ** 2).sum().backward()
    steps.step()  # of an optimizer that was pickled with its parameters
    assert (again(x) != before).any()
    torch.testing.assert_close(model(x), before, rtol=0, atol=0)
    assert next(model.parameters()).grad is None
    assert isinstance(again[0], rt.Oscarmax)


def test_what_is_saved_far_out_comes_back():
    layer = rt.Entmax(alpha=1.5, learn="alpha")
    with torch.no_grad():
        next(layer.parameters()).fill_(-300.0)  # its softplus is 0
    (raw,) = pickle.loads(pickle.dumps(layer)).parameters()
    assert raw == -300.0


def test_parameters_of_the_caller_are_seen_by_optimizers():
    alpha = torch.nn.Parameter(torch.tensor(1.5))
    assert list(rt.Entmax(alpha=alpha).parameters()) == [alpha]
    half = rt.Entmax(alpha=torch.tensor(1.5, dtype=torch.bfloat16), learn=("alpha",))
    torch.testing.assert_close(half.alpha, torch.tensor(1.5, dtype=torch.bfloat16))
    tiny = rt.Entmax(gamma=1e-30, learn="gamma")
    torch.testing.assert_close(tiny.gamma, torch.tensor(1e-30), rtol=1e-5, atol=0)


def test_alpha_per_head_is_learned():
    x = scores(2, 3, 4, dtype=torch.float32)
    layer = rt.Entmax(alpha=torch.full((3, 1), 1.5), learn=("alpha",))
    target = torch.stack([rt.entmax(x[:, h], alpha=a) for h, a in enumerate((1.2, 1.5, 1.9))], dim=1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        ((layer(x) - target) ** 2).sum().backward()
        optimizer.step()
    torch.testing.assert_close(layer.alpha[:, 0], torch.tensor([1.2, 1.5, 1.9]), rtol=0, atol=0.02)


def test_a_compiled_layer_learns():
    torch._dynamo.reset()
    layer = rt.Entmax(alpha=1.5, learn=("alpha",))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = scores(3, dtype=torch.float32)
    (compiled(x) ** 2).sum().backward()
    (raw,) = layer.parameters()
    found, raw.grad = raw.grad, None
    (layer(x) ** 2).sum().backward()
    torch.testing.assert_close(found, raw.grad)
