"""Tensors to rows and back: any shape, dim, mask and dtype, and parameters as one value per row; all differentiable."""

import math
from typing import Any

import torch
from torch import Tensor

from ._declared import Declared

__all__ = [
    "Layout",
    "batched",
    "expanded",
    "hidden",
    "is_sharded",
    "parameter_rows",
    "problem_dims",
    "require_local",
    "require_mask",
    "require_real",
    "scores",
    "weights_like",
]

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)
_LONGEST_FLOAT32 = 2**24  # kernels count entries in the dtype of the row


class Layout:
    """Where in a tensor the problems are: the dims that hold one, and the shape of the batch without them."""

    __slots__ = ("device", "dims", "dtype", "shape")

    def __init__(self, x: Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> None:
        self.shape, self.dims, self.dtype, self.device = x.shape, dims, dtype, x.device

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The sizes of the dims that hold one problem."""
        return tuple(self.shape[dim] for dim in self.dims)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The sizes of the others."""
        return tuple(size for dim, size in enumerate(self.shape) if dim not in self.dims)

    @property
    def last(self) -> bool:
        """Whether the dims of a problem are the last, in order."""
        n = len(self.shape)
        return self.dims == tuple(range(n - len(self.dims), n))

    def to_rows(self, x: Tensor) -> Tensor:
        """A tensor of this shape as rows."""
        if len(self.shape) == 2 and self.dims == (1,):
            return x
        moved = x if self.last else x.movedim(self.dims, tuple(range(-len(self.dims), 0)))
        return moved.reshape(math.prod(self.batch_shape), math.prod(self.item_shape))

    def from_rows(self, rows: Tensor) -> Tensor:
        """Rows in the shape of the tensor."""
        if len(self.shape) == 2 and self.dims == (1,):
            return rows
        moved = rows.reshape(self.batch_shape + self.item_shape)
        return moved if self.last else moved.movedim(tuple(range(-len(self.dims), 0)), self.dims)


def is_sharded(x: Any) -> bool:
    """Whether x is a DTensor; asked by name, because most processes never load those."""
    return type(x).__name__ == "DTensor"


def require_real(owner: str, name: str, x: Any) -> None:
    """Raise one sentence where ``x`` is not a dense tensor of real numbers."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{owner}: {name} must be a tensor, got {type(x).__name__}")
    if type(x).__name__ == "MaskedTensor":
        raise TypeError(f"{owner}: {name} must be a plain tensor, got MaskedTensor; a mask is an argument of its own")
    if x.is_nested or x.layout != torch.strided:
        kind = "a nested tensor" if x.is_nested else f"layout {x.layout}"
        raise TypeError(f"{owner}: {name} must be a dense tensor, got {kind}")
    if x.is_quantized or (x.dtype not in _FLOATS and x.dtype not in _INTEGERS):
        raise TypeError(f"{owner}: {name} must be a tensor of real numbers, got dtype {x.dtype}")


def require_local(owner: str, name: str, value: Any) -> None:
    """Raise one sentence where ``value`` is spread over processes and the scores are not."""
    if is_sharded(value):
        raise TypeError(f"{owner}: {name} must be a plain tensor, as x is, got a DTensor")


def _one_dim(owner: str, dim: Any, ndim: int) -> int:
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise TypeError(f"{owner}: dim must be an integer, got {dim!r}")
    if ndim == 0:
        raise ValueError(f"{owner}: x must have at least one dimension, got a scalar")
    if not -ndim <= dim < ndim:
        raise ValueError(f"{owner}: dim must be within the {ndim} dimensions of x, got {dim}")
    return dim % ndim


def problem_dims(owner: str, dim: Any, ndim: int, pair: bool) -> tuple[int, ...]:
    """The dims of one problem; of a matrix by default the last two."""
    if not pair:
        return (_one_dim(owner, dim, ndim),)
    if isinstance(dim, int) and dim == -1:
        dim = (-2, -1)
    if not isinstance(dim, tuple | list) or len(dim) != 2:
        raise ValueError(f"{owner}: dim must be the two dims of a matrix, or shape be given, got {dim!r}")
    if ndim < 2:
        raise ValueError(f"{owner}: x must have at least two dimensions, got {ndim}")
    first, second = (_one_dim(owner, one, ndim) for one in dim)
    if first == second:
        raise ValueError(f"{owner}: dim must hold two different dims, got {dim!r}")
    return first, second


def require_mask(owner: str, x: Tensor, mask: Any, name: str = "mask") -> None:
    """Raise one sentence where ``mask`` cannot mask the entries of ``x``."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.layout != torch.strided or mask.is_nested:
        got = type(mask).__name__
        if isinstance(mask, Tensor):
            got = str(mask.dtype) if mask.layout == torch.strided else str(mask.layout)
            got = "a nested tensor" if mask.is_nested else got
        raise TypeError(f"{owner}: {name} must be a dense boolean tensor, got {got}")
    if mask.device != x.device:
        raise ValueError(f"{owner}: {name} must be on the device {x.device} of x, got {mask.device}")
    if not _broadcasts(mask.shape, x.shape):
        raise ValueError(
            f"{owner}: {name} must broadcast to the shape {tuple(x.shape)} of x, got shape {tuple(mask.shape)}"
        )


def _broadcasts(shape: Any, to: Any) -> bool:
    if len(shape) > len(to):
        return False
    return all(one == 1 or one == other for one, other in zip(reversed(shape), reversed(to), strict=False))


def batched(size: int, tensor: Tensor, dim: int | None) -> Tensor:
    """A tensor that vmap goes over along ``dim``, or that is the same for all, with the batch in front."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def hidden(x: Tensor) -> Tensor:
    """x with -inf for all that counts as masked: also at most half the most negative number of its dtype."""
    return torch.where(x <= torch.finfo(x.dtype).min / 2, -torch.inf, x)


def scores(owner: str, x: Any, dim: Any, mask: Any, pair: bool, exact: bool) -> tuple[Tensor, Layout]:
    """Rows of scores in float32 or float64, and their layout; with ``exact`` masked entries are -inf and no other."""
    require_real(owner, "x", x)
    dims = problem_dims(owner, dim, x.dim(), pair)
    if 0 in [x.shape[one] for one in dims]:
        raise ValueError(f"{owner}: dim must have at least one entry, got x of shape {tuple(x.shape)}")
    if x.dtype in _INTEGERS:
        x = x.to(torch.get_default_dtype())
    layout = Layout(x, dims, x.dtype)
    half = x.dtype in (torch.float16, torch.bfloat16)
    if half or exact:
        x = hidden(x)
    if half:
        x = x.float()
    if mask is not None:
        require_mask(owner, x, mask)
        x = torch.where(mask, x, -torch.inf)
    rows = layout.to_rows(x)
    if rows.dtype == torch.float32 and rows.shape[1] > _LONGEST_FLOAT32:
        rows = rows.double()
    return rows.contiguous(), layout


def weights_like(rows: Tensor, layout: Layout) -> Tensor:
    """Rows of weights in the shape and dtype of the scores."""
    y = layout.from_rows(rows)
    return y if y.dtype == layout.dtype else y.to(layout.dtype)


def _length(declared: Declared, layout: Layout) -> int | None:
    """How many entries the last dim of a parameter has; None where the graph says it."""
    n = math.prod(layout.item_shape)
    return {"edge": n - 1, "rank": n}.get(declared.kind)


def parameter_rows(owner: str, declared: Declared, value: Tensor, layout: Layout, like: Tensor) -> Tensor:
    """A parameter as (rows or 1, 1), or (rows or 1, entries), in the dtype of the rows ``like``."""
    require_real(owner, declared.name, value)
    require_local(owner, declared.name, value)
    if value.dtype == torch.bool:
        raise TypeError(f"{owner}: {declared.name} must be a tensor of numbers, got dtype {value.dtype}")
    if value.device != layout.device:
        raise ValueError(f"{owner}: {declared.name} must be on the device {layout.device} of x, got {value.device}")
    if declared.name == "edges":
        return value
    if declared.counts and value.is_floating_point():
        raise TypeError(f"{owner}: {declared.name} must be a tensor of integers, got dtype {value.dtype}")
    value = value.to(torch.int64 if declared.counts else like.dtype)
    rows = like.shape[0]
    if value.dim() == 0 and declared.kind in ("row", "item"):
        return value.reshape(1, 1).expand(1, like.shape[1] if declared.kind == "item" else 1)
    if declared.kind == "row":
        return expanded(owner, declared.name, value, layout.batch_shape, "the batch").reshape(rows, 1)
    if declared.kind == "item":
        return layout.to_rows(expanded(owner, declared.name, value, layout.shape, "x"))
    length = _length(declared, layout)
    if value.dim() == 0 or (length is not None and value.shape[-1] != length):
        got = f"shape {tuple(value.shape)}"
        raise ValueError(f"{owner}: {declared.name} must have {length or 'one'} entries on the last dim, got {got}")
    if value.dim() == 1:
        return value[None]
    whole = (*layout.batch_shape, value.shape[-1])
    return expanded(owner, declared.name, value, whole, "the batch and its rows").reshape(rows, value.shape[-1])


def expanded(owner: str, name: str, value: Tensor, shape: Any, against: str) -> Tensor:
    """A parameter in the ``shape`` it must broadcast to, that of ``against``."""
    if not _broadcasts(value.shape, shape):
        raise ValueError(
            f"{owner}: {name} must broadcast against {against} of shape {tuple(shape)}, got shape {tuple(value.shape)}"
        )
    return value.expand(shape)
