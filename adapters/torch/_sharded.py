"""Scores that are spread over processes (DTensor): rows stay where they are, through forward and backward.

Rows are independent, so an operator works on the local ones. Of a K-regular matrix the rows may be spread too: then the
columns are shared, and their sums are what the processes tell each other, once per sweep.
"""

from typing import Any

from torch import Tensor

from ._declared import Operator
from ._rows import problem_dims

__all__ = ["is_sharded", "solve_sharded"]


def is_sharded(x: Any) -> bool:
    """Whether x is a DTensor; asked by name, because most processes never load those."""
    return type(x).__name__ == "DTensor"


def _placements(owner: str, x: Any) -> list[Any]:
    """The placements of x, sums that are still to be made replaced by what they come to."""
    from torch.distributed.tensor import Replicate

    return [Replicate() if placement.is_partial() else placement for placement in x.placements]


def _local(value: Any, x: Any, placements: list[Any]) -> Tensor:
    """The part of a tensor of the shape of x, plain or a DTensor, that belongs to the local rows; differentiable."""
    from torch.distributed.tensor import DTensor, Replicate

    if not isinstance(value, DTensor):
        mesh = x.device_mesh
        value = DTensor.from_local(value.contiguous(), mesh, [Replicate()] * mesh.ndim, run_check=False)
    return value.redistribute(value.device_mesh, placements).to_local(grad_placements=_as_summed(placements))


def _as_summed(placements: list[Any]) -> list[Any]:
    """How gradients of a local part come back: a shard is whole, of what is everywhere each process has a part."""
    from torch.distributed.tensor import Partial

    return [placement if placement.is_shard() else Partial() for placement in placements]


def _spread(name: str, kind: str, value: Tensor, x: Any, dims: tuple[int, ...], placements: list[Any]) -> Tensor:
    """A parameter for the local rows."""
    if name == "edges" or (kind != "row" and kind != "item" and value.dim() <= 1):
        return _shared(value, x)
    if value.dim() == 0:
        return _shared(value, x)
    if kind == "item":
        return _local(value.expand(x.shape), x, placements)
    behind = () if kind == "row" else (value.shape[-1],)
    batch = tuple(size for dim, size in enumerate(x.shape) if dim not in dims)
    whole = value.expand(*batch, *behind)
    for dim in dims:
        whole = whole.unsqueeze(dim)
    found = _local(whole, x, placements)
    for dim in reversed(dims):
        found = found.squeeze(dim)
    return found


def _shared(value: Tensor, x: Any) -> Tensor:
    """What all processes use alike; its gradient is the sum of theirs."""
    from torch.distributed.tensor import Replicate

    if not value.is_floating_point():
        return value
    return _local(value, x, [Replicate()] * x.device_mesh.ndim)


def solve_sharded(solve: Any, operator: Operator, x: Any, dim: Any, mask: Any, values: dict[str, Any]) -> Tensor:
    """``solve`` on the local rows of a DTensor, the weights placed as it is."""
    from torch.distributed.tensor import DTensor

    pair = operator.matrix and values.get("shape") is None
    dims = problem_dims(operator.name, dim, x.dim(), pair)
    placements = _placements(operator.name, x)
    split = {placement.dim % x.dim() for placement in placements if placement.is_shard()} & set(dims)
    x = x.redistribute(x.device_mesh, placements)
    if split:
        return _solve_split(operator, x, dims, split, placements, mask, values)
    kinds = {declared.name: declared.kind for declared in operator.parameters}
    moved = {
        name: _spread(name, kinds[name], value, x, dims, placements) if isinstance(value, Tensor) else value
        for name, value in values.items()
    }
    part = None if mask is None else _local(mask.expand(x.shape), x, placements)
    y = solve(operator, x.to_local(), dim, part, moved)
    return DTensor.from_local(y, x.device_mesh, placements, run_check=False, shape=x.shape, stride=x.stride())


def _solve_split(
    operator: Operator, x: Any, dims: tuple[int, ...], split: set[int], placements: list[Any], mask: Any, values: Any
) -> Tensor:
    """K-regular matrices whose rows are spread over one dim of the mesh."""
    from torch.distributed.tensor import DTensor

    from ._balanced import balanced

    both = operator.name == "kregularmax" and values.get("reading", "both") == "both" and values.get("shape") is None
    if not both or split != {dims[0]} or dims != (x.dim() - 2, x.dim() - 1) or mask is not None:
        raise ValueError(
            f"{operator.name}: x must not be sharded along the dims {dims} of one problem, got {tuple(placements)}"
        )
    axis = next(
        i for i, placement in enumerate(placements) if placement.is_shard() and placement.dim % x.dim() == dims[0]
    )
    local = x.to_local()
    k, gamma = values.get("k", 1), values.get("gamma", 1.0)
    gamma = _shared(gamma, x) if isinstance(gamma, Tensor) else local.new_tensor(gamma)
    y = balanced(local, int(k), gamma, x.shape[-2], x.device_mesh.get_group(axis))
    return DTensor.from_local(y, x.device_mesh, placements, run_check=False, shape=x.shape, stride=x.stride())
