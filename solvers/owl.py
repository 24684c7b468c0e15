r"""Ordered weights: oscarmax, its published approximation, their Jacobian and certifying subgradient.

On the simplex the sorted-weight penalty is the Lovasz extension of a submodular function, so the answer is
``P_simplex(isotonic(sort(z) - lam w))`` (no sign, no absolute value, no clipping). Since ``y_i > 0`` only if
``z_i >= tau + lam w_k``, and every top-k set gives a lower bound on tau, most entries are discarded before any sort.
Sources: Zeng & Figueiredo 2014 for the prox; Best & Chakravarti 1990 for pool-adjacent-violators.
"""

import numpy as np

from ._jit import exact, kernel
from .rows import enter, extent, limits, scale
from .simplex import complete

__all__ = ["oscarmax", "oscarmax_jacobian", "oscarmax_subgradient", "pool_adjacent_violators", "sort_descending"]

_RUN = 16


@kernel
def sort_descending(values, order, count, spare_values, spare_order):
    """Stable merge sort of ``values[:count]``, largest first, carrying ``order`` along."""
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
def pool_adjacent_violators(values, count, size):
    """Non-increasing isotonic regression of ``values[:count]`` in place, as blocks; returns how many blocks.

    Block b has value ``values[b]`` and ``size[b]`` entries.
    """
    one = values.dtype.type(1)
    blocks = 0
    for i in range(count):
        value, length = values[i], one
        while blocks > 0 and values[blocks - 1] <= value:
            blocks -= 1
            total = length + size[blocks]
            value += (values[blocks] - value) * (size[blocks] / total)
            length = total
        values[blocks], size[blocks] = value, length
        blocks += 1
    return blocks


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
def _mass(weights, n, count):
    """Sum of the first ``count`` of n weights, each less the last of those."""
    total = weights.dtype.type(0)
    if weights.size == 0:
        return weights.dtype.type(count) * weights.dtype.type(count - 1) / weights.dtype.type(2)
    for k in range(count):
        total += weights[k] - weights[count - 1]
    return total


@kernel
def _above(z, bound):
    """(sum, number) of the entries that are at least ``bound``."""
    total, count = z.dtype.type(0), 0
    for i in range(z.size):
        total += z[i] if z[i] >= bound else z.dtype.type(0)
        count += np.int64(z[i] >= bound)
    return total, count


@kernel
def _select(z, lam, weights, n, values, order):
    """Copy to ``values`` and ``order`` the entries that may be positive; returns how many."""
    one = z.dtype.type(1)
    _, eps, huge, _ = limits(z)
    slack = np.sqrt(eps)
    bound = -huge
    total, kept = _above(z, bound)
    while True:
        raised = (total - lam * _mass(weights, n, kept) - one) / z.dtype.type(kept)
        raised -= slack * (one + abs(raised))
        total, count = _above(z, raised)
        if not 0 < count < kept:
            break
        bound, kept = raised, count
    count = 0
    for i in range(z.size):
        if z[i] >= bound:
            values[count], order[count] = z[i], i
            count += 1
    return count


@exact
def _relative_to_first(blocks, values):
    """Subtract the first value from all; done first, because tau may be far below the resolution of the values."""
    first = values[0]
    for b in range(blocks):
        values[b] -= first


@kernel
def _threshold(blocks, values, size):
    """tau of the simplex projection of non-increasing blocks, the first 0: the largest (prefix sum - 1) / length."""
    one, zero = values.dtype.type(1), values.dtype.type(0)
    tau, total, length, support = limits(values)[3], zero, zero, zero
    for b in range(blocks):
        total += values[b] * size[b]
        length += size[b]
        if (total - one) / length > tau:
            tau = (total - one) / length
            support = length
    excess = -one
    for b in range(blocks):
        excess += size[b] * max(values[b] - tau, zero)
    return tau + excess / support


