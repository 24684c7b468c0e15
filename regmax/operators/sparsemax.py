"""Sparsemax: Euclidean projection onto the simplex; sparse weights."""

from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import ArrayLike, NDArray

from regmax._parameters import POSITIVE, Parameter, parameter
from regmax._regularizer import Regularizer, Spread
from regmax.solvers import simplex as solver
from regmax.solvers._threads import run

from .quadratic import quadratic, quadratic_expression

__all__ = ["Sparsemax", "sparsemax"]


@dataclass(frozen=True, eq=False)
class Sparsemax(Regularizer):
    r"""``Omega(y) = (|y|^2 - 1) / 2``: scores far enough below the best get exactly 0.

    Parameters
    ----------
    gamma : float or array that broadcasts against the batch
        Strength, > 0; the larger, the more weights survive.

    Raises
    ------
    ValueError, TypeError
        If gamma is not a positive number.

    Notes
    -----
    Source: Martins & Astudillo, "From softmax to sparsemax", ICML 2016.
    """

    name = "sparsemax"

    gamma: Parameter = parameter(1.0, POSITIVE)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.sparsemax, (x, p["gamma"]), out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.sparsemax_jacobian, (y, v, p["gamma"]), out)

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return quadratic(y)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        return y

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        return quadratic_expression(y)

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (cls(), cls(gamma=3.0))


def sparsemax(x: ArrayLike, *, gamma: Parameter = 1.0, axis: int = -1, where: ArrayLike | None = None) -> NDArray[Any]:
    r"""``argmin_y |y - x / gamma|^2`` on the simplex: sparse weights, by an exact threshold.

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
    Source: Martins & Astudillo 2016. See :class:`Sparsemax` for max, loss, Jacobian and certificate.
    """
    return Sparsemax(gamma).argmax(x, axis, where)
