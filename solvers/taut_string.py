r"""One chain: ``argmin_y sum (y - r)^2 / 2 + sum c_k |y_{k+1} - y_k|``, in linear time on any input.

The flow ``u_k = sum_{i <= k} (r_i - y_i)`` stays within ``[-c_k, c_k]``; y falls after k only where ``u_k = c_k`` and
rises only where ``u_k = -c_k``. A segment that starts at s, where ``left`` flows in, thus has a value between ``low``,
the largest ``(left + sum_{s..k} r - c_k) / (k - s + 1)`` so far, and ``high``, the least with ``+ c_k``. Where a
newcomer crosses one of them, the segment ends at the entry that had set that bound.

``_direct`` (Condat 2013) then starts afresh, with no list to keep and few branches that data make hard to predict.
Since it may go over the same entries many times, it counts them, and hands the rest over to ``_taut_string`` (Davies &
Kovac 2001). That one remembers what comes after the bounds, as two hulls: stacks of (value, length) of which the last
piece is held apart. Each entry is pushed and popped once.

Sums are taken about a number near the mean, which keeps float32 and long rows accurate.
"""

import numpy as np
from numba import types
from numba.extending import overload
from numpy import uintp as at  # Numba spends nothing on negative positions where an index is unsigned

from ._jit import exact, inlined, kernel
from .rows import floor_of, limits

__all__ = ["edge", "solve_chain", "widest"]

# How many entries ``_direct`` may see again: per entry that it settles, and on credit, a constant and a part of all.
_AGAIN, _CREDIT, _CREDIT_PART = 3, 128, 32
# ``_direct`` moves the base of its sums after so many entries of a segment, then at each half more.
_MOVE = 8
# Entries that are looked at together, and after which the taut string moves the base of its sums.
_BLOCK = 64
# A base has no more digits than this part of an edge's weight.
_GRID = 2**-20
# How often segments that tie by rounding are joined; what is left after that differs by rounding alone.
_ROUNDS = 32
# What a status says: a segment tied with the one before; a value that no row without masks, NaN and infinity has.
_TIED, _DEAD = 1, 2


def edge(c, k):
    """Weight of the edge that joins k and k + 1; ``c`` is one number or an array."""
    return c[k] if np.ndim(c) else c


@overload(edge)
def _edge(c, k):
    return (lambda c, k: c[at(k)]) if isinstance(c, types.Array) else (lambda c, k: c)


@kernel
def _largest(c):
    top = c.dtype.type(0)
    for k in range(c.size):
        top = max(top, c[k])
    return top


def widest(c, first, last):
    """The largest weight of the edges of ``first <= i < last``; 0 if there are none."""
    return c[first : last - 1].max(initial=0) if np.ndim(c) else c


@overload(widest)
def _widest(c, first, last):
    if isinstance(c, types.Array):
        return lambda c, first, last: _largest(c[first : last - 1])
    return lambda c, first, last: c


@kernel
def _largest_useful(r, width, first, last):
    """``width``, or less: tubes wider than the cumulative sums about their chord can reach are all the same."""
    low, high, length = r[first], r[first], r.dtype.type(last - first)
    for start in range(first, last, _BLOCK):
        block = r[start : min(start + _BLOCK, last)]
        for i in range(block.size):
            low, high = min(low, block[i]), max(high, block[i])
        if (high - low) * length >= width:
            return width
    return (high - low) * length


@exact
def _from(base, item):
    """A difference that is taken before it is summed: small numbers added one by one to a sum would bias it."""
    return item - base


