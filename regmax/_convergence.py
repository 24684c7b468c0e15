"""What an iterative solver says when it stops at its cap instead of at a solution."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax.solvers.convergence import ConvergenceWarning

__all__ = ["ConvergenceWarning", "quiet", "warn_unless_converged"]

_silenced = threading.local()


@contextmanager
def quiet() -> Iterator[None]:
    """Within it this thread does not warn, because what is solved is not what was asked for."""
    before = getattr(_silenced, "now", False)
    _silenced.now = True
    try:
        yield
    finally:
        _silenced.now = before


def warn_unless_converged(owner: str, residual: NDArray[Any], tolerance: float, steps: str) -> None:
    """Warn of the worst row whose ``residual``, relative to its scale, is above ``tolerance``; NaN rows are not meant.

    ``steps`` says what the cap was, such as ``"60 Newton steps"``.
    """
    late = residual > tolerance
    if late.any() and not getattr(_silenced, "now", False):
        row = int(np.argmax(np.where(late, residual, -1.0)))
        warnings.warn(
            f"{owner}: {int(late.sum())} of {late.size} rows did not converge in {steps}; the residual of row {row} is "
            f"{residual[row]:.1e}, wanted {tolerance:.0e}",
            ConvergenceWarning,
            stacklevel=_outside(),
        )


def _outside() -> int:
    """How far up the stack the caller of the package is."""
    import sys

    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "regmax":
        level, frame = level + 1, frame.f_back
    return level
