"""Fenchel-Young losses: each operator's own loss, whose gradient is its weights less the target.

``max_Omega(x) + gamma Omega(t) - <x, t>``: at least 0, and 0 exactly where t is the argmax of x.
Source: Blondel, Martins & Niculae, "Learning with Fenchel-Young losses", JMLR 2020.
"""

from typing import Any

import torch
from torch import Tensor, nn

from regmax import Regularizer

from . import _modes, _ops
from ._declared import Operator, operator_of
from ._omega import OMEGAS
from ._rows import Layout
from .functional import Problem, problem
from .modules import Weights

__all__ = ["FenchelYoungLoss", "fenchel_young_loss"]

_REDUCTIONS = ("none", "sum", "mean")


def _value(p: dict[str, Any], operator: Operator, rows: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """The loss per row; +inf where the target has weight on a masked entry."""
    live = rows != -torch.inf
    top = torch.where(live, rows, -torch.inf).detach().amax(-1, keepdim=True)
    scores = torch.where(live, torch.where(live, rows, 0.0) - torch.where(torch.isfinite(top), top, 0.0), 0.0)
    t, outside = torch.where(live, t, 0.0), ((t > 0) & ~live).any(-1)
    omega = OMEGAS[operator.name]
    curved = omega(t, live, p) - omega(y, live, p)
    value = p["gamma"].squeeze(-1) * curved + torch.sum(scores * (y - t), dim=-1)
    value = value + (value.detach().clamp_min(0.0) - value.detach())  # below 0 is rounding
    return torch.where(outside, torch.inf, value)


class _FenchelYoung(torch.autograd.Function):
    """The loss of rows, whose gradient is made by construction: weights less target."""

    generate_vmap_rule = True

    @staticmethod
    def forward(found: Problem, p: dict[str, Any], rows: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        y = found.weights(rows)
        return _value(p, found.operator, rows, y, t), y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.found, _, rows, t = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(rows, t, output[1])
        ctx.save_for_forward(rows, t, output[1])

    @staticmethod
    def _slope(ctx: Any) -> Tensor:
        rows, t, y = ctx.saved_tensors
        if torch.is_grad_enabled() or not _modes.plain(rows, y):
            y = ctx.found.weights(rows)  # the same weights, differentiable
        return torch.where(rows != -torch.inf, y - t, 0.0)

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Any) -> tuple[Any, ...]:
        return None, None, g.unsqueeze(-1) * _FenchelYoung._slope(ctx), None

    @staticmethod
    def jvp(ctx: Any, _found: Any, _p: Any, dx: Tensor, _t: Any) -> tuple[Tensor, None]:
        return torch.sum(_FenchelYoung._slope(ctx) * dx, dim=-1), None


def _loss(found: Problem, t: Tensor) -> Tensor:
    """The loss per row, by whichever way has its derivatives in the mode torch is in."""
    p = _ops.parameters(found.call, found.rows, found.values)
    learned = any(value.requires_grad for value in found.values)
    if found.mode == "traced" and not _modes.transformed():
        # Compiled code has first derivatives only, and in those the weights may be held fixed (Danskin).
        return _value(p, found.operator, found.rows, found.weights(found.rows).detach(), t)
    if found.mode == "traced" or learned or _modes.forward_over_forward():
        return _value(p, found.operator, found.rows, found.weights(found.rows), t)
    return _FenchelYoung.apply(found, p, found.rows, t)[0]


def _require(owner: str, target: Any, layout: Layout) -> None:
    if not isinstance(target, Tensor):
        raise TypeError(f"{owner}: target must be a tensor, got {type(target).__name__}")
    if target.requires_grad:
        raise ValueError(f"{owner}: target must not require grad, because the loss has no derivative in it here")
    if target.device != layout.device:
        raise ValueError(f"{owner}: target must be on the device {layout.device} of x, got {target.device}")


def _labels(owner: str, target: Tensor, layout: Layout, ignore_index: int, n: int) -> tuple[Tensor, Tensor]:
    """(labels per row, which count); raises where one is out of range, on devices that say so without waiting."""
    if tuple(target.shape) != layout.batch_shape:
        raise ValueError(f"{owner}: target labels must have shape {layout.batch_shape}, got {tuple(target.shape)}")
    labels = target.reshape(-1).to(torch.int64)
    counts = labels != ignore_index
    if not _modes.compiling() and _modes.plain(labels) and labels.device.type == "cpu":
        wrong = labels[counts & ((labels < 0) | (labels >= n))]
        if wrong.numel():
            raise ValueError(f"{owner}: target labels must be in 0..{n - 1}, got {int(wrong[0])}")
    return torch.where(counts, labels, 0), counts


def _targets(
    owner: str, target: Tensor, found: Problem, ignore_index: int, smoothing: float, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """(targets as rows, what each row weighs)."""
    rows, n = found.rows, found.rows.shape[1]
    _require(owner, target, found.layout)
    if target.is_floating_point():
        if target.shape != found.layout.shape:
            raise ValueError(
                f"{owner}: target must have the shape {tuple(found.layout.shape)} of x, got {tuple(target.shape)}"
            )
        t, shares = found.layout.to_rows(target).to(rows.dtype), rows.new_ones(rows.shape[0])
    else:
        labels, counts = _labels(owner, target, found.layout, ignore_index, n)
        t = nn.functional.one_hot(labels, n).to(rows.dtype)
        shares = counts.to(rows.dtype) if weight is None else torch.where(counts, weight.to(rows.dtype)[labels], 0.0)
    if smoothing:
        live = rows != -torch.inf
        t = (1.0 - smoothing) * t + smoothing * live / live.sum(-1, keepdim=True).clamp_min(1)
    return t, shares


def fenchel_young_loss(
    omega: Regularizer | Weights,
    x: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    dim: int = -1,
    mask: Tensor | None = None,
) -> Tensor:
    """The Fenchel-Young loss of an operator: ``max(x) + gamma Omega(target) - <x, target>``.

    Parameters
    ----------
    omega : regmax.Regularizer or module of this package
        For example ``regmax.Entmax(1.5)``, or ``Entmax(alpha=1.5, learn=("alpha",))``; softmax gives cross entropy.
    x : Tensor, shape (..., n)
        Scores; n of them along ``dim``.
    target : Tensor
        Integer labels of the batch's shape, or points of the operator's domain of the shape of ``x``.
    weight : Tensor, shape (n,), optional
        What a row weighs, by its label.
    ignore_index : int, default -100
        Rows with this label count nothing.
    reduction : {"mean", "sum", "none"}
        "mean" is weighted: the sum over what the rows weigh together.
    label_smoothing : float, default 0.0
        The share of the target that is spread evenly over the entries that take part, from 0 to 1.
    dim : int, default -1
        The dim that holds the scores of one problem.
    mask : bool Tensor that broadcasts against ``x``, optional
        True = takes part.

    Returns
    -------
    Tensor
        A scalar, or of the batch's shape for reduction "none"; +inf where a target has weight on a masked entry.

    Raises
    ------
    ValueError, TypeError
        One sentence, where an argument breaks its rule.

    Notes
    -----
    The gradient in ``x`` is ``argmax(x) - target``. Source: Blondel, Martins & Niculae, JMLR 2020.
    """
    if not isinstance(omega, Weights | Regularizer):
        raise TypeError(f"FenchelYoungLoss: omega must be an operator of regmax, got {type(omega).__name__}")
    operator = omega.operator if isinstance(omega, Weights) else operator_of(type(omega))
    values = {one.name: getattr(omega, one.name) for one in operator.parameters}
    if operator.name not in OMEGAS:
        raise ValueError(f"FenchelYoungLoss: omega must be the regularizer of a loss, got {operator.name}")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"FenchelYoungLoss: reduction must be one of {', '.join(_REDUCTIONS)}, got {reduction!r}")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"FenchelYoungLoss: label_smoothing must be from 0 to 1, got {label_smoothing}")
    found = problem(operator, x, dim, mask, values, exact=True)
    t, shares = _targets(f"{operator.name} loss", target, found, ignore_index, label_smoothing, weight)
    each = torch.where(shares > 0, _loss(found, t) * torch.where(shares > 0, shares, 1.0), 0.0)
    if reduction == "none":
        return each.reshape(found.layout.batch_shape).to(found.layout.dtype)
    total = each.sum() if reduction == "sum" else each.sum() / shares.sum()
    return total.to(found.layout.dtype)


