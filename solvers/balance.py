"""Total variation on a graph by divide and conquer: flows that make a graph as even as its edges allow.

A flow f of at most c on each edge leaves every vertex the excess y = x - (what flows out). The even-most y solves
``argmin_y sum (y - x)^2 / 2 + sum c_e |y_i - y_j|``. A connected piece is tested at its mean: a maximum flow from the
vertices above to those below either evens it out, and it is final, or fills all edges between an upper and a lower
part, and these are solved apart (Groenevelt 1991; Hochbaum 2001; Chambolle & Darbon 2009). So the method is finite and
exact from any flow, and the better that is, the faster.

A maximum flow is made of phases, each with a breadth-first search along edges that can carry more. In turn, from all
vertices of the smaller side of the mean, which serve those of the other along the trees of that search, as much as
these need and they have: that suits many small needs. And from all of the larger side, towards which those of the
smaller push all they have (Goldberg & Tarjan 1988): that suits many narrow ways. Either alone takes many times as many
phases.

A flow is positive from the smaller vertex to the larger. Where an edge is filled its flow is exactly its capacity.
"""

import numpy as np

from ._jit import inlined, kernel
from .rows import compensated

__all__ = ["balance", "scratch"]

# How many arcs a phase may look at when it pushes, for each vertex that it has found; searching anew takes about four.
_PATIENCE = 16
# Vertices of a piece beyond which the rounding of their sum is more than that of one of them.
_MANY = 64
# What the search says of a vertex that is not in its parent's tree: not found, or no part of this piece.
_UNSEEN, _OUTSIDE = np.int32(-2), np.int32(-1)


@kernel
def scratch(n):
    """Room for :func:`balance` on n vertices."""
    return np.empty((7, n), np.int32), np.empty((2, n)), np.empty((3, n))


@inlined
def _spare(c, f, e, rising):
    """What an edge can still carry from its smaller vertex to the larger, or back."""
    return c[e] - f[e] if rising else c[e] + f[e]


@inlined
def _carry(c, f, e, rising, spare, amount):
    """Send ``amount`` along an edge, or all that is spare; what was sent."""
    if amount >= spare:
        f[e] = c[e] if rising else -c[e]
        return spare
    f[e] += amount if rising else -amount
    return amount


@inlined
def _gather(graph, c, order, begin, end, parent, ancestor, link, queue, stop, upper_is_unseen):
    """Arrange the vertices of a piece by connected parts that the search found, or did not; where the lower begin.

    Upper parts come first. ``ancestor`` and ``link`` say how each vertex hangs on an earlier one of its part.
    """
    first, neighbour, edge = graph
    tail, middle = 0, 0
    for part in range(2):
        unseen = upper_is_unseen == (part == 0)
        for k in range(begin, end):
            seed = order[k]
            if parent[seed] == _OUTSIDE or (parent[seed] == _UNSEEN) != unseen:
                continue
            start = head = tail
            queue[tail] = seed
            tail += 1
            parent[seed] = _OUTSIDE
            while head < tail:
                i = queue[head]
                head += 1
                for a in range(first[i], first[i + 1]):
                    j, e = neighbour[a], edge[a]
                    if parent[j] != _OUTSIDE and (parent[j] == _UNSEEN) == unseen and c[e] > 0.0:
                        parent[j] = _OUTSIDE
                        ancestor[j], link[j] = i, e
                        queue[tail] = j
                        tail += 1
            stop[begin + start] = begin + tail
        if part == 0:
            middle = begin + tail
    for k in range(begin, end):
        order[k] = queue[k - begin]
    return middle


@inlined
def _centre(y, order, begin, end):
    """Take the mean of a piece from its excesses; what it was."""
    total = 0.0
    for k in range(begin, end):
        total += y[order[k]]
    mean = total / (end - begin)
    for k in range(begin, end):
        y[order[k]] -= mean
    return mean


@inlined
def _settle(c, f, y, order, begin, end, ancestor, link):
    """From the leaves of a spanning tree to its root, give each ancestor what a vertex has too much, or too little."""
    for k in range(end - 1, begin, -1):
        i = order[k]
        e, p, excess = link[i], ancestor[i], y[i]
        rising = (i < p) == (excess > 0.0)
        sent = _carry(c, f, e, rising, _spare(c, f, e, rising), abs(excess))
        sent = sent if excess > 0.0 else -sent
        y[i] -= sent
        y[p] += sent


