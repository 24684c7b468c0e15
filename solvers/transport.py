r"""Matrices with given sums: ``argmin |P - X / gamma|^2`` over row sums r, column sums c and ``0 <= P <= cap``.

The dual has potentials u, v with ``P = clip((X - u 1' - 1 v') / gamma, 0, cap)``. It is a convex, piecewise quadratic
function, whose Hessian is the Laplacian of the graph of free entries. A round is a threshold for each row and column, a
Newton step with a line search (a semismooth Newton method as of Li, Sun & Toh 2020), and a shift of each component of
the graph as a whole. Where a sum does not fix a threshold, the middle of those possible is taken: at an end of them
the Newton steps would meet a kink, and be cut, over and over.

Alone that stalls where scores are large against gamma, so gamma comes down in stages. Only entries that may leave 0
within a stage are listed; potentials count from those at which the list was made, so P has digits even where scores
have none to spare.
"""

import math

import numpy as np

from ._jit import kernel
from .bipartite import (
    balanced,
    bound,
    caps_of,
    components,
    conjugate_gradients,
    empty_like_caps,
    put_bound,
    transposed,
)
from .rows import extent, floor_of, kth_largest

__all__ = ["REPORT", "transport", "transport_jacobian"]

#: What a solver reports of each matrix.
REPORT = ("steps", "residual", "inner steps", "lists", "listed", "stages")

# Stages: the first gamma against the spread of a row, the factor to the next, and the residual that ends one early.
_FIRST, _FACTOR, _ROUGH = 1 / 6, 0.25, 0.03
# Sums are met to rounding; where it does not fall any more, this will do.
_ENOUGH = 1e-12
# Below this part of the potentials gamma would drown in their rounding; what it changes is below 1e-12 of them.
_LEAST = 2.0**-41
_MOST_STEPS, _MOST_LISTS, _PATIENCE = 10_000, 60, 200
# A step is long enough when the slope along it has fallen to this part.
_SLOPE = 0.3
# No Newton step is that many times too short; what seems so is rounding.
_LONGEST = 100.0


@kernel
def _middle_of(s, count, room, t, g):
    """The middle of the thresholds that give the same sum as t."""
    low, high, near = -np.inf, np.inf, 1e-14 * g
    for k in range(count):
        d = s[k] - t
        if d <= near:
            low = max(low, s[k])
        elif d >= bound(room, k) - near:
            high = min(high, s[k] - bound(room, k))
        else:
            return t
    if low > -np.inf and high < np.inf:
        return low + 0.5 * (high - low)
    return max(t, low + g) if low > -np.inf else min(t, high - g)


@kernel
def _next_break(s, count, room, t, up):
    """The first threshold above t, or below, at which a sum that is constant about t begins to change."""
    nearest = np.inf if up else -np.inf
    for k in range(count):
        if up and s[k] - t > bound(room, k):
            nearest = min(nearest, s[k] - bound(room, k))
        if not up and s[k] < t:
            nearest = max(nearest, s[k])
    return nearest


@kernel
def _threshold(s, count, room, total, t, g):
    """t with ``sum clip(s - t, 0, room) = total``, by Newton's method in a bracket; infinite where there is none."""
    low, high = -np.inf, np.inf
    for _ in range(200):
        found, above, below = 0.0, 0, 0
        for k in range(count):
            d, limit = s[k] - t, bound(room, k)
            found += min(max(d, 0.0), limit)
            above += (d > 0.0) & (d <= limit)
            below += (d >= 0.0) & (d < limit)
        excess = found - total
        if abs(excess) <= 2.5e-16 * g:
            return _middle_of(s, count, room, t, g)
        if excess > 0.0:
            low = t
            following = t + excess / above if above > 0 else _next_break(s, count, room, t, True)
        else:
            high = t
            following = t + excess / below if below > 0 else _next_break(s, count, room, t, False)
        if following == t or abs(following) == np.inf:
            return following
        if not low < following < high:
            following = low + 0.5 * (high - low)
            if not low < following < high:
                return t
        t = following
    return t


