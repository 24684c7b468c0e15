"""The operators in every mode of torch, on rows: weights, and their derivatives by the rules of the twins.

- ``fast``, plain eager calls: an autograd function that hands memory to the kernels, there and back;
- ``full``, transforms of torch.func, forward derivatives, dispatch modes: an autograd function with rules for them, in
  torch operations, which are differentiable in turn;
- ``traced``, torch.compile and export: the custom operator ``regmax::weights`` with a fake and a backward.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import regmax
from regmax.solvers.gpu import TWINS, Twin, no_groups

from . import _host, _modes
from ._call import Call, call_of
from ._checks import require_parameters
from ._declared import operator_of
from ._rows import batched, hidden

__all__ = ["fast", "full", "on_host", "parameters", "traced"]

Values = Sequence[Tensor]


def _twin(call: Call, what: str) -> Twin:
    """The operator in torch operations; one sentence where there is none, because it is a user's own."""
    if call.operator.name not in TWINS:
        raise NotImplementedError(
            f"{call.operator.name}: {what} needs the operator in torch operations, which it lacks"
        )
    return TWINS[call.operator.name]


def parameters(call: Call, x: Tensor, values: Values) -> dict[str, Any]:
    """The parameters as the twins take them."""
    p: dict[str, Any] = {**call.fixed, **dict(zip(call.names, values, strict=True))}
    for declared in call.operator.parameters:
        value = p.setdefault(declared.name, declared.default)
        if type(value) in (int, float):
            width = x.shape[1] if declared.kind == "item" else 1
            p[declared.name] = x.new_full((1, width), value, dtype=torch.int64 if declared.counts else x.dtype)
    if "edges" in p:
        p["chain"] = p["edges"] is None
        if p["chain"]:
            k = torch.arange(x.shape[1] - 1, device=x.device)
            p["edges"] = torch.stack([k, k + 1], dim=1)
    return p


def on_host(x: Tensor) -> bool:
    """Whether the kernels of regmax can reach a tensor; others stay on their device."""
    return x.device.type == "cpu"


def _solved(call: Call, x: Tensor, values: Values) -> tuple[Tensor, Any]:
    """Weights, and on the CPU the parameters of each row."""
    if x.device.type == "meta":
        return torch.empty_like(x), None
    if on_host(x):
        return _host.weights(call, x, values)
    twin = _twin(call, f"a tensor on {x.device}")
    with torch.no_grad(), _modes.no_autocast(x):
        p = parameters(call, x, values)
        require_parameters(call, x, p)
        return twin.weights(x, p), None


def _has_groups(name: str) -> bool:
    return name in TWINS and TWINS[name].groups is not no_groups


def _groups(call: Call, x: Tensor | None, y: Tensor, values: Values) -> Tensor | None:
    if x is None or not _has_groups(call.operator.name):
        return None
    if x.device.type == "meta":
        return torch.empty_like(x, dtype=torch.int64)
    with torch.no_grad():
        return TWINS[call.operator.name].groups(y, x > -torch.inf, parameters(call, y, values))


def _pulled_back(
    call: Call, x: Tensor | None, y: Tensor, labels: Tensor | None, g: Tensor, values: Values, wanted: tuple[str, ...]
) -> tuple[Tensor, list[Tensor | None]]:
    """The gradient in the scores, and those of the values, in torch operations."""
    twin = _twin(call, "this derivative")
    with _modes.no_autocast(y):
        gx, found = twin.vjp(x, y, labels, g, parameters(call, y, values), wanted)
    return gx, [found.get(name) for name in call.names]


def _wanted(names: tuple[str, ...], needed: Sequence[bool]) -> tuple[str, ...]:
    return tuple(name for name, needs in zip(names, needed, strict=True) if needs)


class _Fast(torch.autograd.Function):
    """Kernels there, and back unless the way back is to be differentiated."""

    @staticmethod
    def forward(ctx: Any, call: Call, x: Tensor, *values: Tensor) -> Tensor:
        y, ctx.p = _solved(call, x, values)
        ctx.call = call
        keep = call.operator.keeps_scores or any(ctx.needs_input_grad[2:])
        ctx.save_for_backward(x if keep else None, y, *values)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, y, *values = ctx.saved_tensors
        wanted = _wanted(ctx.call.names, ctx.needs_input_grad[2:])
        if on_host(y) and not torch.is_grad_enabled() and _modes.plain(g) and _modes.has_memory(g):
            if not ctx.call.names and ctx.call.operator.by_weights:
                return None, _host.product(ctx.call.ready, y, g, ctx.p)
            gx, by_name = _host.pullback(ctx.call, x, y, g, values, wanted)
            return None, gx, *(by_name.get(name) for name in ctx.call.names)
        if x is not None:
            x = hidden(x)
        gx, found = _pulled_back(ctx.call, x, y, _groups(ctx.call, x, y, values), g, values, wanted)
        return None, gx, *found