@inlined
def _emit(r, out, start, length, value, left, right, previous, status):
    """Write the segment from start to stop, its mean after the pull of both ends; (next start, value, status).

    Where rounding makes it tie with the segment before, or worse, it takes the value of that one.
    """
    zero, following = r.dtype.type(0), start + 1
    if length == 0:
        value = r[at(start)] + (left - right)
        out[at(start)] = value
    else:
        following = start + length + 1
        total = left - right
        for i in range(start, following):
            total += _from(value, r[at(i)])
        value += total / r.dtype.type(length + 1)
        for i in range(start, following):
            out[at(i)] = value
    if (left > zero and value >= previous) or (left < zero and value <= previous):
        status |= _TIED
        value = previous
        for i in range(start, following):
            out[at(i)] = value
    if not abs(value) < -floor_of(r) / r.dtype.type(2):
        status |= _DEAD
    return following, value, status


@exact
def _moved(base, total, size, coarse):
    """(base, total) for a base near the mean, of few digits: differences from it are then exact on simple data."""
    new = base + ((total / size + coarse) - coarse)
    return new, total - size * (new - base)


@kernel
def _direct(r, c, bound, out, first, last):
    """(start, left, previous, status): everything before ``start`` is written."""
    one, zero = r.dtype.type(1), r.dtype.type(0)
    _, eps, huge, _ = limits(r)
    largest, coarse, widened = -floor_of(r) / r.dtype.type(2), r.dtype.type(_GRID) / eps, one + r.dtype.type(16) * eps
    final = last - 1
    start, left, previous, status = first, zero, zero, 0
    frontier, debt, credit = first, 0, _CREDIT + (last - first) // _CREDIT_PART
    while start < final and debt < credit:
        while start < final - 1:
            weight = min(edge(c, start), bound)
            reach = (weight + weight + min(edge(c, start + 1), bound)) * widened
            rise = r[at(start + 1)] - r[at(start)]
            if rise < left - reach:
                value, right = r[at(start)] + (left - weight), weight
            elif rise > left + reach:
                value, right = r[at(start)] + (left + weight), -weight
            else:
                break
            if (value - previous) * left >= zero or not abs(value) < largest:
                break
            out[at(start)] = value
            start, left, previous = start + 1, right, value
        weight = min(edge(c, start), bound) * widened
        low, high, low_step, high_step = left - weight, left + weight, 0, 0
        base, size, step, move = r[at(start)], one + one, 1, _MOVE
        total = left + _from(base, r[at(start + 1)])
        while start + step < final:
            weight = min(edge(c, start + step), bound) * widened
            least, most = (total - weight) * (one / size), (total + weight) * (one / size)
            if most < low or least > high:
                break
            low_step = step if least >= low else low_step
            high_step = step if most <= high else high_step
            low, high = max(low, least), min(high, most)
            if step == move:
                old = base
                base, total = _moved(base, total, size, min(weight * coarse, huge / r.dtype.type(4)))
                low, high = low - (base - old), high - (base - old)
                move += move // 2
            step += 1
            total += _from(base, r[at(start + step)])
            size += one
        else:
            least = most = total * (one / size)
        if most < low:
            value, length, right = low, low_step, min(edge(c, start + low_step), bound)
        elif least > high:
            value, length, right = high, high_step, -min(edge(c, start + high_step), bound)
        else:
            value, length, right = least, final - start, zero
        debt = max(debt, 0) + max(min(step, frontier - start), 0) - _AGAIN * (length + 1)
        frontier = max(frontier, start + step)
        start, previous, status = _emit(r, out, start, length, base + value, left, right, previous, status)
        left = right
    if start == final:
        start, previous, status = _emit(r, out, final, 0, r[final], left, zero, previous, status)
    return start, left, previous, status


