"""Fenchel-Young losses: each operator's own loss, whose gradient is its weights less the target.

``max_Omega(x) + gamma Omega(t) - <x, t>``: at least 0, and 0 exactly where t is the argmax of x.
Source: Blondel, Martins & Niculae, "Learning with Fenchel-Young losses", JMLR 2020.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from regmax import Regularizer

from . import _modes, _ops
from ._checks import sound
from ._declared import Operator, operator_of, values_of
from ._omega import OMEGAS, violation
from ._rows import Layout, is_sharded, require_local, require_real
from ._sharded import Shards, sharded
from .functional import Problem, problem
from .modules import Weights

__all__ = ["FenchelYoungLoss", "fenchel_young_loss"]

_REDUCTIONS = ("none", "sum", "mean")


def _value(p: dict[str, Any], operator: Operator, rows: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """The loss per row; +inf where the target has weight on a masked entry."""
    live = rows != -torch.inf
    top = rows.detach().amax(-1, keepdim=True)
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


class _Plain(_FenchelYoung):
    """The same for plain eager calls, without the rules for transforms, which take torch longer than the loss."""

    setup_context = staticmethod(torch.autograd.Function.setup_context)

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        output = _FenchelYoung.forward(*inputs)
        _FenchelYoung.setup_context(ctx, inputs, output)
        return output


def _loss(found: Problem, p: dict[str, Any], t: Tensor, labelled: bool) -> Tensor:
    """The loss per row.

    Where it depends on the scores alone, its gradient is made by construction; else, and where torch knows no rules of
    autograd functions, it follows from the formula, in which what the weights contribute cancels but for rounding.
    """
    simple = not (found.moving or t.requires_grad) and (found.mode == "fast" or (found.mode == "full" and labelled))
    if simple and not _modes.forward_over_forward():
        kind = _Plain if found.mode == "fast" and _modes.plain(t) else _FenchelYoung
        return kind.apply(found, p, found.rows, t)[0]
    return _value(p, found.operator, found.rows, found.weights(found.rows), t)


def _require(owner: str, target: Any, layout: Layout, fast: bool) -> None:
    require_real(owner, "target", target)
    require_local(owner, "target", target)
    if target.requires_grad and fast:
        raise ValueError(f"{owner}: target must not require grad, because losses are trained in their scores")
    if target.device != layout.device:
        raise ValueError(f"{owner}: target must be on the device {layout.device} of x, got {target.device}")


def _labels(owner: str, target: Tensor, layout: Layout, ignore_index: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(one-hot rows, which count)."""
    n = like.shape[1]
    if tuple(target.shape) != layout.batch_shape:
        raise ValueError(f"{owner}: target labels must have shape {layout.batch_shape}, got {tuple(target.shape)}")
    if target.dtype == torch.bool:
        raise TypeError(f"{owner}: target must hold integer labels or distributions, got dtype {target.dtype}")
    labels = target.reshape(-1).to(torch.int64)
    counts = labels != ignore_index
    known = ((labels >= 0) & (labels < n)) | ~counts
    known = sound(labels, known, f"{owner}: target labels must be in 0..{{}}, got", n - 1)
    places = torch.arange(n, device=labels.device) == labels.unsqueeze(-1)
    return torch.where(known.unsqueeze(-1), places.to(like.dtype), torch.nan), counts


def _by_label(owner: str, weight: Tensor, like: Tensor) -> Tensor:
    """What each label weighs."""
    n = like.shape[1]
    if not weight.is_floating_point() or tuple(weight.shape) != (n,):
        got = f"{weight.dtype} of shape {tuple(weight.shape)}"
        raise ValueError(f"{owner}: weight must be a tensor of {n} real numbers, one per label, got {got}")
    require_local(owner, "weight", weight)
    if weight.device != like.device:
        raise ValueError(f"{owner}: weight must be on the device {like.device} of x, got {weight.device}")
    good = sound(weight, weight.detach() >= 0, f"{owner}: weight must be >= 0, got")
    return torch.where(good, weight, torch.nan).to(like.dtype)


