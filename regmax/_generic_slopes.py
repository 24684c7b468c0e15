"""Derivatives in the parameters of an Omega that is known by its hooks: differences of its slope along J v."""

from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax.solvers.generic import LEAST

from ._generic_jacobian import cut_off, subgradient
from ._hooks import Hooks
from ._parameters import COUNT, FLAG
from ._parametrised import Spread

__all__ = ["parameter_slopes"]

Array = NDArray[Any]

_STEP, _LEAST_SIZE = 1e-5, 1e-2  # of the differences, in units of a parameter of at least this size
_SETTLED, _CORRECTIONS = 1e-14, 20


def parameter_slopes(operator: Any, x: Array, y: Array, w: Array, p: Spread) -> Spread:
    """Derivatives of ``<v, argmax>`` in every parameter but gamma, per row and entry; ``w`` is J v for gamma = 1.

    Along w, in which the weights can move, the slope of Omega is the same for all its subgradients.
    """
    live = x != -np.inf
    slopes = {one.name: np.full((len(y), *p[one.name].shape[1:]), np.nan) for one in _numbers(operator)}
    for slope in slopes.values():
        slope[~live.any(axis=1)] = 0.0
    for r, hooks, (scores, weights, along) in operator._problems(p, live, x, y, w):
        u = None
        if operator._has_penalty:
            u = subgradient(hooks, weights, cut_off(scores, weights, float(p["gamma"][r]))).u
        for name, slope in slopes.items():
            slope[r] = _derivative(hooks, name, weights, along, u)
    return slopes


def _numbers(operator: Any) -> Iterator[Field[Any]]:
    """The parameters that have derivatives, besides gamma: real numbers, all finite."""
    for one in fields(operator):
        value = getattr(operator, one.name)
        if one.metadata["kind"] == "structure" or one.metadata["rule"] in (COUNT, FLAG) or one.name == "gamma":
            continue
        if value is not None and np.isfinite(value).all():
            yield one


def _derivative(hooks: Hooks, name: str, y: Array, w: Array, u: Array | None) -> Any:
    """Of ``-<slope of Omega, w>`` in a parameter of one row, in each of its entries."""
    value = np.asarray(getattr(hooks.operator, name), dtype=np.float64)
    if value.ndim == 0:
        return _quotient(hooks, name, value, np.ones(()), y, w, u)
    return np.array([_quotient(hooks, name, value, unit, y, w, u) for unit in np.eye(value.size)])


def _quotient(hooks: Hooks, name: str, value: Array, unit: Array, y: Array, w: Array, u: Array | None) -> float:
    """A central difference quotient, or a forward one of the same order where the parameter sits on its bound."""
    step = _STEP * max(float(np.abs(value * unit).max()), _LEAST_SIZE)

    def slope(steps: float) -> float:
        moved = type(hooks.operator)(**{**hooks.operator._fields(), name: (value + steps * step * unit)[()]})
        return _slope(Hooks(moved, hooks.live), y, w, u)

    try:
        return (slope(-1) - slope(1)) / (2 * step)
    except ValueError:
        return (3 * slope(0) - 4 * slope(1) + slope(2)) / (2 * step)


def _slope(hooks: Hooks, y: Array, w: Array, u: Array | None) -> float:
    """``<slope of Omega at y, w>``; the penalty's is read off its prox, from what must be added to y to get y back."""
    smooth = float(hooks.gradient(np.maximum(y, LEAST)) @ w)
    if u is None:
        return smooth
    for _ in range(_CORRECTIONS):
        missing = y - hooks.prox(y + u, 1.0)
        u = u + missing
        if np.abs(missing).max() <= _SETTLED:
            break
    return smooth + float(u @ w)
