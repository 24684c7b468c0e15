"""`regmax info`: versions, threads, the kernel cache, and which backends answer here."""

import argparse
import importlib
import json
import platform
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import regmax
from regmax.solvers._jit import cache_directory

__all__ = ["configure", "run"]

_PACKAGES = ("numpy", "scipy", "numba", "cvxpy", "torch", "matplotlib")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _versions() -> dict[str, str | None]:
    found = {"regmax": regmax.__version__, "python": platform.python_version()}
    return {**found, **{package: _version(package) for package in _PACKAGES}}


def _verdict(weights: Any) -> str:
    right = np.allclose(weights, [0.0, 0.25, 0.75], atol=1e-6)
    return "answers" if right else f"answers wrongly: {np.asarray(weights).tolist()}"


def _numpy() -> str:
    return _verdict(regmax.sparsemax([-1.0, 0.5, 1.0]))


def _cvxpy() -> str:
    module = importlib.import_module("regmax.adapters.cvxpy")
    cvxpy = importlib.import_module("cvxpy")
    try:
        return _verdict(module.argmax(regmax.Sparsemax(), [-1.0, 0.5, 1.0]))
    except (cvxpy.error.SolverError, RuntimeError) as error:
        return f"does not answer: {error}"


def _torch() -> str:
    torch = importlib.import_module("torch")
    return f"imports, {'with' if torch.cuda.is_available() else 'without'} CUDA"


def _matplotlib() -> str:
    importlib.import_module("matplotlib.figure")
    return "imports"


#: Each backend with the extra that installs it and the trial that shows what works.
_BACKENDS: dict[str, tuple[str, Callable[[], str]]] = {
    "numpy": ("", _numpy),
    "cvxpy": ("verify", _cvxpy),
    "torch": ("torch", _torch),
    "matplotlib": ("plot", _matplotlib),
}


def _tried(extra: str, trial: Callable[[], str]) -> str:
    try:
        return trial()
    except ModuleNotFoundError:
        return f'not installed: pip install "regmax[{extra}]"'
    except (ImportError, OSError) as error:
        return f"does not import: {error}"


def _collect() -> dict[str, Any]:
    folder = cache_directory()
    return {
        "versions": _versions(),
        "threads": regmax.get_num_threads(),
        "cache": None if folder is None else str(folder),
        "backends": {name: _tried(extra, trial) for name, (extra, trial) in _BACKENDS.items()},
        "operators": {
            name: [field.name for field in fields(kind)]  # type: ignore[arg-type]
            for name, kind in regmax.operators().items()
        },
    }


def _section(title: str, values: dict[str, str]) -> list[str]:
    return [title, *(f"  {name:<12}{value}" for name, value in values.items())]


def _text(found: dict[str, Any]) -> str:
    cache = found["cache"] or "none can be written: kernels are compiled anew in every process (set REGMAX_CACHE_DIR)"
    lines = _section("versions", {name: value or "not installed" for name, value in found["versions"].items()})
    lines += _section("kernels", {"threads": str(found["threads"]), "cache": cache})
    lines += _section("backends", found["backends"])
    lines += _section("operators", {name: ", ".join(names) for name, names in found["operators"].items()})
    return "\n".join(lines)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    found = _collect()
    print(json.dumps(found, indent=2) if options.json else _text(found))
