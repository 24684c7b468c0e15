"""CVXPY as an independent witness: operators and proximal operators, solved row by row by a general convex solver.

One parametrised problem per operator, row length and mask is built and kept, because building costs more than solving.
"""

import threading
import warnings
from functools import lru_cache
from typing import Any

import cvxpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax import Regularizer
from regmax.prox import Proximal

__all__ = ["argmax", "prox"]

_OPTIONS: dict[str, dict[str, Any]] = {
    "CLARABEL": {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12},
    "SCS": {"eps_abs": 1e-12, "eps_rel": 1e-12, "max_iters": 20_000},
}


_lock = threading.Lock()  # a kept problem holds one row at a time


@lru_cache(maxsize=256)
def _parametrised(operator: Regularizer | Proximal, mask: bytes) -> tuple[Any, Any]:
    live = np.frombuffer(mask, dtype=bool)
    x = cvxpy.Parameter(live.size)
    return x, operator.problem(x, where=live)


def _attempt(problem: Any, solver: str) -> NDArray[Any] | None:
    """The solution, or None where the solver gave up."""
    try:
        problem.solve(solver=solver, warm_start=False, **_OPTIONS[solver])
    except cvxpy.SolverError:
        return None
    return problem.var_dict["y"].value


def _completed(operator: Regularizer | Proximal, y: NDArray[Any], live: NDArray[np.bool_]) -> NDArray[Any]:
    """Weights made feasible to rounding: what sums to less than it must would seem better than the best."""
    if isinstance(operator, Proximal):
        return y
    batch = operator._batch(np.where(live, 0.0, -np.inf))
    y = np.maximum(y, 0.0)
    return y * (operator._domain(operator._spread(batch)).mass(1)[0] / y.sum())


def _solve(operator: Regularizer | Proximal, problem: Any, live: NDArray[np.bool_]) -> NDArray[Any]:
    """The best answer of the operator's witnesses."""
    y = problem.var_dict["y"]
    sense = problem.objective.NAME == "maximize"
    answers = []
    for solver in operator.witnesses:
        value = _attempt(problem, solver)
        if value is None:
            continue
        y.value = _completed(operator, value, live)
        answers.append((float(problem.objective.value), y.value))
    if not answers:
        raise RuntimeError(f"{operator.name}: no solver of {operator.witnesses} reached a solution")
    return (max if sense else min)(answers, key=lambda answer: answer[0])[1]


def _solve_row(operator: Regularizer | Proximal, x: NDArray[Any], live: NDArray[np.bool_]) -> NDArray[Any]:
    with _lock, warnings.catch_warnings():
        # Announcements of inexact ends and rational exponents; the better of the answers is judged by its objective.
        warnings.simplefilter("ignore")
        if isinstance(operator, Regularizer) and not operator.is_gradient:
            return _solve(operator, operator.problem(x, where=live), live)
        point, problem = _parametrised(operator, live.tobytes())
        shift = x[live].max() if isinstance(operator, Regularizer) else 0.0
        point.value = np.where(live, x - shift, 0.0)
        return _solve(operator, problem, live)


def _rows(operator: Regularizer | Proximal, x: ArrayLike, axis: int, where: ArrayLike | None) -> NDArray[Any]:
    batch = operator._batch(x, axis, where)
    operator = operator._folded(batch)
    out = np.zeros(batch.data.shape)
    for row, live, y in zip(batch.data.astype(np.float64), batch.live, out, strict=True):
        if not np.all(row < np.inf):
            y[:] = np.nan
        elif live.any():
            y[:] = _solve_row(operator, row, live)
    batch.dtype = np.dtype(np.float64)
    return batch.restore(out)


def argmax(operator: Regularizer, x: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> NDArray[Any]:
    """``operator.argmax(x)`` by CVXPY with the operator's own solver and tolerances, in float64.

    Parameters
    ----------
    operator : Regularizer
        Its parameters must be numbers, or arrays that belong to one row.
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    axis : int, default -1
        The axis that holds the scores of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part.

    Returns
    -------
    ndarray of float64 of the shape of ``x``
        Weights; zeros where a whole row is masked, NaN in a row with NaN or +inf.

    Raises
    ------
    RuntimeError
        If the solver does not reach a solution.
    ValueError, TypeError
        As the operator does.

    Notes
    -----
    Milliseconds per row. Source: Diamond & Boyd, "CVXPY", JMLR 2016.
    """
    return _rows(operator, x, axis, where)


def prox(operator: Proximal, x: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> NDArray[Any]:
    """``operator.prox(x)`` by CVXPY with tight tolerances, in float64.

    Parameters
    ----------
    operator : regmax.prox.Proximal
        Its parameters must be numbers, or arrays that belong to one row.
    x : array_like, shape (..., n)
        Points; n entries along ``axis``.
    axis : int, default -1
        The axis that holds the entries of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part.

    Returns
    -------
    ndarray of float64 of the shape of ``x``
        Points; zeros where a whole row is masked, NaN in a row with NaN or +inf.

    Raises
    ------
    RuntimeError
        If the solver does not reach a solution.
    ValueError, TypeError
        As the operator does.

    Notes
    -----
    Milliseconds per row. Source: Diamond & Boyd, "CVXPY", JMLR 2016.
    """
    return _rows(operator, x, axis, where)
