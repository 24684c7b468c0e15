"""The quadratic part that most regularizers share, shifted so that it vanishes at the vertices of the simplex."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["quadratic", "quadratic_expression"]


def quadratic(y: NDArray[Any]) -> NDArray[Any]:
    """``(|y|^2 - 1) / 2`` per row."""
    return 0.5 * (np.einsum("ij,ij->i", y, y) - 1.0)


def quadratic_expression(y: Any) -> Any:
    """The same of a 1-D CVXPY expression."""
    import cvxpy

    return 0.5 * (cvxpy.sum_squares(y) - 1.0)
