"""How each library is asked for the same answer; one that is not installed is left out and named."""

import importlib
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cases import Case
from .contender import Contender
from .graph_libraries import cut_pursuit, douglas_rachford, maximum_flows

__all__ = ["LIBRARIES", "contenders", "installed", "set_threads"]

Array = NDArray[Any]
Call = Callable[[], Any]

_LARGEST_WITNESS = 1 << 16


def _rows(function: Callable[[Array], Array], x: Array) -> Call:
    """A function of one row, called in a loop."""

    def call() -> Array:
        return np.stack([function(row) for row in x]) if len(x) > 1 else np.asarray(function(x[0]))[None]

    return call


def _numpy(case: Case, x: Array) -> Iterator[Contender]:
    yield Contender("copy", lambda: np.copy(x), answers=False)
    if case.name.startswith(("oscar", "slope")):
        yield Contender("numpy sort", lambda: np.sort(x, axis=1), answers=False)


def _there_and_back(case: Case, x: Array) -> Callable[[Any], Call]:
    """A call of a function on tensors; in the group of that name forward, and backward with a fixed gradient."""
    import torch

    if case.group != "torch":
        tensor = torch.from_numpy(x)
        return lambda function: lambda: function(tensor)
    leaf, g = torch.from_numpy(x).requires_grad_(), torch.randn(x.shape, generator=torch.Generator().manual_seed(0))

    def both(function: Any) -> Call:
        def call() -> Any:
            y = function(leaf)
            torch.autograd.grad(y, leaf, g)
            return y.detach()

        return call

    return both


def _regmax(case: Case, x: Array) -> Iterator[Contender]:
    operator = case.operator
    if case.group != "torch":
        yield Contender("regmax", lambda: operator(x))
        return
    from regmax.adapters.torch import argmax

    yield Contender("regmax", _there_and_back(case, x)(lambda leaf: argmax(operator, leaf)))


def _torch(case: Case, x: Array) -> Iterator[Contender]:
    import torch

    ready = _there_and_back(case, x)
    is_softmax = case.operator.name == "softmax"
    if not case.group.startswith("prox") and case.group != "projections":
        yield Contender("torch softmax", ready(lambda tensor: torch.softmax(tensor, -1)), answers=is_softmax)


def _scipy(case: Case, x: Array) -> Iterator[Contender]:
    if case.operator.name == "softmax":
        from scipy.special import softmax

        yield Contender("scipy", lambda: softmax(x, axis=1))
    if case.operator.name == "prox.isotonic":
        from scipy.optimize import isotonic_regression

        yield Contender("scipy", _rows(lambda row: isotonic_regression(row).x, x))


def _pot(case: Case, x: Array) -> Iterator[Contender]:
    from ot.smooth import projection_simplex, smooth_ot_dual

    if case.operator.name == "prox.birkhoff":
        ones, cost = np.ones(case.operator.shape[0]), -x.reshape(case.operator.shape)
        options = {"reg": 1.0, "reg_type": "l2", "stopThr": 1e-12, "numItermax": 2000}
        yield Contender("POT dual", lambda: smooth_ot_dual(ones, ones, cost, **options).reshape(1, -1))

    if case.operator.name in ("sparsemax", "prox.simplex"):
        columns = np.ascontiguousarray(x.T)
        yield Contender("POT", lambda: projection_simplex(columns, axis=0).T)
        yield Contender("POT rows", lambda: projection_simplex(x, axis=1))


def _entmax(case: Case, x: Array) -> Iterator[Contender]:
    import entmax

    ready, name = _there_and_back(case, x), case.operator.name
    alpha = getattr(case.operator, "alpha", None)
    sorted_ones = {"sparsemax": entmax.sparsemax, "entmax": entmax.entmax15 if alpha == 1.5 else None}
    if (function := sorted_ones.get(name)) is not None:
        yield Contender("entmax", ready(lambda tensor: function(tensor, -1)))
        if x.shape[1] > 32:
            yield Contender("entmax k=32", ready(lambda tensor: function(tensor, -1, k=32)))
    elif name == "entmax":
        yield Contender("entmax bisect", ready(lambda tensor: entmax.entmax_bisect(tensor, alpha, -1)))


def _lam_of_tv(case: Case) -> float | None:
    """lam where the case is a total variation prox, or fusedmax, of which such a library does the first half."""
    return float(case.operator.lam) if case.operator.name in ("prox.tv", "fusedmax") else None


def _name_of_tv(case: Case, name: str) -> str:
    return name if case.operator.name == "prox.tv" else f"{name}, prox only"


def _of_tv(case: Case, x: Array, name: str, function: Callable[[Array], Array]) -> Iterator[Contender]:
    whole = case.operator.name == "prox.tv"
    yield Contender(_name_of_tv(case, name), _rows(function, np.ascontiguousarray(x, np.float64)), answers=whole)


def _condat(case: Case, x: Array) -> Iterator[Contender]:
    import condat_tv

    if (lam := _lam_of_tv(case)) is not None:
        yield from _of_tv(case, x, "condat_tv", lambda row: condat_tv.tv_denoise(row, lam))


