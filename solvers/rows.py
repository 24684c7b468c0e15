"""What every driver does to a row first: find its maximum, and tell live, masked, dead and invalid rows apart.

Floats read as integers can be put in their own order by one exclusive-or, so a single vectorised pass over
integers yields maximum, minimum and NaN; a comparison of floats that honours NaN does not vectorise.
"""

import numpy as np
from numba import types
from numba.extending import overload

from ._jit import exact, kernel

__all__ = [
    "BLOCK",
    "FLOOR",
    "compensated",
    "enter",
    "extent",
    "floor_of",
    "in_float64",
    "kth_largest",
    "limits",
    "normalise",
    "place_of",
    "room",
    "row_sum",
    "scale",
]

#: An entry at or below FLOOR[dtype] takes no part: half the most negative finite number.
FLOOR = {np.dtype(t): t(np.finfo(t).min) / t(2) for t in (np.float32, np.float64)}

_FLOOR_64, _FLOOR_32 = float(FLOOR[np.dtype(np.float64)]), FLOOR[np.dtype(np.float32)]
_LIMITS_64 = (*(float(getattr(np.finfo(np.float64), name)) for name in ("tiny", "eps", "max")), -float("inf"))
_LIMITS_32 = tuple(
    np.float32(v) for v in (*(getattr(np.finfo(np.float32), n) for n in ("tiny", "eps", "max")), -np.inf)
)
_MAGNITUDE_64, _MAGNITUDE_32 = 0x7FFFFFFFFFFFFFFF, np.int32(0x7FFFFFFF)
#: Entries that are summed before compensation.
BLOCK = 1024
_LONG = 16384
_INFINITY_64, _INFINITY_32 = 0x7FF0000000000000, np.int32(0x7F800000)


@exact
def _extent64(x):
    high, low = -_MAGNITUDE_64, _MAGNITUDE_64
    for i in range(x.size):
        bits = np.float64(x[i]).view(np.int64)
        v = bits ^ ((bits >> 63) & _MAGNITUDE_64)
        high = max(high, v)
        low = min(low, v)
    valid = high < _INFINITY_64 and low >= -_INFINITY_64 - 1
    high ^= (high >> 63) & _MAGNITUDE_64
    low ^= (low >> 63) & _MAGNITUDE_64
    return np.int64(high).view(np.float64), np.int64(low).view(np.float64), valid


@exact
def _extent32(x):
    high, low = np.int32(-_MAGNITUDE_32), _MAGNITUDE_32
    for i in range(x.size):
        bits = np.float32(x[i]).view(np.int32)
        v = np.int32(bits ^ ((bits >> np.int32(31)) & _MAGNITUDE_32))
        high = max(high, v)
        low = min(low, v)
    valid = high < _INFINITY_32 and low >= np.int32(-_INFINITY_32 - np.int32(1))
    high = np.int32(high ^ ((high >> np.int32(31)) & _MAGNITUDE_32))
    low = np.int32(low ^ ((low >> np.int32(31)) & _MAGNITUDE_32))
    return high.view(np.float32), low.view(np.float32), valid


def extent(x):
    """(maximum, minimum, valid) of a row; valid is False where an entry is NaN or +inf."""
    return _extent32(x) if x.dtype == np.float32 else _extent64(x)


@overload(extent)
def _extent(x):
    return (lambda x: _extent32(x)) if x.dtype == types.float32 else (lambda x: _extent64(x))


@exact
def _kth64(x, k):
    low, high, count = -_MAGNITUDE_64, _MAGNITUDE_64, 0
    while low < high and count != k:
        middle = (low | high) - ((low ^ high) >> 1)
        count = 0
        for i in range(x.size):
            bits = np.float64(x[i]).view(np.int64)
            count += (bits ^ ((bits >> 63) & _MAGNITUDE_64)) >= middle
        if count >= k:
            low = middle
        else:
            high = middle - 1
    least = _MAGNITUDE_64
    for i in range(x.size):
        bits = np.float64(x[i]).view(np.int64)
        v = bits ^ ((bits >> 63) & _MAGNITUDE_64)
        least = min(least, v if v >= low else _MAGNITUDE_64)
    return np.int64(least ^ ((least >> 63) & _MAGNITUDE_64)).view(np.float64)


@exact
def _kth32(x, k):
    low, high, count = np.int64(-_MAGNITUDE_32), np.int64(_MAGNITUDE_32), 0
    while low < high and count != k:
        middle = (low | high) - ((low ^ high) >> 1)
        count = 0
        for i in range(x.size):
            bits = np.float32(x[i]).view(np.int32)
            count += np.int32(bits ^ ((bits >> np.int32(31)) & _MAGNITUDE_32)) >= np.int32(middle)
        if count >= k:
            low = middle
        else:
            high = middle - 1
    least = _MAGNITUDE_32
    for i in range(x.size):
        bits = np.float32(x[i]).view(np.int32)
        v = np.int32(bits ^ ((bits >> np.int32(31)) & _MAGNITUDE_32))
        least = min(least, v if v >= np.int32(low) else _MAGNITUDE_32)
    return np.int32(least ^ ((least >> np.int32(31)) & _MAGNITUDE_32)).view(np.float32)