class FenchelYoungLoss(nn.Module):
    """:func:`fenchel_young_loss` as a module: ``FenchelYoungLoss(regmax.Sparsemax())(x, target)``.

    Parameters
    ----------
    omega : regmax.Regularizer or module of this package
        The operator; a module may have learned parameters.
    weight : Tensor, shape (n,), optional
        What a row weighs, by its label.
    ignore_index : int, default -100
        Rows with this label count nothing.
    reduction : {"mean", "sum", "none"}
        "mean" is weighted: the sum over what the rows weigh together.
    label_smoothing : float, default 0.0
        The share of the target that is spread evenly over the entries that take part, from 0 to 1.
    dim : int, default -1
        The dim that holds the scores of one problem.

    Raises
    ------
    ValueError, TypeError
        One sentence, where an argument breaks its rule.

    Notes
    -----
    The gradient in the scores is ``argmax(x) - target``. Source: Blondel, Martins & Niculae, JMLR 2020.
    """

    weight: Tensor | None

    def __init__(
        self,
        omega: Regularizer | Weights,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        dim: int = -1,
    ) -> None:
        super().__init__()
        self.omega = omega
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.label_smoothing, self.dim = (
            ignore_index,
            reduction,
            label_smoothing,
            dim,
        )

    def forward(self, x: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of scores ``x`` against ``target``."""
        return fenchel_young_loss(
            self.omega,
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            dim=self.dim,
            mask=mask,
        )
