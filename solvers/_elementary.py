"""exp, log and powers of floats, in plain arithmetic that LLVM turns into vector instructions.

The C library's scalar ``exp`` costs ten times as much per element as a polynomial in a vectorised loop.
Range reduction after Cody & Waite (1980); the polynomials are Taylor's and the atanh series, cut where
the remainder falls below half a unit of the last place. Plain Python reaches the same float64 code.
"""

import numpy as np
from numba import types
from numba.extending import overload

from ._jit import exact

__all__ = ["exp", "log", "power", "power_near_one", "whole_power"]

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2_HIGH_32, _LN2_LOW_32 = np.float32(6.93359375e-01), np.float32(-2.12194440e-4)
_LOG2_E = 1.4426950408889634
_LOG2_E_32 = np.float32(_LOG2_E)
_SQRT_HALF = 0.7071067811865476
# Without it an overload takes the flags of whichever caller compiles it first.
_AS_WRITTEN = {"fastmath": {"contract"}, "forceinline": True}


@exact
def _exp64(v):
    w = max(v, -708.0)
    k = np.floor(w * _LOG2_E + 0.5)
    r = (w - k * _LN2_HIGH) - k * _LN2_LOW
    q = r * r
    odd = 1.0 / 6227020800.0
    odd = odd * q + 1.0 / 39916800.0
    odd = odd * q + 1.0 / 362880.0
    odd = odd * q + 1.0 / 5040.0
    odd = odd * q + 1.0 / 120.0
    odd = odd * q + 1.0 / 6.0
    even = 1.0 / 479001600.0
    even = even * q + 1.0 / 3628800.0
    even = even * q + 1.0 / 40320.0
    even = even * q + 1.0 / 720.0
    even = even * q + 1.0 / 24.0
    even = even * q + 0.5
    scale = np.int64((np.int64(k) + 1023) << 52).view(np.float64)
    return scale * ((odd * r + even) * q + r + 1.0) if v >= -708.0 else 0.0


@exact
def _exp32(v):
    one, half = np.float32(1), np.float32(0.5)
    w = max(v, np.float32(-87.0))
    k = np.floor(w * _LOG2_E_32 + half)
    r = (w - k * _LN2_HIGH_32) - k * _LN2_LOW_32
    p = np.float32(1.0 / 5040.0)
    p = p * r + np.float32(1.0 / 720.0)
    p = p * r + np.float32(1.0 / 120.0)
    p = p * r + np.float32(1.0 / 24.0)
    p = p * r + np.float32(1.0 / 6.0)
    p = p * r + half
    scale = np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)
    return scale * (p * (r * r) + r + one) if v >= np.float32(-87.0) else np.float32(0)


@exact
def _log64(v):
    b = np.float64(v).view(np.int64)
    e = (b >> 52) - 1023
    m = np.int64((b & 0x000FFFFFFFFFFFFF) | 0x3FE0000000000000).view(np.float64)
    low = m < _SQRT_HALF
    m = m + m if low else m
    e = e if low else e + 1
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    qq = q * q
    odd = 1.0 / 21.0
    odd = odd * qq + 1.0 / 17.0
    odd = odd * qq + 1.0 / 13.0
    odd = odd * qq + 1.0 / 9.0
    odd = odd * qq + 1.0 / 5.0
    even = 1.0 / 19.0
    even = even * qq + 1.0 / 15.0
    even = even * qq + 1.0 / 11.0
    even = even * qq + 1.0 / 7.0
    even = even * qq + 1.0 / 3.0
    k = np.float64(e)
    return k * _LN2_HIGH + (k * _LN2_LOW + (2.0 * s + 2.0 * s * q * (odd * q + even)))


@exact
def _log32(v):
    one = np.float32(1)
    two = np.float32(2)
    b = np.float32(v).view(np.int32)
    e = (b >> np.int32(23)) - np.int32(127)
    m = np.int32((b & np.int32(0x007FFFFF)) | np.int32(0x3F000000)).view(np.float32)
    low = m < np.float32(_SQRT_HALF)
    m = m + m if low else m
    e = e if low else np.int32(e + np.int32(1))
    s = (m - one) / (m + one)
    q = s * s
    p = np.float32(1.0 / 9.0)
    p = p * q + np.float32(1.0 / 7.0)
    p = p * q + np.float32(1.0 / 5.0)
    p = p * q + np.float32(1.0 / 3.0)
    k = np.float32(e)
    return k * _LN2_HIGH_32 + (k * _LN2_LOW_32 + (two * s + two * s * q * p))


def exp(v):
    """``e**v`` for ``v <= 700``; exactly 0 below the smallest normal number."""
    return _exp32(v) if isinstance(v, np.float32) else _exp64(v)


def log(v):
    """Natural logarithm of a normal number ``v > 0`` (+inf reads as the largest number)."""
    return _log32(v) if isinstance(v, np.float32) else _log64(v)


@overload(exp, jit_options=_AS_WRITTEN)
def _exp(v):
    return (lambda v: _exp32(v)) if v == types.float32 else (lambda v: _exp64(v))


@overload(log, jit_options=_AS_WRITTEN)
def _log(v):
    return (lambda v: _log32(v)) if v == types.float32 else (lambda v: _log64(v))


@exact
def power(d, exponent, tiny):
    """``d ** exponent``; 0 for ``d <= tiny``, the smallest normal number of the dtype."""
    v = exp(exponent * log(max(d, tiny)))
    return v if d > tiny else tiny - tiny


@exact
def power_near_one(w, exponent, one):
    """(``[1 + w]_+ ** exponent``, the same over ``1 + w``) for finite ``w``, accurate near 0, and ``exponent != 0``.

    To the logarithm of the rounded ``1 + w`` goes what the rounding lost. ``one`` sets the dtype.
    """
    d = one + w if w > -one else one
    inverse = one / d
    v = exp(exponent * (log(d) + (w - (d - one)) * inverse)) if w > -one else one - one
    return v, v * inverse


@exact
def whole_power(d, exponent, one):
    """``d ** exponent`` for a whole exponent from 0 to 15, without a branch or a loop that would keep it scalar."""
    square = d * d
    fourth = square * square
    low = (d if exponent & 1 else one) * (square if exponent & 2 else one)
    return low * ((fourth if exponent & 4 else one) * (fourth * fourth if exponent & 8 else one))
