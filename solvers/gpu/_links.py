"""What penalties on differences share: the edges of a chain, grid or graph, their capacities, slopes and pulls."""

import torch
from torch.nn.functional import pad

from ._derivatives import Slope, times
from ._rows import row_sum

__all__ = ["capacities", "drops", "ends", "gathered", "joined", "lowest", "slopes"]


def ends(p):
    """(tails, heads) that index the entries of a row: slices for a chain, which a grid of one line is."""
    if p.get("chain", "edges" not in p and 1 in p.get("shape", (1,))):
        return slice(None, -1), slice(1, None)
    if "edges" in p:
        return p["edges"][:, 0], p["edges"][:, 1]
    height, width = p["shape"]
    places = torch.arange(height * width, device=p["lam"].device).reshape(height, width)
    beside, below = (places[:, :-1], places[:, 1:]), (places[:-1], places[1:])
    tail, head = (torch.cat([one.reshape(-1), other.reshape(-1)]) for one, other in zip(beside, below, strict=True))
    return tail, head


def joined(live, p):
    tail, head = ends(p)
    return live[:, tail] & live[:, head]


def capacities(live, p):
    """lam times the weight of each edge, 0 where an end is masked."""
    weights = torch.ones_like(p["lam"]) if p.get("weights") is None else p["weights"]
    some = joined(live, p) & (weights > 0) & (p["lam"] > 0)
    return torch.where(some, torch.where(some, p["lam"], 0) * weights, 0)


def drops(y, p):
    """How much y rises along each edge."""
    tail, head = ends(p)
    return y[:, head] - y[:, tail]


def _at(end, flow, n):
    if isinstance(end, slice):
        return pad(flow, (1, 0) if end.start else (0, 1))
    return flow.new_zeros(flow.shape[0], n).index_add(1, end, flow)


def gathered(flow, n, p):
    """What flows from tails to heads take from the entries: flow at the tail, -flow at the head of each edge."""
    tail, head = ends(p)
    return _at(tail, flow, n) - _at(head, flow, n)


def lowest(c, n, p):
    """Below the maximum by so much a score makes no difference; twice what edges can bridge, lest that be rounding."""
    tail, head = ends(p)
    return -4 * (1 + (_at(tail, c, n) + _at(head, c, n)).amax(-1, keepdim=True))


def slopes(pull):
    """The slopes of lam and the weights where the penalty of an edge has the derivative ``pull(drop, p)``."""

    def pulls(x, y, p):
        live = x.detach() != -float("inf")
        return torch.where(joined(live, p), pull(drops(y, p), p), 0)

    def each(x, y, p):
        weights = p.get("weights")
        return pulls(x, y, p) if weights is None else pulls(x, y, p) * weights

    return {
        "lam": Slope(
            lambda x, y, labels, d, p: p["gamma"] * gathered(each(x, y, p) * d, y.shape[-1], p),
            lambda x, y, labels, jg, p: -p["gamma"] * row_sum(each(x, y, p) * drops(jg, p)),
        ),
        "weights": Slope(
            lambda x, y, labels, d, p: gathered(times(p["gamma"] * p["lam"], pulls(x, y, p) * d), y.shape[-1], p),
            lambda x, y, labels, jg, p: -times(p["gamma"] * p["lam"], pulls(x, y, p) * drops(jg, p)),
        ),
    }
