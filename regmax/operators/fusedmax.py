"""Fusedmax: total variation as regularizer; sparse weights, constant on segments."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._chain import edge_weights, jump_slopes
from regmax._parameters import EDGE_WEIGHT, NON_NEGATIVE, POSITIVE, Parameter, parameter
from regmax._problem import single
from regmax._regularizer import Regularizer, Spread
from regmax.solvers import tv as solver
from regmax.solvers._threads import run

from .quadratic import quadratic, quadratic_expression

__all__ = ["Fusedmax", "fusedmax"]


@dataclass(frozen=True, eq=False)
class Fusedmax(Regularizer):
    r"""``Omega(y) = (|y|^2 - 1) / 2 + lam sum_i w_i |y_{i+1} - y_i|``: neighbours share one weight.

    An edge with a masked end disappears; neighbours are neighbours in position.

    Parameters
    ----------
    lam : float or array that broadcasts against the batch
        Strength of the fusion, >= 0; 0 is sparsemax, inf one value per connected piece.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.
    weights : array of shape (..., n - 1), optional
        Edge weights, >= 0; default all ones. A weight of 0 separates.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule or ``weights`` does not have n - 1 entries.

    Notes
    -----
    Source: Niculae & Blondel, "A regularized framework for sparse and structured neural attention", NeurIPS 2017.
    """

    name = "fusedmax"

    lam: Parameter = parameter(0.1, NON_NEGATIVE)
    gamma: Parameter = parameter(1.0, POSITIVE)
    weights: NDArray[Any] | None = parameter(None, EDGE_WEIGHT, "edge", optional=True)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.fusedmax, (x, p["gamma"], p["lam"], p["weights"]), out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.fusedmax_jacobian, (y, v, p["gamma"], p["lam"], p["weights"]), out)

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        variation = np.sum(edge_weights(p["weights"], live) * np.abs(np.diff(y, axis=1)), axis=1)
        return quadratic(y) + np.where(variation == 0, 0.0, p["lam"] * variation)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        out = np.empty_like(y)
        run(solver.fusedmax_subgradient, (x, y, p["gamma"], p["lam"], p["weights"]), out)
        return out

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        return jump_slopes(y, jv * p["gamma"][:, None], x != -np.inf, p)

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        if live.size == 1:
            return quadratic_expression(y)
        weights = np.ones((1, live.size - 1)) if self.weights is None else self.weights.reshape(1, -1)
        edges = edge_weights(weights, live[None])[0]
        return quadratic_expression(y) + single(self, "lam") * (edges @ cvxpy.abs(cvxpy.diff(y)))

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        weights = np.linspace(0.0, 2.0, n - 1) if n > 1 else None
        return (cls(), cls(0.0), cls(0.5, gamma=0.5), cls(0.3, weights=weights), cls(5.0))

    @property
    def permutes(self) -> bool:
        return bool(np.all(np.asarray(self.lam) == 0))


def fusedmax(
    x: ArrayLike,
    *,
    lam: Parameter = 0.1,
    gamma: Parameter = 1.0,
    weights: ArrayLike | None = None,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmax_y <x, y> - gamma (|y|^2 / 2 + lam sum_i w_i |y_{i+1} - y_i|)`` on the simplex: weights by segments.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    lam : float or array_like that broadcasts against the batch, default 0.1
        Strength of the fusion, >= 0, inf allowed.
    gamma : float or array_like that broadcasts against the batch, default 1.0
        Strength of the regularizer, > 0, in the units of the scores.
    weights : array_like, shape (..., n - 1), optional
        Edge weights, >= 0; default all ones.
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
    Source: Niculae & Blondel 2017. See :class:`Fusedmax` for max, loss, Jacobian and certificate.
    """
    return Fusedmax(lam, gamma, weights).argmax(x, axis, where)  # type: ignore[arg-type]
