"""Parameters of operators: declared once, checked once, and spread to one value per row.

A parameter is a number or an array. Its *kind* says against what an array broadcasts: ``row`` (the batch), ``item``
(the scores), or, behind the batch, ``edge`` (the n - 1 gaps between neighbours), ``rank`` (the n sorted positions),
``link`` (the edges of a graph), ``line`` or ``column`` (those of a matrix). What belongs to the operator as a whole is
of kind ``structure``: it has no derivative and is the same for every row.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import Field, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._rows import Rows

__all__ = [
    "Parameter",
    "Rule",
    "check",
    "choice",
    "parameter",
    "sample_sides",
    "shape_parameter",
    "spread",
    "structure",
    "sum_to_shape",
]

_TINY = {np.dtype(t): np.finfo(t).tiny for t in (np.float32, np.float64)}

#: What users may pass: a number, or an array of numbers.
Parameter = float | NDArray[Any]


class Rule(NamedTuple):
    """What a parameter must satisfy: in words that complete "must ...", and as a test of each entry of an array."""

    words: str
    holds: Callable[[NDArray[Any]], Any]


POSITIVE = Rule("be > 0 and finite", lambda v: (v > 0) & (v < np.inf))
NON_NEGATIVE = Rule("be >= 0", lambda v: v >= 0)
ABOVE_ONE = Rule("be > 1 and finite", lambda v: (v > 1) & (v < np.inf))
COUNT = Rule("be an integer from 1 to 2^53", lambda v: (v >= 1) & (v % 1 == 0) & (v <= 2**53))
AT_LEAST_ONE = Rule("be >= 1 and finite", lambda v: (v >= 1) & (v < np.inf))
EDGE_WEIGHT = Rule("be >= 0 and finite", lambda v: (v >= 0) & (v < np.inf))


def _non_increasing(v: NDArray[Any]) -> Any:
    return np.isfinite(v) & (np.diff(v, axis=-1, prepend=v[..., :1]) <= 0)


def _slope_weights(v: NDArray[Any]) -> Any:
    return _non_increasing(v) & (v >= 0)


SLOPE_WEIGHT = Rule("be finite, >= 0 and non-increasing along the last axis", _slope_weights)
FLAG = Rule("be True or False", lambda v: v.dtype == bool)
NON_INCREASING = Rule("be finite and non-increasing along the last axis", _non_increasing)


#: Kinds whose arrays have an axis of their own behind the batch, and what its entries stand for.
_BEHIND = {
    "edge": "one per pair of neighbours",
    "rank": "one per sorted position",
    "link": "one per edge",
    "line": "one per row of the matrix",
    "column": "one per column of the matrix",
}


def parameter(default: Any, rule: Rule, kind: str = "row", optional: bool = False) -> Any:
    """A dataclass field of an operator: a number or an array that keeps ``rule``; ``optional`` allows None.

    ``kind`` says against what an array broadcasts: "row" the batch, "item" the scores; the last axis of others holds
    one entry per pair of neighbours ("edge"), sorted position ("rank") or edge of the graph ("link").
    """
    return field(default=default, metadata={"rule": rule, "kind": kind, "optional": optional})


def structure(default: Any, checked: Callable[[str, str, Any], Any]) -> Any:
    """A field that is the same for every row; ``checked(owner, name, value)`` gives what to store, or raises."""
    return field(default=default, metadata={"rule": None, "kind": "structure", "optional": True, "checked": checked})


def shape_parameter() -> Any:
    """The field of an operator on matrices that says how a row is folded to a matrix; None = two axes are given."""
    return structure(None, _checked_shape)


def _checked_shape(owner: str, name: str, value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = np.asarray(value)
    if sides.shape != (2,) or sides.dtype.kind not in "iu":
        raise TypeError(f"{owner}: {name} must be two integers (height, width), got {value!r}")
    if (sides < 1).any():
        raise ValueError(f"{owner}: {name} must be two integers >= 1, got {value!r}")
    return int(sides[0]), int(sides[1])


def sample_sides(n: int) -> tuple[int, int]:
    """Height and width of n entries, as near to a square as there is."""
    height = max(h for h in range(1, n + 1) if n % h == 0 and h * h <= n)
    return height, n // height


def choice(default: str, *words: str) -> Any:
    """A field that holds one of a few words."""

    def checked(owner: str, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"{owner}: {name} must be one of {', '.join(map(repr, words))}, got {value!r}")
        if value not in words:
            raise ValueError(f"{owner}: {name} must be one of {', '.join(map(repr, words))}, got {value!r}")
        return value

    return structure(default, checked)


def _as_parameter(owner: str, name: str, value: Any) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{owner}: {name} must be a number or a plain array, got a masked array")
    try:
        array = np.array(value)
    except ValueError:
        raise TypeError(f"{owner}: {name} must be a number or an array of numbers, got a ragged sequence") from None
    if array.dtype.kind not in "iuf" or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be a number or an array of numbers, got {value!r}")
    return array


def check(owner: str, declared: Field[Any], value: Any) -> Any:
    """The value to store: a float or int, a read-only copy of an array, or None; raises one sentence otherwise."""
    name, rule, kind = declared.name, declared.metadata["rule"], declared.metadata["kind"]
    if kind == "structure":
        return declared.metadata["checked"](owner, name, value)
    if rule is FLAG:
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{owner}: {name} must {rule.words}, got {value!r}")
        return bool(value)
    if value is None and declared.metadata["optional"]:
        return None
    plain = type(value) is float or (type(value) is int and abs(value) <= 2**53)
    if plain and kind not in _BEHIND and rule.holds(value):
        return value
    array = _as_parameter(owner, name, value)
    if array.ndim == 0 and kind in _BEHIND:
        per = {"link": "edge", "line": "row of the matrix", "column": "column of the matrix"}.get(kind, kind)
        raise ValueError(f"{owner}: {name} must have one entry per {per}, got the number {value!r}")
    with np.errstate(invalid="ignore"):
        good = np.broadcast_to(rule.holds(array), array.shape)
    if not good.all():
        wrong = array.tolist() if kind == "rank" else array[~good].flat[0].item()
        raise ValueError(f"{owner}: {name} must {rule.words}, got {wrong}")
    if array.ndim == 0:
        return array.item() if array.dtype.kind == "f" else int(array)
    array.setflags(write=False)
    return array


def _broadcast(owner: str, name: str, value: NDArray[Any], shape: tuple[int, ...], against: str) -> NDArray[Any]:
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"{owner}: {name} must broadcast against {against} of shape {shape}, got shape {value.shape}"
        ) from None


def _length(kind: str, batch: Rows) -> int | None:
    """How many entries an array of this kind has behind the batch; None where the graph says it."""
    n = batch.data.shape[1]
    return {"edge": n - 1, "rank": n, "line": batch.item_shape[0], "column": batch.item_shape[-1]}.get(kind)


def spread(owner: str, declared: Field[Any], value: Any, batch: Rows) -> NDArray[Any]:
    """Contiguous array for the kernel: (rows,) for kind row, else (rows or 1, length); (1, 0) stands for None.

    A structure is an array as it is.

    Numbers that float32 cannot tell from forbidden ones are refused; gamma is raised to the smallest normal number.
    """
    if declared.metadata["kind"] == "structure":
        return np.asarray(value)
    if value is None:
        return np.empty((1, 0), batch.data.dtype)
    narrow = batch.data.dtype == np.float32
    with np.errstate(over="ignore") if narrow else nullcontext():
        array = _spread(owner, declared, value, batch)
    if declared.name == "gamma":
        array = np.maximum(array, _TINY[array.dtype])
    if narrow and array.dtype == np.float32 and not np.all(declared.metadata["rule"].holds(array)):
        raise ValueError(f"{owner}: {declared.name} must {declared.metadata['rule'].words} in float32, got {value}")
    return array


def _filled(shape: int | tuple[int, int], value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """np.full in half the time."""
    array = np.empty(shape, dtype)
    array.fill(value)
    return array


def _spread(owner: str, declared: Field[Any], value: Any, batch: Rows) -> NDArray[Any]:
    kind, name, dtype = declared.metadata["kind"], declared.name, batch.data.dtype
    rows, n = batch.data.shape
    if declared.metadata["rule"] is COUNT:
        dtype = np.dtype(np.int64)
    if declared.metadata["rule"] is FLAG:
        dtype = np.dtype(bool)
    if kind == "row":
        if not isinstance(value, np.ndarray):
            return _filled(rows, value, dtype)
        return np.ascontiguousarray(_broadcast(owner, name, value, batch.batch_shape, "the batch").reshape(rows), dtype)
    if kind == "item":
        if not isinstance(value, np.ndarray):
            return _filled((1, n), value, dtype)
        return batch.to_rows(_broadcast(owner, name, value, batch.shape, "x"), dtype)
    length = _length(kind, batch)
    if length is None:
        length = value.shape[-1]
    if value.shape[-1] != length:
        raise ValueError(
            f"{owner}: {name} must have {length} entries on the last axis ({_BEHIND[kind]}), got {value.shape[-1]}"
        )
    if value.ndim == 1:
        return np.ascontiguousarray(value[None], dtype)
    whole = _broadcast(owner, name, value, (*batch.batch_shape, length), "the batch and its rows")
    return np.ascontiguousarray(whole.reshape(rows, length), dtype)


def sum_to_shape(gradient: NDArray[Any], declared: Field[Any], value: Any, batch: Rows) -> Any:
    """Add up a gradient per row (and entry) over everything that shares one value of the parameter."""
    kind = declared.metadata["kind"]
    if not isinstance(value, np.ndarray):
        return gradient.sum()
    if kind == "row":
        whole = gradient.reshape(batch.batch_shape)
    elif kind == "item":
        whole = batch.from_last(gradient)
    else:
        whole = gradient.reshape(*batch.batch_shape, gradient.shape[-1])
    extra = whole.ndim - value.ndim
    whole = whole.sum(axis=tuple(range(extra)))
    shared = tuple(i for i, size in enumerate(value.shape) if size == 1 and whole.shape[i] != 1)
    return whole.sum(axis=shared, keepdims=True)
