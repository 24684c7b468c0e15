"""Regularized max operators: scores to dense, sparse, fused, clustered or capped weights, exact and certified."""

# In a source checkout the folders solvers/ and adapters/ lie beside this package, not inside it; an installed regmax
# has them inside. Without these lines a checkout on the path would hide them.
import os as _os

_beside = _os.path.dirname(_os.path.dirname(_os.path.abspath(__file__)))
if not _os.path.isdir(_os.path.join(__path__[0], "solvers")) and _os.path.isfile(
    _os.path.join(_beside, "solvers", "_jit.py")
):
    __path__.append(_beside)

from regmax.solvers._threads import get_num_threads, set_num_threads

from ._convergence import ConvergenceWarning
from ._generic import GenericRegularizer
from ._graph import grid_edges
from ._regular_graph import Degrees, degree_histogram, k_regular_graph
from ._regularizer import Regularizer
from ._version import __version__
from ._warmup import warmup
from .certificate import Certificate
from .operators import (
    Budgetmax,
    Entmax,
    Fusedmax,
    Graphfusedmax,
    Kregularmax,
    Normmax,
    Oscarmax,
    Plaplacemax,
    Pnormmax,
    Softmax,
    Sparsemax,
    Topkmax,
    Tv2dmax,
    budgetmax,
    entmax,
    fusedmax,
    graphfusedmax,
    kregularmax,
    normmax,
    oscarmax,
    oscarmax_published,
    plaplacemax,
    pnormmax,
    softmax,
    sparsemax,
    topkmax,
    tv2dmax,
)

# isort: split
# Last, because importing the folder of the same name binds it here too; the name is the function's.
from ._regularizer import operators

__all__ = [
    "Budgetmax",
    "Certificate",
    "ConvergenceWarning",
    "Degrees",
    "Entmax",
    "Fusedmax",
    "GenericRegularizer",
    "Graphfusedmax",
    "Kregularmax",
    "Normmax",
    "Oscarmax",
    "Plaplacemax",
    "Pnormmax",
    "Regularizer",
    "Softmax",
    "Sparsemax",
    "Topkmax",
    "Tv2dmax",
    "__version__",
    "budgetmax",
    "degree_histogram",
    "entmax",
    "fusedmax",
    "get_num_threads",
    "graphfusedmax",
    "grid_edges",
    "k_regular_graph",
    "kregularmax",
    "normmax",
    "operators",
    "oscarmax",
    "oscarmax_published",
    "plaplacemax",
    "pnormmax",
    "set_num_threads",
    "softmax",
    "sparsemax",
    "topkmax",
    "tv2dmax",
    "warmup",
]

_LAZY = ("prox", "verify")


def __getattr__(name: str) -> object:
    """``regmax.prox`` and ``regmax.verify`` are imported at their first use."""
    if name in _LAZY:
        import importlib

        return importlib.import_module(f"regmax.{name}")
    raise AttributeError(f"module 'regmax' has no attribute {name!r}")
