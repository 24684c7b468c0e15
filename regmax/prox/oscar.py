"""OSCAR: the prox of the l1 norm plus pairwise maxima of magnitudes."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import NON_NEGATIVE, Parameter, parameter
from regmax._parametrised import Spread
from regmax._problem import single
from regmax.solvers import owl as solver
from regmax.solvers._threads import run

from ._proximal import Proximal
from ._sorted_l1 import by_rank, dual_point, sorted_l1

__all__ = ["Oscar", "oscar"]


def _weights(live: NDArray[Any], p: Spread) -> NDArray[Any]:
    """``l1 + lam (m - k)`` for the k-th of m live entries, 0 beyond."""
    below = np.maximum(live.sum(axis=1)[:, None] - 1.0 - np.arange(live.shape[1]), -1.0)
    pairs = np.where(below > 0, p["lam"][:, None] * np.maximum(below, 1.0), 0.0)
    return np.where(below >= 0, p["l1"][:, None] + pairs, 0.0)


@dataclass(frozen=True, eq=False)
class Oscar(Proximal):
    r"""``g(y) = l1 sum_i |y_i| + lam sum_(i<j) max(|y_i|, |y_j|)``: shrinks, and fuses magnitudes into clusters.

    Parameters
    ----------
    l1 : float or array that broadcasts against the batch
        Strength of the shrinkage, >= 0; inf allowed.
    lam : float or array that broadcasts against the batch
        Strength of the clustering, >= 0; inf allowed.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule.

    Notes
    -----
    Source: Bondell & Reich, "Simultaneous regression shrinkage, variable selection, and supervised clustering of
    predictors with OSCAR", 2008.
    """

    name = "prox.oscar"
    homogeneous = ("l1", "lam")

    l1: Parameter = parameter(0.1, NON_NEGATIVE)
    lam: Parameter = parameter(0.01, NON_NEGATIVE)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.owl, (x, p["l1"], p["lam"], np.empty((1, 0), x.dtype)), out)

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        run(solver.owl_jacobian, (y, v, p["lam"], np.empty((1, 0), y.dtype)), out)

    def _dual(
        self, y: NDArray[Any], r: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        return dual_point(y, r, _weights(live, p))

    def _penalty(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return sorted_l1(y, _weights(live, p))

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        ranked = by_rank(y, jv)
        unit = {"l1": np.zeros(len(y)), "lam": np.ones(len(y))}
        return {"l1": -ranked.sum(axis=1), "lam": -np.sum(_weights(x > -np.inf, unit) * ranked, axis=1)}

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        strengths = {name: np.array([single(self, name)]) for name in ("l1", "lam")}
        return cvxpy.dotsort(cvxpy.abs(y), _weights(live[None], strengths)[0])

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (cls(), cls(0.0, 0.0), cls(0.0, 0.1), cls(0.5, 0.3), cls(0.2, 10.0))


def oscar(
    x: ArrayLike,
    l1: Parameter,
    lam: Parameter,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_y |y - x|^2 / 2 + l1 sum_i |y_i| + lam sum_(i<j) max(|y_i|, |y_j|)``: the prox of OSCAR.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Points; n entries along ``axis``.
    l1 : float or array_like that broadcasts against the batch
        Strength of the shrinkage, >= 0, in the units of ``x``; inf allowed.
    lam : float or array_like that broadcasts against the batch
        Strength of the clustering, >= 0, in the units of ``x``; inf allowed.
    axis : int, default -1
        The axis that holds the entries of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Points, with equal magnitudes on clusters; NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule.

    Notes
    -----
    Source: Bondell & Reich 2008; Zhong & Kwok 2012 for the algorithm.
    See :class:`Oscar` for Jacobian products and certificate.
    """
    return Oscar(l1, lam).prox(x, axis, where)
