"""Topkmax: sparsemax at the temperature that leaves exactly k weights."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import COUNT, Parameter, parameter
from regmax._regularizer import Regularizer, Spread
from regmax._rows import Rows
from regmax.solvers import simplex as solver
from regmax.solvers._threads import run
from regmax.solvers.rows import FLOOR

from .quadratic import quadratic, quadratic_expression

__all__ = ["Topkmax", "topkmax"]


def _share(chosen: NDArray[Any]) -> NDArray[Any]:
    """One, split evenly over the chosen entries of each row."""
    return chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1)


def _temperature_gradient(x: NDArray[Any], kept: NDArray[Any]) -> NDArray[Any]:
    """Gradient of T in the scores; among equal scores at either edge of the gap it is split evenly."""
    rest = ~kept & (x > FLOOR[x.dtype])
    edge = np.where(kept, x, np.inf).min(axis=1, keepdims=True)
    following = np.where(rest, x, -np.inf).max(axis=1, keepdims=True)
    m = kept.sum(axis=1, keepdims=True)
    at_edge, at_following = _share(kept & (x == edge)), _share(rest & (x == following))
    between = kept - m / 2 * (at_edge + at_following)
    alone = 2 * (kept - m * at_edge)
    return np.where(rest.any(axis=1, keepdims=True), between, alone).astype(x.dtype)


@dataclass(frozen=True, eq=False)
class Topkmax(Regularizer):
    r"""``Omega(y) = (|y|^2 - 1) / 2`` with a temperature T(x) in place of gamma: k weights are positive.

    With ``a_j = sum of (x_(i) - x_(j)) over i <= j`` and scores sorted from the largest, sparsemax(x / T) keeps exactly
    k weights for ``a_k < T <= a_(k+1)``; T is the middle, and ``2 a_k`` where k entries are all there are. Scores
    equal to the k-th are kept with it. Derivatives take the kept entries for constant; scores equal to the last kept,
    and those equal to the first dropped, share its part in T evenly, and where all scores are equal T is 1. The map
    ignores the scale of the scores and is not a gradient: its Jacobian is not symmetric, ``jacobian`` and ``vjp``
    differ and need ``x``, and the Fenchel-Young loss holds T fixed.

    Parameters
    ----------
    k : int or integer array that broadcasts against the batch
        How many weights to keep, from 1 to n; in a row with fewer live entries, all of them.

    Raises
    ------
    ValueError, TypeError
        If k is not an integer from 1 to n.

    Notes
    -----
    Source: the interval of T is derived in docs/theory.md; sparsemax is Martins & Astudillo 2016.
    """

    name = "topkmax"
    is_gradient = False

    k: Parameter = parameter(1, COUNT)

    def _prepare(self, batch: Rows, p: Spread) -> None:
        n = batch.data.shape[1]
        if p["k"].size and p["k"].max() > n:
            raise ValueError(f"topkmax: k must be at most the {n} entries of a row, got {p['k'].max()}")

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        p["temperature"] = np.empty(len(x), x.dtype)
        run(solver.topkmax, (x, p["k"]), p["temperature"], out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        # J = P / T - (y - 1/m on the support) grad(T)^T / T, P the centring projection of the m kept entries.
        kept = y > 0
        m = np.maximum(kept.sum(axis=1, keepdims=True), 1)
        even = np.where(kept, 1 / m, 0).astype(y.dtype)
        held = np.where(kept, v, 0)
        change = held - even * held.sum(axis=1, keepdims=True)
        slope = _temperature_gradient(p["x"], kept)
        left, right = (slope, y - even) if p["transposed"] else (y - even, slope)
        out[:] = (change - left * np.sum(right * v, axis=1, keepdims=True)) / p["temperature"][:, None]

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return quadratic(y)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        return y

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        return quadratic_expression(y)

    def _fit(self, batch: Rows) -> Spread:
        p = self._spread(batch)
        self._prepare(batch, p)
        self._solve(batch.data, p, np.empty_like(batch.data))
        return p

    def _strength(self, p: Spread) -> NDArray[Any]:
        return p["temperature"]

    def temperature(self, x: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Any:
        """T(x) per row; 1 where everything is masked, or all that is not masked is equal."""
        batch = self._batch(x, axis, where)
        return batch.restore_scalars(self._weights(batch)[1]["temperature"])

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return tuple(cls(k) for k in sorted({1, min(2, n), (n + 1) // 2, n}))


def topkmax(x: ArrayLike, *, k: Parameter = 1, axis: int = -1, where: ArrayLike | None = None) -> NDArray[Any]:
    r"""``argmin_y |y - x / T|^2`` on the simplex with T such that exactly k weights are positive.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    k : int or integer array_like that broadcasts against the batch, default 1
        How many weights to keep, from 1 to n; scores equal to the k-th are kept with it.
    axis : int, default -1
        The axis that holds the scores of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get weight 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Weights; zeros where a whole row is masked, NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule.

    Notes
    -----
    Source: docs/theory.md. See :class:`Topkmax` for the temperature, Jacobian and certificate.
    """
    return Topkmax(k).argmax(x, axis, where)
