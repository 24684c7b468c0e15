"""Plaplacemax on any device: the path of ``_interior``; rows whose penalty is total variation by level sets.

The Jacobian is one solve on the support, equal weights that p < 2 ties together being one unknown.
"""

import math
import warnings

import torch
from torch.nn.functional import pad

from regmax.solvers.convergence import ConvergenceWarning

from ._derivatives import per_row, ratio, symmetric
from ._interior import Problem, follow, system
from ._links import capacities, drops, gathered, slopes
from ._rows import limits, row_sum, rowwise, scale, wide
from ._segments import group_means
from ._tridiagonal import chain_solve
from .graphfusedmax import components, tied, variation_rows

__all__ = ["groups", "jvp", "vjp", "weights"]

_CONVERGED = {torch.float64: 1e-9, torch.float32: 1e-5}
_DENSE = 1 << 25  # entries of the matrices that are held at once
_SPARSE = 8  # edges per entry up to which the Jacobian has their flows among its unknowns
_STIFFEST = 1e10  # of what it is asked to hold else
_RIGID = 1e30


def _straight(p):
    """Rows of total variation: p = 1, or no edge gives way at all."""
    return (p["p"] == 1) | (p["lam"] == 0) | torch.isinf(p["lam"]) | (len(p["edges"]) == 0)


def _lowest(z, c, live, net):
    """A score below has weight 0 in the answer."""
    tail, head = net["edges"].T
    around = torch.zeros_like(z).index_add(1, tail, c).index_add(1, head, c)
    mass, count = row_sum(torch.where(live, z, 0)), row_sum(live.to(z.dtype))
    at_peak = torch.where(z == 0, around, math.inf).amin(-1, keepdim=True)
    return torch.maximum((mass - 1) / count, -1 - at_peak) - 1 - around


def _curved(z, c, p, net, resolution):
    """(weights, what is left of the gap in units of the range) of rows with p > 1."""
    n, live = z.shape[1], z > -math.inf
    z = torch.maximum(z, _lowest(z, c, live, net))
    kappa = 1 / (-z.amin(-1, keepdim=True)).clamp_min(1)
    # With more an edge keeps its ends within the resolution under any flow there is.
    most = 4 * n * torch.exp((-(p - 1) * math.log(resolution)).clamp_max(600))
    c = torch.minimum(c * kappa, most)
    y, left = follow(Problem(z * kappa, c, p, kappa, net))
    tail, head = net["edges"].T
    y = group_means(components((c == most) & (c > 0), tail, head, n), y)
    return torch.where(live, y / row_sum(y), 0), left


