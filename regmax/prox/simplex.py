"""Projection onto the simplex of any radius."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._domain import CappedSimplex as Domain
from regmax._parameters import POSITIVE, Parameter, parameter
from regmax._parametrised import Spread
from regmax.solvers import simplex as solver
from regmax.solvers._threads import run

from ._proximal import Proximal

__all__ = ["Simplex", "simplex"]


def _domain(p: Spread) -> Domain:
    return Domain(np.full((1, 1), np.inf), p["radius"])


@dataclass(frozen=True, eq=False)
class Simplex(Proximal):
    r"""The nearest point of ``{y >= 0, sum y = radius}``: far entries become 0, the others lose the same.

    Parameters
    ----------
    radius : float or array that broadcasts against the batch
        What the entries sum to, > 0.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule.

    Notes
    -----
    Source: Held, Wolfe & Crowder, "Validation of subgradient optimization", 1974.
    """

    name = "prox.simplex"
    homogeneous = ("radius",)

    radius: Parameter = parameter(1.0, POSITIVE)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.sparsemax, (x, np.maximum(p["radius"], np.finfo(x.dtype).tiny)), out)
        out *= p["radius"][:, None]

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        run(solver.sparsemax_jacobian, (y, v, np.ones_like(p["radius"])), out)

    def _dual(
        self, y: NDArray[Any], r: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        top = np.where(live, r, -np.inf).max(axis=1)
        lost = np.where(live, np.where(live.any(axis=1), top, 0.0)[:, None] - r, 0.0)
        return r, np.sum(lost * y, axis=1)

    def _violation(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return _domain(p).violation(y, live)

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        support = y > 0
        return {"radius": np.sum(np.where(support, v, 0.0), axis=1) / np.maximum(support.sum(axis=1), 1)}

    def _constraints(self, y: Any, live: NDArray[Any], p: Spread) -> list[Any]:
        return [y >= 0, y.sum() == p["radius"][0]]

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (cls(), cls(0.1), cls(1.5 * n))


def simplex(
    x: ArrayLike,
    radius: Parameter = 1.0,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin |y - x|^2 / 2`` over ``{y >= 0, sum y = radius}``: the Euclidean projection onto the simplex.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Points; n entries along ``axis``.
    radius : float or array_like that broadcasts against the batch, default 1.0
        What the entries sum to, > 0, in the units of ``x``.
    axis : int, default -1
        The axis that holds the entries of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Points of the simplex; zeros where a whole row is masked; NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule.

    Notes
    -----
    Source: Held, Wolfe & Crowder 1974; Michelot 1986 for the algorithm.
    See :class:`Simplex` for Jacobian products and certificate.
    """
    return Simplex(radius).prox(x, axis, where)
