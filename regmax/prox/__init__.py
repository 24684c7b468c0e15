"""Proximal operators and projections: the textbook functions, on arrays, exact, with derivatives and certificates."""

from ._proximal import Proximal, proximals
from .capped_simplex import CappedSimplex, capped_simplex
from .graph_tv import GraphTV, graph_tv
from .isotonic import Isotonic, isotonic
from .l1_ball import L1Ball, l1_ball
from .oscar import Oscar, oscar
from .simplex import Simplex, simplex
from .slope import Slope, slope
from .tv import TV, tv
from .tv2d import TV2D, tv2d

__all__ = [
    "TV",
    "TV2D",
    "CappedSimplex",
    "GraphTV",
    "Isotonic",
    "L1Ball",
    "Oscar",
    "Proximal",
    "Simplex",
    "Slope",
    "capped_simplex",
    "graph_tv",
    "isotonic",
    "l1_ball",
    "oscar",
    "proximals",
    "simplex",
    "slope",
    "tv",
    "tv2d",
]
