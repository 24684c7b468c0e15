"""Entmax: Tsallis entropies, from dense (alpha <= 1) over softmax to sparsemax and beyond."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import POSITIVE, Parameter, parameter
from regmax._problem import fraction
from regmax._regularizer import Regularizer, Spread
from regmax.solvers import entmax as solver
from regmax.solvers._threads import run

from .deformed_log import deformed_log, deformed_log_slope
from .negligible import fitted

__all__ = ["Entmax", "entmax"]


@dataclass(frozen=True, eq=False)
class Entmax(Regularizer):
    r"""``Omega(y) = sum (y^alpha - y) / (alpha (alpha - 1))``: sparse for alpha > 1, dense with heavy tails below.

    alpha = 1 is exactly softmax, alpha = 2 exactly sparsemax. alpha = 1 + 1/k for a whole k up to 8 needs
    multiplications only.

    Parameters
    ----------
    alpha : float or array that broadcasts against the batch
        Order of the entropy, > 0.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.

    Raises
    ------
    ValueError, TypeError
        If alpha or gamma is not a positive number.

    Notes
    -----
    Source: Peters, Niculae & Martins, "Sparse sequence-to-sequence models", ACL 2019.
    """

    name = "entmax"
    witnesses = ("CLARABEL", "SCS")

    alpha: Parameter = parameter(1.5, POSITIVE)
    gamma: Parameter = parameter(1.0, POSITIVE)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.entmax, (x, p["gamma"], p["alpha"]), out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        run(solver.entmax_jacobian, (y, v, p["gamma"], p["alpha"]), out)

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        e = p["alpha"][:, None] - 1.0
        terms = np.where(y > 0, y * deformed_log(y, e), 0.0)
        return terms.sum(axis=1) / p["alpha"]

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        e = p["alpha"][:, None] - 1.0
        return fitted(lambda y: deformed_log(y, e), (x - x.max(axis=1, keepdims=True)) / p["gamma"][:, None], y)

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        slope = deformed_log_slope(y, p["alpha"][:, None] - 1.0)
        return {"alpha": -p["gamma"] * np.sum(np.where(jv == 0, 0.0, jv * slope), axis=1)}

    def _distance(self, gap: NDArray[Any], n: int, p: Spread) -> NDArray[Any]:
        # Above 2 Omega is uniformly, not strongly, convex: |a|^alpha has modulus 1 / (2^(alpha-1) - 1).
        alpha = np.maximum(p["alpha"], 2.0)
        scaled = gap / (2 * p["gamma"]) * alpha * (alpha - 1) * (2 ** (alpha - 1) - 1)
        beyond = n ** (0.5 - 1 / alpha) * scaled ** (1 / alpha)
        return np.where(p["alpha"] <= 2, super()._distance(gap, n, p), beyond)

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        alpha = fraction(self, "alpha")
        y = y[np.flatnonzero(live)]  # below 1 the slope at a masked 0 is infinite
        if alpha == 1:
            return -cvxpy.sum(cvxpy.entr(y))
        return cvxpy.sum(cvxpy.power(y, alpha)) / (alpha * (alpha - 1)) - cvxpy.sum(y) / (alpha * (alpha - 1))

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (*map(cls, (0.5, 1.0, 1.2, 4 / 3, 1.5, 1.7, 2.0, 2.5, 4.0)), cls(1.5, gamma=0.4))


def entmax(
    x: ArrayLike,
    *,
    alpha: Parameter = 1.5,
    gamma: Parameter = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmax_y <x, y> - gamma sum (y^alpha - y) / (alpha (alpha - 1))`` on the simplex.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    alpha : float or array_like that broadcasts against the batch, default 1.5
        Order, > 0: 1 is softmax, 2 sparsemax; the larger, the sparser; below 1 dense.
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
    Source: Peters, Niculae & Martins 2019. See :class:`Entmax` for max, loss, Jacobian and certificate.
    """
    return Entmax(alpha, gamma).argmax(x, axis, where)
