"""The one place that calls ``numba.njit``: flags, and a disk cache that sees an edit anywhere in this package.

Numba keys its own cache by the file of the outermost function, so a changed callee in another file keeps
answering with the old machine code. Here the key is a digest of every source file of ``regmax.solvers``.
"""

import hashlib
import os
import sys
from functools import cache
from pathlib import Path

import numba
from numba.core import caching

__all__ = ["cache_directory", "exact", "inlined", "kernel", "kernels"]

# "nnan" and "ninf" are left out on purpose: with them LLVM may assume that NaN and -inf never occur.
_REDUCTIONS = frozenset({"reassoc", "contract", "arcp", "nsz"})
_KERNELS: list = []


@cache
def _digest() -> str:
    """Digest of the sources of this package, of Numba's version and of Python's."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    text = b"".join(path.read_bytes() for path in sources)
    return hashlib.sha256(text + f"{numba.__version__} {sys.version}".encode()).hexdigest()[:16]


def _user_cache() -> Path:
    """The user's cache folder by the platform's own rule; ``REGMAX_CACHE_DIR`` and ``NUMBA_CACHE_DIR`` come first."""
    for name in ("REGMAX_CACHE_DIR", "NUMBA_CACHE_DIR"):
        if os.environ.get(name):
            return Path(os.environ[name])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "regmax"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "regmax"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regmax"


@cache
def cache_directory() -> Path | None:
    """Folder of the compiled kernels, or None where nothing can be written (then every process compiles anew)."""
    try:
        folder = _user_cache() / _digest()
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return None
    return folder


class _Locator(caching._CacheLocator):
    """Every kernel in one folder, stamped with the digest of the whole package."""

    def __init__(self, py_func, folder: Path):
        self._name = py_func.__module__.rsplit(".", 1)[-1]
        self._folder = folder

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return _digest()

    def get_disambiguator(self) -> str:
        return self._name

    @classmethod
    def from_function(cls, py_func, py_file):
        folder = cache_directory()
        return None if folder is None else cls(py_func, folder)


class _CacheImpl(caching.CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _Cache(caching.FunctionCache):
    _impl_class = _CacheImpl


def _compiled(py_func, flags, *, stored: bool, **options):
    dispatcher = numba.njit(py_func, nogil=True, error_model="numpy", fastmath=flags, **options)
    if stored and cache_directory() is not None:
        dispatcher._cache = _Cache(py_func)
    return dispatcher


def kernel(py_func):
    """Compile a driver or a row function at first use; sums may be reassociated, NaN and -inf keep their meaning."""
    dispatcher = _compiled(py_func, set(_REDUCTIONS), stored=True)
    _KERNELS.append(dispatcher)
    return dispatcher


def exact(py_func):
    """Compile a function whose order of operations must stay as written; always inlined, so that loops vectorise."""
    return _compiled(py_func, {"contract"}, stored=False, forceinline=True)


def inlined(py_func):
    """Compile a function that a kernel calls in its inner loop.

    Pasted there by LLVM, and without ``_nrt``: counting references to array arguments takes 20 ns a call.
    """
    return _compiled(py_func, set(_REDUCTIONS), stored=False, forceinline=True, _nrt=False)


def kernels() -> tuple:
    """Every kernel defined so far, in order of definition."""
    return tuple(_KERNELS)