def _smoothed(
    t: Tensor, shares: Tensor, live: Tensor, by_label: Tensor | None, smoothing: float
) -> tuple[Tensor, Tensor]:
    """(targets of which a share is spread over the entries that take part, as labels weigh; what rows then weigh)."""
    even = (live if by_label is None else live * by_label) / live.sum(-1, keepdim=True).clamp_min(1)
    mixed = (1.0 - smoothing) * shares.unsqueeze(-1) * t + smoothing * even
    weighs = mixed.sum(-1)
    return mixed / torch.where(weighs > 0, weighs, 1.0).unsqueeze(-1), weighs


def _within(found: Problem, p: dict[str, Any], t: Tensor, shares: Tensor, dtype: torch.dtype) -> Tensor:
    """Target rows that weigh something, in the domain of the operator to what their dtype loses in a sum."""
    name = found.operator.name
    off = violation(name, t.detach(), found.rows.detach() != -torch.inf, p)
    sentence = f"{name}: target must lie in the domain of the operator, got a row that violates it by"
    tolerance = max(1e-3, torch.finfo(dtype).eps if dtype.is_floating_point else 0.0)
    good = sound(off, (off <= tolerance) | (shares.detach() == 0), sentence)
    return torch.where(good.unsqueeze(-1), t, torch.nan)


def _targets(
    target: Tensor, found: Problem, p: dict[str, Any], ignore_index: int, smoothing: float, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """(targets as rows, what each row weighs, and what it weighs in a mean: its label)."""
    rows, owner = found.rows, f"{found.operator.name} loss"
    _require(owner, target, found.layout, found.mode == "fast")
    if target.is_floating_point() and weight is not None:
        raise ValueError(f"{owner}: weight must be None where targets are distributions, because it is by label")
    by_label = None if weight is None else _by_label(owner, weight, rows)
    if target.is_floating_point():
        if target.shape != found.layout.shape:
            raise ValueError(
                f"{owner}: target must have the shape {tuple(found.layout.shape)} of x, got {tuple(target.shape)}"
            )
        t, shares = found.layout.to_rows(target).to(rows.dtype), rows.new_ones(rows.shape[0])
        counts = shares > 0
    else:
        t, counts = _labels(owner, target, found.layout, ignore_index, rows)
        shares = counts.to(rows.dtype) if by_label is None else torch.where(counts, (t * by_label).sum(-1), 0.0)
    # A label that counts is a vertex of the simplex, but not of every domain.
    if target.is_floating_point() or found.operator.name in ("budgetmax", "kregularmax"):
        t = _within(found, p, t, shares, target.dtype)
    if not smoothing:
        return t, shares, shares
    t, weighs = _smoothed(t, shares, rows != -torch.inf, by_label, smoothing)
    return t, torch.where(counts, weighs, 0.0), shares


def _checked(omega: Any, weight: Any, ignore_index: Any, reduction: Any, label_smoothing: Any) -> Operator:
    """The operator of a loss, the settings of the loss being sound."""
    if not isinstance(omega, (Weights, Regularizer)):
        raise TypeError(f"FenchelYoungLoss: omega must be an operator of regmax, got {type(omega).__name__}")
    operator = omega.operator if isinstance(omega, Weights) else operator_of(type(omega))
    if operator.name not in OMEGAS:
        raise ValueError(f"FenchelYoungLoss: omega must be the regularizer of a loss, got {operator.name}")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"FenchelYoungLoss: reduction must be one of {', '.join(_REDUCTIONS)}, got {reduction!r}")
    if not isinstance(label_smoothing, (int, float)) or not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"FenchelYoungLoss: label_smoothing must be a number from 0 to 1, got {label_smoothing!r}")
    if weight is not None and not isinstance(weight, Tensor):
        raise TypeError(f"FenchelYoungLoss: weight must be a tensor, got {type(weight).__name__}")
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise TypeError(f"FenchelYoungLoss: ignore_index must be an integer, got {ignore_index!r}")
    return operator


