r"""Ordered weights: the prox of OSCAR and SLOPE, oscarmax, their Jacobians and oscarmax's certifying subgradient.

On the simplex the sorted-weight penalty is the Lovasz extension of a submodular function, so the answer is
``P_simplex(isotonic(sort(z) - lam w))`` (no sign, no absolute value, no clipping). The drivers are plain Python: they
let a kernel write keys, NumPy sort them, and a kernel finish, a chunk at a time.
Source: Zeng & Figueiredo 2014 for the prox.
"""

import numpy as np

from ._jit import exact, kernel
from .isotonic import pool, reciprocals
from .order import descending, merge_sort, sort_keys, write_keys
from .rows import enter, extent, limits, room, scale
from .simplex import complete

__all__ = ["oscarmax", "oscarmax_jacobian", "oscarmax_subgradient", "owl", "owl_jacobian"]

_CHUNK = 1 << 15  # entries whose keys are sorted at once
_LONG = 4096  # merges, or weights in a sum, whose rounding is worth a second look


@kernel
def _weight(weights, n, k):
    """The k-th of n sorted weights less the last of them; an empty ``weights`` stands for n - 1, ..., 0.

    An offset of all weights changes nothing on the simplex but the rounding.
    """
    return weights[k] - weights[n - 1] if weights.size > 0 else weights.dtype.type(n - 1 - k)


