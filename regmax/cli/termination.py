"""A request to end (SIGTERM) that unwinds the stack, so that temporary files and child processes go."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "terminable"]

_AGAIN = 0.05


class Terminated(BaseException):
    """The process was asked to end. Only the command line catches it: a SystemExit may be that of a solver on trial."""


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _ask_again() -> None:
    timer = threading.Timer(_AGAIN, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()


@contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated in the main thread on SIGTERM.

    Python drops what is raised in callbacks from C (LLVM has one at the end of each compilation) and in finalizers, and
    only tells ``sys.unraisablehook``; the request is then made once more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, hook = signal.getsignal(signal.SIGTERM), sys.unraisablehook

    def unraisable(lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is Terminated:
            _ask_again()
        else:
            hook(lost)

    sys.unraisablehook = unraisable
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        sys.unraisablehook = hook
