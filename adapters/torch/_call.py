"""One kind of call: an operator, which of its parameters are tensors, and the values of the others."""

from functools import cached_property
from typing import Any

from regmax import Regularizer

from ._declared import Operator

__all__ = ["Call", "call_of"]

_calls: dict[tuple[Any, ...], "Call"] = {}
_MANY = 1024  # different calls after which they are forgotten


class Call:
    """What stays the same when an operator is called again with other scores and other tensors as parameters."""

    def __init__(self, operator: Operator, names: tuple[str, ...], fixed: tuple[tuple[str, Any], ...]) -> None:
        self.operator = operator
        self.names = names
        self.fixed = dict(fixed)
        self.spreads: dict[Any, dict[str, Any]] = {}
        #: Whether the operator looks at the scores before it solves, to refuse them.
        self.looks = operator.kind._prepare is not Regularizer._prepare
        self.shape: tuple[int, int] | None = self.fixed.get("shape")

    @property
    def texture(self) -> tuple[int, int, str]:
        """What is fixed where all numbers are tensors: the sides of a matrix or 0, and how it is read."""
        return *(self.shape or (0, 0)), self.fixed.get("reading", "")

    @cached_property
    def ready(self) -> Regularizer:
        """The operator where no parameter is a tensor."""
        return self.operator.kind(**self.fixed)


def call_of(operator: Operator, names: tuple[str, ...], fixed: tuple[tuple[str, Any], ...]) -> Call:
    """The call with these fixed values, made once."""
    key = (operator.kind, names, fixed)
    found = _calls.get(key)
    if found is None:
        if len(_calls) >= _MANY:
            _calls.clear()
        found = _calls[key] = Call(operator, names, fixed)
    return found