@inlined
def _search(graph, c, f, y, slack, sign, order, begin, end, parent, link, distance, queue, others):
    """(reached, found): breadth-first from the vertices with too much (sign 1) or too little (-1).

    Until as many ``others`` of the opposite sign are found as there are.
    """
    first, neighbour, edge = graph
    tail = 0
    for k in range(begin, end):
        i = order[k]
        parent[i] = _UNSEEN
        if sign * y[i] > slack:
            parent[i] = i
            distance[i] = 0
            queue[tail] = i
            tail += 1
    head, found = 0, 0
    while head < tail and found < others:
        i = queue[head]
        head += 1
        for k in range(first[i], first[i + 1]):
            j, e = neighbour[k], edge[k]
            if parent[j] == _UNSEEN and _spare(c, f, e, (i < j) == (sign > 0.0)) > 0.0:
                parent[j], link[j], distance[j] = i, e, distance[i] + np.int32(1)
                queue[tail] = j
                tail += 1
                found += -sign * y[j] > slack
    return tail, found


@inlined
def _serve(c, f, y, sign, parent, link, queue, reached, need, have):
    """Along the trees of the search, from their roots to all that lack: what these need, as far as it goes."""
    for q in range(reached):
        i = queue[q]
        need[i], have[i] = max(-sign * y[i], 0.0), max(sign * y[i], 0.0) if parent[i] == i else 0.0
    for q in range(reached - 1, -1, -1):
        i = queue[q]
        p = parent[i]
        if p != i and need[i] > 0.0:
            need[i] = min(need[i], _spare(c, f, link[i], (p < i) == (sign > 0.0)))
            need[p] += need[i]
    for q in range(reached):
        i = queue[q]
        p = parent[i]
        if p == i:
            y[i] = 0.0
        elif need[i] > 0.0 and have[p] > 0.0:
            e, rising = link[i], (p < i) == (sign > 0.0)
            have[i] = _carry(c, f, e, rising, _spare(c, f, e, rising), min(need[i], have[p]))
            have[p] -= have[i]
    for q in range(reached):
        y[queue[q]] += sign * have[queue[q]]


@inlined
def _join(waiting, head, count, size, i):
    """Put i at the end of a ring; how many wait there then."""
    place = head + count
    waiting[place if place < size else place - size] = i
    return count + 1


@inlined
def _push(graph, c, f, y, slack, sign, queued, waiting, distance, queue, reached):
    """Vertices with too much (sign -1) or too little send it nearer to the roots, the farthest first.

    One that cannot send all moves away from the roots until it can, as long as patience lasts.
    """
    first, neighbour, edge = graph
    head, count = 0, 0
    for q in range(reached - 1, -1, -1):
        i = queue[q]
        queued[i] = 0
        if -sign * y[i] > slack:
            queued[i] = 1
            waiting[count] = i
            count += 1
    work, most = 0, _PATIENCE * reached
    while count > 0 and work < most:
        i = waiting[head]
        head = head + 1 if head + 1 < reached else 0
        count -= 1
        queued[i] = 0
        excess, nearest = -sign * y[i], np.int32(reached)
        for k in range(first[i], first[i + 1]):
            j, e = neighbour[k], edge[k]
            if queued[j] < 0:
                continue
            rising = (j < i) == (sign > 0.0)
            spare = _spare(c, f, e, rising)
            if spare > 0.0:
                if distance[j] >= distance[i]:
                    nearest = min(nearest, distance[j])
                    continue
                sent = _carry(c, f, e, rising, spare, excess)
                y[j] -= sign * sent
                excess -= sent
                if queued[j] == 0 and -sign * y[j] > slack:
                    queued[j] = 1
                    count = _join(waiting, head, count, reached, j)
                if excess <= 0.0:
                    break
        y[i] = -sign * excess
        work += first[i + 1] - first[i]
        if excess > slack and nearest < reached:
            distance[i] = nearest + np.int32(1)
            queued[i] = 1
            count = _join(waiting, head, count, reached, i)


