"""Rows sorted downwards with their places, at the speed of NumPy's vectorised integer sort.

A key is the entry read as an integer in its own order, with the place in the low bits. float32 fits whole; float64
loses as many digits as the place needs, so entries that agree in the rest come out in order of place and are repaired.
"""

import numpy as np
from numba import types
from numba.extending import overload

from ._jit import exact, kernel

__all__ = ["descending", "merge_sort", "sort_keys", "write_keys"]

_MAGNITUDE_64, _MAGNITUDE_32 = 0x7FFFFFFFFFFFFFFF, np.int32(0x7FFFFFFF)
_RUN = 16
_PATIENCE = 8  # moves per entry that a repair may take; merging takes about log2(n)


@exact
def _place_mask(n):
    mask = 0
    while mask < n - 1:
        mask += mask + 1
    return mask


@exact
def _keys64(z, keys):
    read, mask = z.view(np.int64), _place_mask(z.size)
    for i in range(z.size):
        ordered = read[i] ^ ((read[i] >> 63) & _MAGNITUDE_64)
        keys[i] = (~ordered & ~mask) | i


@exact
def _keys32(z, keys):
    read = z.view(np.int32)
    for i in range(z.size):
        ordered = np.int32(read[i] ^ ((read[i] >> np.int32(31)) & _MAGNITUDE_32))
        keys[i] = (np.int64(~ordered) << 32) | i


def write_keys(z, keys):
    """Write one int64 per entry of a row without NaN; sorted upwards, they hold the entries downwards."""
    if z.dtype == np.float32:
        _keys32(z, keys)
    else:
        _keys64(z, keys)


@overload(write_keys)
def _write_keys(z, keys):
    return (lambda z, keys: _keys32(z, keys)) if z.dtype == types.float32 else (lambda z, keys: _keys64(z, keys))


def sort_keys(keys):
    """Sort every row of keys in place; the GIL is released."""
    keys.sort(axis=1)


@kernel
def merge_sort(values, order, spare_values, spare_order):
    """Stable sort of ``values``, largest first, carrying ``order`` along."""
    count = values.size
    for first in range(0, count, _RUN):
        for i in range(first + 1, min(first + _RUN, count)):
            value, index, j = values[i], order[i], i
            while j > first and values[j - 1] < value:
                values[j], order[j] = values[j - 1], order[j - 1]
                j -= 1
            values[j], order[j] = value, index
    width = _RUN
    while width < count:
        for first in range(0, count, 2 * width):
            left, middle, last = first, min(first + width, count), min(first + 2 * width, count)
            right = middle
            for k in range(first, last):
                if left < middle and (right >= last or values[left] >= values[right]):
                    spare_values[k], spare_order[k] = values[left], order[left]
                    left += 1
                else:
                    spare_values[k], spare_order[k] = values[right], order[right]
                    right += 1
        for k in range(count):
            values[k], order[k] = spare_values[k], spare_order[k]
        width *= 2


@kernel
def _repair(values, order):
    """Insertion sort of what is nearly sorted; merge sort where that would take long."""
    remaining = _PATIENCE * values.size
    for i in range(1, values.size):
        if values[i - 1] < values[i]:
            value, index, j = values[i], order[i], i
            while j > 0 and values[j - 1] < value:
                values[j], order[j] = values[j - 1], order[j - 1]
                j -= 1
            values[j], order[j] = value, index
            remaining -= i - j
            if remaining < 0:
                merge_sort(values, order, np.empty_like(values), np.empty_like(order))
                return


@kernel
def descending(z, keys, values):
    """From sorted keys of the row ``z``: its entries downwards to ``values``; ``keys`` becomes their places."""
    mask = _place_mask(z.size) if z.itemsize == 8 else 0xFFFFFFFF
    for k in range(z.size):
        keys[k] &= mask
    for k in range(z.size):
        values[k] = z[keys[k]]
    if z.itemsize == 8:
        _repair(values, keys)
