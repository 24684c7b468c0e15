"""What matrices with given sums share: their sets, whether a mask leaves any, and the calls of their solver.

Everything is on rows, which are matrices flattened in C order: ``rows`` of shape (batch, height) and ``columns`` of
shape (batch, width) say the sums, ``upper`` of shape (batch or 1, 1 or height * width) the largest entries.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regmax.solvers import flow, simplex
from regmax.solvers import transport as solver
from regmax.solvers._threads import run
from regmax.solvers.rows import FLOOR

from ._convergence import warn_unless_converged
from ._domain import CappedSimplex, Simplex
from ._parametrised import Spread
from ._rows import Rows, as_array

__all__ = [
    "RowPolytope",
    "Solution",
    "TransportPolytope",
    "deliver",
    "even_sums",
    "matched",
    "multiply_rows",
    "product_call",
    "require_potentials",
    "require_regular",
    "require_served",
    "solution",
    "solve_rows",
    "solver_call",
    "started",
]

Array = NDArray[Any]
#: What the residual of a sum may be at most, in units of the largest sum, without a warning.
_TOLERANCE = 1e-10
#: How far the totals of rows and columns may be apart, relatively.
_SAME_TOTAL = 1e-5


class Solution(NamedTuple):
    """Weights with their potentials: ``weights = clip((scores - rows - columns) / gamma, 0, upper)``.

    ``rows`` and ``columns`` lack the other axis of the matrix and start another call near this one; ``iterations`` are
    Newton steps, ``residual`` what a sum misses at most, in units of the largest, or the part of the largest score by
    which gamma had to be raised, if that is more.

    Notes
    -----
    Source: regmax. Raises nothing.
    """

    weights: Array
    rows: Array
    columns: Array
    iterations: Any
    residual: Any


# Sets.


@dataclass(frozen=True)
class RowPolytope(Simplex):
    """Matrices ``0 <= P <= upper`` with given row sums; what is masked is zero."""

    rows: Array
    upper: Array

    @property
    def _height(self) -> int:
        return int(self.rows.shape[1])

    def _lines(self, a: Array) -> Array:
        """Each row of each matrix on its own."""
        return a.reshape(a.shape[0] * self._height, a.shape[1] // self._height)

    def _matrices(self, a: Array) -> Array:
        """Rows as the matrices they fold to."""
        return a.reshape(len(a), self._height, a.shape[1] // self._height)

    def mass(self, rows: int) -> Array:
        return self.rows.sum(axis=1)

    def violation(self, y: Array, live: Array) -> Array:
        masked = np.where(live, 0.0, np.abs(y)).max(axis=1)
        missed = np.abs(self._lines(y).sum(axis=1).reshape(self.rows.shape) - self.rows).max(axis=1)
        return np.maximum.reduce([-y.min(axis=1), masked, missed, (y - self.upper).max(axis=1), np.zeros(len(y))])

    def support(self, c: Array, live: Array, y: Array | None = None) -> Array:
        total = self.rows.reshape(-1)
        if np.all(self.upper >= self.rows.max(initial=0.0)):
            best = Simplex().support(self._lines(c), self._lines(live)) * total
        else:
            upper = self._lines(np.broadcast_to(self.upper, c.shape))
            best = CappedSimplex(upper, total).support(self._lines(c), self._lines(live))
        return best.reshape(self.rows.shape).sum(axis=1)

    def without_offsets(self, c: Array) -> Array:
        """Less the maximum of each row, which changes no difference between matrices of the set."""
        lines = self._lines(c)
        top = lines.max(axis=1, keepdims=True)
        return (lines - np.where(np.isfinite(top), top, 0.0)).reshape(c.shape)

    def sample(self, rng: np.random.Generator, live: Array) -> Array:
        upper = self._lines(np.broadcast_to(self.upper, live.shape))
        found = CappedSimplex(upper, self.rows.reshape(-1)).sample(rng, self._lines(live))
        return found.reshape(live.shape)

    def constraints(self, y: Any, live: Array) -> list[Any]:
        return [*self._bounds(y, live), self._matrix(y).sum(axis=1) == self.rows[0]]

    def _matrix(self, y: Any) -> Any:
        import cvxpy

        return cvxpy.reshape(y, (self._height, y.size // self._height), order="C")

    def _bounds(self, y: Any, live: Array) -> list[Any]:
        upper = np.broadcast_to(self.upper[0], live.shape)
        held = [y[~live] == 0] if not live.all() else []
        return [y >= 0, y <= np.minimum(upper, self.rows[0].max(initial=0.0)), *held]


@dataclass(frozen=True)
class TransportPolytope(RowPolytope):
    """Matrices ``0 <= P <= upper`` with given row and column sums; what is masked is zero."""

    columns: Array

    def violation(self, y: Array, live: Array) -> Array:
        found = self._matrices(y).sum(axis=1)
        return np.maximum(super().violation(y, live), np.abs(found - self.columns).max(axis=1))

    def support(self, c: Array, live: Array, y: Array | None = None) -> Array:
        """An upper bound on ``max <c, P>``, which is attained where y is a maximiser.

        For any prices of the columns, what the best rows collect and the columns then cost bounds the maximum. The
        potentials of the projection of ``y + t c`` on the set are prices that prove y right if it is.
        """
        near = np.zeros_like(c) if y is None else y
        size = np.where(live, np.abs(c), 0.0).max(axis=1)
        unit = np.where((size > 0) & np.isfinite(size), size, 1.0)[:, None]
        scores = np.where(live, near + c / unit, -np.inf)
        inputs, outputs = solver_call(scores, self._sums())
        run(solver.transport, inputs, *outputs)
        price = outputs[1] * unit
        matrix = self._matrices(c) - price[:, None, :]
        return super().support(matrix.reshape(c.shape), live) + np.sum(self.columns * price, axis=1)

    def without_offsets(self, c: Array) -> Array:
        """Less the maximum of each row, and then of each column."""
        whole = self._matrices(super().without_offsets(c))
        top = whole.max(axis=1, keepdims=True)
        return (whole - np.where(np.isfinite(top), top, 0.0)).reshape(c.shape)

    def sample(self, rng: np.random.Generator, live: Array) -> Array:
        """The point nearest to random scores, half of them far away."""
        scores = rng.exponential(size=live.shape) * np.where(rng.random(live.shape) < 0.5, 1.0, 10.0)
        inputs, outputs = solver_call(np.where(live, scores, -np.inf), self._sums())
        run(solver.transport, inputs, *outputs)
        return outputs[-1]

    def constraints(self, y: Any, live: Array) -> list[Any]:
        return [*super().constraints(y, live), self._matrix(y).sum(axis=0) == self.columns[0]]

    def _sums(self) -> Spread:
        return {"rows": self.rows, "columns": self.columns, "upper": self.upper}


# Sums, and whether they can be had.


def even_sums(batch: Rows) -> tuple[Array, Array]:
    """Row sums of 1, and column sums that are equal; of rows and columns with an entry that takes part."""
    live = batch.live.reshape(-1, *batch.item_shape)
    rows, columns = (np.asarray(live.any(axis=axis), np.float64) for axis in (2, 1))
    share = rows.sum(axis=1) / np.maximum(columns.sum(axis=1), 1.0)
    return rows, columns * share[:, None]


def matched(owner: str, batch: Rows, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Row and column sums of each matrix in float64, those of columns scaled to the total of the rows.

    The totals may differ by the rounding of float32. Where everything is masked all sums are 0.
    """
    live: Array = np.any(batch.live, axis=1, keepdims=True)
    height, width = batch.item_shape
    # Contiguous, because NumPy adds up a row of another layout in another order.
    rows, columns = (
        np.ascontiguousarray(np.where(live, np.broadcast_to(a, (len(live), n)).astype(np.float64), 0.0))
        for a, n in ((rows, height), (columns, width))
    )
    mass, found = rows.sum(axis=1), columns.sum(axis=1)
    apart = np.abs(mass - found) > _SAME_TOTAL * np.maximum(mass, found)
    if apart.any():
        row = int(np.argmax(apart))
        raise ValueError(
            f"{owner}: rows and columns must have the same total, got {mass[row]:.9g} and {found[row]:.9g}"
            f"{_which(row, len(apart))}"
        )
    return rows, columns * np.where(found > 0, mass / np.where(found > 0, found, 1.0), 1.0)[:, None]


