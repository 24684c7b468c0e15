"""What the projections onto sets of matrices with given sums share: everything but the sums."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parametrised import Spread
from regmax._transport import (
    RowPolytope,
    Solution,
    TransportPolytope,
    deliver,
    product_call,
    require_potentials,
    solution,
    solver_call,
    started,
)
from regmax.solvers import transport as solver
from regmax.solvers._threads import run

from ._proximal import Proximal

__all__ = ["Transported"]

Array = NDArray[Any]


class Transported(Proximal):
    """A projection whose spread parameters hold ``rows``, ``columns`` and ``upper``."""

    homogeneous = ("rows", "columns", "upper")
    matrix = True

    shape: tuple[int, int] | None

    def _domain(self, p: Spread) -> RowPolytope:
        return TransportPolytope(p["rows"], p["upper"], p["columns"])

    def _solve(self, x: Array, p: Spread, out: Array) -> None:
        inputs, outputs = solver_call(x, p, out=out)
        run(solver.transport, inputs, *outputs)
        deliver(self.name, outputs, out)

    def _multiply(self, y: Array, v: Array, live: Array, p: Spread, out: Array, *, transposed: bool) -> None:
        inputs, outputs = product_call(y, v, p)
        run(solver.transport_jacobian, inputs, *outputs)
        out[...] = outputs[-1]

    def _gap(self, x: Array, y: Array, live: Array, p: Spread) -> Array:
        return super()._gap(self._domain(p).without_offsets(np.where(live, x, -np.inf)), y, live, p)

    def _dual(self, y: Array, r: Array, live: Array, p: Spread) -> tuple[Array, Array]:
        return r, self._domain(p).support(r, live, y) - np.sum(r * y, axis=1)

    def _violation(self, y: Array, live: Array, p: Spread) -> Array:
        return self._domain(p).violation(y, live)

    def _constraints(self, y: Any, live: Array, p: Spread) -> list[Any]:
        return self._domain(p).constraints(y, live)

    def solve(
        self,
        x: ArrayLike,
        axis: Any = -1,
        where: ArrayLike | None = None,
        start: Solution | tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Solution:
        """The point with its potentials, from those of ``start``, (rows, columns) or a solution; in float64."""
        require_potentials(self)
        batch = self._batch(x, axis, where)
        p = self._spread(batch)
        self._prepare(batch, p)
        inputs, outputs = solver_call(batch.data, p, started(self.name, start, batch))
        run(solver.transport, inputs, *outputs)
        return solution(self.name, outputs, batch)

    @property
    def permutes(self) -> bool:
        """Whether permuting the entries of x permutes those of y."""
        return self.shape is not None and 1 in self.shape