@kernel
def _balance(entries, total, g, other, mine, work, rooms):
    """Set the threshold of each row (or column), given those of the others, so that its sum is right."""
    first, place, value, cap = entries
    for i in range(mine.size):
        count = first[i + 1] - first[i]
        for k in range(count):
            work[k] = value[first[i] + k] - other[place[first[i] + k]]
        room = caps_of(cap, first[i], count, g, rooms)
        t = _threshold(work, count, room, g * total[i], mine[i], g)
        # A row whose listed entries do not suffice goes as far as the list is good for.
        mine[i] = t if abs(t) < np.inf else mine[i] + (g if t > 0.0 else -g)


@kernel
def _assess(lines, g, u, v, r, c, line, column, first, place, degree):
    """Write what rows and columns have too much and the graph of free entries; returns the largest excess."""
    start, col, value, cap = lines
    height, free = u.size, 0
    degree[:] = 0.0
    for j in range(v.size):
        column[j] = -c[j]
    for i in range(height):
        first[i] = free
        total = 0.0
        for k in range(start[i], start[i + 1]):
            j = col[k]
            p = ((value[k] - u[i]) - v[j]) / g
            if p > 0.0:
                if p < bound(cap, k):
                    place[free] = j
                    free += 1
                    degree[height + j] += 1.0
                else:
                    p = bound(cap, k)
                total += p
                column[j] += p
        degree[i] = free - first[i]
        line[i] = total - r[i]
    first[height] = free
    return max(_largest(line), _largest(column))


@kernel
def _largest(values):
    top = 0.0
    for k in range(values.size):
        top = max(top, abs(values[k]))
    return top


@kernel
def _slope(lines, g, u, v, a, b, r, c, t):
    """First and second derivative of the dual at ``(u, v) + t (a, b)`` along (a, b)."""
    first, col, value, cap = lines
    slope, curvature = 0.0, 0.0
    for i in range(u.size):
        slope += a[i] * r[i]
        here = u[i] + t * a[i]
        for k in range(first[i], first[i + 1]):
            j = col[k]
            p = ((value[k] - here) - (v[j] + t * b[j])) / g
            if p > 0.0:
                move = a[i] + b[j]
                curvature += move * move / g if p < bound(cap, k) else 0.0
                slope -= move * min(p, bound(cap, k))
    for j in range(v.size):
        slope += b[j] * c[j]
    return slope, curvature


@kernel
def _step_length(lines, g, u, v, a, b, r, c):
    """How far along (a, b) to go: the root of the slope, roughly."""
    initial, _ = _slope(lines, g, u, v, a, b, r, c, 0.0)
    low, high, t = 0.0, np.inf, 1.0
    if not initial < 0.0:
        return 0.0
    for _ in range(60):
        slope, curvature = _slope(lines, g, u, v, a, b, r, c, t)
        if abs(slope) <= -_SLOPE * initial or (slope < 0.0 and t >= _LONGEST):
            return t
        if slope < 0.0:
            low = t
        else:
            high = t
        following = t - slope / curvature if curvature > 0.0 else (10.0 * t if slope < 0.0 else 0.0)
        if high == np.inf:
            t = min(max(following, 1.5 * t), 10.0 * t)
        else:
            t = following if low < following < high else low + 0.5 * (high - low)
    return low


@kernel
def _shift(count, label, start, member, lines, columns, g, u, v, r, c, work, rooms):
    """Move the potentials of each component as a whole, so that what it has too much leaves by its boundary.

    What enters by a column counts as ``cap - clip(cap - p)``, so that it falls with the threshold too. Returns whether
    the listed entries sufficed.
    """
    height, enough = u.size, True
    for which in range(count):
        n, total = 0, 0.0
        for q in range(start[which], start[which + 1]):
            i = member[q]
            first, place, value, cap = lines if i < height else columns
            i, other, sign = (i, height, 1.0) if i < height else (i - height, 0, -1.0)
            total += sign * (r[i] if sign > 0.0 else c[i])
            for k in range(first[i], first[i + 1]):
                z = place[k]
                d = (value[k] - u[i]) - v[z] if sign > 0.0 else (value[k] - u[z]) - v[i]
                room = g * bound(cap, k)
                if label[other + z] == which:
                    total -= sign * min(max(d, 0.0), room) / g
                elif sign > 0.0:
                    work[n], rooms[n] = d, room
                    n += 1
                else:
                    work[n], rooms[n] = room - d, room
                    total += room / g
                    n += 1
        if n == 0 and abs(total) <= 1e-12:
            continue
        t = _threshold(work, n, rooms, g * total, 0.0, g)
        enough &= abs(t) < np.inf
        if abs(t) < np.inf:
            for q in range(start[which], start[which + 1]):
                i = member[q]
                if i < height:
                    u[i] += t
                else:
                    v[i - height] -= t
    return enough


