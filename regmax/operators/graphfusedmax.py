"""Graphfusedmax: total variation on a graph as regularizer; sparse weights, constant on connected groups."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._graph import OnGraph, edges_parameter, sample_graphs, weights_parameter
from regmax._parameters import NON_NEGATIVE, POSITIVE, Parameter, parameter

from ._graph_variation import GraphVariation

__all__ = ["Graphfusedmax", "graphfusedmax"]


@dataclass(frozen=True, eq=False)
class Graphfusedmax(OnGraph, GraphVariation):
    r"""``Omega(y) = (|y|^2 - 1) / 2 + lam sum_e w_e |y_i - y_j|``: neighbours in a graph share one weight.

    An edge with a masked end disappears.

    Parameters
    ----------
    edges : array of int, shape (m, 2), or scipy.sparse adjacency matrix
        Pairs of positions along the axis, each once; or a symmetric matrix, whose entries then are the weights. None
        joins neighbours in position.
    lam : float or array that broadcasts against the batch
        Strength of the fusion, >= 0; 0 is sparsemax, inf one value per connected part.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.
    weights : array of shape (..., m), optional
        Edge weights, >= 0; default all ones. A weight of 0 separates.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule, or an edge joins what is not there.

    Notes
    -----
    Source: Niculae & Blondel, "A regularized framework for sparse and structured neural attention", NeurIPS 2017.
    """

    name = "graphfusedmax"

    edges: NDArray[Any] | None = edges_parameter()
    lam: Parameter = parameter(0.1, NON_NEGATIVE)
    gamma: Parameter = parameter(1.0, POSITIVE)
    weights: NDArray[Any] | None = weights_parameter()

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        chorded, star, apart = sample_graphs(n)
        return (
            cls(chorded),
            cls(chorded, 0.0),
            cls(chorded, 0.3, weights=np.arange(len(chorded)) % 4 * 0.5),
            cls(chorded, 5.0),
            cls(star, 0.4, gamma=0.5),
            cls(apart, 0.5),
            cls(chorded[:0], 1.0),
        )


def graphfusedmax(
    x: ArrayLike,
    *,
    edges: Any = None,
    weights: ArrayLike | None = None,
    lam: Parameter = 0.1,
    gamma: Parameter = 1.0,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmax_y <x, y> - gamma (|y|^2 / 2 + lam sum_e w_e |y_i - y_j|)`` on the simplex: weights by groups.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Scores; n of them along ``axis``.
    edges : array_like of int, shape (m, 2), or scipy.sparse adjacency matrix, optional
        Pairs of positions along the axis, each once; or a symmetric matrix, whose entries then are the weights;
        default the chain.
    weights : array_like, shape (..., m), optional
        Edge weights, >= 0; default all ones.
    lam : float or array_like that broadcasts against the batch, default 0.1
        Strength of the fusion, >= 0, inf allowed.
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
    Source: Niculae & Blondel 2017. See :class:`Graphfusedmax` for max, loss, Jacobian and certificate.
    """
    return Graphfusedmax(edges, lam, gamma, weights).argmax(x, axis, where)  # type: ignore[arg-type]
