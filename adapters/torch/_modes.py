"""In which mode of torch a call is made. The private names that tell are used here and nowhere else."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "assert_later",
    "compiling",
    "derivatives",
    "forward_over_forward",
    "has_memory",
    "no_autocast",
    "plain",
    "transformed",
    "within",
]

_PLAIN = (torch.Tensor, torch.nn.Parameter)

compiling = torch.compiler.is_compiling


def transformed() -> bool:
    """Whether a transform of torch.func is active; said to be where this torch cannot tell."""
    try:
        return torch._C._are_functorch_transforms_active()
    except AttributeError:
        return True


def within(x: Any) -> Any:
    """The tensor that transforms of torch.func have wrapped; x where this torch cannot tell."""
    try:
        while isinstance(x, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(x):
            x = torch._C._functorch.get_unwrapped(x)
    except AttributeError:
        pass
    return x


def forward_over_forward() -> bool:
    """Whether two forward derivatives are taken of each other; said to be where this torch cannot tell."""
    try:
        stack = torch._C._functorch.get_interpreter_stack() or []
        jvp = torch._C._functorch.TransformType.Jvp
        # A transform opens a level of dual numbers too; one without a transform is the caller's.
        return max(sum(one.key() == jvp for one in stack), torch.autograd.forward_ad._current_level + 1) > 1
    except AttributeError:
        return True


@torch.compiler.assume_constant_result
def derivatives() -> int:
    """How many derivatives transforms are taking of each other; 0 where this torch cannot tell.

    A compiler asks when it traces: it runs the transforms inside its code then, and guards on those outside.
    """
    try:
        stack = torch._C._functorch.get_interpreter_stack() or []
        kinds = torch._C._functorch.TransformType
        return sum(one.key() in (kinds.Jvp, kinds.Grad) for one in stack)
    except AttributeError:
        return 0


def _watched() -> bool:
    """Whether a forward derivative or a dispatch mode would miss what happens outside torch."""
    try:
        return torch.autograd.forward_ad._current_level >= 0 or torch._C._len_torch_dispatch_stack() > 0
    except AttributeError:
        return True


def no_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Operations in the dtypes of their operands, where the device of x has other ways at all."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def assert_later(good: Tensor, sentence: str) -> None:
    """Have the device raise once it finds that not all are good; nothing waits for it. There is no public name."""
    torch._assert_async(good.all(), sentence)


def plain(*tensors: Any) -> bool:
    """Whether nothing but reverse-mode autograd looks on, so that memory may be handed to kernels."""
    return all(type(tensor) in _PLAIN for tensor in tensors) and not transformed() and not _watched()


def has_memory(tensor: Tensor) -> bool:
    """Whether a tensor is memory of this machine and no batch of it seen by a vmap, old or new."""
    try:
        return torch._C._dispatch_keys(tensor).has(torch._C.DispatchKey.CPU)
    except AttributeError:
        return False
