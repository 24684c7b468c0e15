"""The only array plumbing: any shape, axis, mask and dtype to contiguous rows for a kernel, and back."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax.solvers.rows import FLOOR

__all__ = ["Rows", "as_array", "as_rows", "like_rows", "normalised_axis", "spacing"]

# Kernels count entries of a segment in the dtype of the row, and float32 has no integers beyond this.
_LONGEST_FLOAT32 = 2**24
_BFLOAT16_FLOOR = np.float32(-1.6947657e38)


def as_array(owner: str, name: str, value: ArrayLike) -> NDArray[Any]:
    """``value`` as a real array, or one sentence about why not."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{owner}: {name} must be a plain array, got a masked array; pass where=~{name}.mask instead")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"{owner}: {name} must be an array of real numbers, got a ragged sequence") from error
    if (array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16") or array.dtype.itemsize > 8:
        raise TypeError(f"{owner}: {name} must be an array of real numbers, got dtype {array.dtype}")
    return array


def normalised_axis(owner: str, axis: Any, ndim: int, name: str = "x") -> int:
    """``axis`` as an index from 0; raises where it is not an axis of an array of ``ndim`` dimensions."""
    if isinstance(axis, bool) or not hasattr(axis, "__index__"):
        raise TypeError(f"{owner}: axis must be an integer, got {axis!r}")
    if ndim == 0:
        raise ValueError(f"{owner}: {name} must have at least one dimension, got a scalar")
    if not -ndim <= axis < ndim:
        raise ValueError(f"{owner}: axis must be within the {ndim} dimensions of {name}, got {axis}")
    return axis.__index__() % ndim


def _normalised_axes(owner: str, axis: Any, ndim: int, name: str, *, pair: bool) -> tuple[int, ...]:
    """One axis, or where a ``pair`` is allowed the two axes of a matrix, as indices from 0."""
    if not (pair and isinstance(axis, tuple | list)):
        return (normalised_axis(owner, axis, ndim, name),)
    if len(axis) != 2:
        raise ValueError(f"{owner}: axis must be one axis or two, got {axis!r}")
    if ndim < 2:
        raise ValueError(f"{owner}: {name} must have at least two dimensions, got {ndim}")
    first, second = (normalised_axis(owner, one, ndim, name) for one in axis)
    if first == second:
        raise ValueError(f"{owner}: axis must hold two different axes, got {axis!r}")
    return first, second


def _kernel_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for itself and for half precision, float64 for the rest."""
    small = dtype.kind not in "iub" and dtype.itemsize <= 4
    return np.dtype(np.float32 if small else np.float64)


class Rows:
    """One batch as the rows of a C-contiguous array, and the way back to the caller's shape and dtype.

    ``data`` has shape (rows, n) and dtype float32 or float64, masked entries at most FLOOR; it may share memory with
    the caller's array and is never written. ``axes`` are the caller's axes that hold one problem, one or (of a matrix,
    flattened in C order) two; ``item_shape`` is the shape of a problem, and ``batch_shape`` the caller's without them.
    """

    __slots__ = ("axes", "batch_shape", "data", "dtype", "item_shape", "shape")

    def __init__(self, data: NDArray[Any], shape: tuple[int, ...], axes: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.data = data
        self.shape = shape
        self.axes = axes
        self.dtype = dtype
        self.item_shape = tuple(shape[axis] for axis in axes)
        self.batch_shape = tuple(size for axis, size in enumerate(shape) if axis not in axes)

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which entries take part, shape (rows, n); NaN entries do."""
        return ~(self.data <= FLOOR[self.data.dtype])

    def like(self, data: NDArray[Any]) -> "Rows":
        """Other rows of the same shape, in their own dtype."""
        other = Rows(data, self.shape, self.axes, data.dtype)
        other.item_shape = self.item_shape
        return other

    def from_last(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array of shape (*batch_shape, n) in the caller's shape."""
        moved = array.reshape(*self.batch_shape, *(self.shape[axis] for axis in self.axes))
        trailing = tuple(range(-len(self.axes), 0))
        return moved if _are_last(self.axes, len(self.shape)) else np.moveaxis(moved, trailing, self.axes)

    def to_rows(self, array: NDArray[Any], dtype: Any) -> NDArray[Any]:
        """An array of the caller's shape as contiguous rows."""
        return _to_rows(array, self.axes, dtype)

    def restore(self, rows: NDArray[Any]) -> NDArray[Any]:
        """(rows, n) back to the caller's shape, axes and dtype."""
        return np.ascontiguousarray(self.from_last(rows)).astype(self.dtype, copy=False)

    def restore_scalars(self, values: NDArray[Any]) -> Any:
        """(rows,) back to the batch shape; a NumPy scalar for a single row."""
        return values.reshape(self.batch_shape).astype(self.dtype, copy=False)[()]


def _are_last(axes: tuple[int, ...], ndim: int) -> bool:
    return axes == (ndim - 1,) or axes == (ndim - 2, ndim - 1)


def _masked(owner: str, array: NDArray[Any], where: ArrayLike, dtype: np.dtype[Any]) -> NDArray[Any]:
    mask = np.asarray(where)
    if mask.dtype != bool:
        raise TypeError(f"{owner}: where must be boolean, got dtype {mask.dtype}")
    try:
        mask = np.broadcast_to(mask, array.shape)
    except ValueError:
        raise ValueError(
            f"{owner}: where must broadcast to the shape {array.shape} of x, got shape {mask.shape}"
        ) from None
    return np.where(mask, array.astype(dtype, copy=False), dtype.type(-np.inf))


def _widened(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A copy in a wider dtype; what counts as masked is decided in the narrow one."""
    brain = array.dtype.name == "bfloat16"
    floor = _BFLOAT16_FLOOR if brain else np.finfo(array.dtype).min / array.dtype.type(2)
    wide = array.astype(dtype)
    return np.where(wide <= dtype.type(floor), dtype.type(-np.inf), wide)


def _to_rows(array: NDArray[Any], axes: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    if not _are_last(axes, array.ndim):
        array = np.moveaxis(array, axes, tuple(range(-len(axes), 0)))
    n = math.prod(array.shape[-len(axes) :])
    return np.ascontiguousarray(array, dtype=dtype).reshape(array.size // n, n)


def as_rows(
    owner: str,
    x: ArrayLike,
    axis: Any = -1,
    where: ArrayLike | None = None,
    name: str = "x",
    *,
    pair: bool = False,
) -> Rows:
    """Scores, their axis (with ``pair`` perhaps two) and mask as :class:`Rows`; raises one sentence of ``owner``."""
    array = as_array(owner, name, x)
    axes = _normalised_axes(owner, axis, array.ndim, name, pair=pair)
    shape = array.shape
    n = math.prod(shape[one] for one in axes)
    if n == 0:
        raise ValueError(f"{owner}: the axis must have at least one entry, got {name} of shape {array.shape}")
    dtype = _kernel_dtype(array.dtype)
    result = array.dtype if array.dtype.kind not in "iub" else np.dtype(np.float64)
    if n > _LONGEST_FLOAT32:
        dtype = np.dtype(np.float64)
    if result.itemsize < dtype.itemsize and result.kind not in "iub":
        array = _widened(array, dtype)
    if where is not None:
        array = _masked(owner, array, where, dtype)
    return Rows(_to_rows(array, axes, dtype), shape, axes, result)


def like_rows(owner: str, value: ArrayLike, batch: Rows, name: str, dtype: Any = None) -> NDArray[Any]:
    """Another array of the shape of ``batch`` as rows of the same axes."""
    array = as_array(owner, name, value)
    if array.shape != batch.shape:
        raise ValueError(f"{owner}: {name} must have the shape {batch.shape}, got {array.shape}")
    return batch.to_rows(array, np.dtype(dtype or batch.data.dtype))


def spacing(y: ArrayLike) -> float:
    """Relative spacing of the floats that ``y`` is given in."""
    dtype = np.asarray(y).dtype
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 2.0**-7  # bfloat16
