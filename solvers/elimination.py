"""The Newton system of a small graph, ``(D + B^T K B) dy = r``: eliminated node by node, least neighbours first.

When a node goes, its neighbours become joined: by the product of their edges to it over its pivot; and each takes its
share of what held the node, its D (Grassmann, Taksar & Heyman 1985). Only positive numbers are added, so however stiff
an edge is, D is not drowned in it. Which node goes when (minimum degree: Tinney & Walker 1967), and where its joins are
stored, depends on the edges alone: the ``plan``, one for all rows.
"""

import numpy as np

from ._jit import kernel

__all__ = ["factor", "plan", "substitute"]


@kernel
def _next(degree):
    """The node with the least degree that is not gone."""
    best = -1
    for i in range(degree.size):
        if degree[i] >= 0 and (best < 0 or degree[i] < degree[best]):
            best = i
    return best


@kernel
def _order(edges, n, most):
    """(order, first, neighbour, spot): node order[k] leaves ``neighbour[first[k]:first[k + 1]]`` behind when it goes.

    ``spot[i, j]`` is the place of j among all neighbours that i, or of i that j, leaves behind. Above ``most`` joins
    the order stays empty.
    """
    spot = np.full((n, n), -1, np.int32)
    degree = np.zeros(n, np.int64)
    for e in range(edges.shape[0]):
        i, j = edges[e, 0], edges[e, 1]
        spot[i, j] = spot[j, i] = 0
        degree[i] += 1
        degree[j] += 1
    order, first = np.empty(n, np.int32), np.zeros(n + 1, np.int32)
    neighbour = np.empty(n * (n - 1) // 2, np.int32)
    joins, count = 0, 0
    for k in range(n):
        i = _next(degree)
        begin, joins = count, joins + degree[i] * (degree[i] - 1) // 2
        if joins > most:
            return order[:0], first, neighbour[:0], spot
        for j in range(n):
            if spot[i, j] >= 0 and degree[j] >= 0:
                spot[i, j] = spot[j, i] = count
                neighbour[count] = j
                degree[j] -= 1
                count += 1
        degree[i] = -1
        for s in range(begin, count):
            for t in range(begin, s):
                a, b = neighbour[s], neighbour[t]
                if spot[a, b] < 0:
                    spot[a, b] = spot[b, a] = 0
                    degree[a] += 1
                    degree[b] += 1
        order[k], first[k + 1] = i, count
    return order, first, neighbour[:count], spot


@kernel
def _joined(first, neighbour, spot):
    """Where the join of each pair of neighbours is stored, in the order in which ``factor`` asks."""
    total = 0
    for k in range(first.size - 1):
        total += (first[k + 1] - first[k]) * (first[k + 1] - first[k] - 1) // 2
    target, count = np.empty(total, np.int32), 0
    for k in range(first.size - 1):
        for s in range(first[k], first[k + 1]):
            for t in range(s + 1, first[k + 1]):
                target[count] = spot[neighbour[s], neighbour[t]]
                count += 1
    return target


@kernel
def plan(edges, n, most):
    """(tail, head, place, order, first, neighbour, target) of the edges; order is empty above ``most`` joins."""
    order, first, neighbour, spot = _order(edges, n, most)
    tail, head, place = np.empty((3, edges.shape[0]), np.int32)
    if order.size < n:
        return tail, head, place, order, first, neighbour, neighbour
    for e in range(edges.shape[0]):
        tail[e], head[e] = edges[e, 0], edges[e, 1]
        place[e] = spot[tail[e], head[e]]
    return tail, head, place, order, first, neighbour, _joined(first, neighbour, spot)


@kernel
def factor(graph, D, K, inverse, share, rest):
    """The inverse pivots of the nodes, and the ``share`` that a node leaves to each of its neighbours."""
    _, _, place, order, first, neighbour, target = graph
    share[:] = 0.0
    for e in range(place.size):
        share[place[e]] = K[e]
    for i in range(D.size):
        rest[i] = D[i]
    next_join = 0
    for k in range(order.size):
        pivot = rest[order[k]]
        for s in range(first[k], first[k + 1]):
            pivot += share[s]
        inverse[order[k]] = 1.0 / pivot
        for s in range(first[k], first[k + 1]):
            part = share[s] / pivot
            rest[neighbour[s]] += part * rest[order[k]]
            for t in range(s + 1, first[k + 1]):
                share[target[next_join]] += part * share[t]
                next_join += 1
            share[s] = part


@kernel
def substitute(graph, inverse, share, r, dy):
    """Solve for one right-hand side; ``r`` is overwritten."""
    _, _, _, order, first, neighbour, _ = graph
    for k in range(order.size):
        here = r[order[k]]
        for s in range(first[k], first[k + 1]):
            r[neighbour[s]] += share[s] * here
    for back in range(order.size):
        k = order.size - 1 - back
        here = r[order[k]] * inverse[order[k]]
        for s in range(first[k], first[k + 1]):
            here += share[s] * dy[neighbour[s]]
        dy[order[k]] = here