@kernel
def oscarmax_row(z, lam, weights, n, spread, out, values, order, size, spare_order):
    """z: scores over gamma with maximum 0, -inf where masked; n: how many are not; spread: the largest of -z."""
    one, zero = z.dtype.type(1), z.dtype.type(0)
    bulge = _bulge(weights, n)
    out[:] = zero
    if bulge > zero and lam * bulge >= z.dtype.type(2 * n) * spread:
        for i in range(z.size):
            out[i] = one / z.dtype.type(n) if z[i] > limits(z)[3] else zero
        return
    if bulge == zero:
        lam = zero
    count = _select(z, lam, weights, n, values, order)
    sort_descending(values, order, count, size, spare_order)
    for k in range(count):
        values[k] += lam * (_weight(weights, n, 0) - _weight(weights, n, k))
    blocks = pool_adjacent_violators(values, count, size)
    _relative_to_first(blocks, values)
    tau = _threshold(blocks, values, size)
    k = 0
    for b in range(blocks):
        weight = max(values[b] - tau, zero)
        for _ in range(np.int64(size[b])):
            out[order[k]] = weight
            k += 1
    complete(out)


@kernel
def oscarmax(x, gamma, lam, weights, out, start, stop):
    work, z, values, size = x[0].copy(), x[0].copy(), x[0].copy(), x[0].copy()
    order, spare_order = np.empty(x.shape[1], np.int64), np.empty(x.shape[1], np.int64)
    for r in range(start, stop):
        row, top, live = enter(x[r], out[r], work)
        if live:
            n, least, _ = scale(row, top, gamma[r], z)
            w = weights[r % weights.shape[0]]
            oscarmax_row(z, lam[r], w, n, -least, out[r], values, order, size, spare_order)


@kernel
def owl_prox(x, lam, weights, out, start, stop):
    """The published operator: prox of ``lam sum w_k |y|_(k)`` with sign and absolute value; -inf where masked."""
    zero, void = x.dtype.type(0), limits(x)[3]
    values, size = x[0].copy(), x[0].copy()
    order, spare_order = np.empty(x.shape[1], np.int64), np.empty(x.shape[1], np.int64)
    for r in range(start, stop):
        w = weights[r % weights.shape[0]]
        n = 0
        for i in range(x.shape[1]):
            out[r, i] = x[r, i]
            if x[r, i] > void:
                values[n], order[n] = abs(x[r, i]), i
                n += 1
        sort_descending(values, order, n, size, spare_order)
        for k in range(n):
            values[k] -= lam[r] * _weight(w, n, k)
        blocks = pool_adjacent_violators(values, n, size)
        k = 0
        for b in range(blocks):
            for _ in range(np.int64(size[b])):
                i = order[k]
                out[r, i] = max(values[b], zero) * np.sign(x[r, i])
                k += 1


@kernel
def oscarmax_jacobian(y, v, gamma, lam, weights, out, start, stop):
    """Average v over each cluster, subtract its mean over the support, zero outside.

    Equal entries of y whose penalties are equal too are not fused, only equal.
    """
    zero = y.dtype.type(0)
    values, spare = y[0].copy(), y[0].copy()
    order, spare_order = np.empty(y.shape[1], np.int64), np.empty(y.shape[1], np.int64)
    for r in range(start, stop):
        w = weights[r % weights.shape[0]]
        count, mean = 0, zero
        for i in range(y.shape[1]):
            out[r, i] = zero
            if y[r, i] > zero:
                values[count], order[count] = y[r, i], i
                mean += v[r, i]
                count += 1
        if count == 0:
            continue
        mean /= y.dtype.type(count)
        sort_descending(values, order, count, spare, spare_order)
        first, total = 0, zero
        for k in range(count):
            total += v[r, order[k]]
            if k == count - 1 or values[k + 1] != values[k]:
                fused = lam[r] * (_weight(w, y.shape[1], first) - _weight(w, y.shape[1], k)) > zero
                for j in range(first, k + 1):
                    average = total / y.dtype.type(k + 1 - first) if fused else v[r, order[j]]
                    out[r, order[j]] = (average - mean) / gamma[r]
                first, total = k + 1, zero


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
    sort_descending(values, order, n, spare, spare_order)
    for k in range(n):
        values[k] = y[order[k]]
    sort_descending(values, order, n, spare, spare_order)
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
    z, values, target, spare = x[0].copy(), x[0].copy(), x[0].copy(), x[0].copy()
    order, spare_order = np.empty(x.shape[1], np.int64), np.empty(x.shape[1], np.int64)
    for r in range(start, stop):
        top, _, _ = extent(x[r])
        scale(x[r], top, gamma[r], z)
        _row_subgradient(
            z, y[r], lam[r], weights[r % weights.shape[0]], out[r], order, values, target, spare, spare_order
        )
