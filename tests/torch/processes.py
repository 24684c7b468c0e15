"""What each of several processes does with its share of the rows; run by test_sharded.py under gloo.

``python -m tests.torch.processes RANK SIDES FILE``: the sides of the mesh, as 2 or 1x2; where the processes meet.
"""

import itertools
import math
import os
import sys

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import regmax
import regmax.adapters.torch as rt


def gathered(y):
    return y.full_tensor() if isinstance(y, DTensor) else y


def same(found, expected, tolerance=1e-12):
    torch.testing.assert_close(gathered(found), gathered(expected), rtol=tolerance, atol=tolerance)


def drawn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def placements(mesh, *dims):
    """All ways to place tensors on the mesh that shard these dims or none, each at most once."""
    kinds = [Replicate(), *(Shard(dim) for dim in dims)]
    for chosen in itertools.product(kinds, repeat=mesh.ndim):
        sharded = [one.dim for one in chosen if one.is_shard()]
        if len(sharded) == len(set(sharded)):
            yield chosen


def leaf(value, mesh=None):
    """A tensor that wants gradients; with a mesh all of it in each process, as a DTensor."""
    if mesh is not None:
        value = distribute_tensor(value, mesh, [Replicate()] * mesh.ndim)
    return value.clone().requires_grad_()


PER_ROW, PER_COLUMN = torch.linspace(0.5, 1.5, 6).double()[:, None], torch.linspace(0.5, 1.5, 5).double()
#: Operators with parameters of real numbers: of all rows, of each, of each entry, and weights.
GIVEN = [
    ("sparsemax", {}),
    ("sparsemax", {"gamma": torch.tensor(0.8).double()}),
    ("sparsemax", {"gamma": PER_ROW}),
    ("entmax", {"alpha": PER_ROW * PER_COLUMN + 1, "gamma": PER_COLUMN}),
    ("budgetmax", {"upper": 0.3 + 0.1 * drawn(6, 5, 8, seed=5).abs(), "total": torch.tensor(0.3).double()}),
    ("fusedmax", {"lam": torch.tensor(0.2).double(), "weights": torch.linspace(0.5, 1.5, 7).double()}),
    ("oscarmax", {"lam": 0.1 * PER_COLUMN, "weights": drawn(6, 5, 8, seed=6).sort(-1, descending=True).values}),
    ("topkmax", {"k": torch.arange(1, 6)}),
]


def rows_stay_where_they_are(mesh):
    x, v = drawn(6, 5, 8), drawn(6, 5, 8, seed=1)
    mask = torch.rand(6, 1, 8, generator=torch.Generator().manual_seed(2)) < 0.8
    for (name, given), placed in itertools.product(GIVEN, placements(mesh, 0, 1)):
        for there in (None, mesh):
            moving = [key for key, value in given.items() if value.is_floating_point()]
            mine = {key: leaf(given[key], there) for key in moving}
            alone = {key: leaf(given[key]) for key in moving}
            scores, whole = distribute_tensor(x, mesh, placed).requires_grad_(), leaf(x)
            y = getattr(rt, name)(scores, mask=mask, **{**given, **mine})
            expected = getattr(rt, name)(whole, mask=mask, **{**given, **alone})
            assert tuple(y.placements) == placed
            same(y, expected, 0.0)
            (y * distribute_tensor(v, mesh, placed)).sum().backward()
            (expected * v).sum().backward()
            assert tuple(scores.grad.placements) == placed
            same(scores.grad, whole.grad)
            for key in moving:
                same(mine[key].grad, alone[key].grad)


def layers_learn_alike(mesh):
    x, v = drawn(6, 5, 8), drawn(6, 5, 8, seed=1)
    layer, alone = (rt.Entmax(alpha=1.6, learn="alpha").double() for _ in range(2))
    (alone(x) * v).sum().backward()
    for placed in placements(mesh, 0, 1):
        layer.zero_grad()
        y = layer(distribute_tensor(x, mesh, placed))
        (y.to_local() * distribute_tensor(v, mesh, placed).to_local()).sum().backward()
        for mine, theirs in zip(layer.parameters(), alone.parameters(), strict=True):
            same(mine.grad, theirs.grad)


