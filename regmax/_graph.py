"""Graphs as parameters: edges, listed or as a sparse adjacency matrix, and what penalties on them share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax.solvers.graph import grid_edges as edges_of_grid

from ._parameters import EDGE_WEIGHT, parameter, structure
from ._parametrised import Parametrised, Spread
from ._rows import Rows

__all__ = [
    "OnGraph",
    "chain_edges",
    "edges_parameter",
    "grid_edges",
    "link_slopes",
    "link_weights",
    "sample_graphs",
    "weights_parameter",
]

Array = NDArray[Any]

_LARGEST_VERTEX = 2**31 - 2


def edges_parameter(default: Any = None) -> Any:
    """The field ``edges``: pairs of vertices (m, 2), or a symmetric scipy.sparse adjacency matrix."""
    return structure(default, _checked_edges)


def weights_parameter() -> Any:
    """The field ``weights``: one number >= 0 per edge, behind the batch; None = ones."""
    return parameter(None, EDGE_WEIGHT, "link", optional=True)


class _OfMatrix(np.ndarray):
    """The edges of an adjacency matrix, which say how many vertices there are."""

    vertices: int | None = None


def _known(edges: Array, vertices: int | None) -> Array:
    found = edges.view(_OfMatrix)
    found.vertices = vertices
    return found


def _checked_edges(owner: str, name: str, value: Any) -> Array | None:
    if value is None:
        return None
    try:
        edges = np.array(value)
    except ValueError:
        raise TypeError(f"{owner}: {name} must be pairs of integers of shape (m, 2), got a ragged sequence") from None
    if edges.size == 0 and edges.shape in ((0,), (0, 2)):
        edges = np.empty((0, 2), np.int64)
    if edges.dtype.kind not in "iu" or edges.ndim != 2 or edges.shape[1] != 2:
        raise TypeError(
            f"{owner}: {name} must be pairs of integers of shape (m, 2) or a sparse adjacency matrix, "
            f"got {edges.dtype} of shape {edges.shape}"
        )
    if (edges < 0).any() or (edges > _LARGEST_VERTEX).any():
        wrong = edges.min() if (edges < 0).any() else edges.max()
        raise ValueError(f"{owner}: {name} must hold vertices from 0 to {_LARGEST_VERTEX}, got {wrong}")
    edges = edges.astype(np.int64)
    loops = edges[:, 0] == edges[:, 1]
    if loops.any():
        raise ValueError(f"{owner}: {name} must join different vertices, got {edges[loops.argmax()].tolist()}")
    ordered = np.sort(edges, axis=1)
    ordered = ordered[np.lexsort(ordered.T)]
    twice = (ordered[1:] == ordered[:-1]).all(axis=1)
    if twice.any():
        raise ValueError(f"{owner}: {name} must not repeat an edge, got {ordered[twice.argmax()].tolist()} twice")
    if isinstance(value, _OfMatrix):
        edges = _known(edges, value.vertices)
    edges.setflags(write=False)
    return edges


def _is_sparse(value: Any) -> bool:
    import scipy.sparse

    return bool(scipy.sparse.issparse(value))


def _from_adjacency(owner: str, matrix: Any) -> tuple[Array, Array]:
    """(edges, their weights) of a sparse symmetric matrix."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{owner}: edges must be a square adjacency matrix, got shape {matrix.shape}")
    if matrix.dtype.kind not in "biuf":
        raise TypeError(f"{owner}: edges must be an adjacency matrix of real numbers, got dtype {matrix.dtype}")
    import scipy.sparse

    whole = scipy.sparse.coo_array(matrix).astype(np.float64)
    whole.sum_duplicates()
    if not np.isfinite(whole.data).all():
        wrong = int(np.argmin(np.isfinite(whole.data)))
        raise ValueError(
            f"{owner}: edges must be an adjacency matrix of finite weights, got {whole.data[wrong]} "
            f"at {int(whole.row[wrong]), int(whole.col[wrong])}"
        )
    if abs(whole - whole.T).nnz:
        raise ValueError(f"{owner}: edges must be a symmetric adjacency matrix, got one that is not")
    if np.any(whole.data[whole.row == whole.col]):
        raise ValueError(f"{owner}: edges must join different vertices, got an adjacency matrix with a diagonal")
    upper = whole.row < whole.col
    edges = np.stack([whole.row[upper], whole.col[upper]], axis=1).astype(np.int64)
    return _known(edges, matrix.shape[0]), whole.data[upper]


