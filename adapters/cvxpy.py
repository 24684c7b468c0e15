"""CVXPY as an independent witness: the same operators, solved row by row by a general convex solver.

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
from regmax._rows import as_rows

__all__ = ["argmax"]

_OPTIONS: dict[str, dict[str, Any]] = {
    "CLARABEL": {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12},
    "SCS": {"eps_abs": 1e-12, "eps_rel": 1e-12, "max_iters": 20_000},
}


_lock = threading.Lock()  # a kept problem holds one row at a time


@lru_cache(maxsize=256)
def _parametrised(operator: Regularizer, mask: bytes) -> tuple[Any, Any]:
    live = np.frombuffer(mask, dtype=bool)
    x = cvxpy.Parameter(live.size)
    return x, operator.problem(x, where=live)


def _attempt(problem: Any, solver: str) -> tuple[float, NDArray[Any]] | None:
    """(objective, weights) made feasible to rounding, or None where the solver gave up."""
    y = problem.var_dict["y"]
    try:
        problem.solve(solver=solver, warm_start=False, **_OPTIONS[solver])
    except cvxpy.SolverError:
        return None
    if y.value is None:
        return None
    total = y.value.sum()
    y.value = np.maximum(y.value, 0.0)
    y.value = y.value * (total / y.value.sum())
    return float(problem.objective.value), y.value


def _solve_row(operator: Regularizer, x: NDArray[Any], live: NDArray[np.bool_]) -> NDArray[Any]:
    with _lock, warnings.catch_warnings():
        if operator.is_gradient:
            scores, problem = _parametrised(operator, live.tobytes())
            scores.value = np.where(live, x - x[live].max(), 0.0)
        else:
            problem = operator.problem(x, where=live)
        # Announcements of inexact ends and rational exponents; the better of the answers is judged by its objective.
        warnings.simplefilter("ignore")
        attempts = [found for solver in operator.witnesses if (found := _attempt(problem, solver)) is not None]
    if not attempts:
        raise RuntimeError(f"{operator.name}: no solver of {operator.witnesses} reached a solution")
    return max(attempts, key=lambda found: found[0])[1]


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
    batch = as_rows(operator.name, x, axis, where)
    out = np.zeros(batch.data.shape)
    for row, live, y in zip(batch.data.astype(np.float64), batch.live, out, strict=True):
        if not np.all(row < np.inf):
            y[:] = np.nan
        elif live.any():
            y[:] = _solve_row(operator, row, live)
    batch.dtype = np.dtype(np.float64)
    return batch.restore(out)
