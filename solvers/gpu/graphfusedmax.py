r"""Graphfusedmax and tv2dmax on any device: total variation on a graph by level sets, all rows and groups at once.

A group keeps residuals of mean 0 and flows on its edges. What flows cannot carry from entries above to entries below
shows a cut: every edge across it is full. Both sides go on alone; without a cut the means that were taken off add up
to the prox, one value per group. Flows are found by pushing what is too much, along every edge at once, to where the
nearest entry lacks something. Sources: Hochbaum 2001 for level sets; Goldberg & Tarjan 1988 for pushes and heights.
"""

import math

import torch

from ._derivatives import symmetric
from ._links import capacities, drops, ends, gathered, lowest, slopes
from ._rows import limits, rowwise, scale, wide
from ._segments import firsts, group_means, grouped_product, numbered
from .fusedmax import chain_prox, jump_signs, projected

__all__ = ["components", "graph_prox", "groups", "jvp", "tied", "variation_rows", "vjp", "weights"]


def _least(values, at, n):
    """The least of the values at each entry, and the largest number where there is none."""
    most = torch.iinfo(values.dtype).max
    return values.new_full((len(values), n), most).scatter_reduce(1, at.expand_as(values), values, "amin")


def components(linked, tail, head, n):
    """The smallest index that linked edges join each entry to, in memory of its own."""
    label = torch.arange(n, device=linked.device).repeat(len(linked), 1)
    while True:
        there, back = (torch.where(linked, label[:, end], n) for end in (head, tail))
        near = torch.minimum(_least(there, tail, n), _least(back, head, n))
        following = torch.minimum(label, near)
        following = following.gather(1, following)
        if torch.equal(following, label):
            return label
        label = following


class _Arcs:
    """Both directions of every edge, their flows, and what they may still carry."""

    def __init__(self, c, tail, head, n):
        self.c, self.n, self.count = c, n, c.shape[1]
        self.source, self.target = torch.cat([tail, head]), torch.cat([head, tail])
        self.flow = torch.zeros_like(c)

    def room(self, open_edges):
        room = torch.cat([self.c - self.flow, self.c + self.flow], 1)
        full = 4 * limits(room)[1] * torch.cat([self.c, self.c], 1)
        return torch.where(torch.cat([open_edges, open_edges], 1) & (room > full), room, 0)

    def heights(self, room, lacking):
        """The number of arcs with room to the nearest entry that lacks something, n where there is none."""
        height = torch.where(lacking, 0, self.n)
        while True:
            beyond = torch.where(room > 0, height[:, self.target] + 1, self.n)
            following = torch.minimum(height, _least(beyond, self.source, self.n))
            if torch.equal(following, height):
                return height
            height = following

    def total(self, values):
        """The sum over the arcs that leave each entry."""
        return values.new_zeros(len(values), self.n).index_add(1, self.source, values)

    def push(self, excess, room, height, tolerance):
        """Push what is too much downhill, shared in proportion to the room; the new excess and room."""
        downhill = (height[:, self.source] == height[:, self.target] + 1) & (height[:, self.source] < self.n)
        open_room = torch.where(downhill & (excess > tolerance)[:, self.source], room, 0)
        sums = self.total(open_room)
        share = torch.where(sums > 0, (excess / torch.where(sums > 0, sums, 1)).clamp(0, 1), 0)
        pushed = open_room * share[:, self.source]
        back = torch.cat([pushed[:, self.count :], pushed[:, : self.count]], 1)
        self.flow = self.flow + (pushed - back)[:, : self.count]
        return excess - self.total(pushed) + self.total(back), room - pushed + back


def _settled(arcs, excess, open_edges, tolerance):
    """Push until no entry that has too much reaches one that lacks something: (the excess, the heights)."""
    while True:
        room = arcs.room(open_edges)
        height = arcs.heights(room, excess < -tolerance)
        active = (excess > tolerance) & (height < arcs.n)
        if not active.any():
            return excess, height
        for _ in range(int(torch.where(active, height, 0).amax())):
            excess, room = arcs.push(excess, room, height, tolerance)


def graph_prox(z, c, tail, head):
    """The prox of ``sum c |y_head - y_tail|``, bitwise constant on its groups."""
    n = z.shape[1]
    p = {"edges": torch.stack([tail, head], 1)}
    width = z.amax(-1, keepdim=True) - z.amin(-1, keepdim=True)
    tolerance = 4 * limits(z)[1] * width
    y, r, open_edges = torch.zeros_like(z), z, c > 0
    arcs = _Arcs(torch.minimum(c, 2 * z.abs().sum(-1, keepdim=True) + 1), tail, head, n)  # no flow is larger
    active = torch.ones_like(width, dtype=torch.bool)
    while active.any():
        label = components(open_edges, tail, head, n)
        step = group_means(label, r)
        y, r = torch.where(active, y + step, y), torch.where(active, r - step, r)
        excess = r - gathered(torch.where(open_edges, arcs.flow, 0), n, p)
        excess, height = _settled(arcs, torch.where(active, excess, 0), open_edges, tolerance)
        stuck = torch.zeros_like(label).scatter_reduce(1, label, (excess > tolerance).long(), "amax")
        high = (stuck.gather(1, label) > 0) & (height == n)
        cut = active & open_edges & (high[:, tail] != high[:, head])
        filled = torch.where(cut, torch.where(high[:, tail], arcs.c, -arcs.c), 0)
        r = r - gathered(filled, n, p)
        open_edges = open_edges & ~cut
        active = cut.any(-1, keepdim=True)
    return y


def variation_rows(x, top, p):
    """The weights where the penalty is total variation, of rows in the dtype of p."""
    live, (tail, head) = x > -math.inf, ends(p)
    c = capacities(live, p)
    z = torch.maximum(scale(x, top, p["gamma"]), lowest(c, x.shape[-1], p))
    z = torch.where(live, z, 0)
    return projected(chain_prox(z, c) if isinstance(tail, slice) else graph_prox(z, c, tail, head), live)


@rowwise
def weights(x, top, p):
    return variation_rows(wide(x), wide(top), {name: wide(value) for name, value in p.items()}).to(x.dtype)


def tied(linked, p, n):
    """One label for all that linked edges join."""
    tail, head = ends(p)
    return numbered(firsts(linked)) if isinstance(tail, slice) else components(linked, tail, head, n)


def groups(y, live, p):
    """Those of positive weights; no derivative sees the others, and they can be wide."""
    seen = live & (y > 0)
    return tied((capacities(seen, p) > 0) & (drops(y, p) == 0), p, y.shape[-1])


jvp, vjp = symmetric(grouped_product, **slopes(jump_signs))