class OnGraph(Parametrised):
    """An operator or prox with fields ``edges`` and ``weights``; without edges the graph is the chain."""

    edges: Array | None
    weights: Array | None

    def __post_init__(self) -> None:
        if self.edges is not None and _is_sparse(self.edges):
            if self.weights is not None:
                raise ValueError(
                    f"{self.name}: weights must be None where edges is an adjacency matrix, which has them"
                )
            edges, weights = _from_adjacency(self.name, self.edges)
            object.__setattr__(self, "edges", edges)
            object.__setattr__(self, "weights", weights)
        super().__post_init__()
        if self.edges is not None:
            self._require_weights(len(self.edges))

    def _require_weights(self, count: int) -> None:
        if self.weights is not None and self.weights.shape[-1] != count:
            raise ValueError(
                f"{self.name}: weights must have {count} entries on the last axis (one per edge), "
                f"got {self.weights.shape[-1]}"
            )

    def _spread(self, batch: Rows) -> Spread:
        vertices = batch.item_shape[0]
        if self.edges is None:
            self._require_weights(vertices - 1)
        elif self.edges.size and self.edges.max() >= vertices:
            raise ValueError(f"{self.name}: edges must hold vertices below {vertices}, got {self.edges.max()}")
        if getattr(self.edges, "vertices", None) not in (None, vertices):
            raise ValueError(
                f"{self.name}: edges must be an adjacency matrix of the {vertices} scores, got one of "
                f"{self.edges.vertices} vertices"  # type: ignore[union-attr]
            )
        p = super()._spread(batch)
        p["edges"] = chain_edges(vertices) if self.edges is None else self.edges.view(np.ndarray)
        p["chain"] = np.array(self.edges is None)
        return p


def chain_edges(n: int) -> Array:
    """The n - 1 pairs of neighbours."""
    k = np.arange(n - 1)
    return np.stack([k, k + 1], axis=1)


def grid_edges(h: int, w: int) -> Array:
    """The ``h (w - 1) + (h - 1) w`` edges ``(i, i + 1)`` and ``(i, i + w)`` of a grid of h rows and w columns.

    For every operator and prox with ``edges``: vertex ``i = row w + column`` is the entry of the flattened image.

    Parameters
    ----------
    h : int
        Height, at least 1.
    w : int
        Width, at least 1.

    Returns
    -------
    ndarray of int64, shape (h (w - 1) + (h - 1) w, 2)
        All edges along the rows, then all along the columns.

    Raises
    ------
    ValueError, TypeError
        If ``h`` or ``w`` is below 1, or not an integer.

    Notes
    -----
    Source: regmax.
    """
    for name, side in (("h", h), ("w", w)):
        if isinstance(side, bool) or not hasattr(side, "__index__"):
            raise TypeError(f"grid_edges: {name} must be an integer, got {side!r}")
        if side < 1:
            raise ValueError(f"grid_edges: {name} must be >= 1, got {side}")
    return edges_of_grid(h, w)


def link_weights(p: Spread, live: Array) -> Array:
    """The weights of the edges between live vertices, shape (rows, m); without columns they stand for ones."""
    tail, head = p["edges"].T
    return np.where(live[:, tail] & live[:, head], p["weights"] if p["weights"].shape[1] else 1.0, 0.0)


def link_slopes(y: Array, jv: Array, live: Array, p: Spread) -> Spread:
    """Derivatives of ``<v, y>`` in lam and in the edge weights of total variation, given J v.

    Inside a group J v is constant, so only edges where y jumps count.
    """
    tail, head = p["edges"].T
    jumps = np.sign(y[:, head] - y[:, tail]) * (jv[:, head] - jv[:, tail])
    jumps = np.where(live[:, tail] & live[:, head], jumps, 0.0)
    slopes = {"lam": -np.sum(link_weights(p, live) * jumps, axis=1)}
    if p["weights"].shape[1]:
        slopes["weights"] = -np.where(jumps == 0, 0.0, p["lam"][:, None] * jumps)
    return slopes


def sample_graphs(n: int) -> tuple[Array, Array, Array]:
    """Graphs of n vertices worth testing: a chain with chords, a star, and two parts that nothing joins."""
    chain, k = chain_edges(n), np.arange(n)
    chords = np.stack([k, (k * k + 3) % n], axis=1)
    chorded = np.unique(np.sort(np.concatenate([chain, chords[chords[:, 0] != chords[:, 1]]]), axis=1), axis=0)
    star = np.stack([np.full(n - 1, n // 2), np.delete(k, n // 2)], axis=1)
    return chorded, star, chorded[(chorded < n // 2).all(axis=1) | (chorded >= n // 2).all(axis=1)]
