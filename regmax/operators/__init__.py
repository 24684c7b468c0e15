"""One file per regularizer, a frozen dataclass and the function beside it; and what several of them share:
quadratic, deformed_log and negligible."""

from .budgetmax import Budgetmax, budgetmax
from .entmax import Entmax, entmax
from .fusedmax import Fusedmax, fusedmax
from .kregularmax import Kregularmax, kregularmax
from .normmax import Normmax, normmax
from .oscarmax import Oscarmax, oscarmax, oscarmax_published
from .pnormmax import Pnormmax, pnormmax
from .softmax import Softmax, softmax
from .sparsemax import Sparsemax, sparsemax
from .topkmax import Topkmax, topkmax

__all__ = [
    "Budgetmax",
    "Entmax",
    "Fusedmax",
    "Kregularmax",
    "Normmax",
    "Oscarmax",
    "Pnormmax",
    "Softmax",
    "Sparsemax",
    "Topkmax",
    "budgetmax",
    "entmax",
    "fusedmax",
    "kregularmax",
    "normmax",
    "oscarmax",
    "oscarmax_published",
    "pnormmax",
    "softmax",
    "sparsemax",
    "topkmax",
]
