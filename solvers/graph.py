"""Graphs as kernels see them: each vertex's list of neighbours, and the connected groups of equal values.

Vertex i has the arcs ``first[i] .. first[i + 1]``; arc k leads to ``neighbour[k]`` along the edge ``edge[k]``. The
triple (first, neighbour, edge) is the graph. Only sizes are taken on trust: vertices must exist.
"""

import numpy as np

from ._jit import kernel

__all__ = ["grid_edges", "group_means", "neighbours"]


@kernel
def neighbours(edges, vertices):
    """The graph, arcs of a vertex in the order of the edges."""
    first = np.zeros(vertices + 1, np.int32)
    for e in range(edges.shape[0]):
        first[edges[e, 0] + 1] += 1
        first[edges[e, 1] + 1] += 1
    for i in range(vertices):
        first[i + 1] += first[i]
    place = first[:-1].copy()
    neighbour = np.empty(2 * edges.shape[0], np.int32)
    edge = np.empty(2 * edges.shape[0], np.int32)
    for e in range(edges.shape[0]):
        for end in range(2):
            i = edges[e, end]
            neighbour[place[i]] = edges[e, 1 - end]
            edge[place[i]] = e
            place[i] += 1
    return first, neighbour, edge


def grid_edges(height, width):
    """The edges of a grid, vertices in C order: all that go right, then all that go down."""
    vertex = np.arange(height * width).reshape(height, width)
    right = np.stack([vertex[:, :-1].ravel(), vertex[:, 1:].ravel()], axis=1)
    down = np.stack([vertex[:-1].ravel(), vertex[1:].ravel()], axis=1)
    return np.concatenate([right, down])


@kernel
def group_means(graph, y, v, live, lam, weights, member, out):
    """Write the mean of v over each connected group of equal live entries of y, zero where not live."""
    first, neighbour, edge = graph
    zero = y.dtype.type(0)
    out[:] = zero
    seen = np.zeros(y.size, np.bool_)
    for seed in range(y.size):
        if seen[seed] or not live[seed]:
            continue
        head, tail, total = 0, 1, zero
        member[0], seen[seed] = seed, True
        while head < tail:
            i = member[head]
            head += 1
            total += v[i]
            for k in range(first[i], first[i + 1]):
                j = neighbour[k]
                joined = lam > zero and (weights.size == 0 or weights[edge[k]] > zero)
                if joined and not seen[j] and live[j] and y[j] == y[i]:
                    seen[j] = True
                    member[tail] = j
                    tail += 1
        total /= y.dtype.type(tail)
        for k in range(tail):
            out[member[k]] = total
