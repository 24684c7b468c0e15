"""Projection onto the convex hull of regular bipartite graphs."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import COUNT, choice, parameter, sample_sides, shape_parameter
from regmax._parametrised import Spread
from regmax._rows import Rows
from regmax._transport import RowPolytope, even_sums, multiply_rows, require_regular, solve_rows

from ._transported import Transported

__all__ = ["KRegular", "kregular"]


@dataclass(frozen=True, eq=False)
class KRegular(Transported):
    r"""The nearest matrix with entries from 0 to 1/k, rows that sum to 1 and columns that sum alike.

    Rows and columns that are masked throughout take no part: n rows and m columns that do give column sums n/m. The
    reading "row" leaves the columns free, and is :class:`CappedSimplex` of each row.

    Parameters
    ----------
    k : int or array of int that broadcasts against the batch
        How many entries a row has at least, from 1 to the number of columns.
    reading : {"both", "row"}
        Whether the columns have sums too.
    shape : tuple of two int, optional
        Fold one axis to a matrix; default: x has two axes.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule, or if the mask leaves no such matrix; that names rows that cannot be served.

    Notes
    -----
    Source: Li, Sun & Toh, "On the efficient computation of a projector onto the Birkhoff polytope", 2020.
    """

    name = "prox.kregular"

    k: int | NDArray[Any] = parameter(1, COUNT)
    reading: str = choice("both", "both", "row")
    shape: tuple[int, int] | None = shape_parameter()

    def _spread(self, batch: Rows) -> Spread:
        p = super()._spread(batch)
        p["rows"], p["columns"] = even_sums(batch)
        p["upper"] = 1.0 / p["k"][:, None]
        return p

    def _prepare(self, batch: Rows, p: Spread) -> None:
        require_regular(self.name, p["k"], batch, p["rows"], p["columns"], free=self.reading == "row")

    def _domain(self, p: Spread) -> RowPolytope:
        return RowPolytope(p["rows"], p["upper"]) if self.reading == "row" else super()._domain(p)

    def _solve(self, x: NDArray[Any], p: Spread, out: NDArray[Any]) -> None:
        if self.reading == "row":
            solve_rows(x, p, np.ones(len(x)), out)
        else:
            super()._solve(x, p, out)

    def _multiply(
        self, y: NDArray[Any], v: NDArray[Any], live: NDArray[Any], p: Spread, out: NDArray[Any], *, transposed: bool
    ) -> None:
        if self.reading == "row":
            multiply_rows(y, v, p, np.ones(len(y)), out)
        else:
            super()._multiply(y, v, live, p, out, transposed=transposed)

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        height, width = sample_sides(n)
        wide, tall = (height, width), (width, height)
        return (
            cls(1, shape=wide),
            cls(min(2, wide[1]), shape=wide),
            cls((tall[1] + 1) // 2, shape=tall),
            cls(min(2, wide[1]), "row", wide),
        )


def kregular(
    x: ArrayLike,
    k: int | NDArray[Any],
    *,
    reading: str = "both",
    axis: tuple[int, int] = (-2, -1),
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_P |P - x|^2 / 2``, rows sum to 1, columns alike unless ``reading="row"``, entries from 0 to 1/k.

    Parameters
    ----------
    x : array_like, shape (..., n, m)
        Points; a matrix along ``axis``.
    k : int or array_like of int that broadcasts against the batch
        How many entries a row has at least, from 1 to m.
    reading : {"both", "row"}, default "both"
        Whether the columns have sums too.
    axis : tuple of two int, default (-2, -1)
        The axes of the rows and of the columns of a matrix.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too. Rows and columns masked
        throughout are not there.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Matrices of the set; zeros where a whole matrix is masked; NaN in a matrix with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axes or the mask break their rule, or the mask leaves no such matrix.

    Notes
    -----
    Source: Li, Sun & Toh 2020. See :class:`KRegular` for Jacobian products, certificate and potentials.
    """
    return KRegular(k, reading).prox(x, axis, where)  # type: ignore[arg-type]
