"""The kernels of regmax on the memory of CPU tensors: weights, and the product of a vector with their derivatives."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regmax import Regularizer
from regmax._rows import Rows
from regmax.solvers import _threads

from ._call import Call

__all__ = ["pullback", "weights"]

_LARGE = 1 << 16  # entries from which on threads may be used


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().numpy()


def _value(call: Call, name: str, tensor: Tensor) -> Any:
    """A parameter of all rows as NumPy operators take it."""
    array = _array(tensor)
    if name == "edges" or array.shape[0] > 1 and array.shape[1] > 1:
        return array
    declared = next(one for one in call.operator.parameters if one.name == name)
    if declared.kind == "row":
        return array.item() if array.size == 1 else array[:, 0]
    return array[0] if array.shape[0] == 1 else array


def _operator(call: Call, values: tuple[Tensor, ...]) -> Regularizer:
    """The operator of a call, its parameters checked."""
    if not values:
        return call.ready
    given = {name: _value(call, name, value) for name, value in zip(call.names, values, strict=True)}
    return call.operator.kind(**call.fixed, **given)


def _batch(x: Tensor, call: Call) -> Rows:
    rows = Rows(_array(x), tuple(x.shape), (1,), np.dtype(np.float32 if x.dtype == torch.float32 else np.float64))
    if call.shape:
        rows.item_shape = call.shape
    return rows


def weights(call: Call, x: Tensor, values: tuple[Tensor, ...]) -> Tensor:
    """The weights of contiguous rows x."""
    operator = _operator(call, values)
    with _threads.limit(torch.get_num_threads() if x.numel() >= _LARGE else 1):
        return torch.from_numpy(operator._weights(_batch(x, call))[0])


def pullback(
    call: Call, x: Tensor | None, y: Tensor, g: Tensor, values: tuple[Tensor, ...], wanted: tuple[str, ...]
) -> tuple[Tensor, dict[str, Tensor]]:
    """``J^T g`` and the gradients of the parameters ``wanted``, at weights y of scores x."""
    operator = _operator(call, values)
    weights, cotangent = _array(y), _array(g)
    scores = None if x is None else _array(x)
    with _threads.limit(torch.get_num_threads() if y.numel() >= _LARGE else 1):
        gx = torch.from_numpy(operator.vjp(weights, cotangent, x=scores))
        slopes = operator.parameter_vjp(scores, weights, cotangent) if wanted else {}
    found = {}
    for name, value in zip(call.names, values, strict=True):
        if name in wanted:
            found[name] = torch.from_numpy(np.asarray(slopes[name])).to(value.dtype).reshape(value.shape)
    return gx, found