def _folded(
    size: int, dims: Sequence[int | None], names: tuple[str, ...], x: Tensor, values: Values
) -> tuple[Tensor, list[Tensor]]:
    """Rows of ``size`` batches below each other, and their parameters."""
    x = batched(size, x, dims[0])
    rows, whole = x.shape[1], []
    for name, value, dim in zip(names, values, dims[1:], strict=True):
        if name == "edges" and dim is not None:
            raise NotImplementedError(f"{name}: a graph must be the same for all that vmap goes over")
        if dim is None and (name == "edges" or value.shape[0] == 1):
            whole.append(value)
            continue
        wide = batched(size, value, dim)
        whole.append(wide.expand(size, rows, wide.shape[2]).reshape(size * rows, wide.shape[2]))
    return x.reshape(size * rows, x.shape[2]), whole


def _unfolded(size: int, found: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
    return tuple(one.reshape(size, one.shape[0] // size, one.shape[1]) for one in found), (0, 0)


class _Full(torch.autograd.Function):
    """The same with rules for transforms; every rule is made of differentiable operations."""

    @staticmethod
    def forward(call: Call, x: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
        return _opaque(call, x, values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.call, x, *values = inputs
        y, labels = output
        ctx.mark_non_differentiable(labels)
        ctx.save_for_backward(x, y, labels, *values)
        ctx.save_for_forward(x, y, labels, *values)

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Any) -> tuple[Any, ...]:
        x, y, labels, *values = ctx.saved_tensors
        wanted = _wanted(ctx.call.names, ctx.needs_input_grad[2:])
        gx, found = _pulled_back(ctx.call, x, y, labels, g, values, wanted)
        return None, gx, *found

    @staticmethod
    def jvp(ctx: Any, _: Any, dx: Tensor | None, *dvalues: Tensor | None) -> tuple[Tensor, None]:
        x, y, labels, *values = ctx.saved_tensors
        twin = _twin(ctx.call, "a forward derivative")
        dx = torch.zeros_like(y) if dx is None else dx
        moved = {name: d for name, d in zip(ctx.call.names, dvalues, strict=True) if d is not None}
        with _modes.no_autocast(y):
            return twin.jvp(x, y, labels, dx, moved, parameters(ctx.call, y, values)), None

    @staticmethod
    def vmap(info: Any, dims: tuple[Any, ...], call: Call, x: Tensor, *values: Tensor) -> Any:
        x, whole = _folded(info.batch_size, dims[1:], call.names, x, values)
        return _unfolded(info.batch_size, _Full.apply(call, x, *whole))


def _unpacked(make: Callable[..., Call], operator: str, names: str, height: int, width: int, word: str) -> Call:
    """What was packed by ``Call.texture``; sizes that compilers leave open cannot be looked up, by ``call_of``."""
    fixed = ((("shape", (height, width)),) if height else ()) + ((("reading", word),) if word else ())
    return make(operator_of(regmax.operators()[operator]), tuple(names.split(",")), fixed)


@torch.library.custom_op("regmax::weights", mutates_args=())
def _weights(
    x: Tensor, values: Sequence[Tensor], operator: str, names: str, height: int, width: int, word: str
) -> tuple[Tensor, Tensor]:
    """Weights of contiguous rows, and the groups they form, if they do."""
    call = _unpacked(call_of, operator, names, height, width, word)
    y, _ = _solved(call, x, values)
    labels = _groups(call, x, y, values)
    return y, x.new_empty((x.shape[0], 0), dtype=torch.int64) if labels is None else labels


@_weights.register_fake
def _(x: Tensor, values: Any, operator: str, names: str, height: int, width: int, word: str) -> tuple[Tensor, Tensor]:
    entries = x.shape[1] if _has_groups(operator) else 0
    return torch.empty_like(x), x.new_empty((x.shape[0], entries), dtype=torch.int64)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, values, *others = inputs
    ctx.others = others
    ctx.save_for_backward(x, *output, *values)


def _back(ctx: Any, g: Tensor, _: Any) -> tuple[Any, ...]:
    x, y, labels, *values = ctx.saved_tensors
    call = _unpacked(Call, *ctx.others)
    gx, found = _pulled_back(call, x, y, labels, g, values, _wanted(call.names, ctx.needs_input_grad[1]))
    return gx, found, None, None, None, None, None


_weights.register_autograd(_back, setup_context=_keep)


@_weights.register_vmap
def _(info: Any, dims: Any, x: Tensor, values: Values, operator: str, names: str, *others: Any) -> Any:
    x, values = _folded(info.batch_size, (dims[0], *dims[1]), tuple(names.split(",")), x, values)
    return _unfolded(info.batch_size, _weights(x, values, operator, names, *others))


def fast(call: Call, x: Tensor, values: Values) -> Tensor:
    """Weights where nothing but reverse-mode autograd looks on, if that does."""
    if not (torch.is_grad_enabled() and any(one.requires_grad for one in (x, *values))):
        return _solved(call, x, values)[0]
    return _Fast.apply(call, x, *values)


def full(call: Call, x: Tensor, values: Values) -> Tensor:
    """Weights in any eager mode; all numbers are among the values."""
    _twin(call, "this mode of torch")
    return _walked(call, x, values) if _modes.forward_over_forward() else _Full.apply(call, x, *values)[0]


def traced(call: Call, x: Tensor, values: Values) -> Tensor:
    """Weights within torch.compile and torch.export; all numbers are among the values."""
    _twin(call, "torch.compile")
    return _walked(call, x, values) if _modes.transformed() else _opaque(call, x, values)[0]


def _opaque(call: Call, x: Tensor, values: Values) -> tuple[Tensor, Tensor]:
    return _weights(x, list(values), call.operator.name, ",".join(call.names), *call.texture)


#: Runge and Kutta's method of fourth and Butcher's of fifth order: where to look, from which slopes before, the sum.
_FOURTH = (
    ((0.0, ()), (0.5, (0.5,)), (0.5, (0.0, 0.5)), (1.0, (0.0, 0.0, 1.0))),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
)
_FIFTH = (
    (
        (0.0, ()),
        (1 / 4, (1 / 4,)),
        (1 / 4, (1 / 8, 1 / 8)),
        (1 / 2, (0.0, -1 / 2, 1.0)),
        (3 / 4, (3 / 16, 0.0, 0.0, 9 / 16)),
        (1.0, (-3 / 7, 2 / 7, 12 / 7, -12 / 7, 8 / 7)),
    ),
    (7 / 90, 0.0, 32 / 90, 12 / 90, 32 / 90, 7 / 90),
)


def _method(name: str) -> Any:
    """The shortest walk that is right for the transforms that are active and one backward pass around them."""
    order = _modes.derivatives()
    if order > 4:
        raise NotImplementedError(
            f"{name}: transforms end at the fourth derivative in forward over forward mode and in compiled code"
        )
    return _FOURTH if order < 4 else _FIFTH


def _ahead(y: Tensor, slopes: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    for slope, share in zip(slopes, shares, strict=True):
        if share:
            y = y + share * slope
    return y


def _walked(call: Call, x: Tensor, values: Values) -> Tensor:
    """Weights in operations that all transforms of torch.func can follow, to the order of a method.

    For compiled transforms, which know no rules of autograd functions, and for forward over forward mode, in which
    torch silently takes what an autograd function has saved for a constant.

    From the weights at scores without derivatives a walk leads to those at scores with them: an equal point, so that
    no step is taken, but one of a method of Runge and Kutta has the derivatives of the whole way.
    """
    stages, shares = _method(call.operator.name)
    start, ends = x.detach(), [value.detach() for value in values]
    y, labels = _opaque(call, start, ends)
    live = start > -torch.inf
    finite = torch.where(live, start, 0.0)
    dx = torch.where(live, x, 0.0) - finite
    # An infinite parameter moves nowhere.
    moves = [torch.where(torch.isinf(end), 0, value - end) for value, end in zip(values, ends, strict=True)]
    twin = _twin(call, "this derivative")
    slopes: list[Tensor] = []
    for share, before in stages:
        here = [end + share * move if end.is_floating_point() else end for end, move in zip(ends, moves, strict=True)]
        moved = {name: move for name, move, end in zip(call.names, moves, ends, strict=True) if end.is_floating_point()}
        scores = torch.where(live, finite + share * dx, -torch.inf)
        slopes.append(twin.jvp(scores, _ahead(y, slopes, before), labels, dx, moved, parameters(call, y, here)))
    return _ahead(y, slopes, shares)
