r"""Fusedmax on any device: total variation on a chain by level sets, every row and every segment at once.

A segment keeps a residual of mean 0. The messages ``m_i = r_i + clamp(m_(i-1), -c, c)`` say where the best cut lies
between what shall rise and what shall fall; they are a scan of clamps. Both sides of a cut pass the edge's capacity.
Without a new cut the means that were taken off add up to the prox, one value per segment.
Sources: Hochbaum 2001 for level sets; Johnson 2013 for the messages; docs/theory.md.
"""

import math

import torch
from torch.nn.functional import pad

from ._derivatives import symmetric
from ._links import capacities, lowest, slopes
from ._rows import row_sum, rowwise, scale
from ._segments import firsts, grouped_product, next_marked, numbered, runs, shifted
from .sparsemax import project

__all__ = ["chain_prox", "groups", "jump_signs", "jvp", "projected", "vjp", "weights"]


def _messages(r, c):
    """``m_i = r_i + clamp(m_(i-1), -c_(i-1), c_(i-1))``, maps ``v -> clamp(v + a, low, high)`` composed by halves."""
    c = pad(c, (1, 0))
    a, low, high = r, r - c, r + c
    by = 1
    while by < r.shape[-1]:
        before = shifted(a, by, 0), shifted(low, by, -math.inf), shifted(high, by, math.inf)
        low, high = (torch.minimum(torch.maximum(end + a, low), high) for end in before[1:])
        a = a + before[0]
        by *= 2
    return low


def chain_prox(z, c):
    """The prox of ``sum c |y_(k+1) - y_k|``, bitwise constant on its segments."""
    y, r, open_edges = torch.zeros_like(z), z, c > 0
    c = torch.minimum(c, 2 * row_sum(z.abs()) + 1)  # no flow is larger
    active = torch.ones_like(z[:, :1], dtype=torch.bool)
    while active.any():
        _, _, mean = runs(open_edges)
        step = mean(r)
        y, r = torch.where(active, y + step, y), torch.where(active, r - step, r)
        m = _messages(r, torch.where(open_edges, c, 0))
        inner = open_edges & (m[:, :-1].abs() <= c)
        decided = pad(~inner, (0, 1), value=True)
        high = m.gather(-1, next_marked(decided)) > 0
        cut = active & open_edges & (high[:, 1:] != high[:, :-1])
        passed = torch.where(cut, torch.where(high[:, :-1], c, -c), 0)
        r = r - pad(passed, (0, 1)) + pad(passed, (1, 0))
        open_edges = open_edges & ~cut
        active = cut.any(-1, keepdim=True)
    return y


def projected(y, live):
    """The weights of a prox: its projection onto the simplex, zero where masked."""
    y = torch.where(live, y, -math.inf)
    return project(y - y.amax(-1, keepdim=True))


def jump_signs(drop, p):
    return drop.detach().sign()


@rowwise
def weights(x, top, p):
    live = x > -math.inf
    c = capacities(live, p)
    z = torch.maximum(scale(x, top, p["gamma"]), lowest(c, x.shape[-1], p))
    return projected(chain_prox(torch.where(live, z, 0), c), live)


def groups(y, live, p):
    linked = (capacities(live, p) > 0) & (y[:, 1:] == y[:, :-1])
    return numbered(firsts(linked))


jvp, vjp = symmetric(grouped_product, **slopes(jump_signs))
