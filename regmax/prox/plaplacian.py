"""The p-Laplacian prox: a sequence, or the values of a graph's nodes, made smooth along the edges."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax import _plaplacian as laplacian
from regmax._convergence import warn_unless_converged
from regmax._graph import OnGraph, edges_parameter, weights_parameter
from regmax._graph_tv import outflow
from regmax._parameters import AT_LEAST_ONE, NON_NEGATIVE, Parameter, parameter
from regmax._parametrised import Spread
from regmax._problem import fraction, single
from regmax._rows import Rows, as_rows
from regmax.solvers import plaplacian as solver
from regmax.solvers import plaplacian_graph
from regmax.solvers._threads import run

from ._proximal import Proximal

__all__ = ["PLaplacian", "plaplacian"]

_CONVERGED = 1e-9


@dataclass(frozen=True, eq=False)
class PLaplacian(OnGraph, Proximal):
    r"""``g(y) = lam / p sum_e w_e |y_i - y_j|^p``, with two axes (nodes, features) by Euclidean norms.

    An edge with a masked end disappears; a node is masked if one of its features is.

    Parameters
    ----------
    p : float or array that broadcasts against the batch
        Exponent, >= 1; 1 is total variation, 2 one linear solve.
    lam : float or array that broadcasts against the batch
        Strength, >= 0; inf gives the mean of each connected piece.
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
    Source: docs/theory.md; Chan, Golub & Mulet 1999 for the linearisation.
    """

    name = "prox.plaplacian"

    p: Parameter = parameter(2.0, AT_LEAST_ONE)
    lam: Parameter = parameter(0.1, NON_NEGATIVE)
    edges: NDArray[Any] | None = edges_parameter()
    weights: NDArray[Any] | None = weights_parameter()

    def _batch(self, x: ArrayLike, axis: Any = -1, where: ArrayLike | None = None, name: str = "x") -> Rows:
        return as_rows(self.name, x, axis, where, name, pair=True)

    def _spread(self, batch: Rows) -> Spread:
        return {**super()._spread(batch), "nodes": np.array(batch.item_shape[0])}

    def _wide(self, batch: Rows) -> tuple[NDArray[Any], NDArray[Any], Spread]:
        x, live, p = super()._wide(batch)
        d = x.shape[1] // int(p["nodes"])
        whole = np.repeat(_nodes(live, p), d, axis=1)
        return np.where(whole, x, -np.inf), whole, p

    def _is_chain(self, x: NDArray[Any], p: Spread) -> bool:
        return self.edges is None and p["nodes"] == x.shape[1]

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        left = self._solved(x, p, np.empty((len(x), 0)), out)
        warn_unless_converged(self.name, left[:, 0], _CONVERGED, f"{solver.CAP} steps")

    def _solved(self, x: NDArray[Any], p: Spread, flow: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Solve; the last move of each row, relative to its range, and its steps."""
        left = np.zeros((len(x), 2))
        unit = np.broadcast_to(p.get("unit", 1.0), len(x))[:, None].astype(x.dtype)
        inputs = (x * unit, p["p"], p["lam"], p["weights"])
        if self._is_chain(x, p):
            run(solver.plaplacian, inputs, left, flow, out)
        else:
            run(plaplacian_graph.plaplacian, (*inputs, p["edges"], p["nodes"]), left, flow, out)
        for values in (flow, out):
            np.divide(values, unit, out=values)
        return left

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        inputs = (y, v, live, p["p"], p["lam"], p["weights"])
        if self._is_chain(y, p):
            run(solver.plaplacian_jacobian, inputs, out)
        else:
            run(plaplacian_graph.plaplacian_jacobian, (*inputs, p["edges"], p["nodes"]), out)

    def _dual(
        self, y: NDArray[Any], r: NDArray[Any], live: NDArray[Any], p: Spread
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        d, nodes = _features(y, p), _nodes(live, p)
        values, left = _by_feature(y, p), _by_feature(r, p)

        def gap(flow: NDArray[Any]) -> NDArray[Any]:
            missing = (left - outflow(flow, nodes.shape[1], p)).reshape(y.shape)
            return 0.5 * np.sum(missing**2, axis=1) + laplacian.slack(values, flow, nodes, p, d)

        def solved() -> NDArray[Any]:
            flow = np.zeros((len(y), d * len(p["edges"])))
            self._solved(np.where(live, y + r, -np.inf), p, flow, np.empty_like(y))
            return flow.reshape(len(y) * d, len(p["edges"]))

        flow = laplacian.certifying_flow(values + left, values, nodes, p, d, gap, solved)
        taken = outflow(flow, nodes.shape[1], p).reshape(len(y), d, nodes.shape[1])
        return taken.transpose(0, 2, 1).reshape(y.shape), laplacian.slack(values, flow, nodes, p, d)

    def _penalty(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return laplacian.energy(_by_feature(y, p), _nodes(live, p), p, _features(y, p))

    def _in_units(self, p: Spread, unit: NDArray[Any]) -> Spread:
        return {**p, "unit": unit}  # lam in other units may be beyond all numbers

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        nodes, d = _nodes(x != -np.inf, p), _features(y, p)
        return laplacian.energy_slopes(_by_feature(y, p), _by_feature(jv, p), nodes, p, d)

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        _, _, p = self._wide(self._batch(np.where(live, 0.0, -np.inf)))
        return single(self, "lam") * laplacian.energy_expression(y, live, p, fraction(self, "p"))

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        star = np.stack([np.zeros(n - 1, np.int64), np.arange(1, n)], axis=1)
        weights = np.linspace(0.5, 2.0, n - 1) if n > 1 else None
        return (
            cls(),
            cls(1.5, 0.5),
            cls(4.0, 1.0, weights=weights),
            cls(1.0, 0.3),
            cls(1.25, 10.0),
            cls(3.0, 0.7, star, weights),
            cls(1.5, 0.2, star),
        )

    @property
    def permutes(self) -> bool:
        """Whether permuting x permutes y."""
        return bool(np.all(np.asarray(self.lam) == 0))


def _features(rows: NDArray[Any], p: Spread) -> int:
    return int(rows.shape[1] // p["nodes"])


def _by_feature(rows: NDArray[Any], p: Spread) -> NDArray[Any]:
    """Rows of flattened (nodes, features) as one row of nodes per feature."""
    folded = rows.reshape(len(rows), int(p["nodes"]), _features(rows, p))
    return np.ascontiguousarray(folded.transpose(0, 2, 1)).reshape(len(rows) * _features(rows, p), int(p["nodes"]))


def _nodes(live: NDArray[Any], p: Spread) -> NDArray[Any]:
    """Which nodes take part."""
    return np.asarray(live.reshape(len(live), int(p["nodes"]), _features(live, p)).all(axis=2))


def plaplacian(
    x: ArrayLike,
    p: Parameter,
    lam: Parameter,
    edges: Any = None,
    weights: ArrayLike | None = None,
    *,
    axis: int | tuple[int, int] = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_y |y - x|^2 / 2 + lam / p sum_e w_e |y_i - y_j|^p``: smoothing along a chain or graph.

    Parameters
    ----------
    x : array_like, shape (..., n) or (..., n, d)
        Values of n nodes, numbers along one ``axis`` or vectors along two.
    p : float or array_like that broadcasts against the batch
        Exponent, >= 1; 1 is total variation, 2 the graph Laplacian.
    lam : float or array_like that broadcasts against the batch
        Strength, >= 0, in the units of ``x`` to the power 2 - p; inf gives the mean.
    edges : array_like of int, shape (m, 2), or symmetric scipy.sparse matrix (n, n), optional
        The graph; default the chain. The entries of a matrix are the weights.
    weights : array_like, shape (..., m), optional
        Edge weights, >= 0; default all ones.
    axis : int or pair of ints, default -1
        The axis that holds the nodes of one problem, or the axes of nodes and features.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Smoothed values; NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the graph, the axis or the mask breaks its rule.

    Notes
    -----
    A row that does not converge gets its best point and a ConvergenceWarning. Source: docs/theory.md. See
    :class:`PLaplacian` for Jacobian products and certificate.
    """
    return PLaplacian(p, lam, edges, weights).prox(x, axis, where)  # type: ignore[arg-type]
