"""Proximal operators and projections: the textbook functions, on arrays, exact, with derivatives and certificates."""

from ._proximal import Proximal, proximals
from .birkhoff import Birkhoff, birkhoff
from .capped_simplex import CappedSimplex, capped_simplex
from .graph_tv import GraphTV, graph_tv
from .isotonic import Isotonic, isotonic
from .kregular import KRegular, kregular
from .l1_ball import L1Ball, l1_ball
from .oscar import Oscar, oscar
from .plaplacian import PLaplacian, plaplacian
from .simplex import Simplex, simplex
from .slope import Slope, slope
from .transport import Transport, transport
from .tv import TV, tv
from .tv2d import TV2D, tv2d

__all__ = [
    "TV",
    "TV2D",
    "Birkhoff",
    "CappedSimplex",
    "GraphTV",
    "Isotonic",
    "KRegular",
    "L1Ball",
    "Oscar",
    "PLaplacian",
    "Proximal",
    "Simplex",
    "Slope",
    "Transport",
    "birkhoff",
    "capped_simplex",
    "graph_tv",
    "isotonic",
    "kregular",
    "l1_ball",
    "oscar",
    "plaplacian",
    "proximals",
    "simplex",
    "slope",
    "transport",
    "tv",
    "tv2d",
]
