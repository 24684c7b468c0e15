"""The only array plumbing: any shape, axis, mask and dtype to contiguous rows for a kernel, and back."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax.solvers.rows import FLOOR

__all__ = ["Rows", "as_rows", "like_rows", "normalised_axis"]

# Kernels count entries of a segment in the dtype of the row, and float32 has no integers beyond this.
_LONGEST_FLOAT32 = 2**24
_BFLOAT16_FLOOR = np.float32(-1.6947657e38)


def _as_array(owner: str, name: str, value: ArrayLike) -> NDArray[Any]:
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


def _kernel_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for itself and for half precision, float64 for the rest."""
    small = dtype.kind not in "iub" and dtype.itemsize <= 4
    return np.dtype(np.float32 if small else np.float64)


class Rows:
    """One batch as the rows of a C-contiguous array, and the way back to the caller's shape and dtype.

    ``data`` has shape (rows, n) and dtype float32 or float64, masked entries at most FLOOR; it may share memory with
    the caller's array and is never written. ``batch_shape`` is the caller's shape without the axis.
    """

    __slots__ = ("axis", "batch_shape", "data", "dtype", "shape")

    def __init__(self, data: NDArray[Any], shape: tuple[int, ...], axis: int, dtype: np.dtype[Any]) -> None:
        self.data = data
        self.shape = shape
        self.axis = axis
        self.dtype = dtype
        self.batch_shape = shape[:axis] + shape[axis + 1 :]

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which entries take part, shape (rows, n); NaN entries do."""
        return ~(self.data <= FLOOR[self.data.dtype])

    def restore(self, rows: NDArray[Any]) -> NDArray[Any]:
        """(rows, n) back to the caller's shape, axis and dtype."""
        moved = rows.reshape(*self.batch_shape, self.shape[self.axis])
        if self.axis != len(self.shape) - 1:
            moved = np.ascontiguousarray(np.moveaxis(moved, -1, self.axis))
        return moved.astype(self.dtype, copy=False)

    def restore_scalars(self, values: NDArray[Any]) -> Any:
        """(rows,) back to the batch shape; a NumPy scalar for a single row."""
        return values.reshape(self.batch_shape).astype(self.dtype, copy=False)[()]


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


def _to_rows(array: NDArray[Any], axis: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    if axis != array.ndim - 1:
        array = np.moveaxis(array, axis, -1)
    return np.ascontiguousarray(array, dtype=dtype).reshape(-1 if array.size else array.size, array.shape[-1])


def as_rows(owner: str, x: ArrayLike, axis: Any = -1, where: ArrayLike | None = None, name: str = "x") -> Rows:
    """Scores, their axis and mask as :class:`Rows`; raises one sentence that begins with ``owner``."""
    array = _as_array(owner, name, x)
    axis = normalised_axis(owner, axis, array.ndim, name)
    if array.shape[axis] == 0:
        raise ValueError(f"{owner}: the axis must have at least one entry, got {name} of shape {array.shape}")
    dtype = _kernel_dtype(array.dtype)
    result = array.dtype if array.dtype.kind not in "iub" else np.dtype(np.float64)
    shape = array.shape
    if shape[axis] > _LONGEST_FLOAT32:
        dtype = np.dtype(np.float64)
    if result.itemsize < dtype.itemsize and result.kind not in "iub":
        array = _widened(array, dtype)
    if where is not None:
        array = _masked(owner, array, where, dtype)
    return Rows(_to_rows(array, axis, dtype), shape, axis, result)


def like_rows(owner: str, value: ArrayLike, batch: Rows, name: str, dtype: Any = None) -> NDArray[Any]:
    """Another array of the shape of ``batch`` as rows of the same axis."""
    array = _as_array(owner, name, value)
    if array.shape != batch.shape:
        raise ValueError(f"{owner}: {name} must have the shape {batch.shape}, got {array.shape}")
    return _to_rows(array, batch.axis, np.dtype(dtype or batch.data.dtype))
