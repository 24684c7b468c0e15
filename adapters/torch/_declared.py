"""The operators as torch sees them: what can be asked of the classes of regmax without looking into them again.

Plain tuples, because torch.compile follows every step of a call.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

import regmax
from regmax import Regularizer
from regmax._parameters import COUNT

__all__ = ["Declared", "Operator", "operator_of", "shipped", "values_of"]


class Declared(NamedTuple):
    """One parameter: its default, what its arrays broadcast against, and its rule, or how it is checked instead."""

    name: str
    default: Any
    kind: str
    words: str
    holds: Callable[[Any], Any] | None
    counts: bool
    checked: Callable[[str, str, Any], Any] | None


class Operator(NamedTuple):
    """One operator: its name and parameters, and whether its unit is a matrix.

    ``by_weights``: J follows from the weights alone; ``keeps_scores``: derivatives in torch operations need the scores,
    which tell masked entries from others.
    """

    name: str
    kind: type[Regularizer]
    parameters: tuple[Declared, ...]
    matrix: bool
    by_weights: bool
    keeps_scores: bool


def _declared(field: Any) -> Declared:
    rule = field.metadata["rule"]
    default = None if field.default is MISSING else field.default
    words, holds = ("", None) if rule is None else (rule.words, rule.holds)
    return Declared(
        field.name, default, field.metadata["kind"], words, holds, rule is COUNT, field.metadata.get("checked")
    )


_known: dict[type[Regularizer], Operator] = {}


def operator_of(kind: type[Regularizer]) -> Operator:
    """What torch needs to know about a class of operators."""
    if kind not in _known:
        _known[kind] = _asked(kind)
    return _known[kind]


def _asked(kind: type[Regularizer]) -> Operator:
    parameters = tuple(_declared(field) for field in fields(kind))  # type: ignore[arg-type]
    by_weights = kind.is_gradient and not kind.sees_masks
    neighbours = any(one.kind not in ("row", "item") for one in parameters)
    return Operator(kind.name, kind, parameters, kind.matrix, by_weights, neighbours or not by_weights)


def values_of(operator: Operator, omega: Any) -> dict[str, Any]:
    """The parameters of an instance or a layer, by name; without its methods, which compilers do not follow."""
    return {one.name: getattr(omega, one.name) for one in operator.parameters}


def shipped() -> dict[str, Operator]:
    """The operators that regmax ships, by name."""
    return {name: operator_of(kind) for name, kind in regmax.operators().items()}