def require_regular(
    owner: str, k: Array, batch: Rows, rows: Array, columns: Array, *, free: bool = False, total: Any = 1.0
) -> None:
    """Raise where a matrix has fewer columns than k, or its mask leaves no weights.

    ``free`` columns have no sums; the sentence speaks of rows that sum to ``total``.
    """
    available = np.count_nonzero(columns, axis=1)
    wrong = (k > available) & (available > 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{owner}: k must be at most the number of columns that take part, {available[row]}, got {k[row]}"
            f"{_which(row, len(wrong))}"
        )
    if int(np.count_nonzero(batch.live)) == int(np.sum(np.count_nonzero(rows, axis=1) * available)):
        return
    # Times k and the number of columns all sums and bounds are integers, and sums of them exact.
    unit = (k * np.maximum(available, 1)).astype(np.float64)[:, None]
    sums = np.broadcast_to(np.sum(unit * rows, axis=1, keepdims=True), columns.shape) if free else unit * columns
    require_served(owner, batch, unit * rows, np.rint(sums), np.rint(unit / k[:, None]), total / unit[:, 0])


def _which(row: int, count: int) -> str:
    return f" in matrix {row}" if count > 1 else ""


def require_served(owner: str, batch: Rows, rows: Array, columns: Array, upper: Array, unit: Any = 1.0) -> None:
    """Raise where a matrix cannot have its sums, and name rows that its mask and bounds leave too little.

    The sentence gives amounts times ``unit``, a number per matrix.
    """
    live = batch.live
    reached = np.zeros((len(rows), rows.shape[1] + columns.shape[1]), bool)
    run(flow.unserved, (live, rows, columns, upper), reached)
    found: Array = np.any(reached, axis=1)
    if not found.any():
        return
    k, height = int(np.argmax(found)), rows.shape[1]
    chosen, best = np.flatnonzero(reached[k, :height]), reached[k, height:]
    room = np.where(live[k], np.broadcast_to(upper, live.shape)[k], 0.0).reshape(height, -1)[chosen]
    most = columns[k, best].sum() + room[:, ~best].sum()
    scale = np.broadcast_to(unit, len(rows))[k]
    shown = ", ".join(map(str, chosen[:8])) + (", ..." if len(chosen) > 8 else "")
    need, given = _told_apart(scale * rows[k, chosen].sum(), scale * most)
    subject, verb, pronoun = ("rows", "they need", "them") if len(chosen) > 1 else ("row", "it needs", "it")
    raise ValueError(
        f"{owner}: {subject} {shown}{_which(k, len(found))} cannot be served, {verb} {need} in all "
        f"and the columns open to {pronoun} take at most {given}"
    )


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Both with as few digits as show that they differ."""
    for digits in (6, 9, 17):
        texts = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


# Calls of the solver.


def _wide(a: Array) -> Array:
    return np.ascontiguousarray(a, np.float64)


def _wide_scores(x: Array) -> Array:
    """In float64, where what is masked must be so too."""
    return x if x.dtype == np.float64 else np.where(x <= FLOOR[x.dtype], -np.inf, x.astype(np.float64))


def solver_call(
    x: Array, p: Spread, start: tuple[Array, Array] | None = None, out: Array | None = None
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """(inputs, outputs) of :func:`regmax.solvers.transport.transport`: row and column potentials, report, matrices."""
    rows, columns = _wide(p["rows"]), _wide(p["columns"])
    gamma = _wide(p["gamma"]) if "gamma" in p else np.ones(len(x))
    given = start or (np.empty((1, 0)), np.empty((1, 0)))
    inputs = (_wide_scores(x), gamma, rows, columns, _wide(p["upper"]), *map(_wide, given))
    same = out is not None and out.dtype == np.float64
    weights = out if same else np.empty(x.shape)
    report = np.empty((len(x), len(solver.REPORT)))
    return inputs, (np.empty_like(rows), np.empty_like(columns), report, weights)  # type: ignore[return-value]


def deliver(owner: str, outputs: tuple[Array, ...], out: Array) -> None:
    """Write the matrices that were solved for to ``out``, and warn of those that were not."""
    report, weights = outputs[-2:]
    steps = int(report[:, solver.STEPS].max(initial=0))
    warn_unless_converged(owner, report[:, solver.RESIDUAL], _TOLERANCE, f"{steps} Newton steps")
    if weights is not out:
        out[...] = weights


def solution(owner: str, outputs: tuple[Array, ...], batch: Rows) -> Solution:
    """What the solver found in the shapes of the batch."""
    rows, columns, report, weights = outputs
    deliver(owner, outputs, weights)
    u, v = (a.reshape(*batch.batch_shape, -1) for a in (rows, columns))
    steps, residual = (report[:, i].reshape(batch.batch_shape)[()] for i in (solver.STEPS, solver.RESIDUAL))
    return Solution(batch.like(weights).restore(weights), u, v, steps.astype(np.int64), residual)


def product_call(y: Array, v: Array, p: Spread) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """(inputs, outputs) of :func:`regmax.solvers.transport.transport_jacobian`: row and column parts, products."""
    height, width = p["shape"]
    upper = _wide(p["upper"].astype(y.dtype))  # what is at its bound must be so in the precision of y
    parts = np.empty((len(y), height)), np.empty((len(y), width))
    return (_wide(y), _wide(v), upper), (*parts, np.empty(y.shape))


def _lines(a: Array, p: Spread, gamma: Array) -> tuple[Array, Array, Array]:
    """(the rows of all matrices, the gamma of each, their caps)."""
    height, width = p["shape"]
    upper = np.broadcast_to(p["upper"], (len(a), width)).repeat(height, axis=0)
    return a.reshape(-1, width), np.repeat(gamma, height).astype(a.dtype), np.ascontiguousarray(upper, a.dtype)


def solve_rows(x: Array, p: Spread, gamma: Array, out: Array) -> None:
    """Write the matrices nearest to ``x / gamma`` with the given row sums, entries from 0 to ``upper``."""
    lines, each, upper = _lines(x, p, gamma)
    sums = np.where(p["rows"] > 0, p["rows"], 1.0).reshape(-1)  # a row that is masked throughout gets 0
    run(simplex.budgetmax, (lines, each, upper, sums.astype(x.dtype)), out.reshape(lines.shape))
    out[np.isnan(out).any(axis=1)] = np.nan


def multiply_rows(y: Array, v: Array, p: Spread, gamma: Array, out: Array) -> None:
    """Write the products of v with the Jacobian of that."""
    lines, each, upper = _lines(y, p, gamma)
    run(simplex.budgetmax_jacobian, (lines, v.reshape(lines.shape), each, upper), out.reshape(lines.shape))


def require_potentials(operator: Any) -> None:
    """Raise where columns are free, and have no potentials."""
    reading = getattr(operator, "reading", "both")
    if reading != "both":
        raise ValueError(f"{operator.name}: solve needs the reading 'both', got {reading!r}")


def started(owner: str, start: Any, batch: Rows) -> tuple[Array, Array] | None:
    """Potentials to start from, one per row and column of each matrix, as the solver takes them."""
    if start is None:
        return None
    parts = (start.rows, start.columns) if isinstance(start, Solution) else start
    if not isinstance(parts, tuple | list):
        raise TypeError(f"{owner}: start must be a Solution or potentials (rows, columns), got {start!r}")
    if len(parts) != 2:
        raise ValueError(f"{owner}: start must hold two parts (rows, columns), got {len(parts)}")
    rows, columns = (
        _potentials(owner, name, one, (*batch.batch_shape, length))
        for name, one, length in zip(("rows", "columns"), parts, batch.item_shape, strict=True)
    )
    return rows, columns


def _potentials(owner: str, name: str, value: Any, shape: tuple[int, ...]) -> Array:
    array = as_array(owner, f"start {name}", value)
    if array.shape != shape:
        raise ValueError(f"{owner}: start must hold {name} of shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{owner}: start must hold finite {name}, got {array[~np.isfinite(array)][0]}")
    return array.astype(np.float64).reshape(-1, shape[-1])
