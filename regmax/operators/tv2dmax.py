"""Tv2dmax: total variation of an image as regularizer; sparse weights, constant on regions."""

from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import ArrayLike, NDArray

from regmax._graph_tv import OnGrid
from regmax._parameters import NON_NEGATIVE, POSITIVE, Parameter, parameter, sample_sides, shape_parameter

from ._graph_variation import GraphVariation

__all__ = ["Tv2dmax", "tv2dmax"]


@dataclass(frozen=True, eq=False)
class Tv2dmax(OnGrid, GraphVariation):
    r"""``Omega(y) = (|y|^2 - 1) / 2 + lam (sum |y_{i+1,j} - y_{ij}| + sum |y_{i,j+1} - y_{ij}|)``: weights by regions.

    A difference with a masked entry disappears.

    Parameters
    ----------
    lam : float or array that broadcasts against the batch
        Strength of the fusion, >= 0; 0 is sparsemax, inf one value per connected part.
    gamma : float or array that broadcasts against the batch
        Strength, > 0.
    shape : (int, int), optional
        Height and width of an image that lies flattened along one axis; default None: an image is two axes.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule or ``shape`` does not fold the axis.

    Notes
    -----
    Source: Martins et al., "Sparse and structured visual attention with the TVmax transformation", 2020.
    """

    name = "tv2dmax"

    lam: Parameter = parameter(0.1, NON_NEGATIVE)
    gamma: Parameter = parameter(1.0, POSITIVE)
    shape: tuple[int, int] | None = shape_parameter()

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        height, width = sample_sides(n)
        return (
            cls(shape=(height, width)),
            cls(0.0, shape=(height, width)),
            cls(0.4, 0.5, (width, height)),
            cls(5.0, shape=(height, width)),
            cls(0.3, shape=(1, n)),
        )


def tv2dmax(
    x: ArrayLike,
    *,
    shape: tuple[int, int] | None = None,
    lam: Parameter = 0.1,
    gamma: Parameter = 1.0,
    axis: int | tuple[int, int] = -1,
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmax_y <x, y> - gamma (|y|^2 / 2 + lam (sum |y_{i+1,j} - y_{ij}| + sum |y_{i,j+1} - y_{ij}|))``: by regions.

    Parameters
    ----------
    x : array_like, shape (..., height, width), or (..., height * width) with ``shape``
        Scores of the entries of images.
    shape : (int, int), optional
        Height and width of an image that lies flattened along ``axis``; default None: an image is two axes.
    lam : float or array_like that broadcasts against the batch, default 0.1
        Strength of the fusion, >= 0, inf allowed.
    gamma : float or array_like that broadcasts against the batch, default 1.0
        Strength of the regularizer, > 0, in the units of the scores.
    axis : int or (int, int), default -1
        The axis, or the two axes, that hold one image; without ``shape`` the default stands for the last two.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get weight 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Weights, summing to 1 over an image; zeros where all of it is masked, NaN in one with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axis or the mask breaks its rule.

    Notes
    -----
    Source: Martins et al. 2020. See :class:`Tv2dmax` for max, loss, Jacobian and certificate.
    """
    return Tv2dmax(lam, gamma, shape).argmax(x, axis, where)  # type: ignore[arg-type]
