"""Regular bipartite graphs: the heaviest one with given degree, and the degrees of any matrix of weights."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax.solvers import flow
from regmax.solvers import transport as solver
from regmax.solvers._threads import run

from ._parameters import check, spread
from ._rows import Rows, as_rows
from ._transport import even_sums, require_regular, solver_call
from .operators import Kregularmax

__all__ = ["Degrees", "degree_histogram", "k_regular_graph"]

Array = NDArray[Any]
# For scores of size 1: the strength of the regularizer that finds potentials, and what it may leave open.
_STRENGTH, _NEAR = 2.0**-41, 2.0**-39


def _column_degrees(k: Array, rows: Array, columns: Array) -> Array:
    """How many entries each column must have."""
    entries, open_columns = k * np.count_nonzero(rows, axis=1), np.maximum(np.count_nonzero(columns, axis=1), 1)
    if (entries % open_columns).any():
        at = int(np.argmax(entries % open_columns > 0))
        raise ValueError(
            f"k_regular_graph: k times the number of rows must be a multiple of the number of columns, "
            f"got {entries[at]} entries for {open_columns[at]} columns"
        )
    return np.where(columns > 0, (entries // open_columns)[:, None], 0)


def _counts(k: Any, batch: Rows) -> Array:
    field = Kregularmax.__dataclass_fields__["k"]
    return spread("k_regular_graph", field, check("k_regular_graph", field, k), batch)


def _scaled(scores: Array, live: Array) -> Array:
    """Scores times a power of two per matrix, so that the largest magnitude is about 1; masked ones are -inf."""
    _, exponent = np.frexp(np.abs(np.where(live, scores, 0.0)).max(axis=1, initial=0.0))
    return np.where(live, np.ldexp(scores, -exponent[:, None]), -np.inf)


def k_regular_graph(
    x: ArrayLike, k: Any, *, axis: tuple[int, int] = (-2, -1), where: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """The heaviest graph between rows and columns in which each row has k entries and the columns share them evenly.

    Parameters
    ----------
    x : array_like, shape (..., n, m)
        Scores; a matrix along ``axis``.
    k : int or array_like of int that broadcasts against the batch
        Entries per row, from 1 to m; n k must be a multiple of m.
    axis : tuple of two int, default (-2, -1)
        The axes of the rows and of the columns of a matrix.
    where : array_like of bool that broadcasts against ``x``, optional
        True = may be an entry. Entries of -inf may not. Rows and columns masked throughout are not there.

    Returns
    -------
    ndarray of bool of the shape of ``x``
        True at the entries. Of several heaviest graphs one; the sum of the scores is the largest to 1e-12 of the
        largest score for each row. All False where a whole matrix is masked.

    Raises
    ------
    ValueError, TypeError
        One sentence, where k, the axes or the mask break their rule, the mask leaves no such graph, or a matrix holds
        NaN or +inf.

    Notes
    -----
    The limit of :func:`kregularmax` for small gamma, times k: its potentials, then shortest augmenting paths.
    Source: Tomizawa, "On some techniques useful for solution of transportation network problems", 1971.
    """
    batch = as_rows("k_regular_graph", x, axis, where, pair=True)
    live = batch.live
    scores = batch.data.astype(np.float64, copy=False)
    if not np.all(scores < np.inf):
        raise ValueError("k_regular_graph: x must not hold NaN or +inf")
    counts = _counts(k, batch)
    rows, columns = even_sums(batch)
    require_regular("k_regular_graph", counts, batch, rows, columns, total=counts)
    degrees = _column_degrees(counts, rows, columns)
    scores = _scaled(scores, live)
    sums = {
        "rows": rows * counts[:, None],
        "columns": degrees.astype(np.float64),
        "upper": np.ones((1, 1)),
        "gamma": np.full(len(scores), _STRENGTH),
    }
    inputs, outputs = solver_call(scores, sums)
    run(solver.transport, inputs, *outputs)
    found = np.zeros(scores.shape, bool)
    lines = np.where(rows > 0, counts[:, None], 0)
    run(flow.heaviest_graph, (scores, live, *outputs[:2], np.full(len(scores), _NEAR), lines, degrees), found)
    return np.ascontiguousarray(batch.from_last(found))


class Degrees(NamedTuple):
    """How many rows, and how many columns, have 0, 1, 2, ... weights; behind the batch.

    Notes
    -----
    Source: regmax. Raises nothing.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def degree_histogram(y: ArrayLike, *, axis: tuple[int, int] = (-2, -1)) -> Degrees:
    """How many weights other than 0 the rows and columns of each matrix have, as histograms.

    Parameters
    ----------
    y : array_like, shape (..., n, m)
        Weights; a matrix along ``axis``.
    axis : tuple of two int, default (-2, -1)
        The axes of the rows and of the columns of a matrix.

    Returns
    -------
    Degrees
        ``rows[..., d]`` rows have d weights, d from 0 to m; ``columns[..., d]`` columns have d, from 0 to n.

    Raises
    ------
    ValueError, TypeError
        If ``axis`` does not name two axes, or y is not an array of real numbers.

    Notes
    -----
    A point of the convex hull of k-regular graphs has at least k weights per row, and more where it lies inside.
    Source: regmax.
    """
    batch = as_rows("degree_histogram", y, axis, name="y", pair=True)
    used = (batch.data != 0).reshape(-1, *batch.item_shape)
    found = []
    for side in (2, 1):
        degrees, bins = np.count_nonzero(used, axis=side), used.shape[side] + 1
        places = degrees + bins * np.arange(len(used))[:, None]
        found.append(np.bincount(places.reshape(-1), minlength=bins * len(used)).reshape(*batch.batch_shape, bins))
    return Degrees(*found)
