"""What each of several processes does with its share of the rows; run by test_sharded.py under gloo."""

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
    return y.full_tensor()


def same(found, expected, tolerance=1e-12):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def rows_stay_where_they_are(mesh):
    x = torch.randn(6, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    v = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mask = torch.rand(6, 1, 8, generator=torch.Generator().manual_seed(2)) < 0.8
    gamma = torch.linspace(0.5, 1.5, 6, dtype=torch.float64)[:, None]
    for placement in (Shard(0), Shard(1), Replicate()):
        for name, given in {
            "sparsemax": {},
            "entmax": {"alpha": 1.5},
            "fusedmax": {"lam": 0.2},
            "topkmax": {"k": 3},
        }.items():
            f = getattr(rt, name)
            leaf, whole = distribute_tensor(x, mesh, [placement]).requires_grad_(), x.clone().requires_grad_()
            y, expected = f(leaf, mask=mask, **given), f(whole, mask=mask, **given)
            assert isinstance(y, DTensor)
            assert tuple(y.placements) == (placement,)
            same(gathered(y), expected, 0.0)
            (y * distribute_tensor(v, mesh, [placement])).sum().backward()
            (expected * v).sum().backward()
            assert tuple(leaf.grad.placements) == (placement,)
            same(gathered(leaf.grad), whole.grad)
    for start in (torch.tensor(0.8, dtype=torch.float64), gamma):
        mine, alone = start.clone().requires_grad_(), start.clone().requires_grad_()
        (rt.sparsemax(distribute_tensor(x, mesh, [Shard(0)]), gamma=mine) ** 2).sum().backward()
        (rt.sparsemax(x, gamma=alone) ** 2).sum().backward()
        same(mine.grad, alone.grad)


def a_sharded_problem_is_refused(mesh):
    x = distribute_tensor(torch.zeros(4, 6), mesh, [Shard(1)])
    with pytest.raises(ValueError, match=r"sparsemax: x must not be sharded along the dims \(1,\)"):
        rt.sparsemax(x)


def rows_of_balanced_matrices_may_be_spread(mesh):
    for std, k, shape in ((0.3, 2, (9, 7)), (3.0, 4, (2, 16, 12)), (30.0, 4, (20, 20)), (1.0, 1, (8, 8))):
        x = std * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        v = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
        start = torch.tensor(0.7, dtype=torch.float64)
        gamma, alone = start.clone().requires_grad_(), start.clone().requires_grad_()
        leaf, whole = distribute_tensor(x, mesh, [Shard(len(shape) - 2)]).requires_grad_(), x.clone().requires_grad_()
        y, expected = rt.kregularmax(leaf, k=k, gamma=gamma), rt.kregularmax(whole, k=k, gamma=alone)
        same(gathered(y), expected, 1e-9)
        proof = regmax.Kregularmax(k, gamma=0.7).certify(x.numpy(), gathered(y).detach().numpy())
        assert (proof.gap <= 1e-8 * max(1.0, std)).all()
        assert (proof.feasibility <= 1e-9).all()
        (y * distribute_tensor(v, mesh, leaf.placements)).sum().backward()
        (expected * v).sum().backward()
        same(gathered(leaf.grad), whole.grad, 1e-7)
        same(gamma.grad, alone.grad, 1e-7)


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{sys.argv[3]}", rank=int(sys.argv[1]), world_size=int(sys.argv[2])
    )
    shared = init_device_mesh("cpu", (int(sys.argv[2]),))
    for check in (rows_stay_where_they_are, a_sharded_problem_is_refused, rows_of_balanced_matrices_may_be_spread):
        check(shared)
    dist.barrier()
    dist.destroy_process_group()
    print("done", flush=True)
    # The mesh keeps gloo's threads beyond destroy_process_group; one that lets go of its last collective
    # while the interpreter ends aborts the process (seen once, "terminate called without an active exception").
    os._exit(0)
