"""One cell of a table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Contender"]


@dataclass(frozen=True)
class Contender:
    """A call that is ready to be timed. ``answers`` is False for a yardstick."""

    name: str
    call: Callable[[], Any]
    answers: bool = True
