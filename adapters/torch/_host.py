"""The kernels of regmax on the memory of CPU tensors: weights, and the product of a vector with their derivatives."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regmax import Regularizer
from regmax._rows import Rows
from regmax.solvers import _threads

from ._call import Call

__all__ = ["product", "pullback", "weights"]

Values = Sequence[Tensor]

_LARGE = 1 << 16  # entries from which on threads may be used
_MANY = 64  # shapes of scores of which the parameters are kept


def _array(tensor: Tensor) -> NDArray[Any]:
    tensor = tensor.detach()
    try:
        return tensor.numpy()
    except RuntimeError:  # a view that negates, or zeros without memory
        return torch.empty_like(tensor).copy_(tensor).numpy()


def _value(call: Call, name: str, tensor: Tensor) -> Any:
    """A parameter of all rows as NumPy operators take it."""
    array = _array(tensor)
    if name == "edges" or (array.shape[0] > 1 and array.shape[1] > 1):
        return array
    declared = next(one for one in call.operator.parameters if one.name == name)
    if declared.kind == "row":
        return array.item() if array.size == 1 else array[:, 0]
    return array[0] if array.shape[0] == 1 else array


def _operator(call: Call, values: Values) -> Regularizer:
    """The operator of a call, its parameters checked."""
    if not values:
        return call.ready
    given = {name: _value(call, name, value) for name, value in zip(call.names, values, strict=True)}
    return call.operator.kind(**call.fixed, **given)


def _batch(x: Tensor, call: Call) -> Rows:
    data = _array(x)
    rows = Rows(data, data.shape, (1,), data.dtype)
    if call.shape:
        rows.item_shape = call.shape
    return rows


def _prepared(call: Call, operator: Regularizer, x: Tensor, values: Values) -> dict[str, Any]:
    """The parameters of each row; kept where all are numbers, because calls are often alike."""
    key = (x.shape, x.dtype)
    p = None if values else call.spreads.get(key)
    if p is not None and not call.looks:
        return dict(p)
    batch = _batch(x, call)
    p = operator._spread(batch)
    operator._prepare(batch, p)
    if not values:
        if len(call.spreads) >= _MANY:
            call.spreads.clear()
        call.spreads[key] = dict(p)
    return p


def _threads_for(x: Tensor) -> AbstractContextManager[None]:
    """As many threads as torch may use, where there is work for more than one."""
    return _threads.limit(torch.get_num_threads()) if x.numel() >= _LARGE else nullcontext()


def weights(call: Call, x: Tensor, values: Values) -> tuple[Tensor, dict[str, Any]]:
    """The weights of contiguous rows x, and the parameters of each row."""
    operator = _operator(call, values)
    p = _prepared(call, operator, x, values)
    y = torch.empty_like(x)
    with _threads_for(x):
        operator._solve(_array(x), p, y.numpy())
    return y, p


def product(operator: Regularizer, y: Tensor, g: Tensor, p: dict[str, Any]) -> Tensor:
    """``J g`` of an operator whose J is symmetric and follows from its weights y."""
    found = torch.empty_like(y)
    weights, out = _array(y), found.numpy()
    with _threads_for(y):
        operator._multiply(weights, _array(g.contiguous()), p, out)
    out[np.isnan(weights[:, 0])] = np.nan
    return found


def pullback(
    call: Call, x: Tensor | None, y: Tensor, g: Tensor, values: Values, wanted: tuple[str, ...]
) -> tuple[Tensor, dict[str, Tensor]]:
    """``J^T g`` and the gradients of the parameters ``wanted``, at weights y of scores x."""
    operator = _operator(call, values)
    weights, cotangent = _array(y), _array(g)
    scores = None if x is None else _array(x)
    with _threads_for(y):
        gx = torch.from_numpy(operator.vjp(weights, cotangent, x=scores))
        slopes = operator.parameter_vjp(scores, weights, cotangent) if scores is not None and wanted else {}
    found = {}
    for name, value in zip(call.names, values, strict=True):
        if name in wanted:
            found[name] = torch.from_numpy(np.asarray(slopes[name])).to(value.dtype).reshape(value.shape)
    return gx, found