@kernel
def _bulge(weights, n):
    """max_k of the prefix sums of the weights about their mean: 0 only if the weights are constant."""
    zero = weights.dtype.type(0)
    if weights.size == 0:
        return weights.dtype.type(n // 2) * weights.dtype.type(n - n // 2) / weights.dtype.type(2)
    if n == 0 or weights[0] == weights[n - 1]:
        return zero
    mean, total = zero, zero
    for k in range(n):
        mean += _weight(weights, n, k) / weights.dtype.type(n)
    most = mean  # the prefix of all but the last, exactly
    for k in range(n):
        total += _weight(weights, n, k) - mean
        most = max(most, total)
    return most


@kernel
def _lowered(z, order, l1, lam, weights, n, base, k):
    """The k-th largest entry less its penalty ``l1 + lam (w_k - base)``."""
    return z[order[k]] - (l1 + lam * (_weight(weights, n, k) - base))


@kernel
def _pooled(z, order, l1, lam, weights, n, base, values, size, reciprocal):
    """Isotonic regression of the n largest entries less their penalties, refined once; returns how many blocks."""
    for k in range(n):
        values[k] -= l1 + lam * (_weight(weights, n, k) - base)
    blocks = pool(values[:n], size, reciprocal)
    first, ceiling = 0, limits(z)[2]
    for b in range(blocks):
        if size[b] > _LONG and values[b] > -ceiling:
            residual = z.dtype.type(0)
            for k in range(first, first + size[b]):
                residual += _lowered(z, order, l1, lam, weights, n, base, k) - values[b]
            values[b] += residual / z.dtype.type(size[b])
        if b > 0:
            values[b] = min(values[b], values[b - 1])
        first += size[b]
    return blocks


@exact
def _relative_to_first(blocks, values):
    """Subtract the first value from all; done first, because tau may be far below the resolution of the values."""
    first = values[0]
    for b in range(blocks):
        values[b] -= first


@kernel
def _threshold(blocks, values, size):
    """tau of the simplex projection of non-increasing blocks, the first 0, as two numbers that are to be added.

    It is the largest (prefix sum - 1) / length.
    """
    one, zero = values.dtype.type(1), values.dtype.type(0)
    tau, total, length, support = limits(values)[3], zero, zero, zero
    for b in range(blocks):
        total += values[b] * values.dtype.type(size[b])
        length += values.dtype.type(size[b])
        if (total - one) / length > tau:
            tau = (total - one) / length
            support = length
    excess = -one
    for b in range(blocks):
        excess += values.dtype.type(size[b]) * max(values[b] - tau, zero)
    return tau, excess / support


@exact
def _weight_above(value, tau, step):
    """The step is below the resolution of tau but not of the weights."""
    return (value - tau) - step


@kernel
def oscarmax_row(z, order, n, lam, weights, out, values, size, reciprocal):
    """z: scores over gamma with maximum 0; values: its n live entries downwards, and order: their places."""
    one, zero = z.dtype.type(1), z.dtype.type(0)
    bulge = _bulge(weights, n)
    out[:] = zero
    if bulge > zero and lam * bulge >= z.dtype.type(2 * n) * -values[n - 1]:
        for k in range(n):
            out[order[k]] = one / z.dtype.type(n)
        return
    if bulge == zero:
        lam = zero
    blocks = _pooled(z, order, zero, lam, weights, n, _weight(weights, n, 0), values, size, reciprocal)
    _relative_to_first(blocks, values)
    tau, step = _threshold(blocks, values, size)
    first = 0
    for b in range(blocks):
        weight = _weight_above(values[b], tau, step)
        if not weight > zero:
            break
        for k in range(first, first + size[b]):
            out[order[k]] = weight
        first += size[b]
    if n > _LONG:
        complete(out)


@kernel
def _score_keys(x, gamma, z, keys, live, out, start, stop):
    work = room(x)
    for r in range(start, stop):
        row, top, some = enter(x[r], out[r], work)
        live[r - start] = 0
        if not some:
            keys[r - start, :] = 0
        else:
            live[r - start] = scale(row, top, gamma[r], z[r - start])
            write_keys(z[r - start], keys[r - start])


@kernel
def _oscarmax_rows(z, keys, live, lam, weights, out, start, stop):
    values, size, reciprocal = np.empty(z.shape[1], z.dtype), np.empty(z.shape[1], np.int64), reciprocals(z)
    for r in range(start, stop):
        if live[r - start] > 0:
            row, order, w = z[r - start], keys[r - start], weights[r % weights.shape[0]]
            descending(row, order, values)
            oscarmax_row(row, order, live[r - start], lam[r], w, out[r], values, size, reciprocal)


def oscarmax(x, gamma, lam, weights, out, start, stop):
    """Scores over gamma, sorted, lowered, regressed, unsorted, projected."""
    for first, last, z, keys in _chunks(x, start, stop):
        live = np.empty(last - first, np.int64)
        _score_keys(x, gamma, z, keys, live, out, first, last)
        sort_keys(keys)
        _oscarmax_rows(z, keys, live, lam, weights, out, first, last)


def _chunks(x, start, stop):
    """(first row, last row, work of x's dtype, int64 work) of pieces that stay in the processor's cache."""
    n = x.shape[1]
    step = max(1, _CHUNK // n)
    for first in range(start, stop, step):
        last = min(first + step, stop)
        yield first, last, np.empty((last - first, n), x.dtype), np.empty((last - first, n), np.int64)


@kernel
def _magnitude_keys(x, z, keys, live, out, start, stop):
    """Absolute values, -1 where masked."""
    one, void = x.dtype.type(1), limits(x)[3]
    work = room(x)
    for r in range(start, stop):
        row, _, some = enter(x[r], out[r], work)
        live[r - start] = 0
        keys[r - start, :] = 0
        if some:
            for i in range(row.size):
                z[r - start, i] = abs(row[i]) if row[i] > void else -one
                live[r - start] += row[i] > void
            write_keys(z[r - start], keys[r - start])


@kernel
def _owl_rows(x, z, keys, live, l1, lam, weights, out, start, stop):
    zero, two = x.dtype.type(0), x.dtype.type(2)
    values, size, reciprocal = np.empty(z.shape[1], z.dtype), np.empty(z.shape[1], np.int64), reciprocals(z)
    for r in range(start, stop):
        n, order, w = live[r - start], keys[r - start], weights[r % weights.shape[0]]
        if n == 0:
            continue
        descending(z[r - start], order, values)
        base = -w[n - 1] if w.size > 0 else zero
        # No penalty needs to be larger to give zeros.
        shrink, strength = min(l1[r], values[0]), lam[r] if w.size > 0 else min(lam[r], two * values[0])
        blocks = _pooled(z[r - start], order, shrink, strength, w, n, base, values, size, reciprocal)
        first = 0
        for b in range(blocks):
            for k in range(first, first + size[b]):
                out[r, order[k]] = max(values[b], zero)
            first += size[b]
        for k in range(n, x.shape[1]):
            out[r, order[k]] = zero
        for i in range(x.shape[1]):
            out[r, i] = -out[r, i] if x[r, i] < zero and out[r, i] > zero else out[r, i]


def owl(x, l1, lam, weights, out, start, stop):
    """The prox of ``l1 |y|_1 + lam sum_k w_k |y|_(k)``; an empty ``weights`` stands for m - 1, ..., 0 of m live."""
    for first, last, z, keys in _chunks(x, start, stop):
        live = np.empty(last - first, np.int64)
        _magnitude_keys(x, z, keys, live, out, first, last)
        sort_keys(keys)
        _owl_rows(x, z, keys, live, l1, lam, weights, out, first, last)


@kernel
def _weight_keys(y, z, keys, start, stop):
    for r in range(start, stop):
        for i in range(y.shape[1]):
            z[r - start, i] = abs(y[r, i])
        write_keys(z[r - start], keys[r - start])


@kernel
def _cluster_means(y, v, z, keys, lam, weights, out, start, stop):
    """Mean of sign(y) v over each cluster, with the sign of y; equal entries of equal penalty are not fused."""
    zero = y.dtype.type(0)
    n = y.shape[1]
    values = np.empty(n, y.dtype)
    for r in range(start, stop):
        w, order = weights[r % weights.shape[0]], keys[r - start]
        descending(z[r - start], order, values)
        out[r, :] = zero
        first, total = 0, zero
        for k in range(n):
            if not values[k] > zero:
                break
            sign = np.sign(y[r, order[k]])
            total += sign * v[r, order[k]]
            if k == n - 1 or values[k + 1] != values[k]:
                fused = lam[r] * (_weight(w, n, first) - _weight(w, n, k)) > zero
                mean = total / y.dtype.type(k + 1 - first)
                for j in range(first, k + 1):
                    i = order[j]
                    out[r, i] = (mean if y[r, i] > zero else -mean) if fused else v[r, i]
                first, total = k + 1, zero


def owl_jacobian(y, v, lam, weights, out, start, stop):
    """The mean of v, signs counted, over each cluster of equal magnitude; zero where y is."""
    for first, last, z, keys in _chunks(y, start, stop):
        _weight_keys(y, z, keys, first, last)
        sort_keys(keys)
        _cluster_means(y, v, z, keys, lam, weights, out, first, last)


@kernel
def _centre(y, gamma, out, start, stop):
    """Subtract the mean over the support, divide by gamma."""
    zero = y.dtype.type(0)
    for r in range(start, stop):
        total, count = zero, 0
        for i in range(y.shape[1]):
            total += out[r, i]
            count += y[r, i] > zero
        mean = total / y.dtype.type(max(count, 1))
        for i in range(y.shape[1]):
            out[r, i] = (out[r, i] - mean) / gamma[r] if y[r, i] > zero else zero


def oscarmax_jacobian(y, v, gamma, lam, weights, out, start, stop):
    """Average v over each cluster, subtract its mean over the support, zero outside."""
    owl_jacobian(y, v, lam, weights, out, start, stop)
    _centre(y, gamma, out, start, stop)


@kernel
def _inside_permutohedron(target, first, last, lam, weights, n, centre):
    """Shrink ``target[first:last]`` (non-increasing) about its mean until lam w majorises it; ``centre`` is added.

    The result is always a valid subgradient of one tie group; it is the target itself wherever that is valid.
    """
    zero, one = target.dtype.type(0), target.dtype.type(1)
    length = target.dtype.type(last - first)
    mean, mean_weight = zero, zero
    for k in range(first, last):
        mean += target[k] / length
        mean_weight += (_weight(weights, n, k) - centre) / length
    if last - first == n:
        mean_weight = zero  # not a rounding error, which a huge lam would blow up
    share, sum_target, sum_weight = one, zero, zero
    for k in range(first, last - 1):
        sum_target += target[k] - mean
        sum_weight += (_weight(weights, n, k) - centre) - mean_weight
        if sum_target > zero:
            share = min(share, max(lam * sum_weight, zero) / sum_target)
    for k in range(first, last):
        target[k] = lam * mean_weight + share * (target[k] - mean)


@kernel
def _fill_zeros(target, first, last, mass):
    """Raise the smallest of ``target[first:last]`` (non-increasing) to one level so that their sum becomes ``mass``."""
    total = target.dtype.type(0)
    for k in range(first, last):
        level = (mass - total) / target.dtype.type(last - k)
        if level >= target[k]:
            for j in range(k, last):
                target[j] = level
            return
        total += target[k]


@kernel
def _row_subgradient(z, y, lam, weights, out, order, values, target, spare, spare_order):
    zero = z.dtype.type(0)
    n = 0
    for i in range(z.size):
        out[i] = zero
        if z[i] > limits(z)[3]:
            values[n], order[n] = z[i], i
            n += 1
    merge_sort(values[:n], order[:n], spare[:n], spare_order[:n])
    for k in range(n):
        values[k] = y[order[k]]
    merge_sort(values[:n], order[:n], spare[:n], spare_order[:n])
    centre, support, tau = zero, 0, zero
    lam = lam if _bulge(weights, n) > zero else zero
    for k in range(n):
        centre += _weight(weights, n, k) / z.dtype.type(n)
    if n > 0 and values[n - 1] == zero:  # tau matters to zeros only
        for k in range(n):
            if values[k] > zero:
                tau += z[order[k]] - values[k] - lam * (_weight(weights, n, k) - centre)
                support += 1
        tau /= z.dtype.type(max(support, 1))
    first = 0
    for k in range(n):
        target[k] = z[order[k]] - values[k] - tau
        if k == n - 1 or values[k + 1] != values[k]:
            if values[k] == zero:
                mass = zero
                for j in range(first, n):
                    mass += lam * (_weight(weights, n, j) - centre)
                _fill_zeros(target, first, n, mass)
            _inside_permutohedron(target, first, k + 1, lam, weights, n, centre)
            first = k + 1
    for k in range(n):
        out[order[k]] = values[k] + target[k]


@kernel
def oscarmax_subgradient(x, y, gamma, lam, weights, out, start, stop):
    """An element of the subdifferential at y up to a constant, chosen so that it certifies y at x where one does."""
    z, values, target, spare = np.empty_like(x[0]), np.empty_like(x[0]), np.empty_like(x[0]), np.empty_like(x[0])
    order, spare_order = np.empty(x.shape[1], np.int64), np.empty(x.shape[1], np.int64)
    for r in range(start, stop):
        top, _, _ = extent(x[r])
        scale(x[r], top, gamma[r], z)
        _row_subgradient(
            z, y[r], lam[r], weights[r % weights.shape[0]], out[r], order, values, target, spare, spare_order
        )
