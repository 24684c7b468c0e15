"""Projection onto the l1 ball."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import NON_NEGATIVE, Parameter, parameter
from regmax._parametrised import Spread
from regmax.solvers import simplex as solver
from regmax.solvers._threads import run

from ._proximal import Proximal

__all__ = ["L1Ball", "l1_ball"]


@dataclass(frozen=True, eq=False)
class L1Ball(Proximal):
    r"""The nearest point of ``{sum |y_i| <= radius}``: x itself inside, soft thresholding outside.

    Parameters
    ----------
    radius : float or array that broadcasts against the batch
        What the magnitudes may sum to, >= 0; inf allowed.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule.

    Notes
    -----
    Source: Duchi, Shalev-Shwartz, Singer & Chandra, "Efficient projections onto the l1-ball", ICML 2008.
    """

    name = "prox.l1_ball"
    homogeneous = ("radius",)

    radius: Parameter = parameter(1.0, NON_NEGATIVE)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.l1_ball, (x, p["radius"]), out)

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        run(solver.l1_ball_jacobian, (y, v, live, p["radius"]), out)

    def _dual(
        self, y: NDArray[Any], r: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        top = np.abs(r).max(axis=1)
        # radius |u|_inf - <u, y>, in two parts that are each >= 0, so that nothing cancels.
        room = p["radius"] - np.abs(y).sum(axis=1)
        lost = np.abs(y) * (top[:, None] - np.sign(y) * r)
        return r, np.where(top == 0, 0.0, top * room) + lost.sum(axis=1)

    def _violation(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return np.maximum(super()._violation(y, live, p), np.abs(y).sum(axis=1) - p["radius"])

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        magnitude = np.where(x > -np.inf, np.abs(x), 0.0)
        outside = magnitude.sum(axis=1) > p["radius"]
        # At radius 0 the largest entries are about to appear.
        first = (p["radius"] == 0)[:, None] & (magnitude == magnitude.max(axis=1, keepdims=True))
        signs = np.where((y != 0) | first, np.sign(x), 0.0)
        support = np.maximum(np.sum(signs != 0, axis=1), 1)
        return {"radius": np.where(outside, np.sum(signs * v, axis=1) / support, 0.0)}

    def _constraints(self, y: Any, live: NDArray[Any], p: Spread) -> list[Any]:
        import cvxpy

        return [cvxpy.norm1(y) <= p["radius"][0]] if np.isfinite(p["radius"][0]) else []

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (cls(), cls(0.1), cls(0.7 * n), cls(np.inf), cls(0.0))


def l1_ball(
    x: ArrayLike,
    radius: Parameter = 1.0,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin |y - x|^2 / 2`` over ``{sum |y_i| <= radius}``: the Euclidean projection onto the l1 ball.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Points; n entries along ``axis``.
    radius : float or array_like that broadcasts against the batch, default 1.0
        What the magnitudes may sum to, >= 0, in the units of ``x``; inf allowed.
    axis : int, default -1
        The axis that holds the entries of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Points of the ball; NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule.

    Notes
    -----
    Source: Duchi, Shalev-Shwartz, Singer & Chandra 2008. See :class:`L1Ball` for Jacobian products and certificate.
    """
    return L1Ball(radius).prox(x, axis, where)