def second(f, x, v, gamma):
    """Derivatives of a number made of first derivatives."""
    first = torch.autograd.grad((f(x, gamma) * v).sum(), (x, gamma), create_graph=True)
    along = gathered((first[0] * v).sum()) + first[1].sum() + (gamma**2).sum()
    return torch.autograd.grad(along, (x, gamma))


def second_derivatives_are_whole(mesh):
    x, v, gamma = drawn(6, 5, 8), drawn(6, 5, 8, seed=1), torch.tensor(0.8).double()
    f = lambda x, gamma: rt.entmax(x, alpha=1.5, gamma=gamma)  # noqa: E731
    expected = second(f, leaf(x), v, leaf(gamma))
    for placed in placements(mesh, 0, 1):
        scores = distribute_tensor(x, mesh, placed).requires_grad_()
        found = second(f, scores, distribute_tensor(v, mesh, placed), leaf(gamma))
        for one, other in zip(found, expected, strict=True):
            same(one, other)


def losses_are_those_of_all_rows(mesh):
    x, labels = drawn(6, 5, 8), torch.arange(30).reshape(6, 5) % 8
    labels[1, 2] = labels[4, 0] = -100
    weight = torch.linspace(0.5, 2.0, 8).double()
    points = torch.softmax(drawn(6, 5, 8, seed=1), -1)
    layer, alone = (rt.Entmax(alpha=1.6, learn="alpha").double() for _ in range(2))
    given = ({}, {"weight": weight, "label_smoothing": 0.1}, {"reduction": "sum"}, {"reduction": "none"})
    for more, target, placed in itertools.product(given, (labels, points), placements(mesh, 0, 1)):
        if target is points and "weight" in more:
            continue
        scores, whole = distribute_tensor(x, mesh, placed).requires_grad_(), leaf(x)
        layer.zero_grad()
        alone.zero_grad()
        there = target if mesh.ndim == 1 else distribute_tensor(target, mesh, placed)
        value, expected = (rt.FenchelYoungLoss(one, **more) for one in (layer, alone))
        value, expected = value(scores, there), expected(whole, target)
        same(value, expected)
        value.sum().backward()
        expected.sum().backward()
        same(scores.grad, whole.grad)
        for mine, theirs in zip(layer.parameters(), alone.parameters(), strict=True):
            same(mine.grad, theirs.grad)


def a_sharded_problem_is_refused(mesh):
    x = distribute_tensor(torch.zeros(4, 6), mesh, [Shard(1)] * mesh.ndim)
    with pytest.raises(ValueError, match=r"sparsemax: x must not be sharded along the dims \(1,\)"):
        rt.sparsemax(x)
    if mesh.ndim == 2:
        with pytest.raises(ValueError, match=r"kregularmax: x must not be sharded along the dims \(0, 1\)"):
            rt.kregularmax(distribute_tensor(torch.zeros(4, 6), mesh, [Shard(0)] * 2))


def bad_input_is_the_sentence_of_plain_tensors(mesh):
    placed = [Shard(0)] + [Replicate()] * (mesh.ndim - 1)
    x = distribute_tensor(torch.zeros(4, 6), mesh, placed)
    loss = rt.FenchelYoungLoss(regmax.Softmax())
    for kind, sentence, call in (
        (TypeError, "entmax: alpa is not one of its parameters", lambda: rt.entmax(x, alpa=torch.ones(()))),
        (TypeError, "entmax: mask must be a dense boolean tensor, got list", lambda: rt.entmax(x, mask=[1])),
        (ValueError, r"mask must broadcast to the shape \(4, 6\)", lambda: rt.entmax(x, mask=torch.ones(3) > 0)),
        (ValueError, r"against the batch of shape \(4,\)", lambda: rt.entmax(x, alpha=torch.ones(3))),
        (ValueError, r"against the batch of shape \(\)", lambda: rt.kregularmax(x, gamma=[1.0, 1, 2, 2])),
        (ValueError, r"kregularmax: gamma must be > 0 and finite, got -1.0", lambda: rt.kregularmax(x, gamma=-1.0)),
        (ValueError, r"gamma must be > 0", lambda: rt.kregularmax(x, gamma=torch.tensor(-1.0))),
        (ValueError, r"k must be at most the number of columns", lambda: rt.kregularmax(x, k=7)),
        (TypeError, r"kregularmax: beta is not one of its parameters", lambda: rt.kregularmax(x, beta=7)),
        (TypeError, "entmax: alpha must be a plain tensor, as x is", lambda: rt.entmax(torch.zeros(4, 6), alpha=x)),
        (ValueError, r"softmax loss: target must have the shape \(4,\) for labels", lambda: loss(x, torch.zeros(3))),
        (TypeError, "softmax loss: target must be a tensor, got list", lambda: loss(x, [0])),
        (TypeError, "target must be a plain tensor, as x is", lambda: loss(torch.zeros(4, 6), x)),
        (ValueError, "softmax: x must not be sharded", lambda: loss(x.redistribute(mesh, [Shard(1)] * mesh.ndim), x)),
        (TypeError, "entmax: x must be no DTensor within", lambda: torch.vmap(rt.entmax)(x)),
        (TypeError, "entmax: x must be no DTensor within", lambda: torch.func.grad(lambda x: rt.entmax(x).sum())(x)),
    ):
        with pytest.raises(kind, match=sentence):
            call()


