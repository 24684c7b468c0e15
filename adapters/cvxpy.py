"""CVXPY as an independent witness: the same operators, solved row by row by a general convex solver.

One parametrised problem per operator, row length and mask is built and kept, because building costs more than solving.
"""

from functools import lru_cache
from typing import Any

import cvxpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax import Regularizer
from regmax._rows import as_rows

__all__ = ["argmax"]

_SOLVED = (cvxpy.OPTIMAL, cvxpy.OPTIMAL_INACCURATE)


@lru_cache(maxsize=256)
def _parametrised(operator: Regularizer, mask: bytes) -> tuple[Any, Any]:
    live = np.frombuffer(mask, dtype=bool)
    x = cvxpy.Parameter(live.size)
    return x, operator.problem(x, where=live)


def _solve_row(operator: Regularizer, x: NDArray[Any], live: NDArray[np.bool_]) -> NDArray[Any]:
    if operator.is_gradient:
        scores, problem = _parametrised(operator, live.tobytes())
        scores.value = np.where(live, x - x[live].max(), 0.0)
    else:
        problem = operator.problem(x, where=live)
    solver, options = operator.witness
    problem.solve(solver=solver, warm_start=False, **options)
    if problem.status not in _SOLVED:
        raise RuntimeError(f"{operator.name}: CVXPY ended with status {problem.status!r}")
    return problem.var_dict["y"].value


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
    where : array_like of bool, optional
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
