"""Numbers in tensors against their rules: at once where they can be seen, else when the operations run.

Under vmap, in compiled and in exported code a check is a custom operator, ``regmax::sound``, which raises when it runs.
On a CUDA device it is an assertion in the stream, like that of torch for labels of its losses: nothing waits for it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from regmax._parameters import NON_INCREASING

from . import _modes
from ._call import Call
from ._rows import batched

__all__ = ["require_parameters", "sound"]


def _require(values: Tensor, good: Tensor, sentence: str, numbers: Sequence[int] = ()) -> None:
    """Raise a sentence that ends in ", got", ``numbers`` filled in, with the first of the values that is not good."""
    if values.device.type == "meta":
        return
    sentence = sentence.format(*numbers)
    if values.device.type == "cuda":
        _modes.assert_later(good, sentence.partition(", got")[0])
    elif not bool(good.all()):
        wrong = values[~good][0].item()
        raise ValueError(f"{sentence} {wrong if isinstance(wrong, int) else float(f'{wrong:.3g}')}")


@torch.library.custom_op("regmax::sound", mutates_args=())
def _sound(values: Tensor, good: Tensor, sentence: str, numbers: Sequence[int]) -> Tensor:
    """``good``, once it is true; what follows needs it, or compilers would leave the check out."""
    _require(values, good, sentence, numbers)
    return good.clone()


@_sound.register_fake
def _(values: Tensor, good: Tensor, sentence: str, numbers: Sequence[int]) -> Tensor:
    return torch.empty_like(good)


@_sound.register_vmap
def _(info: Any, dims: Any, values: Tensor, good: Tensor, sentence: str, numbers: Sequence[int]) -> Any:
    values, good = (batched(info.batch_size, one, dim) for one, dim in zip((values, good), dims[:2], strict=True))
    return _sound(values, good, sentence, numbers), 0


def sound(values: Tensor, good: Tensor, sentence: str, *numbers: int) -> Tensor:
    """``good``, entry by entry whether the values keep their rule, or an error where one does not."""
    values = values.detach()
    if _modes.compiling() or not _modes.plain(values, good):
        return _sound(values, good, sentence, numbers)
    _require(values, good, sentence, numbers)
    return good


def _falls(v: Tensor) -> Tensor:
    return torch.isfinite(v) & (v.diff(dim=-1, prepend=v[..., :1]) <= 0)


def _fits(k: Tensor, room: Tensor) -> Tensor:
    """Whether there are k entries to take, or none at all."""
    return (k <= room) | (room == 0)


def _room_for_k(x: Tensor, p: dict[str, Any]) -> None:
    _require(p["k"], p["k"] <= x.shape[1], "topkmax: k must be at most the {} entries of a row, got", (x.shape[1],))


def _room_under_caps(x: Tensor, p: dict[str, Any]) -> None:
    live = x > -torch.inf
    room = torch.where(live, p["upper"], 0).sum(-1, keepdim=True)
    enough = (room >= p["total"] * (1 - 4 * torch.finfo(x.dtype).eps)) | ~live.any(-1, keepdim=True)
    _require(room, enough, "budgetmax: upper must sum to at least total over the entries that take part, got")


def _room_in_rows(x: Tensor, p: dict[str, Any]) -> None:
    live = (x > -torch.inf).reshape(len(x), *p["shape"])
    k, lines = p["k"].expand(len(x), 1), live.sum(2)
    columns = live.any(1).sum(-1, keepdim=True)
    _require(k, _fits(k, columns), "kregularmax: k must be at most the number of columns that take part, got")
    k = k.expand_as(lines)
    _require(k, _fits(k, lines), "kregularmax: mask must leave each row k entries, got")


_ROOM: dict[str, Callable[[Tensor, dict[str, Any]], None]] = {
    "topkmax": _room_for_k,
    "budgetmax": _room_under_caps,
    "kregularmax": _room_in_rows,
}


def require_parameters(call: Call, x: Tensor, p: dict[str, Any]) -> None:
    """Check what the kernels of the CPU check themselves: the parameters of contiguous rows on another device."""
    for declared in call.operator.parameters:
        value = p[declared.name]
        if declared.name not in call.names:
            continue
        if declared.name == "edges":
            inside = (value >= 0) & (value < x.shape[1])
            sentence = f"{call.operator.name}: edges must hold vertices from 0 to {x.shape[1] - 1}, got"
            _require(value, inside, sentence)
        elif declared.holds is not None:
            good = _falls(value) if declared.words == NON_INCREASING.words else declared.holds(value)
            _require(value, good, f"{call.operator.name}: {declared.name} must {declared.words}, got")
    if call.operator.name in _ROOM:
        _ROOM[call.operator.name](x, p)