def kth_largest(x, k):
    """The k-th largest entry (k from 1) of a row without NaN, without a sort.

    Its bits are bisected until just k entries are left or all bits are known: at most 65 passes.
    """
    return _kth32(x, k) if x.dtype == np.float32 else _kth64(x, k)


@overload(kth_largest)
def _kth_largest(x, k):
    return (lambda x, k: _kth32(x, k)) if x.dtype == types.float32 else (lambda x, k: _kth64(x, k))


def floor_of(x):
    """The largest value that counts as masked in the dtype of ``x``."""
    return FLOOR[x.dtype]


@overload(floor_of)
def _floor_of(x):
    return (lambda x: _FLOOR_32) if x.dtype == types.float32 else (lambda x: _FLOOR_64)


def in_float64(*arrays):
    """Read-only in float64, -inf where masked in their own dtype."""
    found = []
    for array in arrays:
        wide = array.astype(np.float64)
        wide[array <= FLOOR[array.dtype]] = -np.inf
        wide.setflags(write=False)
        found.append(wide)
    return found


def limits(x):
    """(smallest normal number, relative spacing, largest number, -inf) in the dtype of ``x``."""
    return _LIMITS_32 if x.dtype == np.float32 else _LIMITS_64


@overload(limits)
def _limits(x):
    return (lambda x: _LIMITS_32) if x.dtype == types.float32 else (lambda x: _LIMITS_64)


@exact
def compensated(total, lost, term):
    """Add ``term`` to ``total``, which lacks ``lost``; the new pair (Kahan 1965)."""
    term -= lost
    new = total + term
    return new, (new - total) - term


@kernel
def _block_sum(x):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total


@kernel
def row_sum(x):
    """The sum of a row, by compensated blocks, so that a million equal float32 weights still sum to 1.

    On its own, because a loop that also writes would add up in another order when memory lies too close.
    """
    total, lost = x.dtype.type(0), x.dtype.type(0)
    for start in range(0, x.size, BLOCK):
        total, lost = compensated(total, lost, _block_sum(x[start : start + BLOCK]))
    return total


@kernel
def normalise(out):
    """Divide by the sum."""
    inverse = out.dtype.type(1) / row_sum(out)
    for i in range(out.size):
        out[i] *= inverse


@kernel
def room(x):
    """Room for a row of ``x`` with masks. A long one gets none: memory of megabytes takes longer to get than to use."""
    n = x.shape[1]
    return np.empty(n if n <= _LONG else 0, x.dtype)


@kernel
def _cleaned(x):
    """A copy with -inf where masked."""
    clean, floor, void = np.empty(x.size, x.dtype), floor_of(x), limits(x)[3]
    for i in range(x.size):
        clean[i] = x[i] if x[i] > floor else void
    return clean


@exact
def enter(x, out, work):
    """(row, maximum, live): ``row`` is ``x``, or a copy, in :func:`room` if there is any, with -inf where masked.

    Where nothing is to be solved ``live`` is False and ``out`` is filled: zeros if every entry is masked,
    NaN if one is NaN or +inf.
    """
    floor, void = floor_of(x), limits(x)[3]
    high, low, valid = extent(x)
    if not valid:
        out[:] = np.nan
        return x, high, False
    if high <= floor:
        out[:] = 0
        return x, high, False
    if low > floor:
        return x, high, True
    if work.size == 0:
        return _cleaned(x), high, True
    for i in range(x.size):
        work[i] = x[i] if x[i] > floor else void
    return work, high, True


@exact
def scale(row, top, gamma, z):
    """Write ``z = (row - top) / gamma``, -inf where masked; return how many are not.

    Stored, because a fused multiply-add in one loop and not in another could move an entry across a threshold; and
    finite where live, even if the difference overflows.
    """
    floor = floor_of(row)
    _, _, huge, void = limits(row)
    lowest = -huge / row.dtype.type(4 * row.size)
    inverse = row.dtype.type(1) / gamma
    count = 0
    for i in range(row.size):
        live = row[i] > floor
        entry = max((row[i] - top) * inverse, lowest)
        z[i] = entry if live else void
        count += live
    return count


@exact
def place_of(row, entry):
    """Where an entry of a row first stands."""
    i = 0
    while row[i] != entry:
        i += 1
    return i
