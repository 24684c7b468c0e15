"""Proximal operators and projections: the textbook functions, on arrays, exact, with derivatives and certificates."""

from ._proximal import Proximal, proximals
from .capped_simplex import CappedSimplex, capped_simplex
from .isotonic import Isotonic, isotonic
from .l1_ball import L1Ball, l1_ball
from .oscar import Oscar, oscar
from .simplex import Simplex, simplex
from .slope import Slope, slope
from .tv import TV, tv

__all__ = [
    "TV",
    "CappedSimplex",
    "Isotonic",
    "L1Ball",
    "Oscar",
    "Proximal",
    "Simplex",
    "Slope",
    "capped_simplex",
    "isotonic",
    "l1_ball",
    "oscar",
    "proximals",
    "simplex",
    "slope",
    "tv",
]
