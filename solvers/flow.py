"""Flows from the rows to the columns of a matrix: whether given sums can be had at all, and heaviest regular graphs.

Shortest augmenting paths: by breadth first search (Edmonds & Karp 1972), and by Dijkstra's method on reduced costs from
given potentials (Tomizawa 1971). Matrices are flattened; nodes are numbered rows first, columns behind them.
"""

import numpy as np

from ._jit import kernel
from .bipartite import bound

__all__ = ["heaviest_graph", "unserved"]

# Parts of the largest sum: what an edge must have left to be used, and what a row may lack.
_SPARE, _LACKING = 1e-14, 1e-11


@kernel
def _fill(live, upper, need, spare, flow):
    """Each row takes what it can from the columns on its diagonal and behind it."""
    height, width = need.size, spare.size
    flow[:] = 0.0
    for i in range(height):
        for step in range(width):
            j = (i + step) % width
            at = i * width + j
            if need[i] > 0.0 and spare[j] > 0.0 and live[at]:
                flow[at] = min(min(need[i], spare[j]), bound(upper, at))
                need[i] -= flow[at]
                spare[j] -= flow[at]


@kernel
def _path_from(source, live, upper, spare, flow, least, parent, queue, waiting):
    """Breadth first search from a row; the first column found with something to spare, or -1.

    Rows and columns that were reached have a parent; ``waiting`` keeps the columns that were not, at its front.
    """
    width = spare.size
    height = parent.size - width
    parent[:] = -1
    for j in range(width):
        waiting[j] = j
    parent[source], queue[0] = source, source
    head, tail, left = 0, 1, width
    while head < tail:
        i = queue[head]
        head += 1
        kept = 0
        for k in range(left):
            j = waiting[k]
            at = i * width + j
            if not (live[at] and flow[at] < bound(upper, at) - least):
                waiting[kept] = j
                kept += 1
                continue
            parent[height + j] = i
            if spare[j] > least:
                return j
            for other in range(height):
                if parent[other] < 0 and flow[other * width + j] > least:
                    parent[other], queue[tail] = height + j, other
                    tail += 1
        left = kept
    return -1


@kernel
def _augment(target, upper, need, spare, flow, parent):
    """Push along the path to a column as much as it lets through."""
    width = spare.size
    height = parent.size - width
    j, i = target, parent[height + target]
    amount = np.float64(min(spare[j], bound(upper, i * width + j) - flow[i * width + j]))
    while parent[i] != i:
        j = parent[i] - height
        taken = flow[i * width + j]
        i = parent[height + j]
        amount = np.float64(min(amount, taken, bound(upper, i * width + j) - flow[i * width + j]))
    amount = min(amount, need[i])
    spare[target] -= amount
    j = target
    while True:
        i = parent[height + j]
        flow[i * width + j] += amount
        if parent[i] == i:
            need[i] -= amount
            return
        j = parent[i] - height
        flow[i * width + j] -= amount


@kernel
def _is_served(live, upper, rows, columns, reached):
    """Whether the rows can have their sums; if not, which rows and columns a row that lacks something can reach."""
    height, width = rows.size, columns.size
    need, spare, flow = rows.copy(), columns.copy(), np.empty(rows.size * columns.size)
    parent, queue, waiting = np.empty(height + width, np.int64), np.empty(height, np.int64), np.empty(width, np.int64)
    unit = max(rows.max(), columns.max())
    _fill(live, upper, need, spare, flow)
    for i in range(height):
        while need[i] > _LACKING * unit:
            j = _path_from(i, live, upper, spare, flow, _SPARE * unit, parent, queue, waiting)
            if j < 0:
                for node in range(height + width):
                    reached[node] = parent[node] >= 0
                return False
            _augment(j, upper, need, spare, flow, parent)
    return True


@kernel
def _same(a, b):
    different = False
    for k in range(a.size):
        different |= a[k] != b[k]
    return not different


