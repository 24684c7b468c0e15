"""K-regular matrices whose rows are spread over processes: one sum over all of them per sweep, of columns only.

The rows know their thresholds once the potentials of the columns are given, so the dual is one of the columns. Newton's
method with conjugate gradients maximises it, every product with its Hessian being one such sum; gamma comes down in
stages. Source: Li, Sun & Toh, "On the efficient computation of a projector onto the Birkhoff polytope", 2020.
"""

import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from regmax import ConvergenceWarning
from regmax.solvers.gpu._transport import row_threshold

__all__ = ["balanced"]

_FACTOR, _ROUGH, _STEPS, _INNER, _HALVINGS = 4.0, 0.05, 300, 400, 30


class _Columns:
    """What the processes share: sums over all rows, of shape (batch, 1, columns)."""

    def __init__(self, group: Any) -> None:
        self.group = group

    def sum(self, a: Tensor) -> Tensor:
        """Sums of columns over all processes."""
        return self.total(a.sum(1, keepdim=True))

    def total(self, a: Tensor, how: Any = dist.ReduceOp.SUM) -> Tensor:
        found = a.contiguous().clone()
        dist.all_reduce(found, how, group=self.group)
        return found


def _conjugate_gradients(product: Any, b: Tensor, tolerance: float) -> Tensor:
    """``x`` with ``product(x) = b``, one problem per batch entry; the product is symmetric and semidefinite."""
    x, r = torch.zeros_like(b), b
    p, rr = r, (r * r).sum(2, keepdim=True)
    enough = tolerance**2 * rr
    for _ in range(_INNER):
        if not (rr > enough).any():
            break
        hp = product(p)
        along = (p * hp).sum(2, keepdim=True)
        step = torch.where(along > 0, rr / torch.where(along > 0, along, 1.0), 0.0)
        x, r = x + step * p, r - step * hp
        new = (r * r).sum(2, keepdim=True)
        p, rr = r + torch.where(rr > 0, new / torch.where(rr > 0, rr, 1.0), 0.0) * p, new
    return x


def _hessian(F: Tensor, columns: _Columns, damping: float = 0.0) -> Any:
    """The product with ``D_c - F^T D_r^-1 F + damping I``, F the free entries of the local rows."""
    degree, share = columns.sum(F), 1.0 / F.sum(2, keepdim=True).clamp_min(1.0)
    return lambda d: (degree + damping) * d - columns.sum(F * ((F * d).sum(2, keepdim=True) * share))


def _at(x: Tensor, v: Tensor, cap: Tensor) -> Tensor:
    """The entries before they are clipped, for potentials v of the columns."""
    z = x - v
    return z - row_threshold(z, cap)


def _clipped(z: Tensor, cap: Tensor) -> Tensor:
    return z.clamp_min(0.0).minimum(cap)


def _matrix(x: Tensor, cap: Tensor, rows: int, group: Any) -> Tensor:
    """The local rows of the matrices for scores x of shape (batch, local rows, columns) and gamma 1."""
    columns, m = _Columns(group), x.shape[2]
    target = rows / m
    x = x - x.amax(2, keepdim=True)
    x = x - columns.total(x.amax(1, keepdim=True), dist.ReduceOp.MAX)
    spread = float(columns.total(x.abs().amax(), dist.ReduceOp.MAX))
    eps = torch.finfo(x.dtype).eps
    g, v = max(1.0, spread / 6.0), torch.zeros_like(x[:, :1])
    best, stale, missed = torch.inf, 0, torch.inf
    for _ in range(_STEPS):
        y = _clipped(z := _at(x / g, v, cap), cap)
        excess = columns.sum(y) - target
        missed = float(excess.abs().amax())
        stale = 0 if missed < 0.5 * best else stale + 1
        best = min(best, missed)
        if g == 1.0 and (missed <= 8 * eps * rows**0.5 or (missed <= 5e3 * eps and stale >= 3)):
            break
        if g > 1.0 and missed <= _ROUGH:
            v, g, best = v * (g / max(g / _FACTOR, 1.0)), max(g / _FACTOR, 1.0), torch.inf
            continue
        damping = min(max(missed, 5e3 * eps), 1e-2)
        d = _conjugate_gradients(_hessian(((z > 0) & (z < cap)).to(x.dtype), columns, damping), excess, 1e-2)
        v = v + _length(x / g, v, d, excess, cap, target, columns) * d
    if not missed <= 1e-9 if x.dtype == torch.float64 else not missed <= 1e-4:
        warnings.warn(
            f"kregularmax: a column sum is off by {missed:.1e} after {_STEPS} steps", ConvergenceWarning, stacklevel=2
        )
    return y


def _length(x: Tensor, v: Tensor, d: Tensor, excess: Tensor, cap: Tensor, target: float, columns: _Columns) -> Tensor:
    """How far to go along a step: halved until the slope of the dual along it is no longer steep backwards."""
    initial, t = (d * excess).sum(2, keepdim=True), torch.ones_like(d[:, :, :1])
    for _ in range(_HALVINGS):
        y = _clipped(_at(x, v + t * d, cap), cap)
        slope = (d * (columns.sum(y) - target)).sum(2, keepdim=True)
        steep = slope < -0.9 * initial
        if not steep.any():
            break
        t = torch.where(steep, 0.5 * t, t)
    return t


class _Projected(torch.autograd.Function):
    """The projection onto changes of free entries F that keep all sums; symmetric, so it is its own derivative."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, F: Tensor, group: Any) -> Tensor:
        ctx.group = group
        ctx.save_for_backward(F)
        columns, share = _Columns(group), 1.0 / F.sum(2, keepdim=True).clamp_min(1.0)
        side = columns.sum(F * (g - (F * g).sum(2, keepdim=True) * share))
        b = _conjugate_gradients(_hessian(F, columns), side, 1e-13 if g.dtype == torch.float64 else 1e-6)
        return F * (g - b - (F * (g - b)).sum(2, keepdim=True) * share)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (F,) = ctx.saved_tensors
        return _Projected.apply(g, F, ctx.group), None, None


class _Balanced(torch.autograd.Function):
    """The matrices, whose derivative is that projection."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cap: Tensor, rows: int, group: Any) -> Tensor:
        y = _matrix(x, cap, rows, group)
        ctx.group = group
        ctx.save_for_backward(((y > 0) & (y < cap)).to(y.dtype))
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (F,) = ctx.saved_tensors
        return _Projected.apply(g, F, ctx.group), None, None, None


def balanced(x: Tensor, k: Tensor, gamma: Tensor, rows: int, group: Any) -> Tensor:
    """``kregularmax`` of matrices (..., local rows, columns), whose ``rows`` rows are spread over a process group.

    ``k`` and ``gamma`` have shape (1, 1), or (batch, 1) for the matrices of a flattened batch.
    """
    exact = x.reshape(-1, *x.shape[-2:]).to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    scaled = (exact - exact.detach().amax(2, keepdim=True)) / gamma.unsqueeze(-1).to(exact.dtype)
    y = _Balanced.apply(scaled, 1.0 / k.unsqueeze(-1).to(exact.dtype), rows, group)
    return y.reshape(x.shape).to(x.dtype)
