"""Fenchel-Young losses against those of NumPy, and their derivatives in every mode."""

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import regmax
import regmax.adapters.torch as rt

from .cases import EDGES, N, nested, quantized, scores

OMEGAS = [
    regmax.Softmax(0.7),
    regmax.Sparsemax(1.3),
    regmax.Entmax(1.7, 0.8),
    regmax.Entmax(1.0),
    regmax.Pnormmax(1.5),
    regmax.Normmax(2.0),
    regmax.Budgetmax(1.2),
    regmax.Fusedmax(0.2),
    regmax.Oscarmax(0.05),
    regmax.Graphfusedmax(EDGES.numpy(), lam=0.2),
    regmax.Plaplacemax(1.5, 0.3),
]
every_omega = pytest.mark.parametrize("omega", OMEGAS, ids=lambda omega: omega.name)
LABELS = torch.tensor([0, 3, 5, 2])


def distributions(count=4):
    return torch.softmax(scores(count, seed=7), -1)


@every_omega
@pytest.mark.parametrize("target", [LABELS, distributions()], ids=["labels", "distributions"])
def test_values_and_gradients_are_those_of_numpy(omega, target):
    x = scores(4).requires_grad_()
    value = rt.fenchel_young_loss(omega, x, target, reduction="none")
    expected = torch.from_numpy(omega.loss(x.detach().numpy(), target.numpy()))
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    (g,) = torch.autograd.grad(value.sum(), x)
    t = target if target.is_floating_point() else torch.nn.functional.one_hot(target, N).double()
    torch.testing.assert_close(g, rt.argmax(omega, x).detach() - t, rtol=0, atol=0)


@every_omega
def test_derivatives_in_every_mode(omega):
    f = lambda x: rt.fenchel_young_loss(omega, x, LABELS[:3])  # noqa: E731
    x = scores(3)
    assert gradcheck(f, x.clone().requires_grad_(), check_forward_ad=True)
    assert gradgradcheck(f, x.clone().requires_grad_())
    jacobian = torch.func.jacrev(lambda x: rt.argmax(omega, x))(x[0])
    one = lambda x: rt.fenchel_young_loss(omega, x, LABELS[0])  # noqa: E731
    torch.testing.assert_close(torch.func.hessian(one)(x[0]), jacobian)
    torch.testing.assert_close(torch.func.jacfwd(torch.func.jacfwd(one))(x[0]), jacobian)
    torch.testing.assert_close(torch.func.jacrev(torch.func.jacrev(one))(x[0]), jacobian)
    each = torch.vmap(lambda x, t: rt.fenchel_young_loss(omega, x, t))(x, LABELS[:3])
    torch.testing.assert_close(each, rt.fenchel_young_loss(omega, x, LABELS[:3], reduction="none"))
    torch._dynamo.reset()
    leaf = x.clone().requires_grad_()
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(leaf), f(leaf))
    torch.testing.assert_close(torch.autograd.grad(compiled(leaf), leaf), torch.autograd.grad(f(leaf), leaf))


@pytest.mark.parametrize("name", ["gamma", "alpha"])
def test_derivatives_in_learned_parameters(name):
    start = torch.tensor(1.4, dtype=torch.float64, requires_grad=True)

    def f(x, value):
        layer = rt.Entmax(alpha=1.6, gamma=0.9)
        setattr(layer, name, value)
        return rt.fenchel_young_loss(layer, x, LABELS[:3])

    assert gradcheck(f, (scores(3).requires_grad_(), start))
    assert gradgradcheck(f, (scores(3).requires_grad_(), start))


def test_parameters_batched_by_vmap_have_gradients():
    x, v = scores(3), torch.tensor([1.4, 1.7], dtype=torch.float64)
    loss = lambda a: rt.fenchel_young_loss(rt.Entmax(alpha=a), x, LABELS[:3])  # noqa: E731
    expected = torch.stack([torch.func.grad(loss)(a) for a in v])
    assert (expected.abs() > 1e-3).all()
    torch.testing.assert_close(torch.func.grad(lambda v: torch.vmap(loss)(v).sum())(v), expected)
    torch.testing.assert_close(torch.vmap(torch.func.grad(loss))(v), expected)
    torch.testing.assert_close(torch.func.jacrev(torch.vmap(loss))(v).diagonal(), expected)
    torch.testing.assert_close(torch.func.jacfwd(torch.vmap(loss))(v).diagonal(), expected)
    leaf = v.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(torch.vmap(loss)(leaf).sum(), leaf)[0], expected)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(v[0], torch.ones_like(v[0]))
        torch.testing.assert_close(forward_ad.unpack_dual(loss(dual)).tangent, expected[0])
    both = torch.vmap(torch.func.grad(lambda a, x, t: rt.fenchel_young_loss(rt.Entmax(alpha=a), x, t), argnums=1))
    rows = both(v, x[:2], LABELS[:2])
    for a, row, label, g in zip(v, x, LABELS, rows, strict=False):
        t = torch.nn.functional.one_hot(label, N)
        torch.testing.assert_close(g, rt.entmax(row, alpha=a) - t)


