"""What a CVXPY problem of an operator needs: its one row of scores, and parameters that CVXPY can carry."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._rows import Rows, as_rows

__all__ = ["fraction", "live_of", "one_problem", "problem_scores", "single"]


def single(operator: Any, name: str) -> float:
    """A parameter of an operator as one finite number."""
    value = np.asarray(getattr(operator, name))
    if value.size != 1:
        raise ValueError(f"{operator.name}: {name} must be one number for CVXPY, got an array of shape {value.shape}")
    number = float(value.reshape(-1)[0])
    if not np.isfinite(number):
        raise ValueError(f"{operator.name}: {name} must be finite for CVXPY, got {number}")
    return number


def fraction(operator: Any, name: str) -> float:
    """The fraction with a denominator of at most 1024 that CVXPY replaces an exponent by, if it is the exponent."""
    number = single(operator, name)
    near = Fraction(number).limit_denominator(1024)
    if abs(near - number) > 1e-9 or (near == 1 and number != 1):
        raise ValueError(
            f"{operator.name}: {name} must be a fraction with a denominator up to 1024 for CVXPY, got {number}"
        )
    return float(near)


def _flat(x: Any) -> Any:
    """A CVXPY expression as a vector, a matrix in C order."""
    import cvxpy

    return x if x.ndim == 1 else cvxpy.vec(x, order="C")


def live_of(owner: str, n: int, where: ArrayLike | None) -> NDArray[np.bool_]:
    """Which of n entries take part."""
    return as_rows(owner, np.zeros(n), -1, where).live[0]


def one_problem(operator: Any, x: Any, where: ArrayLike | None, what: str = "row") -> tuple[Any, Rows]:
    """(a Parameter as a vector, or None, a batch of one row): of the numbers in x, or of zeros where a Parameter is."""
    import cvxpy

    symbolic = isinstance(x, cvxpy.Expression)
    batch = operator._batch(np.zeros(x.shape) if symbolic else x, -1, where)
    if batch.data.shape[0] != 1:
        raise ValueError(f"{operator.name}: problem takes one {what}, got shape {batch.shape}")
    return (_flat(x) if symbolic else None), batch


def problem_scores(operator: Any, x: Any, where: ArrayLike | None) -> tuple[Any, Rows]:
    """(scores less their maximum or the given Parameter, the row that they are)."""
    given, batch = one_problem(operator, x, where, "row of scores")
    row, live = batch.data[0].astype(np.float64), batch.live[0]
    if given is not None:
        if not operator.is_gradient:
            raise TypeError(f"{operator.name}: gamma depends on the scores, so problem needs their values")
        return given, batch
    if not live.any() or not np.all(row < np.inf):
        raise ValueError(f"{operator.name}: problem needs scores without NaN and +inf, not all of them masked")
    return np.where(live, row - row[live].max(), 0.0), batch
