"""Arrays of other frameworks: handed to the adapter of theirs, which is looked up by name when one arrives."""

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["adapter_for"]

_ADAPTERS = {"torch": "regmax.adapters.torch"}


def adapter_for(x: Any) -> Callable[..., Any] | None:
    """``argmax(operator, x, axis, where)`` of the adapter of the framework that x comes from, if it is one."""
    framework = type(x).__module__.partition(".")[0]
    return importlib.import_module(_ADAPTERS[framework]).argmax if framework in _ADAPTERS else None
