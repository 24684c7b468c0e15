"""Isotonic regression: the nearest monotone sequence."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import FLAG, POSITIVE, Parameter, parameter
from regmax._parametrised import Spread
from regmax.solvers import isotonic as solver
from regmax.solvers._threads import run

from ._proximal import Proximal, power_of_two_above

__all__ = ["Isotonic", "isotonic"]


@dataclass(frozen=True, eq=False)
class Isotonic(Proximal):
    r"""``argmin_y sum w_i (y_i - x_i)^2 / 2`` over non-decreasing (or non-increasing) y.

    The order passes over masked entries. With weights the Jacobian is not symmetric.

    Parameters
    ----------
    weights : array that broadcasts against x, optional
        Weights of the squares, > 0 and finite; default all ones.
    increasing : bool
        False asks for a non-increasing sequence.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule.

    Notes
    -----
    Source: Best & Chakravarti, "Active set algorithms for isotonic regression", 1990.
    """

    name = "prox.isotonic"
    witnesses = ("CLARABEL", "SCS")

    weights: Parameter | None = parameter(None, POSITIVE, "item", optional=True)
    increasing: bool = parameter(True, FLAG)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        p, _ = self._balanced(p)
        run(solver.isotonic, (x, p["weights"], p["increasing"]), out)

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        p, _ = self._balanced(p)
        run(solver.isotonic_jacobian, (y, v, live, p["weights"], np.full(len(y), transposed)), out)

    def _balanced(self, p: Spread) -> tuple[Spread, NDArray[Any]]:
        weights = p["weights"]
        if not weights.shape[1]:
            return super()._balanced(p)
        # Products of weights and differences must not leave the range of floats; a common factor changes nothing.
        unit = power_of_two_above(weights.max(axis=1).astype(np.float64))
        light = np.maximum(weights / unit[:, None], np.finfo(weights.dtype).tiny).astype(weights.dtype)
        return {**p, "weights": light}, unit

    def _metric(self, p: Spread) -> NDArray[Any]:
        return p["weights"] if p["weights"].shape[1] else np.ones((1, 1))

    def _dual(
        self, y: NDArray[Any], r: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        sign = 1.0 if self.increasing else -1.0
        # The multiplier of each constraint is all that the entries before it have too much.
        multiplier = np.maximum(np.cumsum(sign * r, axis=1)[:, :-1], 0.0)
        followed = np.cumsum(live[:, ::-1], axis=1)[:, ::-1][:, 1:] > 0
        multiplier = np.where(followed, multiplier, 0.0)
        u = sign * np.diff(multiplier, axis=1, prepend=0.0, append=0.0)
        return u, -np.sum(u * y, axis=1)

    def _violation(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        sign = 1.0 if self.increasing else -1.0
        highest = np.maximum.accumulate(np.where(live, sign * y, -np.inf), axis=1)
        drop = np.where(live, highest - sign * y, 0.0).max(axis=1)
        return np.maximum(super()._violation(y, live, p), drop)

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        if not p["weights"].shape[1]:
            return {}
        # J^T v = w times the mean of v over the run; its share of one more unit of weight is what x has above y.
        return {"weights": np.where(x > -np.inf, jv / p["weights"] * (x - y), 0.0)}

    def _constraints(self, y: Any, live: NDArray[Any], p: Spread) -> list[Any]:
        import cvxpy

        ordered = y[live]
        if ordered.size < 2:
            return []
        return [cvxpy.diff(ordered) >= 0] if self.increasing else [cvxpy.diff(ordered) <= 0]

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (cls(), cls(increasing=False), cls(np.linspace(0.5, 2.0, n)), cls(np.linspace(3.0, 0.1, n), False))

    @property
    def permutes(self) -> bool:
        """Whether permuting x permutes y."""
        return False


def isotonic(
    x: ArrayLike,
    weights: ArrayLike | None = None,
    increasing: bool = True,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_y sum w_i (y_i - x_i)^2 / 2`` over ``y_1 <= y_2 <= ...``: isotonic regression.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Sequences; n entries along ``axis``.
    weights : array_like that broadcasts against ``x``, optional
        Weights of the squares, > 0 and finite; default all ones.
    increasing : bool, default True
        False asks for a non-increasing sequence.
    axis : int, default -1
        The axis that holds the entries of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Monotone sequences; the order passes over masked entries; NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule.

    Notes
    -----
    Source: Best & Chakravarti 1990. See :class:`Isotonic` for Jacobian products and certificate.
    """
    return Isotonic(weights, increasing).prox(x, axis, where)  # type: ignore[arg-type]
