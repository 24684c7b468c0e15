"""Total variation denoising of an image: the anisotropic two-dimensional fused lasso prox."""

from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import ArrayLike, NDArray

from regmax._graph_tv import OnGrid
from regmax._parameters import NON_NEGATIVE, Parameter, parameter, sample_sides, shape_parameter

from ._graph_variation import GraphVariation

__all__ = ["TV2D", "tv2d"]


@dataclass(frozen=True, eq=False)
class TV2D(OnGrid, GraphVariation):
    r"""``g(y) = lam (sum |y_{i+1,j} - y_{ij}| + sum |y_{i,j+1} - y_{ij}|)``: the answer is constant on regions.

    A difference with a masked entry disappears.

    Parameters
    ----------
    lam : float or array that broadcasts against the batch
        Strength, >= 0; inf gives the mean of each connected part.
    shape : (int, int), optional
        Height and width of an image that lies flattened along one axis; default None: an image is two axes.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule or ``shape`` does not fold the axis.

    Notes
    -----
    Finite and exact. Source: Chambolle & Darbon, "On total variation minimization and surface evolution using
    parametric maximum flows", 2009.
    """

    name = "prox.tv2d"

    lam: Parameter = parameter(0.1, NON_NEGATIVE)
    shape: tuple[int, int] | None = shape_parameter()

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        height, width = sample_sides(n)
        return (
            cls(shape=(height, width)),
            cls(0.0, (height, width)),
            cls(0.4, (width, height)),
            cls(10.0, (height, width)),
            cls(0.3, (1, n)),
        )


def tv2d(
    x: ArrayLike,
    lam: Parameter,
    *,
    axis: tuple[int, int] = (-2, -1),
    where: ArrayLike | None = None,
) -> NDArray[Any]:
    r"""``argmin_y |y - x|^2 / 2 + lam (sum |y_{i+1,j} - y_{ij}| + sum |y_{i,j+1} - y_{ij}|)``, exact.

    Parameters
    ----------
    x : array_like, shape (..., height, width)
        Images.
    lam : float or array_like that broadcasts against the batch
        Strength, >= 0, in the units of ``x``; inf gives the mean.
    axis : (int, int), default (-2, -1)
        The axes that hold one image.
    where : array_like of bool that broadcasts against ``x``, optional
        True = takes part; other entries get 0. Entries of -inf are masked too.

    Returns
    -------
    ndarray of the shape and dtype of ``x`` (float64 for integers)
        Images, constant on regions; NaN in an image with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the axes or the mask break their rule.

    Notes
    -----
    Source: Chambolle & Darbon 2009. See :class:`TV2D` for Jacobian products and certificate.
    """
    return TV2D(lam).prox(x, axis, where)  # type: ignore[arg-type]
