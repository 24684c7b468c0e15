"""Derivatives against difference quotients, on rows where the map has no kink nearby."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax._parametrised import Parametrised
from regmax._regularizer import Regularizer

__all__ = ["Slope", "jacobian_error", "parameter_error", "quotients", "scattered", "structure_error"]

Array = NDArray[Any]
Slope = Callable[[Array], Array]

_STEP = 1e-6


def scattered(n: int, rows: int, seed: int) -> tuple[Array, Array]:
    """Points and directions of ordinary scale."""
    rng = np.random.default_rng(seed)
    return 1.5 * rng.normal(size=(rows, n)), rng.normal(size=(rows, n))


def _smooth(forward: Array, backward: Array) -> Array:
    """Rows whose one-sided quotients agree: there is no kink between the points they were taken at."""
    size = 1 + np.abs(forward).reshape(len(forward), -1).max(axis=1)
    return np.abs(forward - backward).reshape(len(forward), -1).max(axis=1) <= 1e-5 * size


def quotients(function: Slope, x: Array, v: Array) -> tuple[Array, Array]:
    """(central difference quotients of ``function`` along v, which rows have no kink there)."""
    ahead, here, behind = function(x + _STEP * v), function(x), function(x - _STEP * v)
    return (ahead - behind) / (2 * _STEP), _smooth((ahead - here) / _STEP, (here - behind) / _STEP)


def _largest(error: Array, size: Array) -> float:
    """Largest entry of an error in units of one more than the largest of ``size``; 0 of nothing."""
    return float(np.abs(error).max(initial=0.0) / (1 + np.abs(size).max(initial=0.0)))


def jacobian_error(solver: Slope, operator: Any, x: Array, v: Array) -> float | None:
    """How far the operator's Jacobian product is from the quotients of the solver, in units of 1 + their size.

    None where every row has a kink.
    """
    found, smooth = quotients(solver, x, v)
    if not smooth.any():
        return None
    expected = operator.jacobian(operator(x), v, x=x)
    return _largest((found - expected)[smooth], expected[smooth])


def structure_error(operator: Any, x: Array) -> float:
    """How far J^T is from the adjoint of J, and for an operator J from symmetry and J 1 from 0."""
    n = x.shape[-1]
    y = operator(x)
    columns = [operator.jacobian(y, np.broadcast_to(e, x.shape), x=x) for e in np.eye(n)]
    rows = [operator.vjp(y, np.broadcast_to(e, x.shape), x=x) for e in np.eye(n)]
    J, adjoint = np.stack(columns, axis=-1), np.stack(rows, axis=-2)
    worst = _largest(J - adjoint, J)
    if isinstance(operator, Regularizer):
        worst = max(worst, _largest(J.sum(axis=-1), J))
        if operator.is_gradient:
            worst = max(worst, _largest(J - np.swapaxes(J, 1, 2), J))
    return worst


def _moved(operator: Parametrised, name: str, value: Array, x: Array, v: Array) -> Array:
    changed = type(operator)(**{**vars(operator), name: value[()]})
    return np.sum(v * changed(x), axis=1)


def _along_parameter(operator: Any, name: str, direction: Array, x: Array, v: Array) -> tuple[Array, Array]:
    """Quotients of <v, y> per row as one parameter moves, one-sided at a bound, and which rows have no kink."""
    value = np.asarray(getattr(operator, name), dtype=float)
    here, ahead = (_moved(operator, name, value + step * direction, x, v) for step in (0.0, _STEP))
    try:
        behind = _moved(operator, name, value - _STEP * direction, x, v)
    except ValueError:  # the parameter sits on the bound of its domain
        further = _moved(operator, name, value + 2 * _STEP * direction, x, v)
        quotient = (4 * ahead - 3 * here - further) / (2 * _STEP)
        return quotient, _smooth((ahead - here) / _STEP, (further - ahead) / _STEP)
    return (ahead - behind) / (2 * _STEP), _smooth((ahead - here) / _STEP, (here - behind) / _STEP)


def parameter_error(operator: Any, x: Array, v: Array) -> float:
    """How far the derivatives in the parameters are from quotients; infinite parameters are left out."""
    worst = 0.0
    points = operator(x)
    for name in operator.parameter_vjp(x, points, v):
        value = np.asarray(getattr(operator, name), dtype=float)
        if not np.isfinite(value).all():
            continue
        # A direction that keeps sorted weights sorted and caps feasible.
        direction = np.ones_like(value) if value.ndim == 0 else 0.5 * value + 0.1
        found, smooth = _along_parameter(operator, name, direction, x, v)
        rows = [operator.parameter_vjp(x[r], points[r], v[r])[name] for r in range(len(x))]
        expected = np.array([np.sum(row * direction) for row in rows])
        worst = max(worst, _largest((found - expected)[smooth], expected[smooth]))
    return worst
