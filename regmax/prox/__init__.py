"""Proximal operators and projections: the textbook functions, on arrays, exact, with derivatives and certificates."""

from ._proximal import Proximal, proximals
from .birkhoff import Birkhoff, birkhoff
from .capped_simplex import CappedSimplex, capped_simplex
from .isotonic import Isotonic, isotonic
from .kregular import KRegular, kregular
from .l1_ball import L1Ball, l1_ball
from .oscar import Oscar, oscar
from .simplex import Simplex, simplex
from .slope import Slope, slope
from .transport import Transport, transport
from .tv import TV, tv

__all__ = [
    "TV",
    "Birkhoff",
    "CappedSimplex",
    "Isotonic",
    "KRegular",
    "L1Ball",
    "Oscar",
    "Proximal",
    "Simplex",
    "Slope",
    "Transport",
    "birkhoff",
    "capped_simplex",
    "isotonic",
    "kregular",
    "l1_ball",
    "oscar",
    "proximals",
    "simplex",
    "slope",
    "transport",
    "tv",
]
