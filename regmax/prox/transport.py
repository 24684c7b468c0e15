"""Projection onto a transport polytope: matrices with given row and column sums."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._parameters import EDGE_WEIGHT, NON_NEGATIVE, Parameter, parameter, sample_sides, shape_parameter
from regmax._parametrised import Spread
from regmax._rows import Rows
from regmax._transport import matched, product_call, require_served
from regmax.solvers import transport as solver
from regmax.solvers._threads import run

from ._transported import Transported

__all__ = ["Transport", "transport"]


@dataclass(frozen=True, eq=False)
class Transport(Transported):
    r"""The nearest matrix ``0 <= P <= upper`` with given row and column sums.

    Parameters
    ----------
    rows, columns : array of shape (..., n) and of shape (..., m)
        What rows and columns sum to, >= 0, behind the batch. The totals of both must agree to 1e-5, and columns are
        scaled to that of the rows.
    upper : float, or array that broadcasts against x, optional
        The largest entries, >= 0; default: no limit.
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

    name = "prox.transport"

    rows: NDArray[Any] = parameter(None, EDGE_WEIGHT, "line")
    columns: NDArray[Any] = parameter(None, EDGE_WEIGHT, "column")
    upper: Parameter | None = parameter(None, NON_NEGATIVE, "item", optional=True)
    shape: tuple[int, int] | None = shape_parameter()

    def _spread(self, batch: Rows) -> Spread:
        p = super()._spread(batch)
        p["rows"], p["columns"] = matched(self.name, batch, p["rows"], p["columns"])
        if self.upper is None:
            p["upper"] = np.full((1, 1), np.inf)
        return p

    def _prepare(self, batch: Rows, p: Spread) -> None:
        if self.upper is not None or not batch.live.all():
            require_served(self.name, batch, p["rows"], p["columns"], p["upper"])

    def _slopes(self, x: NDArray[Any], y: NDArray[Any], v: NDArray[Any], jv: NDArray[Any], p: Spread) -> Spread:
        inputs, (rows, columns, product) = product_call(y, v, p)
        run(solver.transport_jacobian, inputs, rows, columns, product)
        price = (rows[:, :, None] + columns[:, None, :]).reshape(y.shape)
        capped = (y > 0) & (y >= p["upper"])
        # The columns follow the total of the rows, whatever their own.
        total = np.maximum(p["columns"].sum(axis=1, keepdims=True), np.finfo(float).tiny)
        mean = np.sum(columns * p["columns"], axis=1, keepdims=True) / total
        slopes = {"rows": rows + mean, "columns": columns - mean, "upper": np.where(capped, v - price, 0.0)}
        return {name: slope for name, slope in slopes.items() if getattr(self, name) is not None}

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        height, width = sample_sides(n)
        rows, columns = np.linspace(1.0, 2.0, height), np.linspace(2.0, 0.5, width)
        columns *= rows.sum() / columns.sum()
        most = np.outer(rows, columns) / rows.sum()
        return (
            cls(rows, columns, shape=(height, width)),
            cls(columns, rows, 1.5 * most.max(), (width, height)),
            cls(rows, columns, 2.0 * most.reshape(-1), (height, width)),
        )

    @property
    def permutes(self) -> bool:
        """Whether permuting the entries of x permutes those of y."""
        return self.shape == (1, 1)


def transport(
    x: ArrayLike,
    rows: ArrayLike,
    columns: ArrayLike,
    upper: ArrayLike | None = None,
    *,
    axis: tuple[int, int] = (-2, -1),
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_P |P - x|^2 / 2`` over ``0 <= P <= upper`` with row sums ``rows`` and column sums ``columns``.

    Parameters
    ----------
    x : array_like, shape (..., n, m)
        Points; a matrix along ``axis``.
    rows, columns : array_like, shape (..., n) and (..., m)
        What rows and columns sum to, >= 0, in the units of ``x``. The totals of both must agree to 1e-5, and
        columns are scaled to that of the rows.
    upper : float or array_like that broadcasts against ``x``, optional
        The largest entries, >= 0; default: no limit.
    axis : tuple of two int, default (-2, -1)
        The axes of the rows and of the columns of a matrix.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

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
    Source: Li, Sun & Toh 2020. See :class:`Transport` for Jacobian products, certificate and potentials.
    """
    return Transport(rows, columns, upper).prox(x, axis, where)  # type: ignore[arg-type]
