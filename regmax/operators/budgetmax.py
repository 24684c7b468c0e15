"""Budgetmax: Euclidean projection onto the capped simplex; sparse weights with a limit on each."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._domain import CappedSimplex, room_for_one
from regmax._parameters import NON_NEGATIVE, POSITIVE, Parameter, parameter
from regmax._regularizer import Regularizer, Spread
from regmax._rows import Rows
from regmax.solvers import simplex as solver
from regmax.solvers._threads import run

from .quadratic import quadratic, quadratic_expression

__all__ = ["Budgetmax", "budgetmax"]


@dataclass(frozen=True, eq=False)
class Budgetmax(Regularizer):
    r"""``Omega(y) = (|y|^2 - 1) / 2`` on ``{0 <= y <= upper, sum y = total}``: no entry takes more than its cap.

    Parameters
    ----------
    upper : float, or array that broadcasts against the scores
        Caps, >= 0.
    total : float or array that broadcasts against the batch
        What the weights sum to, > 0.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule, or the caps of a row that is not entirely masked sum to less than ``total``.

    Notes
    -----
    Source: Malaviya, Ferreira & Martins, "Sparse and constrained attention", ACL 2018; Kiwiel, "Breakpoint searching
    algorithms for the continuous quadratic knapsack problem", 2008.
    """

    name = "budgetmax"

    upper: Parameter = parameter(1.0, NON_NEGATIVE, "item")
    total: Parameter = parameter(1.0, POSITIVE)
    gamma: Parameter = parameter(1.0, POSITIVE)

    def _prepare(self, batch: Rows, p: Spread) -> None:
        if not room_for_one(self.upper, self.total):
            self._domain(p).require_room(self.name, batch.live)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.budgetmax, (x, p["gamma"], p["upper"], p["total"]), out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.budgetmax_jacobian, (y, v, p["gamma"], p["upper"]), out)

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return quadratic(y)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        return y

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        return self._domain(p).slopes(y, v)

    def _domain(self, p: Spread) -> CappedSimplex:
        return CappedSimplex(p["upper"], p["total"])

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        return quadratic_expression(y)

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        steps = np.linspace(1.2, 3.0, n) / n
        return (cls(), cls(2.0 / n), cls(0.75, total=0.5 * n), cls(steps, gamma=0.5))

    @property
    def permutes(self) -> bool:
        return not isinstance(self.upper, np.ndarray)


def budgetmax(
    x: ArrayLike,
    *,
    upper: Parameter = 1.0,
    total: Parameter = 1.0,
    gamma: Parameter = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``clip(x / gamma - tau, 0, upper)`` with tau such that the weights sum to ``total``.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    upper : float, or array_like that broadcasts against ``x``, default 1.0
        Caps, >= 0.
    total : float or array_like that broadcasts against the batch, default 1.0
        What the weights sum to, > 0.
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
    Source: Malaviya, Ferreira & Martins 2018. See :class:`Budgetmax` for max, loss, Jacobian and certificate.
    """
    return Budgetmax(upper, total, gamma).argmax(x, axis, where)
