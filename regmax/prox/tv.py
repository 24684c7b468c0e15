"""Total variation denoising of a sequence: the fused lasso prox."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._chain import edge_weights, jump_slopes
from regmax._parameters import EDGE_WEIGHT, NON_NEGATIVE, Parameter, parameter
from regmax._parametrised import Spread
from regmax._problem import single
from regmax.solvers import tv as solver
from regmax.solvers._threads import run

from ._proximal import Proximal

__all__ = ["TV", "tv"]


@dataclass(frozen=True, eq=False)
class TV(Proximal):
    r"""``g(y) = lam sum_i w_i |y_{i+1} - y_i|``: the answer is constant on segments.

    An edge with a masked end disappears; neighbours are neighbours in position.

    Parameters
    ----------
    lam : float or array that broadcasts against the batch
        Strength, >= 0; inf gives the mean of each connected piece.
    weights : array of shape (..., n - 1), optional
        Edge weights, >= 0; default all ones. A weight of 0 separates.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule or ``weights`` does not have n - 1 entries.

    Notes
    -----
    Source: Davies & Kovac, "Local extremes, runs, strings and multiresolution", 2001; linear time on every input.
    """

    name = "prox.tv"
    homogeneous = ("lam",)

    lam: Parameter = parameter(0.1, NON_NEGATIVE)
    weights: NDArray[Any] | None = parameter(None, EDGE_WEIGHT, "edge", optional=True)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.tv, (x, p["lam"], p["weights"]), out)

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        run(solver.tv_jacobian, (y, v, live, p["lam"], p["weights"]), out)

    def _dual(
        self, y: NDArray[Any], r: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        edges = edge_weights(p["weights"], live)
        capacity = np.where(edges > 0, p["lam"][:, None] * edges, 0.0)
        # The flow on edge k is all that the entries before it have too much; a jump lets through what the edge can.
        flow = np.clip(np.cumsum(r, axis=1)[:, :-1], -capacity, capacity)
        jump = np.diff(y, axis=1)
        slack = np.where(jump == 0, 0.0, capacity * np.abs(jump) + flow * jump).sum(axis=1)
        return np.diff(flow, axis=1, prepend=0.0, append=0.0), slack

    def _penalty(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        variation = np.sum(edge_weights(p["weights"], live) * np.abs(np.diff(y, axis=1)), axis=1)
        return np.where(variation == 0, 0.0, p["lam"] * variation)

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        return jump_slopes(y, jv, x > -np.inf, p)

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        if live.size == 1:
            return 0.0
        weights = np.ones((1, live.size - 1)) if self.weights is None else self.weights.reshape(1, -1)
        return single(self, "lam") * (edge_weights(weights, live[None])[0] @ cvxpy.abs(cvxpy.diff(y)))

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        weights = np.linspace(0.0, 2.0, n - 1) if n > 1 else None
        return (cls(), cls(0.0), cls(1.0), cls(0.3, weights), cls(10.0))

    @property
    def permutes(self) -> bool:
        """Whether permuting x permutes y."""
        return bool(np.all(np.asarray(self.lam) == 0))


def tv(
    x: ArrayLike,
    lam: Parameter,
    weights: ArrayLike | None = None,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_y |y - x|^2 / 2 + lam sum_i w_i |y_{i+1} - y_i|``: total variation denoising, exact, in linear time.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Sequences; n entries along ``axis``.
    lam : float or array_like that broadcasts against the batch
        Strength, >= 0, in the units of ``x``; inf gives the mean.
    weights : array_like, shape (..., n - 1), optional
        Edge weights, >= 0; default all ones.
    axis : int, default -1
        The axis that holds the entries of one problem.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Sequences, constant on segments; NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule.

    Notes
    -----
    Source: Davies & Kovac 2001. See :class:`TV` for Jacobian products and certificate.
    """
    return TV(lam, weights).prox(x, axis, where)  # type: ignore[arg-type]
