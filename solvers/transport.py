r"""Matrices with given sums: ``argmin |P - X / gamma|^2`` over row sums r, column sums c and ``0 <= P <= cap``.

The dual has potentials u, v with ``P = clip((X - u 1' - 1 v') / gamma, 0, cap)``. It is a convex, piecewise quadratic
function, whose Hessian is the Laplacian of the graph of free entries; ``rounds`` finds its minimum.

Alone they stall where scores are large against gamma, so gamma comes down in stages. Only entries that may leave 0
within a stage are listed; potentials count from the largest entries of rows and columns, and then from those at which
the list was made, so P has digits even where scores have none to spare.

Source: Li, Sun & Toh, "On the efficient computation of a projector onto the Birkhoff polytope", 2020.
"""

import math

import numpy as np

from ._jit import exact, kernel
from .bipartite import bound, caps_of, conjugate_gradients, empty_like_caps, put_bound, transposed
from .rounds import ENOUGH, INNER, MOST_STEPS, STEPS, largest, rounding, settle, threshold
from .rows import extent, floor_of, kth_largest

__all__ = ["REPORT", "RESIDUAL", "STEPS", "transport", "transport_jacobian"]

#: Where the solver reports what of each matrix.
RESIDUAL, LISTS, LISTED, STAGES = 1, 3, 4, 5
REPORT = {
    "steps": STEPS,
    "residual": RESIDUAL,
    "inner steps": INNER,
    "lists": LISTS,
    "listed": LISTED,
    "stages": STAGES,
}

# Stages: the first gamma against the spread of a row, the factor to the next, and the residual that ends one early.
_FIRST, _FACTOR, _ROUGH = 1 / 6, 0.25, 0.03
# Below this part of the potentials gamma would drown in their rounding; what it changes is below 1e-12 of them.
_LEAST = 2.0**-41
_MOST_LISTS = 60
# A start with potentials that many times what the scores span is none.
_FAR = 4.0
_SMALLEST = 2.0**-1022
# What rounding leaves of an entry that is 0, as a part of its sums.
_DUST = 2.0**-48


@exact
def _score(entry, inverse, high, wide):
    """An entry less the offsets of its row and of its column, which may hold all of its digits."""
    return (entry * inverse - high) - wide


@kernel
def _select(x, inverse, top, side, u, v, margin, floor, lines):
    """List the entries above ``-margin`` as far as there is room; returns how many there are."""
    first, place, value, _ = lines
    height, width, found, size = u.size, v.size, 0, place.size
    for i in range(height):
        first[i] = found
        least, row = u[i] - margin, i * width
        for j in range(width):
            z = _score(x[row + j], inverse, top[i], side[j])
            if z - v[j] > least and x[row + j] > floor:
                if found < size:
                    place[found], value[found] = j, (z - u[i]) - v[j]
                found += 1
    first[height] = found
    return found


@kernel
def _room(cap, height, size):
    """Room for a list of entries by row."""
    return np.empty(height + 1, np.int64), np.empty(size, np.int32), np.empty(size), empty_like_caps(cap, size)


