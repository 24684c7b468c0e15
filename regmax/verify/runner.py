"""Calls the solver that is judged: in this process, or in one of its own that can be cut off."""

import contextlib
import importlib
import inspect
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["InProcess", "OwnProcess", "Runner", "SolverError", "accepted", "load", "serve"]

Array = NDArray[Any]
_PATIENCE_TO_IMPORT = 120.0
_GONE = "ends the process that it runs in"
_LONGEST = 300  # characters of what a solver has to say


class SolverError(Exception):
    """One sentence about what a solver did instead of answering."""


class Runner(Protocol):
    """Something that solves rows."""

    #: How the solver is called in messages.
    label: str

    def parameters(self) -> set[str] | None:
        """Keyword parameters that the solver takes besides the rows; None for any."""

    def solve(self, x: Array, parameters: dict[str, Any]) -> Any:
        """What the solver returns; raises SolverError if it raises or takes too long."""

    def close(self) -> None:
        """Let go of what it holds."""


def load(name: str) -> Callable[..., Any]:
    """The callable that ``package.module:function`` names; raises SolverError where there is none."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise SolverError(f"a solver must be named package.module:function, got {name!r}")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise SolverError(f"{name} cannot be imported ({type(error).__name__}: {error})"[:_LONGEST]) from error
    if not callable(found):
        raise SolverError(f"{name} is not a function")
    return found


def accepted(function: Callable[..., Any]) -> set[str] | None:
    """Names of the keyword parameters of ``function`` after its first; None where it takes any."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return set()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _said(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"raises {type(error).__name__}{': ' + text[0] if text else ''}"[:_LONGEST]


class InProcess:
    """A callable of this process; one that takes longer than ``timeout`` seconds is left behind on its thread."""

    def __init__(self, function: Callable[..., Any], timeout: float | None) -> None:
        self.label = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self._timeout = timeout

    def parameters(self) -> set[str] | None:
        return accepted(self._function)

    def solve(self, x: Array, parameters: dict[str, Any]) -> Any:
        if self._timeout is None:
            return self._call(x, parameters)
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=lambda: answers.put(self._outcome(x, parameters)), daemon=True).start()
        try:
            answer, error = answers.get(timeout=self._timeout)
        except queue.Empty:
            raise SolverError(f"takes more than {self._timeout:g} s") from None
        if error is not None:
            raise error
        return answer

    def _call(self, x: Array, parameters: dict[str, Any]) -> Any:
        try:
            return self._function(x, **parameters)
        except (Exception, SystemExit) as error:
            raise SolverError(_said(error)) from error

    def _outcome(self, x: Array, parameters: dict[str, Any]) -> tuple[Any, SolverError | None]:
        try:
            return self._call(x, parameters), None
        except SolverError as error:
            return None, error
        except BaseException as error:
            return None, SolverError(_said(error))

    def close(self) -> None:
        pass


def _write(stream: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message)
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def _read(stream: IO[bytes]) -> Any:
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    return pickle.loads(stream.read(struct.unpack("<Q", head)[0]))


class OwnProcess:
    """The function ``package.module:function`` in a process of its own, killed when a call takes too long.

    An answer is ("ready", ...), ("answer", ...), ("failed", why) or ("gone", why): then there is no process any more.
    """

    def __init__(self, name: str, timeout: float | None) -> None:
        self.label = name
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._names: set[str] | None = set()
        self._start()

    def parameters(self) -> set[str] | None:
        return self._names

    def _start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        code = "import sys; from regmax.verify.runner import serve; serve(sys.argv[1])"
        command = [sys.executable, "-c", code, self.label]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # so that what the solver starts can be ended with it
        )
        self._answers = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(self._process, self._answers), daemon=True).start()
        kind, content = self._next(_PATIENCE_TO_IMPORT)
        if kind != "ready":
            self.close()
            raise SolverError(content if kind == "failed" else f"{self.label} cannot be imported: it {content}")
        self._names = content

    @staticmethod
    def _listen(process: subprocess.Popen[bytes], answers: "queue.SimpleQueue[Any]") -> None:
        assert process.stdout is not None
        try:
            while True:
                answers.put(_read(process.stdout))
        except (EOFError, OSError, pickle.UnpicklingError):
            answers.put(("gone", _GONE))

    def _next(self, timeout: float | None) -> tuple[str, Any]:
        try:
            return self._answers.get(timeout=timeout)
        except queue.Empty:
            return "gone", f"takes more than {timeout:g} s"

    def solve(self, x: Array, parameters: dict[str, Any]) -> Any:
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            _write(self._process.stdin, (x, x.strides, x.flags.writeable, parameters))
            kind, content = self._next(self._timeout)
        except OSError:
            kind, content = "gone", _GONE
        if kind == "gone":
            self.close()
        if kind != "answer":
            raise SolverError(content)
        answer, seen = content
        x_after = np.asarray(seen)
        if x.flags.writeable and x_after.shape == x.shape:
            x[...] = x_after  # what the solver did to its input shows here too
        return answer

    def close(self) -> None:
        if self._process is not None:
            _end(self._process)
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process, and where the system can, all that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _receive(requests: IO[bytes], received: "queue.SimpleQueue[Any]") -> None:
    """Pass on requests; end the process, whatever the solver is doing, when the other side has gone."""
    while True:
        try:
            received.put(_read(requests))
        except (EOFError, OSError):
            os._exit(0)


def _laid_out_again(x: Array, strides: tuple[int, ...], writeable: bool) -> Array:
    """Pickling makes arrays contiguous, and some read-only; give this one the strides and the flag that it had."""
    x = np.array(x, order="K")
    if x.strides != strides:
        reach = [abs(step) * (size - 1) for step, size in zip(strides, x.shape, strict=True)]
        buffer = np.full(sum(reach) + x.itemsize, 0x55, np.uint8)
        start = sum(r for r, step in zip(reach, strides, strict=True) if step < 0)
        view: Array = np.ndarray(x.shape, x.dtype, buffer.data, start, strides)
        view[...] = x
        x = view
    x.flags.writeable = writeable
    return x


def serve(name: str) -> None:
    """Answer requests from standard input until it ends; what the solver prints goes nowhere."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:
        function = load(name)
    except SolverError as error:
        _write(answers, ("failed", str(error)))
        return
    _write(answers, ("ready", accepted(function)))
    runner = InProcess(function, None)
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, received), daemon=True).start()
    while True:
        x, strides, writeable, parameters = received.get()
        x = _laid_out_again(x, strides, writeable)
        try:
            _write(answers, ("answer", (np.asarray(runner.solve(x, parameters)), np.ascontiguousarray(x))))
        except SolverError as error:
            _write(answers, ("failed", str(error)))
        except Exception as error:
            _write(answers, ("failed", f"returns something that is no array ({type(error).__name__})"))
