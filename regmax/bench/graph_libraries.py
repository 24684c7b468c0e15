"""How other libraries are asked for the total variation prox of an image or a graph."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax import grid_edges

from .cases import Case
from .contender import Contender

__all__ = ["cut_pursuit", "douglas_rachford", "maximum_flows"]

Array = NDArray[Any]

_LARGEST = 1 << 18  # entries that take others seconds, not minutes


def _is_asked(case: Case, x: Array) -> bool:
    return case.operator.name in ("prox.tv2d", "prox.graph_tv") and x.size <= _LARGEST


def _edges(case: Case) -> Array:
    return grid_edges(*case.operator.shape) if case.operator.name == "prox.tv2d" else np.asarray(case.operator.edges)


def _flattened(solve: Callable[[], Any]) -> Array:
    return np.asarray(solve()).reshape(1, -1)


def douglas_rachford(case: Case, x: Array) -> Iterator[Contender]:
    """Rows and columns in turn, to the accuracy of that many rounds."""
    import prox_tv

    if _is_asked(case, x) and case.operator.name == "prox.tv2d":
        image, lam = x.reshape(case.operator.shape), float(case.operator.lam)
        for rounds in (35, 1000):
            solve = partial(prox_tv.tv1_2d, image, lam, max_iters=rounds)
            yield Contender(f"prox_tv DR {rounds}", partial(_flattened, solve))


def cut_pursuit(case: Case, x: Array) -> Iterator[Contender]:
    """Cuts that refine a partition, whose values are found by splitting (Landrieu & Obozinski 2017)."""
    from pycut_pursuit.cp_d1_ql1b import cp_d1_ql1b

    if not _is_asked(case, x) or x.size > 1 << 16:  # it numbers its pieces in 16 bits
        return
    edges, n = _edges(case), x.shape[1]
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    first = np.searchsorted(edges[:, 0], np.arange(n + 1)).astype(np.uint32)
    graph = (first, edges[:, 1].astype(np.uint32), np.full(len(edges), float(case.operator.lam)))
    options = {"cp_it_max": 100, "verbose": 0, "max_num_threads": 1}

    def solve(tolerance: float) -> Array:
        pieces, values = cp_d1_ql1b(x[0].copy(), 1.0, *graph, cp_dif_tol=tolerance, **options)
        return values[pieces]

    for tolerance in (1e-4, 1e-8):
        yield Contender(f"pycut_pursuit {tolerance:.0e}", partial(_flattened, partial(solve, tolerance)))


def maximum_flows(case: Case, x: Array) -> Iterator[Contender]:
    """The divide and conquer of ours, each level one cut of PyMaxflow (Boykov & Kolmogorov 2004)."""
    import maxflow

    if not _is_asked(case, x):
        return
    edges, lam = _edges(case), float(case.operator.lam)

    def cut(excess: Array, inside: Array) -> Array:
        """Which vertices lie above the cut."""
        graph = maxflow.GraphFloat(len(excess), len(inside))
        vertices, capacity = graph.add_nodes(len(excess)), np.full(len(inside), lam)
        graph.add_edges(*inside.T, capacity, capacity)
        graph.add_grid_tedges(vertices, np.maximum(excess, 0.0), np.maximum(-excess, 0.0))
        graph.maxflow()
        return ~graph.get_grid_segments(vertices)

    yield Contender("PyMaxflow levels", partial(_flattened, partial(_by_levels, x[0], edges, lam, cut)))


def _by_levels(x: Array, edges: Array, lam: float, cut: Callable[[Array, Array], Array]) -> Array:
    rest, piece = x.copy(), np.zeros(len(x), np.int64)
    while True:
        mean = np.bincount(piece, rest) / np.bincount(piece)
        above = cut(rest - mean[piece], edges)
        _, parts = np.unique(2 * piece + above, return_inverse=True)
        if parts.max() == piece.max():
            return mean[piece]
        crossing = above[edges[:, 0]] != above[edges[:, 1]]
        ends = edges[crossing]
        upper = np.where(above[ends[:, 0]], ends[:, 0], ends[:, 1])
        np.add.at(rest, upper, -lam)
        np.add.at(rest, ends.sum(axis=1) - upper, lam)
        edges, piece = edges[~crossing], parts