def test_targets_have_gradients_under_transforms():
    x, t = scores(3), distributions(3)
    loss = lambda x, t: rt.fenchel_young_loss(regmax.Softmax(), x, t)  # noqa: E731
    expected = torch.stack([torch.func.grad(loss, argnums=1)(a, b) for a, b in zip(x, t, strict=True)])
    assert (expected.abs() > 1e-3).any()
    torch.testing.assert_close(torch.func.grad(lambda t: torch.vmap(loss)(x, t).sum())(t), expected)


def test_a_compiled_loss_keeps_its_second_derivatives():
    torch._dynamo.reset()
    x = scores(3).requires_grad_()
    omega = regmax.Softmax()
    f = lambda x: rt.fenchel_young_loss(omega, x, LABELS[:3])  # noqa: E731
    g = [torch.autograd.grad(h(x), x, create_graph=True)[0] for h in (f, torch.compile(f, backend="eager"))]
    second = [torch.autograd.grad((one**2).sum(), x)[0] for one in g]
    torch.testing.assert_close(*second)


def test_the_dim_of_a_layer_is_that_of_its_loss():
    x = scores(4)[:, :4]
    found = rt.FenchelYoungLoss(rt.Sparsemax(dim=0))(x, LABELS.clamp_max(3))
    torch.testing.assert_close(found, rt.fenchel_young_loss(regmax.Sparsemax(), x.T, LABELS.clamp_max(3)))


def softmax_loss(**given):
    return rt.FenchelYoungLoss(regmax.Softmax(), **given)


def test_softmax_is_cross_entropy():
    x, weight = scores(4), torch.linspace(0.5, 2.0, N, dtype=torch.float64)
    labels = torch.tensor([0, -100, 5, 2])
    for reduction in ("none", "sum", "mean"):
        for smoothing in (0.0, 0.2):
            ours = rt.FenchelYoungLoss(regmax.Softmax(), weight=weight, reduction=reduction)
            theirs = torch.nn.CrossEntropyLoss(weight=weight, reduction=reduction)
            torch.testing.assert_close(ours(x, labels), theirs(x, labels))
            leaves = [x.clone().requires_grad_() for _ in range(2)]
            given = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
            for kind, leaf in zip((softmax_loss, torch.nn.CrossEntropyLoss), leaves, strict=True):
                kind(**given)(leaf, labels).sum().backward()
            torch.testing.assert_close(leaves[0].grad, leaves[1].grad)
            ours = rt.FenchelYoungLoss(regmax.Softmax(), reduction=reduction, label_smoothing=smoothing)
            theirs = torch.nn.CrossEntropyLoss(reduction=reduction, label_smoothing=smoothing)
            # Fenchel-Young losses are 0 at the target, cross entropy is its entropy there.
            t = (1 - smoothing) * torch.eye(N).double()[0] + smoothing / N
            entropy = -torch.special.xlogy(t, t).sum()
            entropy = {"none": entropy * (labels >= 0), "sum": 3 * entropy, "mean": entropy}[reduction]
            torch.testing.assert_close(ours(x, labels) + entropy, theirs(x, labels))


def test_other_dims_masks_and_half_precision():
    omega, x = regmax.Entmax(1.5), scores(2, 3)
    labels = torch.tensor([[0, 1, 2], [3, 4, 5]])
    whole = rt.fenchel_young_loss(omega, x, labels, reduction="none")
    turned = rt.fenchel_young_loss(omega, x.movedim(-1, 1), labels, reduction="none", dim=1)
    torch.testing.assert_close(turned, whole)
    mask = torch.ones(2, 3, N, dtype=torch.bool)
    mask[0, 0, 0] = mask[1, 1, 5] = False
    found = rt.fenchel_young_loss(omega, x, labels, reduction="none", mask=mask)
    expected = torch.from_numpy(omega.loss(x.numpy(), labels.numpy(), where=mask.numpy()))
    torch.testing.assert_close(found, expected)
    assert found[0, 0] == torch.inf
    half = rt.fenchel_young_loss(omega, x.bfloat16(), labels)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), whole.mean(), rtol=2e-2, atol=2e-2)


