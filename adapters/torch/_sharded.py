"""Scores that are spread over processes (DTensor): rows stay where they are, through forward and backward.

Rows are independent, so an operator works on the local ones. Of a K-regular matrix the rows may be spread too: then the
columns are shared, and their sums are what the processes tell each other, once per sweep.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ._declared import Declared, Operator
from ._rows import expanded, problem_dims, require_mask

__all__ = ["Shards", "sharded", "solve_sharded"]


class Shards(NamedTuple):
    """Scores whose rows are spread; brings what else the local rows need to them."""

    operator: Operator
    x: Any
    dims: tuple[int, ...]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The sizes of the dims that hold no problem."""
        return tuple(size for dim, size in enumerate(self.x.shape) if dim not in self.dims)

    @property
    def split(self) -> list[int]:
        """The dims of the mesh along which single problems are spread."""
        places = enumerate(self.x.placements)
        return [axis for axis, one in places if one.is_shard() and one.dim % self.x.dim() in self.dims]

    def local(self, value: Any, placements: Any = None) -> Tensor:
        """The part of a tensor, plain or a DTensor, that is placed as the scores are; differentiable.

        The gradient of a shard is whole. Where the tensor is not sharded, processes with different rows have a part of
        its gradient each, processes with the same rows the same.
        """
        from torch.distributed.tensor import DTensor, Partial, Replicate

        mesh, rows = self.x.device_mesh, self.x.placements
        if not isinstance(value, DTensor):
            value = DTensor.from_local(value.contiguous(), mesh, [Replicate()] * mesh.ndim, run_check=False)
        placements = placements or rows
        back = [
            there if there.is_shard() else Partial() if row.is_shard() else Replicate()
            for there, row in zip(placements, rows, strict=True)
        ]
        return value.redistribute(mesh, placements).to_local(grad_placements=back)

    def shared(self, value: Any) -> Tensor:
        """A tensor that is the same for all rows."""
        from torch.distributed.tensor import Replicate

        return self.local(value, [Replicate()] * self.x.device_mesh.ndim)

    def by_batch(self, value: Any) -> Tensor:
        """The part of a tensor that begins with the dims of the batch."""
        from torch.distributed.tensor import Replicate

        for dim in self.dims:
            value = value.unsqueeze(dim)
        split = self.split
        placements = [Replicate() if axis in split else one for axis, one in enumerate(self.x.placements)]
        return self.local(value, placements).squeeze(self.dims)

    def mask(self, mask: Any) -> Tensor | None:
        """The mask of the local rows."""
        if mask is None:
            return None
        require_mask(self.operator.name, self.x, mask)
        return self.local(mask.expand(self.x.shape))

    def parameters(self, values: dict[str, Any]) -> dict[str, Any]:
        """The parameters of the local rows; what is no parameter stays, for whoever checks it."""
        declared = {one.name: one for one in self.operator.parameters}
        return {
            name: self._parameter(declared[name], value) if isinstance(value, Tensor) and name in declared else value
            for name, value in values.items()
        }

    def _parameter(self, declared: Declared, value: Tensor) -> Tensor:
        owner, name, kind = self.operator.name, declared.name, declared.kind
        if value.dim() == 0 or name == "edges" or (kind not in ("row", "item") and value.dim() == 1):
            return self.shared(value)
        if kind == "item":
            return self.local(expanded(owner, name, value, self.x.shape, "x"))
        if kind == "row":
            return self.by_batch(expanded(owner, name, value, self.batch_shape, "the batch"))
        whole = (*self.batch_shape, value.shape[-1])
        return self.by_batch(expanded(owner, name, value, whole, "the batch and its rows"))

    def require_whole(self) -> None:
        """Raise where single problems are spread."""
        if self.split:
            raise ValueError(
                f"{self.operator.name}: x must not be sharded along the dims {self.dims} of one problem, got "
                f"{tuple(self.x.placements)}"
            )

    def like_scores(self, y: Tensor) -> Any:
        """Local weights as the DTensor that they are a part of."""
        return self._whole(y, self.x.shape, self.x.stride())

    def like_batch(self, each: Tensor) -> Any:
        """One local number per problem as the DTensor that they are a part of."""
        for dim in self.dims:
            each = each.unsqueeze(dim)
        shape = [1 if dim in self.dims else size for dim, size in enumerate(self.x.shape)]
        return self._whole(each, torch.Size(shape), torch.empty(shape, device="meta").stride()).squeeze(self.dims)

    def _whole(self, local: Tensor, shape: Any, stride: Any) -> Any:
        from torch.distributed.tensor import DTensor

        x = self.x
        return DTensor.from_local(local, x.device_mesh, x.placements, run_check=False, shape=shape, stride=stride)


def sharded(operator: Operator, x: Any, dim: Any, values: dict[str, Any]) -> Shards:
    """The scores of a call as shards, sums that are still to be made being made."""
    from torch.distributed.tensor import Replicate

    dims = problem_dims(operator.name, dim, x.dim(), operator.matrix and values.get("shape") is None)
    placements = [Replicate() if one.is_partial() else one for one in x.placements]
    return Shards(operator, x.redistribute(x.device_mesh, placements), dims)


def solve_sharded(solve: Any, operator: Operator, x: Any, dim: Any, mask: Any, values: dict[str, Any]) -> Tensor:
    """``solve`` on the local rows of a DTensor, the weights placed as it is."""
    shards = sharded(operator, x, dim, values)
    moved = shards.parameters(values)
    if shards.split:
        return shards.like_scores(_solve_split(shards, mask, moved))
    return shards.like_scores(solve(operator, shards.x.to_local(), dim, shards.mask(mask), moved))


def _solve_split(shards: Shards, mask: Any, values: dict[str, Any]) -> Tensor:
    """K-regular matrices whose rows are spread over one dim of the mesh."""
    from ._balanced import balanced
    from .functional import checked

    both = shards.operator.name == "kregularmax" and values.get("reading", "both") == "both"
    x, (axis, *more) = shards.x, shards.split
    last = shards.dims == (x.dim() - 2, x.dim() - 1) and x.placements[axis].dim % x.dim() == shards.dims[0]
    if not both or not last or more or mask is not None:
        shards.require_whole()
    local = x.to_local()
    p = checked(shards.operator, local, values)
    return balanced(local, p["k"], p["gamma"], x.shape[-2], x.device_mesh.get_group(axis))
