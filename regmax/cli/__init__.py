"""The command ``regmax``: demo, verify, bench, info and map."""

import argparse
import difflib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import regmax

from . import bench, demo, info, verify
from . import map as mapping
from .errors import CommandError
from .termination import Terminated, terminable

__all__ = ["main"]

_COMMANDS = (
    ("demo", demo, "run every operator on the attention of a real transformer: a table, and a picture"),
    ("verify", verify, "judge every solver, or one of yours, by certificates, CVXPY and difference quotients"),
    ("bench", bench, "time our solvers beside the libraries that are installed, with the accuracy each delivers"),
    ("info", info, "show versions, threads, the kernel cache, and which backends answer"),
    ("map", mapping, "apply one operator to a .npy file of any size"),
)
_BAD_INPUT = 2
_INTERRUPTED = 130
_PIPE_CLOSED = 141
_TERMINATED = 143


class _Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(_BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> _Parser:
    parser = _Parser(prog="regmax", description=regmax.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"regmax {regmax.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module, words in _COMMANDS:
        sub = commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.", allow_abbrev=False)
        module.configure(sub)
        sub.set_defaults(run=module.run, parser=sub)
    return parser


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    options, unknown = _parser().parse_known_args(argv)
    if unknown:
        known = [text for action in options.parser._actions for text in action.option_strings]
        close = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
        hint = f", did you mean {close[0]}?" if close else ""
        options.parser.error(f"there is no option {unknown[0]}{hint}")
    return options


def _allow_any_path() -> None:
    """Let standard output print a path that its encoding cannot carry."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _silence() -> None:
    """Python flushes standard output once more at exit, which must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace) -> int:
    try:
        code = options.run(options) or 0
        sys.stdout.flush()
    except CommandError as error:
        print(f"{options.parser.prog}: {error}", file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        print(f"{options.parser.prog}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except Terminated:
        return _TERMINATED
    except BrokenPipeError:
        _silence()
        return _PIPE_CLOSED
    except OSError as error:
        _silence()
        print(f"{options.parser.prog}: cannot write to standard output ({error.strerror})", file=sys.stderr)
        return _BAD_INPUT
    return int(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: that of the process); the exit code: 1 if a verification failed,
    2 for input that must be changed."""
    try:
        options = _parse(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    _allow_any_path()
    with terminable():
        return _run(options)