@every_omega
def test_smoothing_with_weights_is_the_mean_of_losses_against_each_label(omega):
    """Up to what does not depend on the scores, also in the weights' own gradient."""
    labels, smoothing = torch.tensor([0, -100, 5]), 0.3
    mask = torch.ones(3, N, dtype=torch.bool)
    mask[0, 3:5] = False
    weight = torch.linspace(0.5, 2.0, N, dtype=torch.float64).requires_grad_()
    x = scores(3).requires_grad_()
    found = rt.fenchel_young_loss(omega, x, labels, weight=weight, label_smoothing=smoothing, mask=mask)
    each = torch.stack(
        [rt.argmax(omega, x, mask=mask) - torch.eye(N).double()[c] for c in range(N)]
    )  # label, row, entry
    share = mask / mask.sum(1, keepdim=True) * smoothing + (1 - smoothing) * torch.eye(N)[labels.clamp_min(0)]
    expected = ((share * weight).T.unsqueeze(-1) * each).sum(0) * (labels >= 0).unsqueeze(-1)
    expected = torch.where(mask, expected, 0.0) / weight[labels[::2]].sum()
    torch.testing.assert_close(torch.autograd.grad(found, x, create_graph=True)[0], expected)
    loss = lambda w: rt.fenchel_young_loss(regmax.Softmax(), x.detach(), labels, weight=w, label_smoothing=0.3)  # noqa: E731
    assert gradcheck(loss, weight)


def test_zero_loss_is_exactly_zero_beyond_the_margin():
    x = torch.tensor([[3.0, 1.9, 0.0]], requires_grad=True)
    value = rt.fenchel_young_loss(regmax.Sparsemax(), x, torch.tensor([0]))
    assert value == 0
    assert (torch.autograd.grad(value, x)[0] == 0).all()


BAD = [
    (ValueError, "labels must be in 0..5, got 6", {"target": torch.tensor([0, 6])}),
    (ValueError, "labels must be in 0..5, got -1", {"target": torch.tensor([0, -1])}),
    (ValueError, r"labels must have shape \(2,\), got \(3,\)", {"target": torch.tensor([0, 1, 2])}),
    (ValueError, "target must not require grad", {"target": scores(2).requires_grad_()}),
    (ValueError, r"target must have the shape \(2, 6\) of x", {"target": scores(3)}),
    (TypeError, "softmax loss: target must be a tensor, got list", {"target": [0, 1]}),
    (TypeError, "target must be a dense tensor, got a nested tensor", {"target": nested()}),
    (TypeError, "target must be a tensor of real numbers, got dtype torch.quint8", {"target": quantized()}),
    (TypeError, "mask must be a dense boolean tensor, got a nested tensor", {"mask": nested(torch.bool)}),
    (TypeError, "ignore_index must be an integer, got None", {"ignore_index": None}),
    (ValueError, "reduction must be one of none, sum, mean, got 'max'", {"reduction": "max"}),
    (ValueError, "label_smoothing must be a number from 0 to 1, got 2.0", {"label_smoothing": 2.0}),
    (TypeError, "must hold integer labels or distributions", {"target": torch.tensor([True, False])}),
    (ValueError, "must lie in the domain of the operator", {"target": -distributions(2)}),
    (ValueError, "must lie in the domain of the operator", {"omega": regmax.Budgetmax(0.5, 1.1)}),
    (
        ValueError,
        "weight must be None where targets are distributions",
        {"target": distributions(2), "weight": scores()},
    ),
    (ValueError, "weight must be a tensor of 6 real numbers", {"weight": torch.ones(2)}),
    (TypeError, "weight must be a tensor, got list", {"weight": [1.0] * 6}),
    (ValueError, r"of 6 real numbers, one per label, got torch.int64 of shape \(6,\)", {"weight": torch.arange(6)}),
    (ValueError, "weight must be >= 0, got -1.0", {"weight": -torch.ones(N)}),
    (ValueError, "label_smoothing must be a number", {"label_smoothing": "a"}),
    (ValueError, "omega must be the regularizer of a loss, got topkmax", {"omega": regmax.Topkmax(2)}),
]


@pytest.mark.parametrize(("kind", "sentence", "given"), BAD, ids=[sentence for _, sentence, _ in BAD])
def test_bad_input_is_one_sentence(kind, sentence, given):
    arguments = {"omega": regmax.Softmax(), "x": scores(2), "target": torch.tensor([0, 1]), **given}
    with pytest.raises(kind, match=sentence):
        rt.fenchel_young_loss(**arguments)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_are_targets(dtype):
    x = scores(200, dtype=dtype)
    for omega in (regmax.Softmax(), regmax.Sparsemax(), regmax.Fusedmax(0.2)):
        assert torch.isfinite(rt.fenchel_young_loss(omega, x, rt.argmax(omega, x)))
    with pytest.raises(ValueError, match="domain of the operator"):
        rt.fenchel_young_loss(regmax.Softmax(), x, rt.softmax(x) * 1.05)
