"""Kregularmax on any device: matrices with entries of at most 1/k whose rows, and columns, have even sums."""

import math
import warnings

import torch

from regmax.solvers.convergence import ConvergenceWarning

from . import budgetmax
from ._derivatives import ratio, symmetric, weighted_product
from ._rows import rowwise, wide
from ._transport import incidence, transport

__all__ = ["jvp", "vjp", "weights"]

_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
_DENSE = 1 << 25  # entries of the matrices that are held at once


def _cap(p, dtype):
    return 1 / p["k"].to(dtype)


def _lines(a, p):
    """The rows of all matrices, or what belongs to them."""
    height, width = p["shape"]
    if a.shape[1] == 1:
        return a.repeat_interleave(height, 0) if len(a) > 1 else a
    return a.reshape(-1, width)


def _by_rows(x, p):
    q = {"gamma": _lines(p["gamma"], p), "upper": _lines(_cap(p, x.dtype), p), "total": torch.ones_like(x[:1, :1])}
    lines = _lines(x, p)
    q["upper"] = q["upper"].expand(-1, lines.shape[1])
    return budgetmax.weights(lines, q).reshape(x.shape)


def _by_both(x, p):
    x, live = wide(x).reshape(-1, *p["shape"]), (x > -math.inf).reshape(-1, *p["shape"])
    rows, columns = live.any(2, keepdim=True).to(x.dtype), live.any(1, keepdim=True).to(x.dtype)
    columns = columns * ratio(rows.sum(1, keepdim=True), columns.sum(2, keepdim=True))
    row_wise = (wide(p["gamma"]), _cap(p, x.dtype))
    gamma, cap = (value.expand(len(x), 1)[:, :, None] for value in row_wise)
    part = max(1, _DENSE // (sum(p["shape"]) ** 2))
    pieces = (torch.split(a, part) for a in (x, live, gamma, rows, columns, cap))
    found = [transport(*piece) for piece in zip(*pieces, strict=True)]
    y, left = (torch.cat(parts) for parts in zip(*found, strict=True))
    worst = float(left.amax()) if len(left) else 0
    if not worst <= _TOLERANCE[y.dtype]:
        warnings.warn(f"kregularmax: not converged, a sum is off by {worst:.3g}", ConvergenceWarning, stacklevel=4)
    return y.reshape(len(y), y.shape[1] * y.shape[2])


@rowwise
def weights(x, top, p):
    return (_by_rows(x, p) if p["reading"] == "row" else _by_both(x, p)).to(x.dtype)


def _product(x, y, labels, v, p):
    """The projection onto changes of the free entries that keep the sums, over gamma."""
    height, width = p["shape"]
    free = ((y > 0) & (y < _cap(p, y.dtype))).to(y.dtype)
    if p["reading"] == "row":
        lines = weighted_product(free.reshape(-1, width), (free * v).reshape(-1, width))
        return lines.reshape(y.shape) / p["gamma"]
    F, G = (wide(a).reshape(-1, height, width) for a in (free, free * v))
    inverse = torch.linalg.pinv(incidence(F), hermitian=True)
    parts = (inverse @ torch.cat([G.sum(2), G.sum(1)], 1)[:, :, None])[:, :, 0]
    left = F * (G - parts[:, :height, None] - parts[:, None, height:])
    return left.reshape(y.shape).to(y.dtype) / p["gamma"]


jvp, vjp = symmetric(_product)