@kernel
def _excess(count, start, member, line, column):
    """The largest sum of what a component has too much."""
    height, worst = line.size, 0.0
    for which in range(count):
        total = 0.0
        for q in range(start[which], start[which + 1]):
            i = member[q]
            total += line[i] if i < height else -column[i - height]
        worst = max(worst, abs(total))
    return worst


@kernel
def _reach(u, v):
    """How far an entry that is not listed may have come nearer."""
    return max(0.0, -u.min()) + max(0.0, -v.min())


@kernel
def _settle(lines, columns, g, r, c, u, v, margin, target, report):
    """Rounds on the listed entries until all sums are met; (residual, 1 or how much wider to list)."""
    height, width, listed = u.size, v.size, lines[0][-1]
    nodes = height + width
    line, column, degree = np.empty(height), np.empty(width), np.empty(nodes)
    first, place = np.empty(height + 1, np.int64), np.empty(listed, np.int32)
    label, start, member = np.empty(nodes, np.int64), np.empty(nodes + 1, np.int64), np.empty(nodes, np.int64)
    a, b, inner = np.empty(height), np.empty(width), np.empty((3, width))
    work, rooms = np.empty(max(listed, 1)), np.empty(max(listed, 1))
    best, stale = np.inf, 0
    while True:
        _balance(lines, r, g, v, u, work, rooms)
        _balance(columns, c, g, u, v, work, rooms)
        residual = _assess(lines, g, u, v, r, c, line, column, first, place, degree)
        stale = 0 if residual < 0.5 * best else stale + 1
        best = min(best, residual)
        spent = stale >= (3 if residual <= _ENOUGH else _PATIENCE) or report[0] >= _MOST_STEPS
        if not residual > target or spent or _reach(u, v) > margin:
            return residual, 1.0 if _reach(u, v) <= margin else 2.0
        count = components(first, place, label, start, member)
        if count > 1 and _excess(count, start, member, line, column) > 1e-2 * residual:
            if not _shift(count, label, start, member, lines, columns, g, u, v, r, c, work, rooms):
                return residual, 8.0
            _assess(lines, g, u, v, r, c, line, column, first, place, degree)
            count = components(first, place, label, start, member)
        balanced(count, start, member, line, column)
        tolerance = min(1e-2, 0.1 * residual)
        report[2] += conjugate_gradients(first, place, degree, line, column, tolerance, nodes, a, b, inner)
        for i in range(height):
            a[i] *= g
        for j in range(width):
            b[j] *= g
        t = _step_length(lines, g, u, v, a, b, r, c)
        for i in range(height):
            u[i] += t * a[i]
        for j in range(width):
            v[j] += t * b[j]
        report[0] += 1