@kernel
def _listed(x, inverse, top, side, u, v, margin, cap, lines):
    """The entries above ``-margin`` by row, in the room of ``lines`` if it is large enough, else in a new one."""
    floor = floor_of(x)
    count = _select(x, inverse, top, side, u, v, margin, floor, lines)
    if count > lines[1].size:
        lines = _room(cap, u.size, count + count // 8)
        _select(x, inverse, top, side, u, v, margin, floor, lines)
    for i in range(u.size):
        for k in range(lines[0][i], lines[0][i + 1]):
            put_bound(lines[3], k, bound(cap, i * v.size + lines[1][k]))
    return lines


@kernel
def _scale(x, height, top):
    """Write the maximum of each row (0 where it has no live entry); (largest magnitude, any live, all valid)."""
    width = x.size // height
    size, live, floor = 0.0, False, floor_of(x)
    for i in range(height):
        row = x[i * width : (i + 1) * width]
        high, low, valid = extent(row)
        if not valid:
            return size, live, False
        top[i] = high if high > floor else 0.0
        if low <= floor:
            low = high
            for j in range(width):
                low = min(low, row[j]) if row[j] > floor else low
        if high > floor:
            size, live = max(size, abs(high), abs(low)), True
    return size, live, True


@kernel
def _offsets(x, inverse, top, side):
    """Write the maximum of each column of rows less theirs, 0 without a live entry; how far below an entry may lie."""
    width, floor = side.size, floor_of(x)
    side[:] = -np.inf
    for i in range(top.size):
        for j in range(width):
            if x[i * width + j] > floor:
                side[j] = max(side[j], _score(x[i * width + j], inverse, top[i], 0.0))
    depth = 0.0
    for j in range(width):
        side[j] = side[j] if side[j] > -np.inf else 0.0
    for i in range(top.size):
        for j in range(width):
            if x[i * width + j] > floor:
                depth = max(depth, -_score(x[i * width + j], inverse, top[i], side[j]))
    return depth


@kernel
def _scores(x, i, inverse, top, side, work):
    """Write row i less the offsets, -inf where masked; returns how many entries are live."""
    live, floor, width = 0, floor_of(x), side.size
    for j in range(width):
        takes_part = x[i * width + j] > floor
        work[j] = _score(x[i * width + j], inverse, top[i], side[j]) if takes_part else -np.inf
        live += takes_part
    return live


@kernel
def _spread(x, inverse, top, side):
    """How far the middle entry of a row lies below its largest, on average over a few rows."""
    work, total, count = np.empty(side.size), 0.0, 0
    for i in range(0, top.size, max(1, top.size // 8)):
        live = _scores(x, i, inverse, top, side, work)
        if live > 0:
            total += kth_largest(work, 1) - kth_largest(work, min(live, live // 2 + 1))
            count += 1
    return total / max(count, 1)


@kernel
def _regauged(u, v, most):
    """Move a constant from the rows to the columns, so that potentials are small; whether all are at most ``most``."""
    middle, near = u.min() + 0.5 * (u.max() - u.min()), True
    for i in range(u.size):
        u[i] -= middle
        near &= abs(u[i]) <= most
    for j in range(v.size):
        v[j] += middle
        near &= abs(v[j]) <= most
    return near


@kernel
def _begin(x, inverse, top, side, g, r, cap, u):
    """The thresholds of the rows alone."""
    width = side.size
    work, rooms = np.empty(width), np.empty(width)
    for i in range(u.size):
        _scores(x, i, inverse, top, side, work)
        t = threshold(
            work, width, caps_of(cap, i * width, width, g, rooms), g * r[i], g * rounding(width, r[i]), 0.0, g
        )
        u[i] = t if abs(t) < np.inf else 0.0


@kernel
def _stages(x, inverse, top, side, gamma, r, c, cap, u, v, warm, report):
    """Lower g from a part of the spread to gamma; all in units of the largest score and the largest sum.

    Returns the last list, the potentials that count from it, and the last g.
    """
    g = gamma
    if not warm:
        g = max(g, _FIRST * _spread(x, inverse, top, side))
        _begin(x, inverse, top, side, g, r, cap, u)
        v[:] = 0.0
    tight = 2e-16 * np.sqrt(float(max(u.size, v.size)))
    a, b = np.empty(u.size), np.empty(v.size)
    lines, columns = _room(cap, u.size, 0), _room(cap, v.size, 0)
    while True:
        least = max(gamma, _LEAST * (largest(u) + largest(v)))
        g = max(g, least)
        target, margin = tight if g == least else _ROUGH, g
        report[STAGES] += 1
        for _ in range(_MOST_LISTS):
            lines = _listed(x, inverse, top, side, u, v, margin, cap, lines)
            if columns[1].size < lines[1].size:
                columns = _room(cap, v.size, lines[1].size)
            transposed(lines, columns)
            a[:] = 0.0
            b[:] = 0.0
            report[RESIDUAL], wider = settle(lines, columns, g, r, c, a, b, margin, target, report)
            report[LISTS] += 1
            report[LISTED] = max(report[LISTED], lines[0][-1])
            # What the potentials moved by is lost to rounding; counted from where they are now, it is not.
            near = report[RESIDUAL] <= ENOUGH and largest(a) + largest(b) <= g
            if (wider == 1.0 and (report[RESIDUAL] <= target or near)) or report[STEPS] >= MOST_STEPS:
                break
            for i in range(u.size):
                u[i] += a[i]
            for j in range(v.size):
                v[j] += b[j]
            margin *= max(wider, 2.0)
        if g == least or report[STEPS] >= MOST_STEPS:
            return lines, a, b, g
        for i in range(u.size):
            u[i] += a[i]
        for j in range(v.size):
            v[j] += b[j]
        g *= _FACTOR


@kernel
def _write(lines, g, a, b, r, c, near, unit, upper, out):
    """The matrix; an entry ``near`` its bounds, as a part of its sums, is exactly there."""
    first, place, value, cap = lines
    out[:] = 0.0
    for i in range(a.size):
        for k in range(first[i], first[i + 1]):
            j = place[k]
            p = ((value[k] - a[i]) - b[j]) / g
            dust = near * min(r[i], c[j])
            if p > dust:
                at = i * b.size + j
                out[at] = bound(upper, at) if p >= bound(cap, k) - dust else p * unit


@kernel
def _solve(x, gamma, r, c, upper, warm, u, v, report, out):
    """One matrix; u and v hold potentials to start from where ``warm``, and those found."""
    report[:] = 0.0
    top, side, total = np.empty(u.size), np.empty(v.size), max(r.max(), c.max())
    size, live, valid = _scale(x, u.size, top)
    if not (valid and live and total > 0.0):
        u[:] = 0.0
        v[:] = 0.0
        out[:] = 0.0 if valid else np.nan
        return
    unit = max(total, _SMALLEST)
    # More than this power of two is infinite, and subnormal numbers do without.
    inverse = math.ldexp(1.0, min(-math.frexp(max(size, gamma * unit))[1], 1022))
    for i in range(u.size):
        top[i] *= inverse
    depth = _offsets(x, inverse, top, side)
    for i in range(u.size):
        u[i] = u[i] * inverse - top[i]
    for j in range(v.size):
        v[j] = v[j] * inverse - side[j]
    g, r, c = max(gamma * inverse * unit, _SMALLEST), r / unit, c / unit
    cap = np.minimum(upper / unit, 2.0)  # what no sum allows needs no bound, but room - d a finite one
    warm = warm and _regauged(u, v, _FAR * (depth + g))
    lines, a, b, last = _stages(x, inverse, top, side, g, r, c, cap, u, v, warm, report)
    if warm and last > g:  # the start was too far away to keep gamma
        lines, a, b, last = _stages(x, inverse, top, side, g, r, c, cap, u, v, False, report)
    near = _DUST + 2.0 * min(report[RESIDUAL], ENOUGH)
    report[RESIDUAL] = max(report[RESIDUAL], last - g)
    _write(lines, last, a, b, r, c, near, unit, upper, out)
    for i in range(u.size):
        u[i] = (u[i] + a[i] + top[i]) / inverse
    for j in range(v.size):
        v[j] = (v[j] + b[j] + side[j]) / inverse


@kernel
def transport(x, gamma, rows, columns, upper, start_rows, start_columns, u, v, report, out, start, stop):
    """Rows are matrices, flattened; ``upper`` has one column or one per entry, the starts none or those of u and v."""
    for k in range(start, stop):
        warm = start_rows.shape[1] > 0
        if warm:
            u[k] = start_rows[k]
            v[k] = start_columns[k]
        if upper.shape[1] == 1:
            cap = upper[k % upper.shape[0], 0]
            _solve(x[k], gamma[k], rows[k], columns[k], cap, warm, u[k], v[k], report[k], out[k])
        else:
            caps = upper[k % upper.shape[0]]
            _solve(x[k], gamma[k], rows[k], columns[k], caps, warm, u[k], v[k], report[k], out[k])


@kernel
def _projected(y, w, upper, line, column, first, place, degree, a, b, inner, out):
    """Take from the free entries of w the multipliers ``a_i + b_j`` that leave them without row and column sums."""
    height, width, free = line.size, column.size, 0
    degree[:] = 0.0
    column[:] = 0.0
    for i in range(height):
        first[i] = free
        line[i] = 0.0
        for j in range(width):
            at = i * width + j
            if 0.0 < y[at] < bound(upper, at):
                place[free] = j
                free += 1
                degree[height + j] += 1.0
                line[i] += w[at]
                column[j] += w[at]
        degree[i] = free - first[i]
    first[height] = free
    conjugate_gradients(first, place, degree, line, column, 1e-15, 4 * (height + width), a, b, inner)
    out[:] = 0.0
    for i in range(height):
        for k in range(first[i], first[i + 1]):
            at = i * width + place[k]
            out[at] = w[at] - a[i] - b[place[k]]


@kernel
def transport_jacobian(y, w, upper, a, b, out, start, stop):
    """The projection onto changes of the free entries that keep all sums, and its multipliers."""
    height, width = a.shape[1], b.shape[1]
    line, column, degree = np.empty(height), np.empty(width), np.empty(height + width)
    first, place, inner = np.empty(height + 1, np.int64), np.empty(y.shape[1], np.int32), np.empty((3, width))
    for k in range(start, stop):
        if upper.shape[1] == 1:
            cap = upper[k % upper.shape[0], 0]
            _projected(y[k], w[k], cap, line, column, first, place, degree, a[k], b[k], inner, out[k])
        else:
            caps = upper[k % upper.shape[0]]
            _projected(y[k], w[k], caps, line, column, first, place, degree, a[k], b[k], inner, out[k])
