"""The types of what `regmax.adapters.torch` makes from the registry, for editors and type checkers.

``python -m tests.torch.stub`` writes adapters/torch/__init__.pyi.
"""

from pathlib import Path

from regmax.adapters.torch._declared import Operator, shipped

FILE = Path(__file__).resolve().parents[2] / "adapters" / "torch" / "__init__.pyi"

_HEAD = '''"""Types of the functions and modules that are made from the registry; written by tests/torch/stub.py."""

from collections.abc import Iterable
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from .functional import argmax as argmax
from .losses import FenchelYoungLoss as FenchelYoungLoss
from .losses import fenchel_young_loss as fenchel_young_loss
from .modules import Weights as Weights

_Number = float | Tensor | ArrayLike
_Dims = int | tuple[int, int]
'''


def _typed(operator: Operator) -> str:
    """The parameters of an operator with their types and defaults."""
    parts = []
    for one in operator.parameters:
        kind = {"shape": "tuple[int, int] | None", "reading": "str", "edges": "Any"}.get(one.name, "_Number")
        optional = " | None" if one.default is None and kind == "_Number" else ""
        parts.append(f"{one.name}: {kind}{optional} = ...")
    return ", ".join(parts)


def text() -> str:
    """What the file must hold."""
    found = [_HEAD]
    for operator in shipped().values():
        dim = "_Dims" if operator.matrix else "int"
        found.append(
            f"def {operator.name}(\n    x: Tensor, *, {_typed(operator)}, dim: {dim} = ..., mask: Tensor | None = ...\n"
            ") -> Tensor: ...\n"
        )
    for operator in shipped().values():
        attributes = "".join(f"    {one.name}: Any\n" for one in operator.parameters)
        found.append(
            f"class {operator.kind.__name__}(Weights):\n{attributes}"
            f"    def __init__(\n        self, *, {_typed(operator)}, learn: Iterable[str] = ..., dim: _Dims = ...\n"
            "    ) -> None: ...\n"
        )
    return "\n".join(found)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