class _Call(NamedTuple):
    """What a loss is called with, beside its operator and scores."""

    target: Any
    weight: Tensor | None
    ignore_index: int
    smoothing: float
    dim: Any
    mask: Any
    values: dict[str, Any]


def _losses(operator: Operator, x: Any, call: _Call) -> tuple[Any, Any]:
    """The loss of each problem, times what it weighs; and what its label weighs."""
    if is_sharded(x):
        return _sharded_losses(sharded(operator, x, call.dim, call.values), call)
    found = problem(operator, x, call.dim, call.mask, call.values, exact=True)
    p = _ops.parameters(found.call, found.rows, found.values)
    t, shares, masses = _targets(call.target, found, p, call.ignore_index, call.smoothing, call.weight)
    each = _loss(found, p, t, not call.target.is_floating_point())
    each = torch.where(shares > 0, each * torch.where(shares > 0, shares, 1.0), 0.0)
    return each.reshape(found.layout.batch_shape), masses.reshape(found.layout.batch_shape)


def _sharded_losses(shards: Shards, call: _Call) -> tuple[Any, Any]:
    shards.require_whole()
    operator, shape = shards.operator, shards.x.shape
    target, weight = call.target, call.weight
    if isinstance(target, Tensor) and target.shape == shape:
        target = shards.local(target)
    elif isinstance(target, Tensor):
        if tuple(target.shape) != shards.batch_shape:
            whole = f"{shards.batch_shape} for labels or that of x, {tuple(shape)}"
            raise ValueError(f"{operator.name} loss: target must have the shape {whole}, got {tuple(target.shape)}")
        target = shards.by_batch(target)
    local = call._replace(
        target=target,
        weight=None if weight is None else shards.shared(weight),
        mask=shards.mask(call.mask),
        values=shards.parameters(call.values),
    )
    each, masses = _losses(operator, shards.x.to_local(), local)
    return shards.like_batch(each), shards.like_batch(masses)


def fenchel_young_loss(
    omega: Regularizer | Weights,
    x: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    dim: Any = None,
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
        What a row weighs, by its label; with label smoothing, as in ``CrossEntropyLoss``, also what each label takes.
    ignore_index : int, default -100
        Rows with this label count nothing.
    reduction : {"mean", "sum", "none"}
        "mean" is weighted: the sum over what the rows weigh together.
    label_smoothing : float, default 0.0
        The share of the target that is spread evenly over the entries that take part, from 0 to 1.
    dim : int or pair of ints, optional
        The dim that holds the scores of one problem; default that of a module, else -1.
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
    operator = _checked(omega, weight, ignore_index, reduction, label_smoothing)
    if dim is None:
        dim = omega.dim if isinstance(omega, Weights) else -1
    call = _Call(target, weight, ignore_index, label_smoothing, dim, mask, values_of(operator, omega))
    each, masses = _losses(operator, x, call)
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    if reduction == "none":
        return each.to(dtype)
    total = each.sum() if reduction == "sum" else each.sum() / masses.sum()
    return total.to(dtype)


class FenchelYoungLoss(nn.Module):
    """:func:`fenchel_young_loss` as a module: ``FenchelYoungLoss(regmax.Sparsemax())(x, target)``.

    Parameters
    ----------
    omega : regmax.Regularizer or module of this package
        The operator; a module may have learned parameters.
    weight : Tensor, shape (n,), optional
        What a row weighs, by its label; with label smoothing, as in ``CrossEntropyLoss``, also what each label takes.
    ignore_index : int, default -100
        Rows with this label count nothing.
    reduction : {"mean", "sum", "none"}
        "mean" is weighted: the sum over what the rows weigh together.
    label_smoothing : float, default 0.0
        The share of the target that is spread evenly over the entries that take part, from 0 to 1.
    dim : int or pair of ints, optional
        The dim that holds the scores of one problem; default that of a module, else -1.

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
        dim: Any = None,
    ) -> None:
        super().__init__()
        _checked(omega, weight, ignore_index, reduction, label_smoothing)
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