@inlined
def _even_out(graph, c, f, y, slack, order, begin, end, numbers, amounts):
    """A maximum flow; (how many vertices the last search reached, the sign that it began from).

    None where all is even. What summing many has rounded away would otherwise gather in one vertex, so the mean is
    taken off once more when most excesses are 0.
    """
    _, parent, link, ancestor, queue, waiting, _ = numbers
    _settle(c, f, y, order, begin, end, ancestor, link)
    if end - begin > _MANY:
        _centre(y, order, begin, end)
        _settle(c, f, y, order, begin, end, ancestor, link)
    serve = True
    while True:
        above, below = 0, 0
        for k in range(begin, end):
            above += y[order[k]] > slack
            below += y[order[k]] < -slack
        if above == 0 or below == 0:
            return 0, 1.0
        sign = 1.0 if (above <= below) == serve else -1.0
        others = below if sign > 0.0 else above
        reached, found = _search(graph, c, f, y, slack, sign, order, begin, end, parent, link, ancestor, queue, others)
        if found == 0:
            return reached, sign
        if serve:
            _serve(c, f, y, sign, parent, link, queue, reached, amounts[0], amounts[1])
        else:
            _push(graph, c, f, y, slack, sign, parent, waiting, ancestor, queue, reached)
        serve = not serve


@inlined
def _value(graph, x, f, order, begin, end, parent):
    """The mean of a piece after the pull of all edges that leave it."""
    first, neighbour, edge = graph
    for k in range(begin, end):
        parent[order[k]] = _UNSEEN
    total, lost = 0.0, 0.0
    for k in range(begin, end):
        i = order[k]
        total, lost = compensated(total, lost, x[i])
        for a in range(first[i], first[i + 1]):
            j = neighbour[a]
            if parent[j] == _OUTSIDE and f[edge[a]] != 0.0:
                total, lost = compensated(total, lost, -f[edge[a]] if i < j else f[edge[a]])
    return total / (end - begin)


@kernel
def balance(graph, x, c, f, y, slack, mass, room):
    """Make ``y``, the excess of each vertex that the flow f leaves, the solution; -inf = the vertex is not there.

    Excesses within ``slack`` count as even. Of ``[y - tau]_+`` with tau such that it sums to ``mass``, only the
    support is wanted: what is found to lie below gets -inf. A mass of inf asks for everything.

    Excesses are kept less the ``base`` of their piece, so that their sums stay sharp. Every piece also remembers the
    levels that it was found above and below; held there, rounded values keep their order.
    """
    numbers, amounts, bounds = room
    order, parent, link, ancestor, queue, _, stop = numbers
    low, high, base = bounds
    count = 0
    for i in range(y.size):
        parent[i] = _OUTSIDE
        if y[i] > -np.inf:
            order[count] = i
            count += 1
            parent[i] = _UNSEEN
    _gather(graph, c, order, 0, count, parent, ancestor, link, queue, stop, True)
    begin, least = 0, -np.inf
    while begin < count:
        low[begin], high[begin], base[begin] = -np.inf, np.inf, 0.0
        begin = stop[begin]
    begin = 0
    while begin < count:
        end = stop[begin]
        size, level = end - begin, base[begin] + _centre(y, order, begin, end)
        if high[begin] == np.inf:
            least = max(least, level - mass / size)
        wanted, reached, sign = high[begin] > least, 0, 1.0
        if wanted and size > 1:
            reached, sign = _even_out(graph, c, f, y, slack, order, begin, end, numbers, amounts)
        if reached > 0:
            lowest, highest = low[begin], high[begin]
            middle = _gather(graph, c, order, begin, end, parent, ancestor, link, queue, stop, sign < 0.0)
            part = begin
            while part < end:
                low[part], high[part] = (level, highest) if part < middle else (lowest, level)
                base[part] = level
                part = stop[part]
            continue
        value = -np.inf
        if wanted:
            value = min(max(_value(graph, x, f, order, begin, end, parent), low[begin]), high[begin])
        for k in range(begin, end):
            y[order[k]] = value
            parent[order[k]] = _OUTSIDE
        begin = end
