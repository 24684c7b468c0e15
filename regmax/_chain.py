"""What the penalties on neighbours in a sequence share: the edges of a chain, and derivatives at its jumps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._parametrised import Spread

__all__ = ["edge_weights", "jump_slopes"]


def edge_weights(weights: NDArray[Any], live: NDArray[Any]) -> NDArray[Any]:
    """Weights of the edges between live neighbours, shape (rows, n - 1); without columns they stand for ones."""
    joined = live[:, 1:] & live[:, :-1]
    return np.where(joined, weights if weights.shape[1] else 1.0, 0.0)


def jump_slopes(y: NDArray[Any], jv: NDArray[Any], live: NDArray[Any], p: Spread) -> Spread:
    """Derivatives of ``<v, y>`` in lam and in the edge weights, given J v for an unscaled quadratic part.

    Inside a segment J v is constant, so only edges where y jumps count.
    """
    jumps = np.sign(np.diff(y, axis=1)) * np.diff(jv, axis=1)
    jumps = np.where(live[:, 1:] & live[:, :-1], jumps, 0.0)
    slopes = {"lam": -np.sum(edge_weights(p["weights"], live) * jumps, axis=1)}
    if p["weights"].shape[1]:
        slopes["weights"] = -np.where(jumps == 0, 0.0, p["lam"][:, None] * jumps)
    return slopes
