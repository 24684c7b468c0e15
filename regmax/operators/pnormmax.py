"""Pnormmax: the squared p-norm as regularizer; sparse weights."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import ABOVE_ONE, POSITIVE, Parameter, parameter
from regmax._problem import fraction
from regmax._regularizer import Regularizer, Spread
from regmax.solvers import pnorm as solver
from regmax.solvers._threads import run

from .negligible import fitted

__all__ = ["Pnormmax", "pnormmax"]


def norm(y: NDArray[Any], p: NDArray[Any]) -> NDArray[Any]:
    """``|y|_p`` of non-negative rows, one p per row."""
    top = np.maximum(y.max(axis=1), np.finfo(np.float64).tiny)
    return top * np.sum((y / top[:, None]) ** p[:, None], axis=1) ** (1 / p)


def log_slopes(y: NDArray[Any], p: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(N, d log N / d p, log y), N the p-norm of a row, the logarithm 0 where y is."""
    logs = np.log(np.where(y > 0, y, 1.0))
    size = np.maximum(norm(y, p), np.finfo(np.float64).tiny)
    powers = (y / size[:, None]) ** p[:, None]  # they sum to 1
    return size, ((powers * logs).sum(axis=1) - np.log(size)) / p, logs


@dataclass(frozen=True, eq=False)
class Pnormmax(Regularizer):
    r"""``Omega(y) = (|y|_p^2 - 1) / 2``: p = 2 is sparsemax; smaller p keeps more, larger p is more even.

    Parameters
    ----------
    p : float or array that broadcasts against the batch
        Exponent, > 1.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.

    Raises
    ------
    ValueError, TypeError
        If p is not above 1 or gamma is not positive.

    Notes
    -----
    Source: Niculae & Blondel, "A regularized framework for sparse and structured neural attention", NeurIPS 2017.
    """

    name = "pnormmax"
    witnesses = ("CLARABEL", "SCS")

    p: Parameter = parameter(1.5, ABOVE_ONE)
    gamma: Parameter = parameter(1.0, POSITIVE)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.pnormmax, (x, p["gamma"], p["p"]), out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.pnormmax_jacobian, (y, v, p["gamma"], p["p"]), out)

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return 0.5 * (norm(y, p["p"]) ** 2 - 1)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        size = np.maximum(norm(y, p["p"]), np.finfo(np.float64).tiny)[:, None]
        exponent = p["p"][:, None] - 1
        z = (x - x.max(axis=1, keepdims=True)) / p["gamma"][:, None]
        return fitted(lambda y: (y / size) ** exponent * size, z, y)

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        size, growth, logs = log_slopes(y, p["p"])
        gradient = self._gradient(x, y, p)
        change = gradient * (logs - np.log(size)[:, None] + ((2 - p["p"]) * growth)[:, None])
        return {"p": -p["gamma"] * np.sum(np.where(jv == 0, 0.0, jv * change), axis=1)}

    def _distance(self, gap: NDArray[Any], n: int, p: Spread) -> NDArray[Any]:
        # Strongly convex with modulus p - 1 in the p-norm, which exceeds the Euclidean one, for p <= 2.
        modulus = np.where(p["p"] <= 2, p["p"] - 1, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(modulus > 0, np.sqrt(gap / (p["gamma"] * modulus)), np.inf)

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        size = cvxpy.pnorm(y, fraction(self, "p"))
        return 0.5 * (cvxpy.square(size) - 1)

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (*map(cls, (1.1, 1.5, 2.0, 3.0)), cls(1.7, gamma=0.5))


def pnormmax(
    x: ArrayLike, *, p: Parameter = 1.5, gamma: Parameter = 1.0, axis: int = -1, where: ArrayLike | None = None
) -> NDArray[Any]:
    r"""``argmax_y <x, y> - gamma |y|_p^2 / 2`` on the simplex: sparse weights.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    p : float or array_like that broadcasts against the batch, default 1.5
        Exponent, > 1.
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
    Source: Niculae & Blondel 2017. See :class:`Pnormmax` for max, loss, Jacobian and certificate.
    """
    return Pnormmax(p, gamma).argmax(x, axis, where)
