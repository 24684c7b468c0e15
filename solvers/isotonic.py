"""Isotonic regression by pooling adjacent violators on a stack of blocks; each entry is pushed and merged once at most.

Source: Best & Chakravarti, "Active set algorithms for isotonic regression", 1990.
"""

import numpy as np

from ._jit import kernel
from .rows import enter, extent, floor_of, limits, room

__all__ = ["isotonic", "isotonic_jacobian", "pool", "reciprocals"]

_TABLE = 1024


@kernel
def reciprocals(x):
    """``1 / m`` at index m for small m: a division per merge would be most of the time."""
    table = np.empty(min(x.shape[1], _TABLE) + 1, x.dtype)
    for m in range(table.size):
        table[m] = x.dtype.type(1) / x.dtype.type(max(m, 1))
    return table


@kernel
def _over(m, reciprocal):
    return reciprocal[m] if m < reciprocal.size else reciprocal[1] / reciprocal.dtype.type(m)


@kernel
def pool(values, size, reciprocal):
    """Non-increasing isotonic regression of ``values`` in place, as blocks; returns how many blocks.

    Block b has value ``values[b]`` and ``size[b]`` entries. Equal neighbours stay apart, so that they stay equal.
    """
    zero, below = values.dtype.type(0), 0
    value, base, above_base, length = values[0], values[0], zero, 1
    for i in range(1, values.size):
        entry = values[i]
        if not value < entry:
            values[below], size[below] = value, length
            value, base, above_base, length = entry, entry, zero, 1
            below += 1
            continue
        length += 1
        above_base += entry - base
        value = base + above_base * _over(length, reciprocal)
        while below > 0 and values[below - 1] < value:
            below -= 1
            length += size[below]
            value += (values[below] - value) * (values.dtype.type(size[below]) * _over(length, reciprocal))
            base, above_base = value, zero
    values[below], size[below] = value, length
    return below + 1


@kernel
def _pool_weighted(values, weights, size, mass):
    """The same for weighted means; ``mass[b]`` is the weight of block b."""
    value, length, weight, below = values[0], 1, weights[0], 0
    for i in range(1, values.size):
        entry = values[i]
        if not value < entry:
            values[below], size[below], mass[below] = value, length, weight
            value, length, weight = entry, 1, weights[i]
            below += 1
            continue
        length += 1
        weight += weights[i]
        value += (entry - value) * (weights[i] / weight)
        while below > 0 and values[below - 1] < value:
            below -= 1
            length += size[below]
            weight += mass[below]
            value += (values[below] - value) * (mass[below] / weight)
    values[below], size[below], mass[below] = value, length, weight
    return below + 1


@kernel
def _mean_residual(x, weights, value):
    """Weighted mean of ``x - value``: one step of iterative refinement."""
    total, mass = x.dtype.type(0), x.dtype.type(0)
    if weights.size == 0:
        for i in range(x.size):
            total += x[i] - value
        return total / x.dtype.type(x.size)
    for i in range(x.size):
        total += weights[i] * (x[i] - value)
        mass += weights[i]
    return total / mass


@kernel
def _unfold(x, weights, sign, blocks, size, out):
    """Replace the blocks at the head of ``out`` by the entries they stand for, from the last on, so that none is lost.

    Rounding must not lift a block above the one before.
    """
    last, floor = x.size, -limits(x)[2]
    for b in range(blocks - 1, -1, -1):
        first, value = last - size[b], out[b]
        if size[b] > 1:
            value += sign * _mean_residual(x[first:last], weights[first:last], sign * value)
        floor = max(value, floor)
        for i in range(first, last):
            out[i] = sign * floor
        last = first


@kernel
def _falls(x, sign):
    """Whether ``sign x`` never increases."""
    i = 1
    while i < x.size and not sign * x[i - 1] < sign * x[i]:
        i += 1
    return i >= x.size


@kernel
def _regress(x, weights, sign, out, size, mass, reciprocal):
    """Non-increasing regression of ``sign x``, times ``sign``."""
    if _falls(x, sign):
        for i in range(x.size):
            out[i] = x[i]
        return
    for i in range(x.size):
        out[i] = sign * x[i]
    blocks = _pool_weighted(out, weights, size, mass) if weights.size > 0 else pool(out, size, reciprocal)
    _unfold(x, weights, sign, blocks, size, out)


@kernel
def _gather(values, x, gathered):
    """The values where ``x`` is not masked, side by side; returns how many."""
    count, void = 0, limits(x)[3]
    for i in range(values.size):
        if x[i] > void:
            gathered[count] = values[i]
            count += 1
    return count


@kernel
def _scatter(x, count, out):
    """Undo :func:`_gather` in place; 0 where masked."""
    zero, void = x.dtype.type(0), limits(x)[3]
    for i in range(x.size - 1, -1, -1):
        if x[i] > void:
            count -= 1
            out[i] = out[count]
        else:
            out[i] = zero


@kernel
def isotonic(x, weights, increasing, out, start, stop):
    """Masked entries get 0, and the order passes over them."""
    n, floor, one = x.shape[1], floor_of(x), x.dtype.type(1)
    work, z, gathered, mass = room(x), np.empty(n, x.dtype), np.empty(n, x.dtype), np.empty(n, x.dtype)
    size, reciprocal = np.empty(n, np.int64), reciprocals(x)
    for r in range(start, stop):
        row, _, live = enter(x[r], out[r], work)
        if not live:
            continue
        w, sign = weights[r % weights.shape[0]], -one if increasing[r] else one
        count = _gather(row, row, z) if extent(row)[1] <= floor else n
        if count == n:
            _regress(row, w, sign, out[r], size, mass, reciprocal)
            continue
        weighted = _gather(w, row, gathered)
        _regress(z[:count], gathered[:weighted], sign, out[r, :count], size, mass, reciprocal)
        _scatter(row, count, out[r])


@kernel
def isotonic_jacobian(y, v, live, weights, transposed, out, start, stop):
    """Weighted mean of v over each run of equal live entries; transposed, the sum of v shared out by weight."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    n = y.shape[1]
    for r in range(start, stop):
        w = weights[r % weights.shape[0]]
        first = 0
        while first < n:
            value, total, mass, last = y[r, first], zero, zero, first  # mass is 0 until a live entry is met
            while last < n and (not live[r, last] or mass == zero or y[r, last] == value):
                if live[r, last]:
                    value = y[r, last]
                    weight = w[last] if w.size > 0 else one
                    total += v[r, last] if transposed[r] else weight * v[r, last]
                    mass += weight
                last += 1
            for i in range(first, last):
                share = w[i] if w.size > 0 and transposed[r] else one
                out[r, i] = share * (total / mass) if live[r, i] else zero
            first = last
