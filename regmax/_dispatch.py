"""Arrays of other frameworks: handed to the adapter of theirs, which is looked up by name when one arrives."""

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["adapter_for", "register"]

_ADAPTERS = {"torch": "regmax.adapters.torch"}
_frameworks: dict[type, str | None] = {}
_loaded: dict[str, Callable[..., Any]] = {}


def register(framework: str, argmax: Callable[..., Any]) -> None:
    """What an adapter calls when it is imported: ``argmax(operator, x, axis, where)`` is how it takes its arrays."""
    _loaded[framework] = argmax


def _framework(kind: type) -> str | None:
    """The framework that a class of arrays comes from, or the class that it extends."""
    origins = (one.__module__.partition(".")[0] for one in kind.__mro__)
    return next((origin for origin in origins if origin in _ADAPTERS), None)


def adapter_for(x: Any) -> Callable[..., Any] | None:
    """``argmax(operator, x, axis, where)`` of the adapter of the framework that x comes from, if it is one."""
    kind = type(x)
    if kind not in _frameworks:
        _frameworks[kind] = _framework(kind)
    framework = _frameworks[kind]
    if framework is None:
        return None
    if framework not in _loaded:
        importlib.import_module(_ADAPTERS[framework])
    return _loaded[framework]
