"""Projection onto the doubly stochastic matrices."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import sample_sides, shape_parameter
from regmax._parametrised import Spread
from regmax._rows import Rows
from regmax._transport import even_sums, require_regular

from ._transported import Transported

__all__ = ["Birkhoff", "birkhoff"]


@dataclass(frozen=True, eq=False)
class Birkhoff(Transported):
    r"""The nearest matrix without negative entries, rows that sum to 1 and columns that sum alike: doubly stochastic.

    Rows and columns that are masked throughout take no part: n rows and m columns that do give column sums n/m.

    Parameters
    ----------
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

    name = "prox.birkhoff"

    shape: tuple[int, int] | None = shape_parameter()

    def _spread(self, batch: Rows) -> Spread:
        p = super()._spread(batch)
        p["rows"], p["columns"] = even_sums(batch)
        p["upper"] = np.full((1, 1), np.inf)
        return p

    def _prepare(self, batch: Rows, p: Spread) -> None:
        require_regular(self.name, np.ones(len(p["rows"]), np.int64), batch, p["rows"], p["columns"])

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        height, width = sample_sides(n)
        wide, tall = (height, width), (width, height)
        return (cls(wide), cls(tall))


def birkhoff(
    x: ArrayLike,
    *,
    axis: tuple[int, int] = (-2, -1),
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_P |P - x|^2 / 2``, P >= 0, rows sum to 1, columns alike: the nearest doubly stochastic matrix.

    Parameters
    ----------
    x : array_like, shape (..., n, m)
        Points; a matrix along ``axis``.
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
    Source: Li, Sun & Toh 2020. See :class:`Birkhoff` for Jacobian products, certificate and potentials.
    """
    return Birkhoff().prox(x, axis, where)  # type: ignore[arg-type]
