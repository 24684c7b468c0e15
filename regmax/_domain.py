"""The sets that weights live in: how far a point is outside, the support function, sample points, CVXPY constraints.

All arrays are float64 rows of shape (rows, n); ``live`` says which entries take part.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CappedSimplex", "Simplex", "room_for_one"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Simplex:
    """``{y >= 0, sum y = 1}``, zero at masked entries; an entirely masked row holds the zero vector alone."""

    def mass(self, rows: int) -> Array:
        """What the entries of a live row sum to, per row."""
        return np.ones(rows)

    def violation(self, y: Array, live: Array) -> Array:
        """Largest violation of any constraint, per row."""
        masked = np.where(live, 0.0, np.abs(y)).max(axis=1)
        total = np.where(live.any(axis=1), self.mass(len(y)), 0.0)
        return np.maximum.reduce([-y.min(axis=1), masked, np.abs(y.sum(axis=1) - total), np.zeros(len(y))])

    def support(self, c: Array, live: Array, y: Array | None = None) -> Array:
        """``max <c, y>`` over the set, per row; 0 for entirely masked rows.

        Where that is costly, an upper bound that is attained if the given point y is a maximiser.
        """
        best = np.where(live, c, -np.inf).max(axis=1)
        return np.where(live.any(axis=1), best, 0.0)

    def sample(self, rng: np.random.Generator, live: Array) -> Array:
        """A random point per row, half of its entries zero."""
        y = np.where(live, rng.exponential(size=live.shape), 0.0)
        sparse = np.where(rng.random(live.shape) < 0.5, y, 0.0)
        y = np.where(sparse.any(axis=1, keepdims=True), sparse, y)
        return y / np.maximum(y.sum(axis=1, keepdims=True), np.finfo(float).tiny)

    def constraints(self, y: Any, live: Array) -> list[Any]:
        """CVXPY constraints on a 1-D variable."""
        held = [y[~live] == 0] if not live.all() else []
        return [y >= 0, y.sum() == 1, *held]


@dataclass(frozen=True)
class CappedSimplex(Simplex):
    """``{0 <= y <= upper, sum y = total}``; ``upper`` of shape (rows or 1, n), ``total`` of shape (rows,)."""

    upper: Array
    total: Array

    def require_room(self, owner: str, live: Array) -> None:
        """Raise where the caps of a row that is not entirely masked sum to less than its total."""
        with np.errstate(over="ignore"):
            room = np.where(live, self.upper, 0).sum(axis=1)
        short = live.any(axis=1) & (room < self.total * (1 - 4 * np.finfo(room.dtype).eps))
        if short.any():
            row = int(np.argmax(short))
            raise ValueError(
                f"{owner}: upper must sum to at least total={self.total[row]:g} over the entries that take part, "
                f"got {float(room[row])} in row {row}"
            )

    def mass(self, rows: int) -> Array:
        return np.broadcast_to(self.total, rows)

    def violation(self, y: Array, live: Array) -> Array:
        return np.maximum(super().violation(y, live), (y - self.upper).max(axis=1))

    def support(self, c: Array, live: Array, y: Array | None = None) -> Array:
        """Fill the best entries up to their caps (a fractional knapsack)."""
        order = np.argsort(np.where(live, -c, np.inf), axis=1, kind="stable")
        room = np.where(live, np.minimum(self.upper, self.total[:, None]), 0.0)
        room = np.take_along_axis(room, order, axis=1)
        taken = np.diff(np.minimum(np.cumsum(room, axis=1), self.total[:, None]), axis=1, prepend=0.0)
        best = np.take_along_axis(np.where(live, c, 0.0), order, axis=1)
        return np.sum(best * taken, axis=1)

    def sample(self, rng: np.random.Generator, live: Array) -> Array:
        """A random vertex mixed with the most even point."""
        order = np.argsort(np.where(live, rng.random(live.shape), np.inf), axis=1)
        room = np.where(live, np.broadcast_to(np.minimum(self.upper, self.total[:, None]), live.shape), 0.0)
        sorted_room = np.take_along_axis(room, order, axis=1)
        taken = np.diff(np.minimum(np.cumsum(sorted_room, axis=1), self.total[:, None]), axis=1, prepend=0.0)
        vertex = np.zeros_like(taken)
        np.put_along_axis(vertex, order, taken, axis=1)
        even = room * (self.total / np.maximum(room.sum(axis=1), np.finfo(float).tiny))[:, None]
        return 0.5 * vertex + 0.5 * even

    def slopes(self, y: Array, v: Array) -> dict[str, Array]:
        """Derivatives of ``<v, y>``, y a projection onto the set, in ``upper`` per entry and ``total`` per row."""
        free = (y > 0) & (y < self.upper)
        capped = (y > 0) & ~free
        mean = np.sum(np.where(free, v, 0.0), axis=1) / np.maximum(free.sum(axis=1), 1)
        mean = np.where(np.isnan(y).any(axis=1), np.nan, mean)
        # Where every weight sits on a bound the map has a kink in the bounds; 0 lies between its one-sided slopes.
        slope = np.where(capped & free.any(axis=1, keepdims=True), v - mean[:, None], 0.0)
        return {"upper": np.where(np.isnan(mean)[:, None], np.nan, slope), "total": mean}

    def constraints(self, y: Any, live: Array) -> list[Any]:
        held = [y[~live] == 0] if not live.all() else []
        upper = np.minimum(np.broadcast_to(self.upper, (1, live.size))[0], self.total[0])
        return [y >= 0, y <= upper, y.sum() == self.total[0], *held]


def room_for_one(upper: Any, total: Any) -> bool:
    """Whether any one entry could take everything, which spares a look at the caps of every row."""
    return isinstance(upper, float | int) and isinstance(total, float | int) and upper >= total
