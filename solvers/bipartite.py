"""Sparse bipartite graphs between the rows and the columns of a matrix: entries by row and by column, components, and
Laplacian systems (conjugate gradients on the Schur complement of the columns, Hestenes & Stiefel 1952).

Entries are tuples ``(first, place, value, cap)``: those of row (or column) i are ``first[i] : first[i + 1]``, each with
the place of its other end, its value and its upper bound; ``cap`` is one number or an array. Nodes are numbered rows
first, columns behind them.
"""

import numpy as np
from numba import types
from numba.extending import overload

from ._jit import kernel

__all__ = [
    "balanced",
    "bound",
    "caps_of",
    "components",
    "conjugate_gradients",
    "empty_like_caps",
    "put_bound",
    "transposed",
]

# No graph of a million nodes bends as little as this in any direction, other than those it leaves open.
_FLAT = 1e-13


def bound(cap, k):
    """Upper bound of entry k; ``cap`` is one number or an array."""
    return cap[k] if np.ndim(cap) else cap


@overload(bound)
def _bound(cap, k):
    return (lambda cap, k: cap[k]) if isinstance(cap, types.Array) else (lambda cap, k: cap)


def empty_like_caps(cap, count):
    """Room for ``count`` upper bounds where each entry has its own; else the one number."""
    return np.empty(count) if np.ndim(cap) else cap


@overload(empty_like_caps)
def _empty_like_caps(cap, count):
    if isinstance(cap, types.Array):
        return lambda cap, count: np.empty(count)
    return lambda cap, count: cap


def caps_of(cap, first, count, factor, out):
    """``factor`` times the upper bounds from ``first`` on, written to ``out``; of one number the product."""
    if not np.ndim(cap):
        return cap * factor
    out[:count] = cap[first : first + count] * factor
    return out


@overload(caps_of)
def _caps_of(cap, first, count, factor, out):
    if not isinstance(cap, types.Array):
        return lambda cap, first, count, factor, out: cap * factor

    def write(cap, first, count, factor, out):
        for k in range(count):
            out[k] = cap[first + k] * factor
        return out

    return write


def put_bound(cap, k, value):
    """Set the upper bound of entry k where each has its own."""
    if np.ndim(cap):
        cap[k] = value


@overload(put_bound)
def _put_bound(cap, k, value):
    if not isinstance(cap, types.Array):
        return lambda cap, k, value: None

    def put(cap, k, value):
        cap[k] = value

    return put


@kernel
def transposed(lines, columns):
    """The entries of ``lines`` by column, written to ``columns``."""
    first, place, value, cap = lines
    target, row, moved, moved_cap = columns
    target[:] = 0
    for k in range(first[-1]):
        target[place[k] + 1] += 1
    for j in range(target.size - 1):
        target[j + 1] += target[j]
    for i in range(first.size - 1):
        for k in range(first[i], first[i + 1]):
            q = target[place[k]]
            row[q], moved[q] = i, value[k]
            put_bound(moved_cap, q, bound(cap, k))
            target[place[k]] = q + 1
    for j in range(target.size - 1, 0, -1):
        target[j] = target[j - 1]
    target[0] = 0


@kernel
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def components(first, place, label, start, member):
    """Count the components of a graph given by row, label each node and list the members of each.

    Those of component k are ``member[start[k] : start[k + 1]]``. A root is the least of its nodes, so labels are
    handed out before they are read.
    """
    height, count = first.size - 1, 0
    for i in range(label.size):
        label[i] = i
    for i in range(height):
        for k in range(first[i], first[i + 1]):
            a, b = _root(label, i), _root(label, height + place[k])
            label[max(a, b)] = min(a, b)
    for i in range(label.size):
        if label[i] == i:
            label[i] = count
            count += 1
        else:
            label[i] = label[label[i]]
    start[: count + 1] = 0
    for i in range(label.size):
        start[label[i] + 1] += 1
    for k in range(count):
        start[k + 1] += start[k]
    for i in range(label.size):
        member[start[label[i]]] = i
        start[label[i]] += 1
    for k in range(count, 0, -1):
        start[k] = start[k - 1]
    start[0] = 0
    return count


@kernel
def balanced(count, start, member, line, column):
    """Take from the right-hand side what no solution of the Laplacian system can give: its sums over components."""
    height = line.size
    for k in range(count):
        total = 0.0
        for q in range(start[k], start[k + 1]):
            i = member[q]
            total += line[i] if i < height else -column[i - height]
        total /= start[k + 1] - start[k]
        for q in range(start[k], start[k + 1]):
            i = member[q]
            if i < height:
                line[i] -= total
            else:
                column[i - height] += total


@kernel
def _product(a, b):
    """The inner product, on its own: a loop that also writes adds up in another order when memory lies too close."""
    total = 0.0
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@kernel
def _weighted(a, weight):
    total = 0.0
    for j in range(a.size):
        total += weight[j] * a[j] * a[j]
    return total


@kernel
def conjugate_gradients(first, place, degree, line, column, tolerance, most, a, b, work):
    """Solve ``degree_i a_i + sum_j b_j = line_i`` and ``degree_j b_j + sum_i a_i = column_j`` over the graph's edges.

    ``degree`` of rows first, then of columns; nodes without edges get 0. Returns the number of steps.
    """
    height, width = line.size, column.size
    rest, way, image = work[0], work[1], work[2]
    for j in range(width):
        rest[j] = column[j] if degree[height + j] > 0 else 0.0
        b[j] = 0.0
    for i in range(height):
        for k in range(first[i], first[i + 1]):
            rest[place[k]] -= line[i] / degree[i]
    for j in range(width):
        way[j] = rest[j] / max(degree[height + j], 1.0)
    size = _product(rest, way)
    enough, step = size * tolerance * tolerance, 0
    while step < most and size > enough:
        step += 1
        for j in range(width):
            image[j] = degree[height + j] * way[j]
        for i in range(height):
            mean = 0.0
            for k in range(first[i], first[i + 1]):
                mean += way[place[k]]
            mean /= max(degree[i], 1.0)
            for k in range(first[i], first[i + 1]):
                image[place[k]] -= mean
        curvature = _product(way, image)
        if not curvature > _FLAT * _weighted(way, degree[height:]):  # rounding, along what the system leaves open
            break
        length = size / curvature
        for j in range(width):
            b[j] += length * way[j]
            rest[j] -= length * image[j]
            image[j] = rest[j] / max(degree[height + j], 1.0)
        following = _product(rest, image)
        for j in range(width):
            way[j] = image[j] + following / size * way[j]
        size = following
    for i in range(height):
        total = line[i]
        for k in range(first[i], first[i + 1]):
            total -= b[place[k]]
        a[i] = total / degree[i] if degree[i] > 0 else 0.0
    return step
