"""One file per regularizer, a frozen dataclass and the function beside it; and what several of them share:
quadratic, deformed_log and negligible."""

from .budgetmax import Budgetmax, budgetmax
from .entmax import Entmax, entmax
from .fusedmax import Fusedmax, fusedmax
from .graphfusedmax import Graphfusedmax, graphfusedmax
from .kregularmax import Kregularmax, kregularmax
from .normmax import Normmax, normmax
from .oscarmax import Oscarmax, oscarmax, oscarmax_published
from .plaplacemax import Plaplacemax, plaplacemax
from .pnormmax import Pnormmax, pnormmax
from .softmax import Softmax, softmax
from .sparsemax import Sparsemax, sparsemax
from .topkmax import Topkmax, topkmax
from .tv2dmax import Tv2dmax, tv2dmax

__all__ = [
    "Budgetmax",
    "Entmax",
    "Fusedmax",
    "Graphfusedmax",
    "Kregularmax",
    "Normmax",
    "Oscarmax",
    "Plaplacemax",
    "Pnormmax",
    "Softmax",
    "Sparsemax",
    "Topkmax",
    "Tv2dmax",
    "budgetmax",
    "entmax",
    "fusedmax",
    "graphfusedmax",
    "kregularmax",
    "normmax",
    "oscarmax",
    "oscarmax_published",
    "plaplacemax",
    "pnormmax",
    "softmax",
    "sparsemax",
    "topkmax",
    "tv2dmax",
]