@kernel
def _taut_string(r, c, bound, out, first, last, left, previous, status, hulls):
    """The rest of the chain; returns the status. ``low`` falls, ``up`` rises; their last pieces are no entries."""
    one, zero = r.dtype.type(1), r.dtype.type(0)
    _, eps, huge, _ = limits(r)
    coarse = r.dtype.type(_GRID) / eps
    up, up_size, low, low_size = hulls[0], hulls[1], hulls[2], hulls[3]
    final, start = last - 1, first
    up_head, up_tail, low_head, low_tail = 0, 0, 0, 0
    before = min(edge(c, first), bound) if first < final else zero
    base, total, size, move = r[at(first)], left, one, first + _BLOCK
    low_value, up_value = base + (left - before), base + (left + before)
    low_count, up_count = one, one
    for k in range(first + 1, last):
        weight = min(edge(c, k), bound) if k < final else zero
        rise, fall = r[at(k)] + (weight - before), r[at(k)] - (weight - before)
        before = weight
        total += _from(base, r[at(k)])
        size += one
        if k == move:
            base, total = _moved(base, total, size, min(weight * coarse, huge / r.dtype.type(4)))
            move += _BLOCK
        if rise > up_value:
            up[at(up_tail)], up_size[at(up_tail)] = up_value, up_count
            up_tail += 1
            up_value, up_count = rise, one
        else:
            up_count += one
            up_value += (rise - up_value) * (one / up_count)
            while up_tail > up_head and up[at(up_tail - 1)] >= up_value:
                up_tail -= 1
                up_count += up_size[at(up_tail)]
                up_value += (up[at(up_tail)] - up_value) * (up_size[at(up_tail)] / up_count)
            if up_tail == up_head:
                up_value, up_count = base + (total + weight) * (one / size), size
        if fall < low_value:
            low[at(low_tail)], low_size[at(low_tail)] = low_value, low_count
            low_tail += 1
            low_value, low_count = fall, one
        else:
            low_count += one
            low_value += (fall - low_value) * (one / low_count)
            while low_tail > low_head and low[at(low_tail - 1)] <= low_value:
                low_tail -= 1
                low_count += low_size[at(low_tail)]
                low_value += (low[at(low_tail)] - low_value) * (low_size[at(low_tail)] / low_count)
            if low_tail == low_head:
                low_value, low_count = base + (total - weight) * (one / size), size
        while True:
            if up_tail == up_head and low_head < low_tail and (up_value < low[at(low_head)] or k == final):
                value, count = low[at(low_head)], low_size[at(low_head)]
                low_head += 1
                length = np.int64(count) - 1
                right = min(edge(c, start + length), bound)
                total -= (value - base) * count
                size -= count
                up_value, up_count = base + (total + weight) * (one / size), size
            elif low_tail == low_head and up_head < up_tail and (low_value > up[at(up_head)] or k == final):
                value, count = up[at(up_head)], up_size[at(up_head)]
                up_head += 1
                length = np.int64(count) - 1
                right = -min(edge(c, start + length), bound)
                total -= (value - base) * count
                size -= count
                low_value, low_count = base + (total - weight) * (one / size), size
            else:
                break
            start, previous, status = _emit(r, out, start, length, value, left, right, previous, status)
            left = right
    return _emit(r, out, start, final - start, low_value, left, zero, previous, status)[2]


@kernel
def _mend(r, c, bound, out, first, last):
    """Solve again for the values, given the segments that ``out`` shows; returns the status."""
    start, left, previous, status = first, r.dtype.type(0), r.dtype.type(0), 0
    while start < last:
        stop = start
        while stop < last - 1 and out[stop + 1] == out[start]:
            stop += 1
        right = r.dtype.type(0)
        if stop < last - 1:
            right = min(edge(c, stop), bound) if out[stop] > out[stop + 1] else -min(edge(c, stop), bound)
        start, previous, status = _emit(r, out, start, stop - start, out[start], left, right, previous, status)
        left = right
    return status


@kernel
def solve_chain(r, c, out, first, last, hulls):
    """Solve for ``first <= i < last``; ``hulls`` is room of four rows. Whether all is well, where c is one number.

    False where an entry may be masked, NaN or infinite.
    """
    bound = _largest_useful(r, widest(c, first, last), first, last)
    start, left, previous, status = _direct(r, c, bound, out, first, last)
    if start < last:
        status = _taut_string(r, c, bound, out, start, last, left, previous, status, hulls)
    for _ in range(_ROUNDS):
        if status != _TIED:
            break
        status = _mend(r, c, bound, out, first, last)
    return status < _DEAD
