"""Files that appear whole or not at all."""

import argparse
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import CommandError

__all__ = ["distinct", "replacing"]


def distinct(options: argparse.Namespace, *names: str) -> dict[str, str]:
    """The output files among some options; no two may be the same file."""
    named = {name: path for name in names if (path := getattr(options, name)) is not None}
    seen: dict[str, str] = {}
    for name, path in named.items():
        other = seen.setdefault(os.path.realpath(path), name)
        if other != name:
            raise CommandError(f"--{other} and --{name} name the same file: name two")
    return named


def _checked(path: str | Path) -> Path:
    """The file behind ``path``, links followed, if it can be made or replaced."""
    target = Path(os.path.realpath(path))
    try:
        taken = target.exists() and not target.is_file()
    except OSError as error:
        raise CommandError(f"cannot write {path} ({error.strerror}): name another output") from error
    if not str(path) or taken:
        raise CommandError(f"{str(path)!r} is not a regular file: name another output")
    if not target.parent.is_dir():
        raise CommandError(f"the folder {target.parent} does not exist: create it or name another output")
    return target


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place at the end, and is removed if anything goes wrong."""
    target = _checked(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            temporary.touch(exist_ok=False)
            yield temporary
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(f"cannot write {path} ({error.strerror}): name an output that can be written") from error