def _curved_rows(x, top, p, resolution):
    z, c = scale(x, top, p["gamma"]), capacities(x > -math.inf, p)
    exponent, net = p["p"].expand(len(x), 1), {"edges": p["edges"], "chain": p["chain"]}
    part = max(1, len(x) if p["chain"] else _DENSE // x.shape[1] ** 2)
    pieces = zip(*(torch.split(a, part) for a in (z, c, exponent)), strict=True)
    found = [_curved(one, strengths, order, net, resolution) for one, strengths, order in pieces]
    y, left = (torch.cat(parts) for parts in zip(*found, strict=True))
    return y, left


@rowwise
def weights(x, top, p):
    exact, straight = {name: wide(value) for name, value in p.items()}, _straight(p)
    some, others = torch.stack([straight.any(), (~straight).any()]).tolist()
    y = variation_rows(wide(x), wide(top), exact) if some else wide(x)
    if others:
        bent = {**exact, "p": torch.where(straight, 2, exact["p"]), "lam": torch.where(straight, 1, exact["lam"])}
        found, left = _curved_rows(wide(x), wide(top), bent, limits(x)[1])
        y = torch.where(straight, y, found)
        worst = float(torch.where(straight, 0, left).amax()) if len(left) else 0
        if not worst <= _CONVERGED[y.dtype]:
            warnings.warn(f"plaplacemax: not converged, a gap of {worst:.3g} is left", ConvergenceWarning, stacklevel=3)
    return y.to(x.dtype)


def groups(y, live, p):
    """Equal weights that edges tie: all of positive strength below 2, only rigid ones from there on."""
    c = capacities(live, p)
    return tied((c > 0) & ((p["p"] < 2) | torch.isinf(c)) & (drops(y, p) == 0), p, y.shape[-1])


def _pull(drop, p):
    """``|d|^(p-1)`` with the sign of d, also where d is 0."""
    some = drop != 0
    return torch.where(some, torch.where(some, drop.abs(), 1) ** (p["p"] - 1) * drop.detach().sign(), 0)


def _stiffness(x, y, p):
    """How much the flow of an edge gains per jump; 0 where equal weights are tied."""
    drop = drops(y, p)
    some = (drop != 0) | (p["p"] == 2)
    c = capacities(x.detach() != -math.inf, p)
    some = some & torch.isfinite(c)
    size = (torch.where(drop != 0, drop, 1).abs() ** (p["p"] - 2)).clamp_max(_RIGID)
    return torch.where(some, torch.where(some, c, 0) * (p["p"] - 1) * size, 0)


def _on_chain(K, labels, free, sides):
    """``H^-1 sides``, H = I + B^T K B on the free entries, those that share a label being held together."""
    K = torch.where(labels[:, 1:] == labels[:, :-1], _RIGID, K)
    inner = free[:, 1:] * free[:, :-1]
    pulled = K * (1 - inner)
    return chain_solve(1 + free * (pad(pulled, (0, 1)) + pad(pulled, (1, 0))), K * inner, sides)


def _on_graph(K, labels, free, sides, net):
    share = (labels[:, :, None] == labels[:, None, :]).to(K.dtype)
    share = share / share.sum(-1, keepdim=True) * free[:, :, None] * free[:, None, :]
    solve = _augmented if K.shape[1] <= _SPARSE * free.shape[1] else _assembled
    return solve(K, share, share @ sides, net)


def _assembled(K, share, sides, net):
    """``H^-1`` on the range of the projection ``share``, H = I + B^T K B; stiff edges cost digits."""
    eye = torch.eye(sides.shape[1], dtype=K.dtype, device=K.device)
    whole = system(torch.ones_like(sides[:, :, 0]), K.clamp_max(_STIFFEST), net)
    return torch.linalg.solve(share @ whole @ share + eye - share, sides)


def _augmented(K, share, sides, net):
    """The same with the flows ``du = K B dy`` as unknowns, which edges may be as stiff as they like."""
    n, m = sides.shape[1], K.shape[1]
    places = torch.arange(n, device=K.device)
    tail, head = net["edges"].T[:, :, None]
    B = ((head == places).to(K.dtype) - (tail == places).to(K.dtype)) @ share
    eye = torch.eye(n, dtype=K.dtype, device=K.device).expand(len(B), n, n)
    over = torch.cat([eye, B.transpose(1, 2)], 2)
    under = torch.cat([(K / (1 + K))[:, :, None] * B, torch.diag_embed(-1 / (1 + K))], 2)
    held = torch.cat([sides, sides.new_zeros(len(sides), m, sides.shape[2])], 1)
    return torch.linalg.solve(torch.cat([over, under], 1), held)[:, :n]


def _product(x, y, labels, v, p):
    """``H^-1 v`` on the support less its part along ``H^-1 1``, H = I + B^T K B, constant on groups."""
    dtype = y.dtype
    y, v, p = wide(y), wide(v), {name: wide(value) for name, value in p.items()}
    free = (y > 0).to(y.dtype)
    K, sides = _stiffness(x, y, p), torch.stack([v, free], -1)
    solved = _on_chain(K, labels, free, sides) if p["chain"] else _on_graph(K, labels, free, sides, p)
    found, unit = solved.unbind(-1)
    return (free * (found - ratio(row_sum(found), row_sum(unit)) * unit) / p["gamma"]).to(dtype)


def _exponent(x, y, p):
    """How scores must move to do what p does."""
    drop = drops(y, p)
    c = capacities(x.detach() != -math.inf, p)
    some = (drop != 0) & (c > 0)
    logs = torch.log(torch.where(some, drop.abs(), 1))
    flow = torch.where(some, torch.where(some, c, 0) * _pull(drop, p) * logs, 0)
    return p["gamma"] * gathered(flow, y.shape[-1], p)


jvp, vjp = symmetric(_product, p=per_row(_exponent), **slopes(_pull))
