"""SLOPE: the prox of the sorted l1 norm."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import SLOPE_WEIGHT, parameter
from regmax._parametrised import Spread
from regmax.solvers import owl as solver
from regmax.solvers._threads import run
from regmax.solvers.rows import FLOOR

from ._proximal import Proximal
from ._sorted_l1 import by_rank, dual_point, sorted_l1

__all__ = ["Slope", "slope"]


def _useful(weights: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """The weights, or where their sums could overflow the least that still give zeros.

    With ``w_1 >= sum |x|`` every prefix sum of weights exceeds that of the magnitudes, so the answer is 0.
    """
    n = x.shape[1]
    if not weights.max(initial=0) > np.finfo(x.dtype).max / (8.0 * n * n):
        return weights
    with np.errstate(over="ignore", invalid="ignore"):
        most = n * np.abs(np.where(x > FLOOR[x.dtype], x, 0)).max(axis=1)
        return np.ascontiguousarray(np.minimum(weights, np.where(np.isnan(most), 0, most)[:, None]), x.dtype)


@dataclass(frozen=True, eq=False)
class Slope(Proximal):
    r"""``g(y) = sum_k w_k |y|_(k)``, magnitudes sorted downwards: shrinks, and fuses magnitudes into clusters.

    Parameters
    ----------
    weights : array of shape (..., n)
        Sorted weights, finite, >= 0 and non-increasing. A row with m live entries uses the first m.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule or ``weights`` does not have n entries.

    Notes
    -----
    Source: Bogdan et al., "SLOPE - adaptive variable selection via convex optimization", 2015.
    """

    name = "prox.slope"
    homogeneous = ("weights",)

    weights: NDArray[Any] = parameter(None, SLOPE_WEIGHT, "rank")

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        rows = len(x)
        run(solver.owl, (x, np.zeros(rows, x.dtype), np.ones(rows, x.dtype), _useful(p["weights"], x)), out)

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        run(solver.owl_jacobian, (y, v, np.ones(len(y), y.dtype), p["weights"]), out)

    def _dual(
        self, y: NDArray[Any], r: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        return dual_point(y, r, p["weights"])

    def _penalty(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return sorted_l1(y, p["weights"])

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        return {"weights": -by_rank(y, jv)}

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        return cvxpy.dotsort(cvxpy.abs(y), self.weights.reshape(-1))

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        steps = np.repeat([1.0, 0.3, 0.0], n)[::3][:n]
        return (cls(np.linspace(1.0, 0.1, n)), cls(steps), cls(np.full(n, 0.2)), cls(np.arange(n, 0.0, -1.0)))


def slope(
    x: ArrayLike,
    weights: ArrayLike,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_y |y - x|^2 / 2 + sum_k w_k |y|_(k)``: the prox of the sorted l1 norm (SLOPE, ordered weighted l1).

    Parameters
    ----------
    x : array_like, shape (..., n)
        Points; n entries along ``axis``.
    weights : array_like, shape (..., n)
        Sorted weights, finite, >= 0 and non-increasing, in the units of ``x``; the first belongs to the largest
        magnitude. A row with m live entries uses the first m.
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
    Source: Bogdan et al. 2015; Zeng & Figueiredo 2014. See :class:`Slope` for Jacobian products and certificate.
    """
    return Slope(weights).prox(x, axis, where)  # type: ignore[arg-type]
