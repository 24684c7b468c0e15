"""Certifying weights too small to carry their own derivative."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fitted"]

Array = NDArray[Any]

# Weights below it underflow in float32 or lose their digits. A certificate lets them be anything up to it: that
# changes the weights by less than n times it, and the objective by nothing that float64 can show.
_NEGLIGIBLE = 1e-37


def fitted(gradient: Callable[[Array], Array], z: Array, y: Array) -> Array:
    """``gradient(y)``, increasing in y; at negligible weights the value in their range that fits ``z = x / gamma``."""
    low, high = gradient(y), gradient(np.maximum(y, _NEGLIGIBLE))
    peak = np.argmax(y, axis=1)[:, None]
    tau = np.take_along_axis(z, peak, axis=1) - np.take_along_axis(low, peak, axis=1)
    return np.minimum(np.maximum(z - tau, low), high)
