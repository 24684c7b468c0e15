"""The figures of `regmax demo`: one operator on all heads, checked and timed."""

import time
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import regmax

from .examples import Attention, Example

__all__ = ["WITNESS_ROWS", "Result", "measure"]

#: Rows of head 0 that CVXPY solves again: "bridge" and "shut" of the claim, "bridge" of the evidence.
WITNESS_ROWS = [24, 20, 4]
_TIMED_ROWS = 4096
_REPEATS = 7


@dataclass(frozen=True)
class Result:
    """Weights of every head, and figures over all rows; ``distance`` is None where CVXPY found no solution."""

    example: Example
    weights: NDArray[np.float64]
    kept: float
    segments: float
    clusters: float
    entropy: float
    gap: float
    distance: float | None
    microseconds: float


def _segments(rows: NDArray[np.float64]) -> float:
    """Mean number of runs of equal adjacent positive weights."""
    before = np.pad(rows[:, :-1], ((0, 0), (1, 0)))
    return float(((rows > 0) & (rows != before)).sum(axis=1).mean())


def _clusters(rows: NDArray[np.float64]) -> float:
    """Mean number of distinct positive weights."""
    return float(np.mean([len(np.unique(row[row > 0])) for row in rows]))


def _entropy(rows: NDArray[np.float64]) -> float:
    """Mean entropy in nats."""
    return float(-np.sum(rows * np.log(np.where(rows > 0, rows, 1.0)), axis=1).mean())


def _distance(operator: regmax.Regularizer, scores: NDArray[np.float64], found: NDArray[np.float64]) -> float | None:
    """Largest difference between a weight and that of CVXPY; of an operator on matrices over the whole head."""
    import cvxpy

    from regmax.adapters.cvxpy import argmax

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*may be inaccurate.*", category=UserWarning)
        try:
            return float(np.abs(argmax(operator, scores) - found).max())
        except (cvxpy.error.SolverError, RuntimeError):
            return None


def _microseconds(operator: regmax.Regularizer, scores: NDArray[np.float64]) -> float:
    """Median time per row of a call on a large batch."""
    n = scores.shape[-1]
    batch = np.resize(scores, (-(-_TIMED_ROWS // n), n, n))
    operator.argmax(batch)
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        operator.argmax(batch)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) / (batch.size / n) * 1e6


def measure(example: Example, attention: Attention) -> Result:
    """Run one operator over all heads, certify every row, compare some with CVXPY, and time it."""
    operator, scores = example.operator, attention.scores
    weights = operator.argmax(scores)
    rows = weights.reshape(-1, weights.shape[-1])
    witnessed = slice(None) if operator.matrix else WITNESS_ROWS
    return Result(
        example,
        weights,
        kept=float((rows > 0).sum(axis=1).mean()),
        segments=_segments(rows),
        clusters=_clusters(rows),
        entropy=_entropy(rows),
        gap=float(np.max(operator.certify(scores, weights).gap)),
        distance=_distance(operator, scores[0, witnessed], weights[0, witnessed]),
        microseconds=_microseconds(operator, scores),
    )