@kernel
def _select(x, inverse, top, u, v, margin, floor, lines):
    """List the entries above ``-margin`` as far as there is room; returns how many there are."""
    first, place, value, _ = lines
    height, width, found, size = u.size, v.size, 0, place.size
    for i in range(height):
        first[i] = found
        least, row = u[i] - margin, i * width
        for j in range(width):
            z = x[row + j] * inverse - top[i]
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
def _listed(x, inverse, top, u, v, margin, cap, lines):
    """The entries above ``-margin`` by row, in the room of ``lines`` if it is large enough, else in a new one."""
    floor = floor_of(x)
    count = _select(x, inverse, top, u, v, margin, floor, lines)
    if count > lines[1].size:
        lines = _room(cap, u.size, count + count // 8)
        _select(x, inverse, top, u, v, margin, floor, lines)
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
def _spread(x, height, inverse):
    """How far the middle entry of a row lies below its largest, on average over a few rows."""
    width, floor = x.size // height, floor_of(x)
    total, count = 0.0, 0
    for i in range(0, height, max(1, height // 8)):
        row = x[i * width : (i + 1) * width]
        live = 0
        for j in range(width):
            live += row[j] > floor
        if live > 0:
            total += kth_largest(row, 1) * inverse - kth_largest(row, min(live, live // 2 + 1)) * inverse
            count += 1
    return total / max(count, 1)


@kernel
def _begin(x, inverse, top, g, r, cap, u):
    """The thresholds of the rows alone."""
    width, floor = x.size // u.size, floor_of(x)
    work, rooms = np.empty(width), np.empty(width)
    for i in range(u.size):
        row = x[i * width : (i + 1) * width]
        for j in range(width):
            work[j] = row[j] * inverse - top[i] if row[j] > floor else -np.inf
        t = _threshold(work, width, caps_of(cap, i * width, width, g, rooms), g * r[i], 0.0, g)
        u[i] = t if abs(t) < np.inf else 0.0


@kernel
def _stages(x, inverse, top, gamma, r, c, cap, u, v, warm, report):
    """Lower g from a part of the spread to gamma; all in units of the largest score and the largest sum.

    Returns the last list, the potentials that count from it, and the last g.
    """
    g = gamma
    if not warm:
        g = max(g, _FIRST * _spread(x, u.size, inverse))
        _begin(x, inverse, top, g, r, cap, u)
    tight = 2e-16 * np.sqrt(float(max(u.size, v.size)))
    a, b = np.empty(u.size), np.empty(v.size)
    lines, columns = _room(cap, u.size, 0), _room(cap, v.size, 0)
    while True:
        least = max(gamma, _LEAST * (_largest(u) + _largest(v)))
        g = max(g, least)
        target, margin = tight if g == least else _ROUGH, g
        report[5] += 1
        for _ in range(_MOST_LISTS):
            lines = _listed(x, inverse, top, u, v, margin, cap, lines)
            if columns[1].size < lines[1].size:
                columns = _room(cap, v.size, lines[1].size)
            transposed(lines, columns)
            a[:] = 0.0
            b[:] = 0.0
            report[1], wider = _settle(lines, columns, g, r, c, a, b, margin, target, report)
            report[3] += 1
            report[4] = max(report[4], lines[0][-1])
            # What the potentials moved by is lost to rounding; counted from where they are now, it is not.
            near = report[1] <= _ENOUGH and _largest(a) + _largest(b) <= g
            if (wider == 1.0 and (report[1] <= target or near)) or report[0] >= _MOST_STEPS:
                break
            for i in range(u.size):
                u[i] += a[i]
            for j in range(v.size):
                v[j] += b[j]
            margin *= max(wider, 2.0)
        if g == least or report[0] >= _MOST_STEPS:
            return lines, a, b, g
        for i in range(u.size):
            u[i] += a[i]
        for j in range(v.size):
            v[j] += b[j]
        g *= _FACTOR


@kernel
def _write(lines, g, a, b, unit, upper, out):
    """The matrix; an entry at its bound is exactly that."""
    first, place, value, cap = lines
    out[:] = 0.0
    for i in range(a.size):
        for k in range(first[i], first[i + 1]):
            j = place[k]
            p = ((value[k] - a[i]) - b[j]) / g
            if p > 0.0:
                at = i * b.size + j
                out[at] = bound(upper, at) if p >= bound(cap, k) else p * unit


@kernel
def _solve(x, gamma, r, c, upper, warm, u, v, report, out):
    """One matrix; u and v hold potentials to start from where ``warm``, and those found."""
    report[:] = 0.0
    top, unit = np.empty(u.size), max(r.max(), c.max())
    size, live, valid = _scale(x, u.size, top)
    if not (valid and live and unit > 0.0):
        u[:] = 0.0
        v[:] = 0.0
        out[:] = 0.0 if valid else np.nan
        return
    inverse = math.ldexp(1.0, -math.frexp(max(size, gamma * unit))[1])
    for i in range(u.size):
        top[i] *= inverse
        u[i] = u[i] * inverse - top[i] if warm else 0.0
    for j in range(v.size):
        v[j] = v[j] * inverse if warm else 0.0
    cap = np.minimum(upper / unit, 2.0)  # what no sum allows needs no bound, but room - d a finite one
    lines, a, b, g = _stages(x, inverse, top, gamma * inverse * unit, r / unit, c / unit, cap, u, v, warm, report)
    _write(lines, g, a, b, unit, upper, out)
    for i in range(u.size):
        u[i] = (u[i] + a[i] + top[i]) / inverse
    for j in range(v.size):
        v[j] = (v[j] + b[j]) / inverse


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
