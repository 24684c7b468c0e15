r"""Rounds that find the potentials of a matrix with given sums, on a list of its entries.

A round is a threshold for each row and each column, a Newton step with a line search (a semismooth Newton method as of
Li, Sun & Toh 2020), and a shift of each component of the graph of free entries as a whole. Where a sum does not fix a
threshold, the middle of those possible is taken: at an end of them the Newton steps would meet a kink, and be cut, over
and over. Entries are listed as in ``bipartite``, r and c are the sums, ``p = clip((value - u - v) / g, 0, cap)``.
"""

import numpy as np

from ._jit import kernel
from .bipartite import balanced, bound, caps_of, components, conjugate_gradients

__all__ = ["ENOUGH", "INNER", "MOST_STEPS", "STEPS", "largest", "reach", "rounding", "settle", "threshold"]

#: Where a report counts Newton steps and those of conjugate gradients.
STEPS, INNER = 0, 2
#: Sums are met to rounding; where what they miss does not fall any more, this will do.
ENOUGH = 1e-12
MOST_STEPS = 10_000
_PATIENCE = 200
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
def rounding(count, mass):
    """What a sum of so many terms of one sign may be off by."""
    return 1e-15 * np.sqrt(float(count)) * mass


@kernel
def threshold(s, count, room, total, slop, t, g):
    """t with ``sum clip(s - t, 0, room) = total``, by Newton's method in a bracket; infinite where there is none.

    Where the sum is constant towards its total, missing it by the ``slop`` of the two is not missing it.
    """
    low, high = -np.inf, np.inf
    for _ in range(200):
        found, above, below = 0.0, 0, 0
        for k in range(count):
            d, limit = s[k] - t, bound(room, k)
            found += min(max(d, 0.0), limit)
            above += (d > 0.0) & (d <= limit)
            below += (d >= 0.0) & (d < limit)
        excess = found - total
        constant = above == 0 if excess > 0.0 else below == 0
        if abs(excess) <= (max(2.5e-16 * g, slop) if constant else 2.5e-16 * g):
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
        t = threshold(work, count, room, g * total[i], g * rounding(count, total[i]), mine[i], g)
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
    return max(largest(line), largest(column))


@kernel
def largest(values):
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
        n, total, mass, terms = 0, 0.0, 0.0, 0
        for q in range(start[which], start[which + 1]):
            i = member[q]
            first, place, value, cap = lines if i < height else columns
            i, other, sign = (i, height, 1.0) if i < height else (i - height, 0, -1.0)
            whole = r[i] if sign > 0.0 else c[i]
            total += sign * whole
            mass, terms = mass + whole, terms + first[i + 1] - first[i]
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
        t = threshold(work, n, rooms, g * total, g * rounding(terms, mass), 0.0, g)
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
def reach(u, v):
    """How far an entry that is not listed may have come nearer."""
    return max(0.0, -u.min()) + max(0.0, -v.min())


@kernel
def settle(lines, columns, g, r, c, u, v, margin, target, report):
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
        spent = stale >= (3 if residual <= ENOUGH else _PATIENCE) or report[STEPS] >= MOST_STEPS
        if not residual > target or spent or reach(u, v) > margin:
            return residual, 1.0 if reach(u, v) <= margin else 2.0
        count = components(first, place, label, start, member)
        if count > 1 and _excess(count, start, member, line, column) > 1e-2 * residual:
            if not _shift(count, label, start, member, lines, columns, g, u, v, r, c, work, rooms):
                return residual, 8.0
            _assess(lines, g, u, v, r, c, line, column, first, place, degree)
            count = components(first, place, label, start, member)
        balanced(count, start, member, line, column)
        tolerance = min(1e-2, 0.1 * residual)
        report[INNER] += conjugate_gradients(first, place, degree, line, column, tolerance, nodes, a, b, inner)
        for i in range(height):
            a[i] *= g
        for j in range(width):
            b[j] *= g
        t = _step_length(lines, g, u, v, a, b, r, c)
        for i in range(height):
            u[i] += t * a[i]
        for j in range(width):
            v[j] += t * b[j]
        report[STEPS] += 1
