"""Kregularmax: regular bipartite graphs as attention, where every key is used as much as any other."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import COUNT, POSITIVE, Parameter, choice, parameter, sample_sides, shape_parameter
from regmax._regularizer import Regularizer, Spread
from regmax._rows import Rows
from regmax._transport import (
    RowPolytope,
    Solution,
    TransportPolytope,
    deliver,
    even_sums,
    multiply_rows,
    product_call,
    require_potentials,
    require_regular,
    solution,
    solve_rows,
    solver_call,
    started,
)
from regmax.solvers import transport
from regmax.solvers._threads import run

__all__ = ["Kregularmax", "kregularmax"]


@dataclass(frozen=True, eq=False)
class Kregularmax(Regularizer):
    r"""``Omega(P) = |P|^2 / 2`` on matrices with entries of at most 1/k, rows that sum to 1, columns that sum alike.

    The vertices of that set are, for square matrices, the k-regular bipartite graphs, divided by k; a point inside has
    k entries per row or more. Rows and columns that are masked throughout take no part: n rows and m columns that do
    give column sums n/m. The reading "row" leaves the columns free, and is the product of :class:`Budgetmax` over rows.

    Parameters
    ----------
    k : int or array of int that broadcasts against the batch
        How many entries a row has at least, from 1 to the number of columns; with all of them P is constant.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.
    reading : {"both", "row"}
        Whether the columns have sums too.
    shape : tuple of two int, optional
        Fold one axis to a matrix; default: the scores have two axes.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule, or if the mask leaves no such matrix; that names rows that cannot be served.

    Notes
    -----
    Source: Li, Sun & Toh, "On the efficient computation of a projector onto the Birkhoff polytope", 2020, for the
    semismooth Newton method; the operator is regmax's own reading of a K-regular constraint on attention.
    """

    name = "kregularmax"
    matrix = True

    k: int | NDArray[Any] = parameter(1, COUNT)
    gamma: Parameter = parameter(1.0, POSITIVE)
    reading: str = choice("both", "both", "row")
    shape: tuple[int, int] | None = shape_parameter()

    def _spread(self, batch: Rows) -> Spread:
        p = super()._spread(batch)
        p["rows"], p["columns"] = even_sums(batch)
        p["upper"] = 1.0 / (p["k"][:, None] if isinstance(self.k, np.ndarray) else np.full((1, 1), float(self.k)))
        return p

    def _prepare(self, batch: Rows, p: Spread) -> None:
        free = self.reading == "row"
        require_regular(self.name, p["k"], batch, p["rows"], p["columns"], free=free)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        if self.reading == "row":
            solve_rows(x, p, p["gamma"], out)
            return
        inputs, outputs = solver_call(x, p, out=out)
        run(transport.transport, inputs, *outputs)
        deliver(self.name, outputs, out)

    def _multiply(self, y: NDArray[Any], v: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        if self.reading == "row":
            multiply_rows(y, v, p, p["gamma"], out)
            return
        inputs, outputs = product_call(y, v, p)
        run(transport.transport_jacobian, inputs, *outputs)
        out[...] = outputs[-1] / p["gamma"][:, None]

    def _omega(self, y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return 0.5 * np.einsum("ij,ij->i", y, y)

    def _gradient(self, x: NDArray[Any], y: NDArray[Any], p: Spread) -> NDArray[Any]:
        return y

    def _gap(self, scores: NDArray[Any], y: NDArray[Any], live: NDArray[Any], p: Spread) -> NDArray[Any]:
        return super()._gap(self._domain(p).without_offsets(np.where(live, scores, -np.inf)), y, live, p)

    def _domain(self, p: Spread) -> RowPolytope:
        if self.reading == "row":
            return RowPolytope(p["rows"], p["upper"])
        return TransportPolytope(p["rows"], p["upper"], p["columns"])

    def _expression(self, y: Any, live: NDArray[Any]) -> Any:
        import cvxpy

        return 0.5 * cvxpy.sum_squares(y)

    def solve(
        self,
        x: ArrayLike,
        axis: Any = -1,
        where: ArrayLike | None = None,
        start: Solution | tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Solution:
        """The weights with their potentials, from those of ``start`` where it is given.

        That is ``(rows, columns)`` or another solution; near one it takes a few Newton steps, and one that is far from
        any is not used. Everything in float64; only for the reading "both".
        """
        require_potentials(self)
        batch = self._batch(x, axis, where)
        p = self._spread(batch)
        self._prepare(batch, p)
        inputs, outputs = solver_call(batch.data, p, started(self.name, start, batch))
        run(transport.transport, inputs, *outputs)
        return solution(self.name, outputs, batch)

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        height, width = sample_sides(n)
        wide, tall = (height, width), (width, height)
        several = (min(2, wide[1]), (wide[1] + 1) // 2)
        return (
            cls(1, shape=wide),
            cls(several[0], gamma=0.5, shape=wide),
            cls(1, gamma=0.1, shape=tall),
            cls(several[1], reading="row", shape=wide),
        )

    @property
    def permutes(self) -> bool:
        return self.shape is not None and 1 in self.shape


def kregularmax(
    x: ArrayLike,
    k: int | NDArray[Any] = 1,
    *,
    gamma: Parameter = 1.0,
    reading: str = "both",
    axis: tuple[int, int] = (-2, -1),
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmax_P <P, x> - gamma |P|^2 / 2``, rows sum to 1, columns alike, entries at most 1/k: k-regular attention.

    Parameters
    ----------
    x : array_like, shape (..., n, m)
        Scores; a matrix along ``axis``.
    k : int or array_like of int that broadcasts against the batch, default 1
        How many entries a row has at least, from 1 to m.
    gamma : float or array_like that broadcasts against the batch, default 1.0
        Strength of the regularizer, > 0, in the units of the scores.
    reading : {"both", "row"}, default "both"
        Whether the columns must sum to n/m; "row" leaves them free.
    axis : tuple of two int, default (-2, -1)
        The axes of the rows and of the columns of a matrix.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get weight 0. Entries of -inf are masked too. Rows and columns masked
        throughout are not there.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Weights; zeros where a whole matrix is masked, NaN in a matrix with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axes or the mask break their rule, or the mask leaves no such matrix.

    Notes
    -----
    Source: Li, Sun & Toh 2020 for the method. See :class:`Kregularmax` for max, loss, Jacobian, certificate and
    potentials, and :func:`k_regular_graph` for the limit of small gamma.
    """
    return Kregularmax(k, gamma, reading).argmax(x, axis, where)  # type: ignore[arg-type]
