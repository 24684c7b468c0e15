"""Arrays of other frameworks: handed to the adapter of theirs, which is looked up by name when one arrives."""

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["adapter_for"]

_ADAPTERS = {"torch": "regmax.adapters.torch.functional"}


_frameworks: dict[type, str | None] = {}


def _framework(kind: type) -> str | None:
    """The framework that a class of arrays comes from, or the class that it extends."""
    origins = (one.__module__.partition(".")[0] for one in kind.__mro__)
    return next((origin for origin in origins if origin in _ADAPTERS), None)


def adapter_for(x: Any) -> Callable[..., Any] | None:
    """``handed(operator, x, axis, where)`` of the adapter of the framework that x comes from, if it is one."""
    kind = type(x)
    if kind not in _frameworks:
        _frameworks[kind] = _framework(kind)
    framework = _frameworks[kind]
    return None if framework is None else importlib.import_module(_ADAPTERS[framework]).handed
