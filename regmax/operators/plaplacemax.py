"""Plaplacemax: the p-Laplacian of a chain or graph as regularizer; sparse weights, smooth along the edges."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax import _plaplacian as laplacian
from regmax._convergence import warn_unless_converged
from regmax._graph import OnGraph, edges_parameter, weights_parameter
from regmax._graph_tv import capacities, largest_throughput, outflow
from regmax._parameters import AT_LEAST_ONE, NON_NEGATIVE, POSITIVE, Parameter, parameter
from regmax._problem import fraction, single
from regmax._regularizer import Regularizer, Spread
from regmax.solvers import plaplacian as solver
from regmax.solvers import plaplacian_graph, simplex
from regmax.solvers._threads import run

from .quadratic import quadratic, quadratic_expression

__all__ = ["Plaplacemax", "plaplacemax"]

_CONVERGED = 1e-9


@dataclass(frozen=True, eq=False)
class Plaplacemax(OnGraph, Regularizer):
    r"""``Omega(y) = (|y|^2 - 1) / 2 + lam / p sum_e w_e |y_i - y_j|^p``: neighbours get similar weights.

    p = 2 smooths, large p bounds the steps, p near 1 makes few of them; p = 1 is total variation. Solved jointly with
    the simplex: projecting the smoothed scores would be wrong for p > 1. An edge with a masked end disappears.

    Parameters
    ----------
    p : float or array that broadcasts against the batch
        Exponent, >= 1.
    lam : float or array that broadcasts against the batch
        Strength of the smoothing, >= 0; 0 is sparsemax, inf one value per connected piece.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.
    edges : array of shape (m, 2), or symmetric scipy.sparse matrix, optional
        Pairs of vertices, or an adjacency matrix, whose entries are then the weights; default the chain.
    weights : array of shape (..., m), optional
        Edge weights, >= 0; default all ones.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule, or an edge is a loop, a repetition or out of range.

    Notes
    -----
    Where masks of -inf are given to ``argmax``, ``jacobian`` needs ``x`` or ``where``: an edge to a masked entry is
    none, one to an entry of weight 0 pulls. Source: docs/theory.md; Chan, Golub & Mulet 1999 for the linearisation.
    """

    name = "plaplacemax"
    sees_masks: ClassVar[bool] = True

    p: Parameter = parameter(1.5, AT_LEAST_ONE)
    lam: Parameter = parameter(0.1, NON_NEGATIVE)
    gamma: Parameter = parameter(1.0, POSITIVE)
    edges: NDArray[Any] | None = edges_parameter()
    weights: NDArray[Any] | None = weights_parameter()

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        left = self._solved(x, p, np.empty((len(x), 0)), out)
        warn_unless_converged(self.name, left[:, 0], _CONVERGED, f"{solver.CAP} steps")

    def _solved(self, x: NDArray[Any], p: Spread, flow: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Solve; what is left of the gap of each row, and its steps."""
        left = np.zeros((len(x), 2))
        inputs = (x, p["gamma"], p["p"], p["lam"], p["weights"])
        if self.edges is None:
            run(solver.plaplacemax, inputs, left, flow, out)
        else:
            run(plaplacian_graph.plaplacemax, (*inputs, p["edges"]), left, flow, out)
        return left

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        inputs = (y, v, p["live"], p["gamma"], p["p"], p["lam"], p["weights"])
        if self.edges is None:
            run(solver.plaplacemax_jacobian, inputs, out)
        else:
            run(plaplacian_graph.plaplacemax_jacobian, (*inputs, p["edges"]), out)

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return quadratic(y) + laplacian.energy(y, live, p)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        live = x != -np.inf
        scores = x - np.where(live.any(axis=1), x.max(axis=1), 0.0)[:, None]
        flow, _ = self._certified(scores, y, live, {**p, "rounding": np.array(np.finfo(float).eps)})
        return y + outflow(flow, y.shape[1], p)

    def _gap(self, scores: NDArray[Any], y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return p["gamma"] * self._certified(scores, y, live, p)[1]

    def _certified(
        self, scores: NDArray[Any], y: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Flows, and the gap of primal and dual objective that they show, whose minimum over the simplex is exact."""
        z = np.maximum(scores / p["gamma"][:, None], -1e300)

        def gap(flow: NDArray[Any]) -> NDArray[Any]:
            pulled = z - outflow(flow, y.shape[1], p)
            best = np.empty_like(y)
            run(simplex.sparsemax, (np.where(live, pulled, -np.inf), np.ones(len(y))), best)
            off = np.where(live, y - best, 0.0)
            quadratic_part = np.sum(off * (0.5 * off + np.where(off == 0, 0.0, best - pulled)), axis=1)
            return laplacian.slack(y, flow, live, p) + quadratic_part

        def solved() -> NDArray[Any]:
            flow = np.zeros((len(y), len(p["edges"])))
            self._solved(np.where(live, scores, -np.inf), p, flow, np.empty_like(y))
            return flow

        flow = laplacian.certifying_flow(_reachable(scores, live, p), y, live, p, 1, gap, solved)
        return flow, gap(flow)

    def _distance(self, gap: NDArray[Any], n: int, p: Spread) -> NDArray[Any]:
        return np.sqrt(2.0 * gap / p["gamma"])

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        return laplacian.energy_slopes(y, jv * p["gamma"][:, None], x != -np.inf, p)

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        _, _, p = self._wide(self._batch(np.where(live, 0.0, -np.inf)))
        energy = laplacian.energy_expression(y, live, p, fraction(self, "p"))
        return quadratic_expression(y) + single(self, "lam") * energy

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        star = np.stack([np.zeros(n - 1, np.int64), np.arange(1, n)], axis=1)
        weights = np.linspace(0.5, 2.0, n - 1) if n > 1 else None
        return (
            cls(),
            cls(2.0, 0.5, gamma=0.5),
            cls(4.0, 1.0, weights=weights),
            cls(1.0, 0.3),
            cls(1.25, 2.0),
            cls(3.0, 0.7, edges=star, weights=weights),
            cls(1.5, 0.2, edges=star),
        )

    @property
    def permutes(self) -> bool:
        return bool(np.all(np.asarray(self.lam) == 0))


def _reachable(scores: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
    """Scores of maximum 0 over gamma; raised to where they still make no difference, which keeps others' digits."""
    room = 1.0 + largest_throughput(capacities(live, p), scores.shape[1], p)
    with np.errstate(over="ignore"):
        return np.where(live, np.maximum(scores / p["gamma"][:, None], -4.0 * np.minimum(room, 1e300)[:, None]), 0.0)


def plaplacemax(
    x: ArrayLike,
    *,
    p: Parameter = 1.5,
    lam: Parameter = 0.1,
    gamma: Parameter = 1.0,
    edges: Any = None,
    weights: ArrayLike | None = None,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmax_y <x, y> - gamma (|y|^2 / 2 + lam / p sum_e w_e |y_i - y_j|^p)`` on the simplex: smooth along edges.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    p : float or array_like that broadcasts against the batch, default 1.5
        Exponent, >= 1; 1 is total variation, 2 the graph Laplacian.
    lam : float or array_like that broadcasts against the batch, default 0.1
        Strength of the smoothing, >= 0, inf allowed.
    gamma : float or array_like that broadcasts against the batch, default 1.0
        Strength of the regularizer, > 0, in the units of the scores.
    edges : array_like of int, shape (m, 2), or symmetric scipy.sparse matrix (n, n), optional
        The graph; default the chain. The entries of a matrix are the weights.
    weights : array_like, shape (..., m), optional
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
        One sentence, where a parameter, the graph, the axis or the mask breaks its rule.

    Notes
    -----
    A row that does not converge gets its best point and a ConvergenceWarning. Source: docs/theory.md. See
    :class:`Plaplacemax` for max, loss, Jacobian and certificate.
    """
    return Plaplacemax(p, lam, gamma, edges, weights).argmax(x, axis, where)  # type: ignore[arg-type]
