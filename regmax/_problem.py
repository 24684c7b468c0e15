"""What a CVXPY problem of an operator needs: its one row of scores, and parameters that CVXPY can carry."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._rows import Rows, as_rows

__all__ = ["fraction", "live_of", "problem_scores", "single"]


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


def live_of(owner: str, n: int, where: ArrayLike | None) -> NDArray[np.bool_]:
    """Which of n entries take part."""
    return as_rows(owner, np.zeros(n), -1, where).live[0]


def problem_scores(
    owner: str, is_gradient: bool, x: Any, where: ArrayLike | None
) -> tuple[Any, NDArray[np.bool_], Rows]:
    """(scores less their maximum or the given Parameter, which entries take part, a row to spread parameters over)."""
    import cvxpy

    if isinstance(x, cvxpy.Expression):
        if not is_gradient:
            raise TypeError(f"{owner}: gamma depends on the scores, so problem needs their values")
        live = live_of(owner, x.shape[0], where)
        return x, live, as_rows(owner, np.where(live, 0.0, -np.inf))
    batch = as_rows(owner, x, -1, where)
    if batch.data.shape[0] != 1:
        raise ValueError(f"{owner}: problem takes one row of scores, got shape {batch.shape}")
    row, live = batch.data[0].astype(np.float64), batch.live[0]
    if not live.any() or not np.all(row < np.inf):
        raise ValueError(f"{owner}: problem needs scores without NaN and +inf, not all of them masked")
    return np.where(live, row - row[live].max(), 0.0), live, batch
