"""The algorithms in plain torch: rows in, rows out, on whatever device they lie, all rows at once.

Each operator has ``weights``, which loops until every row has ended; ``groups``, the labels of equal weights that a
penalty ties; and ``jvp`` and ``vjp``, which are plain differentiable operations of the weights with support and
groups held fixed, so that autograd, forward mode and vmap go through them to any order.
"""

from collections.abc import Callable
from typing import NamedTuple

from . import (
    budgetmax,
    entmax,
    fusedmax,
    graphfusedmax,
    kregularmax,
    oscarmax,
    plaplacemax,
    pnorm,
    softmax,
    sparsemax,
    topkmax,
)

__all__ = ["TWINS", "Twin"]


class Twin(NamedTuple):
    """``weights(x, p)``, ``groups(y, live, p)``, ``jvp(x, y, labels, dx, dp, p)``, ``vjp(x, y, labels, g, p, wanted)``.

    ``p`` holds tensors of shape (rows or 1, length) by the names of the parameters, and what names a structure.
    """

    weights: Callable
    groups: Callable
    jvp: Callable
    vjp: Callable


def no_groups(y, live, p):
    """Weights that no penalty ties."""


_ON_GRAPH = Twin(graphfusedmax.weights, graphfusedmax.groups, graphfusedmax.jvp, graphfusedmax.vjp)

#: The twin of every operator, by its name.
TWINS = {
    "softmax": Twin(softmax.weights, no_groups, softmax.jvp, softmax.vjp),
    "sparsemax": Twin(sparsemax.weights, no_groups, sparsemax.jvp, sparsemax.vjp),
    "entmax": Twin(entmax.weights, no_groups, entmax.jvp, entmax.vjp),
    "pnormmax": Twin(pnorm.pnormmax_weights, no_groups, pnorm.pnormmax_jvp, pnorm.pnormmax_vjp),
    "normmax": Twin(pnorm.normmax_weights, no_groups, pnorm.normmax_jvp, pnorm.normmax_vjp),
    "budgetmax": Twin(budgetmax.weights, no_groups, budgetmax.jvp, budgetmax.vjp),
    "topkmax": Twin(topkmax.weights, no_groups, topkmax.jvp, topkmax.vjp),
    "fusedmax": Twin(fusedmax.weights, fusedmax.groups, fusedmax.jvp, fusedmax.vjp),
    "graphfusedmax": _ON_GRAPH,
    "tv2dmax": _ON_GRAPH,
    "plaplacemax": Twin(plaplacemax.weights, plaplacemax.groups, plaplacemax.jvp, plaplacemax.vjp),
    "kregularmax": Twin(kregularmax.weights, no_groups, kregularmax.jvp, kregularmax.vjp),
    "oscarmax": Twin(oscarmax.weights, oscarmax.groups, oscarmax.jvp, oscarmax.vjp),
}
