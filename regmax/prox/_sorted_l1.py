"""The sorted l1 norm, the dual points of its prox, and derivatives by rank."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_rank", "dual_point", "sorted_l1"]

Array = NDArray[Any]


def sorted_l1(y: Array, weights: Array) -> Array:
    """``sum_k w_k |y|_(k)`` per row, magnitudes sorted downwards."""
    magnitude = -np.sort(-np.abs(y), axis=1)
    return np.sum(np.where(magnitude == 0, 0.0, weights * magnitude), axis=1)


def dual_point(y: Array, r: Array, weights: Array) -> tuple[Array, Array]:
    """``r`` shrunk until the prefix sums of its sorted magnitudes stay below those of the weights; and the slack."""
    sums = np.cumsum(-np.sort(-np.abs(r), axis=1), axis=1)
    share = np.where(sums > 0, np.cumsum(weights, axis=1) / np.where(sums > 0, sums, 1.0), 1.0).min(axis=1)
    u = np.minimum(share, 1.0)[:, None] * r
    return u, sorted_l1(y, weights) - np.sum(u * y, axis=1)


def by_rank(y: Array, jv: Array) -> Array:
    """Entries of ``sign(y) jv`` in the order of falling magnitudes of y."""
    order = np.argsort(-np.abs(y), axis=1, kind="stable")
    return np.take_along_axis(np.sign(y) * jv, order, axis=1)
