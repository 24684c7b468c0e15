"""The logarithm of Tsallis' family, ``(y^e - 1) / e`` with e = alpha - 1, and log y at e = 0."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["deformed_log", "deformed_log_slope"]

Array = NDArray[Any]


def _log(y: Array) -> Array:
    """log y with the smallest number in place of 0."""
    return np.log(np.maximum(y, np.finfo(np.float64).smallest_subnormal))


def deformed_log(y: Array, e: Array) -> Array:
    """``(y^e - 1) / e`` with its limits at e = 0, and at y = 0 for e > 0."""
    logs = _log(y)
    safe = np.where(e == 0, 1.0, e)
    values = np.where(e == 0, logs, np.expm1(safe * logs) / safe)
    return np.where((y == 0) & (e > 0), -1.0 / safe, values)


def deformed_log_slope(y: Array, e: Array) -> Array:
    """Derivative of ``(y^e - 1) / e`` in e; by its series where e log y is small."""
    logs = _log(y)
    t = e * logs
    small = np.abs(t) < 1e-3
    safe = np.where(small, 1.0, t)
    exact = (safe * np.exp(safe) - np.expm1(safe)) / safe**2
    series = 0.5 + t * (1 / 3 + t * (1 / 8 + t * (1 / 30 + t / 144)))
    return logs**2 * np.where(small, series, exact)
