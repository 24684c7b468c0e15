"""Omega of every operator in torch operations: of rows y in its domain, up to the constant of ``Regularizer.value``.

Mirrors the ``_omega`` of the operators, whose docstrings have the formulas.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from regmax.solvers.gpu._links import capacities, drops

__all__ = ["OMEGAS", "violation"]

Parameters = dict[str, Any]


def _quadratic(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    return 0.5 * (torch.sum(y * y, dim=-1) - 1.0)


def _squares(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    return 0.5 * torch.sum(y * y, dim=-1)


def _entropy(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    return torch.special.xlogy(y, torch.where(y > 0, y, 1.0)).sum(-1)


def _tsallis(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    """``sum y (y^e - 1) / e / alpha`` with e = alpha - 1, by its limit where e is 0."""
    alpha = p["alpha"]
    e = alpha - 1.0
    logs = torch.log(torch.where(y > 0, y, 1.0))
    at_one = e == 0
    safe = torch.where(at_one, 1.0, e)
    # Near alpha = 1 the limit with its first term in e has a derivative in alpha too.
    values = torch.where(at_one, logs + 0.5 * e * logs * logs, torch.expm1(safe * logs) / safe)
    return torch.sum(y * values, dim=-1) / alpha.squeeze(-1)


def _norm(y: Tensor, p: Parameters) -> Tensor:
    top = y.detach().amax(-1, keepdim=True).clamp_min(torch.finfo(y.dtype).tiny)
    some = y > 0
    powers = torch.where(some, torch.where(some, y / top, 1.0) ** p["p"], 0.0)
    return (top * powers.sum(-1, keepdim=True) ** (1.0 / p["p"])).squeeze(-1)


def _half_squared_norm(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    return 0.5 * (_norm(y, p) ** 2 - 1.0)


def _norm_less_one(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    return _norm(y, p) - 1.0


def _variation(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    jumps = drops(y, p).abs()
    terms = torch.where(jumps > 0, capacities(live, p) * torch.where(jumps > 0, jumps, 1.0), 0.0)
    return _quadratic(y, live, p) + terms.sum(-1)


def _powers_of_jumps(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    jumps = drops(y, p).abs()
    some = jumps > 0
    terms = torch.where(some, capacities(live, p) * torch.where(some, jumps, 1.0) ** p["p"], 0.0)
    return _quadratic(y, live, p) + (terms / p["p"]).sum(-1)


def _sorted(y: Tensor, live: Tensor, p: Parameters) -> Tensor:
    """``lam sum_k w_k y_(k)`` in differences from the largest weight."""
    n, count = y.shape[-1], live.sum(-1, keepdim=True)
    rank = torch.arange(n, device=y.device)
    weights = p.get("weights")
    below = -rank.to(y.dtype).expand_as(y) if weights is None else weights - weights[..., :1]
    falling = torch.where(rank < count, below, 0.0)
    penalty = torch.sum(falling * y.sort(dim=-1, descending=True).values, dim=-1)
    some = penalty != 0
    return _quadratic(y, live, p) + torch.where(some, p["lam"].squeeze(-1) * torch.where(some, penalty, 1.0), 0.0)


OMEGAS: dict[str, Callable[[Tensor, Tensor, Parameters], Tensor]] = {
    "softmax": _entropy,
    "sparsemax": _quadratic,
    "entmax": _tsallis,
    "pnormmax": _half_squared_norm,
    "normmax": _norm_less_one,
    "budgetmax": _quadratic,
    "fusedmax": _variation,
    "graphfusedmax": _variation,
    "tv2dmax": _variation,
    "plaplacemax": _powers_of_jumps,
    "oscarmax": _sorted,
    "kregularmax": _squares,
}


def _off_simplex(t: Tensor, live: Tensor, p: Parameters) -> Tensor:
    return torch.maximum(-t.amin(-1), (t.sum(-1) - 1.0).abs())


def _off_caps(t: Tensor, live: Tensor, p: Parameters) -> Tensor:
    missed = (t.sum(-1, keepdim=True) - p["total"]).abs()
    return torch.cat([-t, t - p["upper"], missed], -1).amax(-1)


def _off_matrices(t: Tensor, live: Tensor, p: Parameters) -> Tensor:
    live, t = (one.reshape(-1, *p["shape"]) for one in (live, t))
    rows, columns = (live.any(dim).to(t.dtype) for dim in (2, 1))
    parts = [(t.sum(2) - rows).abs(), (-t).flatten(1), (t - 1.0 / p["k"].unsqueeze(-1)).flatten(1)]
    if p["reading"] == "both":
        share = rows.sum(1, keepdim=True) / columns.sum(1, keepdim=True).clamp_min(1)
        parts.append((t.sum(1) - share * columns).abs())
    return torch.cat(parts, 1).amax(1)


_DOMAINS = {"budgetmax": _off_caps, "kregularmax": _off_matrices}


def violation(name: str, t: Tensor, live: Tensor, p: Parameters) -> Tensor:
    """By how much rows t miss the domain of an operator: mirrors the domains of NumPy's side."""
    return _DOMAINS.get(name, _off_simplex)(t, live, p)
