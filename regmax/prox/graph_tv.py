"""Total variation denoising on a graph: the graph fused lasso prox."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._graph import OnGraph, edges_parameter, sample_graphs, weights_parameter
from regmax._parameters import NON_NEGATIVE, Parameter, parameter

from ._graph_variation import GraphVariation

__all__ = ["GraphTV", "graph_tv"]


@dataclass(frozen=True, eq=False)
class GraphTV(OnGraph, GraphVariation):
    r"""``g(y) = lam sum_e w_e |y_i - y_j|`` over the edges of a graph: the answer is constant on connected groups.

    An edge with a masked end disappears.

    Parameters
    ----------
    edges : array of int, shape (m, 2), or scipy.sparse adjacency matrix
        Pairs of positions along the axis, each once; or a symmetric matrix, whose entries then are the weights. None
        joins neighbours in position.
    lam : float or array that broadcasts against the batch
        Strength, >= 0; inf gives the mean of each connected part.
    weights : array of shape (..., m), optional
        Edge weights, >= 0; default all ones. A weight of 0 separates.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule, or an edge joins what is not there.

    Notes
    -----
    Finite and exact. Source: Hochbaum, "An efficient algorithm for image segmentation, Markov random fields and
    related problems", 2001.
    """

    name = "prox.graph_tv"

    edges: NDArray[Any] | None = edges_parameter()
    lam: Parameter = parameter(0.1, NON_NEGATIVE)
    weights: NDArray[Any] | None = weights_parameter()

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        chorded, star, apart = sample_graphs(n)
        shares = np.arange(len(chorded)) % 4 * 0.5
        return (
            cls(chorded),
            cls(chorded, 0.0),
            cls(chorded, 0.3, shares),
            cls(chorded, 10.0),
            cls(star, 0.4),
            cls(apart, 1.0),
            cls(chorded[:0], 1.0),
        )


def graph_tv(
    x: ArrayLike,
    edges: ArrayLike | Any,
    lam: Parameter,
    weights: ArrayLike | None = None,
    *,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_y |y - x|^2 / 2 + lam sum_e w_e |y_i - y_j|``: total variation denoising on a graph, exact.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Signals; n vertices along ``axis``.
    edges : array_like of int, shape (m, 2), or scipy.sparse adjacency matrix
        Pairs of positions along the axis, each once; or a symmetric matrix, whose entries then are the weights.
    lam : float or array_like that broadcasts against the batch
        Strength, >= 0, in the units of ``x``; inf gives the mean of each connected part.
    weights : array_like, shape (..., m), optional
        Edge weights, >= 0; default all ones.
    axis : int, default -1
        The axis that holds the vertices of one graph.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Signals, constant on connected groups; NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule.

    Notes
    -----
    Source: Hochbaum 2001. See :class:`GraphTV` for Jacobian products and certificate.
    """
    return GraphTV(edges, lam, weights).prox(x, axis, where)  # type: ignore[arg-type]
