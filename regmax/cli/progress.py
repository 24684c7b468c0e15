"""A progress bar on a terminal, and nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Report", "progress"]

#: Called with a label, how much is done, and how much there is.
Report = Callable[[str, int, int], None]

_WIDTH = 30


def _draw(label: str, done: int, total: int) -> None:
    filled = _WIDTH * done // max(total, 1)
    bar = "#" * filled + "-" * (_WIDTH - filled)
    sys.stderr.write(f"\r[{bar}] {100 * done // max(total, 1):3d} %  {label}\x1b[K")
    sys.stderr.flush()


def _ignore(label: str, done: int, total: int) -> None:
    pass


@contextmanager
def progress() -> Iterator[Report]:
    """A function that draws the bar while standard error is a terminal; the bar is erased at the end."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    try:
        yield _draw
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