def _prox_tv(case: Case, x: Array) -> Iterator[Contender]:
    import prox_tv

    if (lam := _lam_of_tv(case)) is not None:
        for method in ("hybridtautstring", "classictautstring"):
            short = "prox_tv " + method.removesuffix("tautstring")
            yield from _of_tv(case, x, short, partial(prox_tv.tv1_1d, w=lam, method=method))
        # The direct method of 2013 takes seconds on long slopes.
        if not (case.name.startswith(("ramp", "sqrt")) and x.shape[1] > 100_000):
            yield from _of_tv(case, x, "prox_tv condat", lambda row: prox_tv.tv1_1d(row, lam, method="condat"))


def _cvxpy(case: Case, x: Array) -> Iterator[Contender]:
    from regmax.adapters import cvxpy as adapter

    if case.group in ("p-Laplacian", "K-regular") and x.size <= _LARGEST_WITNESS and len(x) <= 64:
        solve = adapter.prox if case.operator.name.startswith("prox.") else adapter.argmax
        yield Contender("CVXPY, Clarabel", lambda: solve(case.operator, x))


def _torchsparseattn(case: Case, x: Array) -> Iterator[Contender]:
    if (lam := _lam_of_tv(case)) is not None and not (case.name.startswith(("ramp", "sqrt")) and x.shape[1] > 100_000):
        kernel = _fused_kernel()

        def solve(row: Array) -> Array:
            out = row.copy()
            kernel.prox_tv1d(out, lam)
            return out

        yield from _of_tv(case, x, "torchsparseattn", solve)


def _fused_kernel() -> Any:
    """The compiled kernel alone: the package itself does not import on a current PyTorch."""
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import find_spec, module_from_spec, spec_from_loader
    from pathlib import Path

    found = find_spec("torchsparseattn")
    if found is None or not found.submodule_search_locations:
        raise ImportError("torchsparseattn")
    path = next(Path(found.submodule_search_locations[0]).glob("_fused.*so"), None)
    if path is None:
        raise ImportError("torchsparseattn has no compiled kernel")
    spec = spec_from_loader("_fused", ExtensionFileLoader("_fused", str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _copt(case: Case, x: Array) -> Iterator[Contender]:
    tv_prox = importlib.import_module("copt.tv_prox")
    if (lam := _lam_of_tv(case)) is not None:
        yield from _of_tv(case, x, "copt", lambda row: tv_prox.prox_tv1d(row, lam))


def _sklearn(case: Case, x: Array) -> Iterator[Contender]:
    from sklearn.isotonic import isotonic_regression

    if case.operator.name == "prox.isotonic":
        yield Contender("scikit-learn", _rows(isotonic_regression, x))


def _modopt(case: Case, x: Array) -> Iterator[Contender]:
    from modopt.opt.proximity import OrderedWeightedL1Norm

    if case.operator.name in ("prox.oscar", "prox.slope"):
        prox = OrderedWeightedL1Norm(_slope_weights(case))
        yield Contender("modopt", _rows(prox.op, x))


def _skglm(case: Case, x: Array) -> Iterator[Contender]:
    from skglm.utils.prox_funcs import prox_SLOPE

    if case.operator.name in ("prox.oscar", "prox.slope"):
        weights = _slope_weights(case)

        def solve(row: Array) -> Array:
            order = np.argsort(-np.abs(row))
            out = np.empty_like(row)
            out[order] = prox_SLOPE(np.abs(row)[order], weights)
            return np.copysign(out, row)

        yield Contender("skglm", _rows(solve, x))


def _slope_weights(case: Case) -> Array:
    if case.operator.name == "prox.slope":
        return case.operator.weights
    return case.operator.l1 + case.operator.lam * np.arange(case.shape[1] - 1.0, -1.0, -1.0)


_ON_TENSORS = ("numpy", "torch", "entmax", "torchsparseattn")

#: Import name, name on the package index, and how it is asked.
LIBRARIES: dict[str, tuple[str, Callable[[Case, Array], Iterator[Contender]]]] = {
    "numpy": ("numpy", _numpy),
    "torch": ("torch", _torch),
    "scipy": ("scipy", _scipy),
    "ot": ("POT", _pot),
    "entmax": ("entmax", _entmax),
    "condat_tv": ("condat-tv", _condat),
    "prox_tv": ("prox-tv", lambda case, x: chain(_prox_tv(case, x), douglas_rachford(case, x))),
    "pycut_pursuit": ("pycut-pursuit", cut_pursuit),
    "maxflow": ("PyMaxflow", maximum_flows),
    "torchsparseattn": ("torchsparseattn", _torchsparseattn),
    "copt": ("copt", _copt),
    "sklearn": ("scikit-learn", _sklearn),
    "modopt": ("modopt", _modopt),
    "skglm": ("skglm", _skglm),
    "cvxpy": ("cvxpy", _cvxpy),
}


def installed() -> dict[str, str | None]:
    """Version of every library, by its name on the package index; None where it is not installed."""
    found: dict[str, str | None] = {}
    for package, _ in LIBRARIES.values():
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def contenders(case: Case, x: Array) -> list[Contender]:
    """regmax first, then every installed library that can answer, and the yardsticks."""
    others = (ask for name, (_, ask) in LIBRARIES.items() if case.group != "torch" or name in _ON_TENSORS)
    found: list[Contender] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what other packages deprecate is theirs
        for ask in (_regmax, *others):
            try:
                found += list(ask(case, x))
            except ImportError:
                continue
    return found


def set_threads(threads: int) -> None:
    """The number of threads of regmax and of torch."""
    import regmax

    regmax.set_num_threads(threads)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)
