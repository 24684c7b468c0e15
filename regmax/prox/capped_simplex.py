"""Projection onto the capped simplex."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._domain import CappedSimplex as Domain
from regmax._domain import room_for_one
from regmax._parameters import NON_NEGATIVE, POSITIVE, Parameter, parameter
from regmax._parametrised import Spread
from regmax._rows import Rows
from regmax.solvers import simplex as solver
from regmax.solvers._threads import run

from ._proximal import Proximal

__all__ = ["CappedSimplex", "capped_simplex"]


@dataclass(frozen=True, eq=False)
class CappedSimplex(Proximal):
    r"""The nearest point of ``{0 <= y <= upper, sum y = total}``: a simplex in which no entry exceeds its cap.

    Parameters
    ----------
    upper : float, or array that broadcasts against x
        Caps, >= 0.
    total : float or array that broadcasts against the batch
        What the entries sum to, > 0.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule, or the caps of a row that is not entirely masked sum to less than ``total``.

    Notes
    -----
    Source: Kiwiel, "Breakpoint searching algorithms for the continuous quadratic knapsack problem", 2008.
    """

    name = "prox.capped_simplex"
    homogeneous = ("upper", "total")

    upper: Parameter = parameter(1.0, NON_NEGATIVE, "item")
    total: Parameter = parameter(1.0, POSITIVE)

    def _prepare(self, batch: Rows, p: Spread) -> None:
        if not room_for_one(self.upper, self.total):
            Domain(p["upper"], p["total"]).require_room(self.name, batch.live)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.budgetmax, (x, np.ones_like(p["total"]), p["upper"], p["total"]), out)

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        run(solver.budgetmax_jacobian, (y, v, np.ones_like(p["total"]), p["upper"]), out)

    def _dual(
        self, y: NDArray[Any], r: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        return r, Domain(p["upper"], p["total"]).support(r, live) - np.sum(r * y, axis=1)

    def _violation(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return Domain(p["upper"], p["total"]).violation(y, live)

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        return Domain(p["upper"], p["total"]).slopes(y, v)

    def _constraints(self, y: Any, live: NDArray[Any], p: Spread) -> list[Any]:
        return Domain(p["upper"], p["total"]).constraints(y, live)

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (cls(), cls(2.0 / n), cls(0.75, 0.5 * n), cls(np.linspace(1.2, 3.0, n) / n))

    @property
    def permutes(self) -> bool:
        """Whether permuting x permutes y."""
        return not isinstance(self.upper, np.ndarray)


def capped_simplex(
    x: ArrayLike,
    upper: Parameter,
    total: Parameter = 1.0,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin |y - x|^2 / 2`` over ``{0 <= y <= upper, sum y = total}``: the projection onto the capped simplex.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Points; n entries along ``axis``.
    upper : float, or array_like that broadcasts against ``x``
        Caps, >= 0, in the units of ``x``.
    total : float or array_like that broadcasts against the batch, default 1.0
        What the entries sum to, > 0, in the units of ``x``.
    axis : int, default -1
        The axis that holds the entries of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Points of the set; zeros where a whole row is masked; NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule,
        or the caps of a row sum to less than ``total``.

    Notes
    -----
    Source: Kiwiel 2008. See :class:`CappedSimplex` for Jacobian products and certificate.
    """
    return CappedSimplex(upper, total).prox(x, axis, where)
