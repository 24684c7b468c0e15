"""Rows that break solvers, by family, and the ways in which an array can lie in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXTREME", "LAYOUTS", "PLAIN", "families", "laid_out"]

Array = NDArray[Any]

#: Families whose scale or offset leaves a general convex solver, and difference quotients, without digits.
EXTREME = ("huge", "tiny", "offset 1e6", "offset -1e9", "mixed scale", "normal 1e3", "exponential ramp")
#: Families of ordinary scale without masks.
PLAIN = ("normal 1", "ties", "ramp", "alternating", "dominant", "two levels", "square root")


def families(n: int, seed: int = 0, rows: int = 6, dtype: Any = np.float64) -> dict[str, Array]:
    """Name to rows of n entries of ``dtype``; what cannot be said in float32 is left out there.

    Parameters
    ----------
    n : int
        Entries per row.
    seed : int
        Of the random families, of ``rows`` rows each.
    dtype : numpy.float32 or numpy.float64

    Returns
    -------
    dict of str to ndarray of shape (1 or more, n)

    Notes
    -----
    Raises nothing. Source: regmax.
    """
    rng = np.random.default_rng(seed)
    k = np.arange(n)
    noise = rng.normal(size=(rows, n))
    dominant = noise.copy()
    dominant[np.arange(rows), rng.integers(n, size=rows)] += 50
    holes = np.where(rng.random((rows, n)) < 0.4, -np.inf, noise)
    holes[:, 0] = noise[:, 0]
    found = {
        "normal 1e-3": noise * 1e-3,
        "normal 1": noise,
        "normal 1e3": noise * 1e3,
        "ties": np.round(noise * 2) / 2,
        "all equal": np.full((2, n), 0.7),
        "zeros": np.zeros((2, n)),
        "ramp": np.stack([k * 0.05, k[::-1] * 0.05, k * 3.0]),
        "exponential ramp": np.stack([-(0.5**k), -(2.0 ** (k % 40)), 0.5**k]),
        "square root": np.sqrt(k)[None] * np.array([[1.0], [0.1]]),
        "alternating": np.stack([(-1.0) ** k, 0.01 * (-1.0) ** k, 1e3 * (-1.0) ** k]),
        "dominant": dominant,
        "two levels": np.where(k < n // 2, 0.3, 0.31)[None] + np.zeros((2, 1)),
        "offset 1e6": noise + 1e6,
        "offset -1e9": noise - 1e9,
        "huge": noise * 1e300,
        "tiny": noise * 1e-300,
        "mixed scale": noise * 10.0 ** rng.integers(-8, 8, size=(rows, n)),
        "-inf": holes,
        "additive mask": np.where(np.isinf(holes), np.finfo(dtype).min, holes),
    }
    if np.dtype(dtype) == np.float32:
        beyond = ("huge", "tiny", "offset -1e9", "mixed scale")
        found = {name: x for name, x in found.items() if name not in beyond}
    return {name: x.astype(dtype) for name, x in found.items()}


def _strided(x: Array) -> Array:
    wide = np.full((2 * x.shape[0], 3 * x.shape[1]), 99.0, x.dtype)
    wide[::2, 1::3] = x
    return wide[::2, 1::3]


def _reversed(x: Array) -> Array:
    return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]


def _read_only(x: Array) -> Array:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


#: How the same rows may lie in memory.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": np.copy,
    "strided": _strided,
    "reversed": _reversed,
    "fortran": np.asfortranarray,
    "read-only": _read_only,
}


def laid_out(x: Array, layout: str) -> Array:
    """A copy of ``x`` in one of :data:`LAYOUTS`."""
    return LAYOUTS[layout](x)
