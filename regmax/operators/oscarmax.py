"""Oscarmax: pairwise maxima (sorted weights) as regularizer; sparse weights, equal on clusters."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import NON_INCREASING, NON_NEGATIVE, POSITIVE, Parameter, parameter
from regmax._problem import single
from regmax._regularizer import Regularizer, Spread
from regmax._rows import as_rows
from regmax.solvers import owl as solver
from regmax.solvers._threads import run

from .quadratic import quadratic, quadratic_expression
from .sparsemax import sparsemax

__all__ = ["Oscarmax", "oscarmax", "oscarmax_published"]


def _by_rank(weights: NDArray[Any], live: NDArray[Any]) -> NDArray[Any]:
    """Weight of each sorted position, 0 beyond the live ones; default m - 1, ..., 0 for m live entries."""
    rank = np.arange(live.shape[1])
    count = live.sum(axis=1)[:, None]
    return np.where(rank < count, weights if weights.shape[1] else count - 1.0 - rank, 0.0)


@dataclass(frozen=True, eq=False)
class Oscarmax(Regularizer):
    r"""``Omega(y) = (|y|^2 - 1) / 2 + lam (sum_k w_k y_(k) - w_1)``, y sorted downwards: clusters share a weight.

    By default ``w = (n - 1, ..., 0)``, and the sum is ``sum_(i<j) max(y_i, y_j)``. Exact for every input, unlike the
    published composition (:func:`regmax.oscarmax_published`). The constants make Omega vanish at the vertices.

    Parameters
    ----------
    lam : float or array that broadcasts against the batch
        Strength of the clustering, >= 0; 0 is sparsemax, inf uniform over the row.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.
    weights : array of shape (..., n), optional
        Sorted weights, finite and non-increasing. A row with m live entries uses the first m.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule or ``weights`` does not have n entries.

    Notes
    -----
    Source: Niculae & Blondel 2017 for the operator; the exact algorithm is derived in docs/theory.md.
    """

    name = "oscarmax"

    lam: Parameter = parameter(0.01, NON_NEGATIVE)
    gamma: Parameter = parameter(1.0, POSITIVE)
    weights: NDArray[Any] | None = parameter(None, NON_INCREASING, "rank", optional=True)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.oscarmax, (x, p["gamma"], p["lam"], p["weights"]), out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.oscarmax_jacobian, (y, v, p["gamma"], p["lam"], p["weights"]), out)

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        weights = _by_rank(p["weights"], live)
        # Written in differences from the largest weight, so that lam = inf meets 0 exactly where w is constant.
        falling = np.where(weights != weights[:, :1], weights - weights[:, :1], 0.0)
        falling = np.where(np.arange(live.shape[1]) < live.sum(axis=1)[:, None], falling, 0.0)
        penalty = np.sum(falling * -np.sort(-y, axis=1), axis=1)
        return quadratic(y) + np.where(penalty == 0, 0.0, p["lam"] * penalty)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        out = np.empty_like(y)
        lam = np.minimum(p["lam"], 1e200)
        run(solver.oscarmax_subgradient, (x, y, p["gamma"], lam, p["weights"]), out)
        return out

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        order = np.argsort(-y, axis=1, kind="stable")
        ranked = np.take_along_axis(jv, order, axis=1) * p["gamma"][:, None]
        weights = _by_rank(p["weights"], x > -np.inf)
        slopes = {"lam": -np.sum(np.where(ranked == 0, 0.0, weights * ranked), axis=1)}
        if p["weights"].shape[1]:
            slopes["weights"] = -np.where(ranked == 0, 0.0, p["lam"][:, None] * ranked)
        return slopes

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        given = np.empty((1, 0)) if self.weights is None else self.weights.reshape(1, -1)
        weights = _by_rank(given, live[None])[0]
        weights = np.where(np.arange(live.size) < live.sum(), weights - weights[live.sum() - 1], 0.0)
        lam = single(self, "lam")
        return quadratic_expression(y) + lam * (cvxpy.dotsort(y, weights) - weights[0])

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        steps = np.repeat([2.0, 0.5, -1.0], n)[::3][:n]
        return (cls(), cls(0.0), cls(0.1, gamma=0.5), cls(0.3, weights=steps), cls(5.0))


def oscarmax(
    x: ArrayLike,
    *,
    lam: Parameter = 0.01,
    gamma: Parameter = 1.0,
    weights: ArrayLike | None = None,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmax_y <x, y> - gamma (|y|^2 / 2 + lam sum_(i<j) max(y_i, y_j))`` on the simplex: weights by clusters.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    lam : float or array_like that broadcasts against the batch, default 0.01
        Strength of the clustering, >= 0, inf allowed.
    gamma : float or array_like that broadcasts against the batch, default 1.0
        Strength of the regularizer, > 0, in the units of the scores.
    weights : array_like, shape (..., n), optional
        Sorted weights, non-increasing, in place of n - 1, ..., 0: the penalty becomes ``lam sum_k w_k y_(k)``.
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
    Exact. Source: Niculae & Blondel 2017; docs/theory.md. See :class:`Oscarmax` for max, loss, Jacobian, certificate.
    """
    return Oscarmax(lam, gamma, weights).argmax(x, axis, where)  # type: ignore[arg-type]


def oscarmax_published(
    x: ArrayLike,
    *,
    lam: Parameter = 0.01,
    gamma: Parameter = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``P_simplex(prox_{lam OSCAR}(x / gamma))`` as published: inexact, for comparison only.

    The prox with absolute values clips at zero before the projection, and the composition is not invariant to a shift
    of the scores: x = (1, .1, .1), lam = .3 gives (.6, .2, .2); best is (.6333, .1833, .1833).

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    lam : float or array_like that broadcasts against the batch, default 0.01
        Strength of the clustering, >= 0 and finite.
    gamma : float or array_like that broadcasts against the batch, default 1.0
        Strength of the regularizer, > 0, in the units of the scores.
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
    Source: Niculae & Blondel 2017, section 3.3. Use :func:`oscarmax`.
    """
    batch = as_rows("oscarmax_published", x, axis, where)
    p = Oscarmax(lam, gamma)._spread(batch)
    if not np.isfinite(p["lam"]).all():
        raise ValueError(f"oscarmax_published: lam must be finite, got {p['lam'].max()}")
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.where(batch.live, batch.data / p["gamma"][:, None], -np.inf)
    out = np.empty_like(scaled)
    run(solver.owl, (scaled, np.zeros_like(p["lam"]), p["lam"], p["weights"]), out)
    return batch.restore(sparsemax(out, where=batch.live))