@kernel
def unserved(live, rows, columns, upper, reached, start, stop):
    """Mark in ``reached`` the rows and columns of a cut that is too small, in each matrix that has one.

    Sums must be finite; neighbours in a batch that pose the same question are answered together.
    """
    for k in range(start, stop):
        reached[k] = False
        known = k > start and upper.shape[0] == 1
        known = known and _same(rows[k], rows[k - 1]) and _same(columns[k], columns[k - 1])
        if known and _same(live[k], live[k - 1]):
            reached[k] = reached[k - 1]
        elif upper.shape[1] == 1:
            _is_served(live[k], upper[k % upper.shape[0], 0], rows[k], columns[k], reached[k])
        else:
            _is_served(live[k], upper[k % upper.shape[0]], rows[k], columns[k], reached[k])


@kernel
def _start_graph(x, live, u, v, near, need, spare, chosen):
    """Take the entries above their potentials, and among those next to them what is needed."""
    height, width = u.size, v.size
    for i in range(height):
        for j in range(width):
            at = i * width + j
            chosen[at] = live[at] and (x[at] - u[i]) - v[j] > near
            if chosen[at]:
                need[i] -= 1
                spare[j] -= 1
    for i in range(height):
        for step in range(width):
            j = (i + step) % width
            at = i * width + j
            tie = live[at] and abs((x[at] - u[i]) - v[j]) <= near
            if tie and need[i] > 0 and spare[j] > 0:
                chosen[at] = True
                need[i] -= 1
                spare[j] -= 1


@kernel
def _nearest(distance, done):
    best = -1
    for node in range(distance.size):
        if not done[node] and distance[node] < np.inf and (best < 0 or distance[node] < distance[best]):
            best = node
    return best


@kernel
def _search(x, live, u, v, need, spare, chosen, distance, done, parent):
    """Dijkstra's method from all rows that lack an entry and columns that have one too many; the first end or -1."""
    height, width = u.size, v.size
    for node in range(height + width):
        source = need[node] > 0 if node < height else spare[node - height] < 0
        distance[node] = 0.0 if source else np.inf
        done[node], parent[node] = False, node
    while True:
        node = _nearest(distance, done)
        if node < 0:
            return -1
        done[node] = True
        if (need[node] < 0) if node < height else (spare[node - height] > 0):
            return node
        adds = node < height
        first, count = (height, width) if adds else (0, height)
        for other in range(count):
            i, j = (node, other) if adds else (other, node - height)
            at = i * width + j
            if done[first + other] or chosen[at] == adds or not live[at]:
                continue
            slack = (x[at] - u[i]) - v[j]
            length = distance[node] + max(-slack if adds else slack, 0.0)
            if length < distance[first + other]:
                distance[first + other], parent[first + other] = length, node


@kernel
def _swap(end, need, spare, chosen, parent, height, width):
    """Take or leave the entries of a path, which changes the counts of its two ends."""
    node = end
    while parent[node] != node:
        before = parent[node]
        i, j = (before, node - height) if before < height else (node, before - height)
        chosen[i * width + j] = not chosen[i * width + j]
        node = before
    if node < height:
        need[node] -= 1
    else:
        spare[node - height] += 1
    if end < height:
        need[end] += 1
    else:
        spare[end - height] -= 1


@kernel
def _complete_graph(x, live, u, v, near, need, spare, chosen):
    height, width = u.size, v.size
    u, v, need, spare = u.copy(), v.copy(), need.copy(), spare.copy()
    distance, parent = np.empty(height + width), np.empty(height + width, np.int64)
    done = np.empty(height + width, np.bool_)
    _start_graph(x, live, u, v, near, need, spare, chosen)
    while True:
        end = _search(x, live, u, v, need, spare, chosen, distance, done, parent)
        if end < 0:
            return
        for i in range(height):
            u[i] += min(distance[i], distance[end])
        for j in range(width):
            v[j] -= min(distance[height + j], distance[end])
        _swap(end, need, spare, chosen, parent, height, width)


@kernel
def heaviest_graph(x, live, u, v, near, rows, columns, chosen, start, stop):
    """The 0/1 matrix of largest weight with given degrees, by augmenting paths from the potentials u and v.

    Any potentials will do; the better they are, the fewer paths are missing. ``near`` says how far from zero a
    difference may count as none.
    """
    for k in range(start, stop):
        _complete_graph(x[k], live[k], u[k], v[k], near[k], rows[k], columns[k], chosen[k])
