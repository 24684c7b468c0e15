"""Softmax: Shannon entropy as regularizer; dense weights."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import POSITIVE, Parameter, parameter
from regmax._regularizer import Regularizer, Spread
from regmax.solvers import softmax as solver
from regmax.solvers._threads import run

from .negligible import fitted

__all__ = ["Softmax", "softmax"]


@dataclass(frozen=True, eq=False)
class Softmax(Regularizer):
    r"""``Omega(y) = sum y log y``: every score keeps some weight.

    Parameters
    ----------
    gamma : float or array that broadcasts against the batch
        Temperature, > 0.

    Raises
    ------
    ValueError, TypeError
        If gamma is not a positive number.

    Notes
    -----
    Source: Boltzmann; Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.
    """

    name = "softmax"
    witnesses = ("CLARABEL", "SCS")

    gamma: Parameter = parameter(1.0, POSITIVE)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.softmax, (x, p["gamma"]), out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.softmax_jacobian, (y, v, p["gamma"]), out)

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return np.sum(y * np.log(np.where(y > 0, y, 1.0)), axis=1)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        z = (x - x.max(axis=1, keepdims=True)) / p["gamma"][:, None]
        return fitted(lambda y: np.log(np.maximum(y, np.finfo(np.float64).smallest_subnormal)), z, y)

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        return -cvxpy.sum(cvxpy.entr(y[np.flatnonzero(live)]))

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (cls(), cls(gamma=0.3))


def softmax(x: ArrayLike, *, gamma: Parameter = 1.0, axis: int = -1, where: ArrayLike | None = None) -> NDArray[Any]:
    r"""``exp(x / gamma) / sum exp(x / gamma)``: dense weights.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
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
    Source: Bridle 1990. See :class:`Softmax` for max, loss, Jacobian and certificate.
    """
    return Softmax(gamma).argmax(x, axis, where)