def rows_of_balanced_matrices_may_be_spread(mesh):
    gammas = torch.tensor(0.7).double(), torch.tensor([0.7, 0.9]).double()
    for std, k, shape, gamma in (
        (0.3, 2, (9, 7), gammas[0]),
        (3.0, 4, (2, 16, 12), gammas[1]),
        (3.0, torch.tensor([4, 2]), (2, 16, 12), gammas[0]),
        (30.0, 4, (20, 20), gammas[0]),
        (1.0, 1, (8, 8), gammas[0]),
    ):
        x, v = std * drawn(*shape, seed=3), drawn(*shape, seed=4)
        expected = rt.kregularmax(whole := leaf(x), k=k, gamma=(alone := leaf(gamma)))
        (expected * v).sum().backward()
        mixed = second(lambda x, gamma, k=k: rt.kregularmax(x, k=k, gamma=gamma), leaf(x), v, leaf(gamma))
        for placed in placements(mesh, len(shape) - 2):
            scores, mine = distribute_tensor(x, mesh, placed).requires_grad_(), leaf(gamma)
            y = rt.kregularmax(scores, k=k, gamma=mine)
            same(y, expected, 1e-9)
            numbers = {"k": k.numpy() if isinstance(k, torch.Tensor) else k, "gamma": gamma.numpy()}
            proof = regmax.Kregularmax(**numbers).certify(x.numpy(), gathered(y).detach().numpy())
            assert (proof.gap <= 1e-8 * max(1.0, std)).all()
            assert (proof.feasibility <= 1e-9).all()
            directions = distribute_tensor(v, mesh, placed)
            (y * directions).sum().backward()
            same(scores.grad, whole.grad, 1e-7)
            same(mine.grad, alone.grad, 1e-7)
            scores = distribute_tensor(x, mesh, placed).requires_grad_()
            f = lambda x, gamma, k=k: rt.kregularmax(x, k=k, gamma=gamma)  # noqa: E731
            for one, other in zip(second(f, scores, directions, leaf(gamma)), mixed, strict=True):
                same(one, other, 1e-7)


CHECKS = (
    rows_stay_where_they_are,
    layers_learn_alike,
    second_derivatives_are_whole,
    losses_are_those_of_all_rows,
    a_sharded_problem_is_refused,
    bad_input_is_the_sentence_of_plain_tensors,
    rows_of_balanced_matrices_may_be_spread,
)

if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    sides = tuple(int(side) for side in sys.argv[2].split("x"))
    dist.init_process_group(
        "gloo", init_method=f"file://{sys.argv[3]}", rank=int(sys.argv[1]), world_size=math.prod(sides)
    )
    shared = init_device_mesh("cpu", sides)
    for check in CHECKS:
        check(shared)
    dist.barrier()
    dist.destroy_process_group()
    print("done", flush=True)
    # The mesh keeps gloo's threads beyond destroy_process_group; one that lets go of its last collective
    # while the interpreter ends aborts the process (seen once, "terminate called without an active exception").
    os._exit(0)
