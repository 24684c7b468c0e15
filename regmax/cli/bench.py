"""`regmax bench`: our solvers beside the libraries that are installed, as text, JSON, a page and a picture."""

import argparse
import datetime
import json
import os
import platform
import shlex
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import regmax

from .atomic import distinct, replacing
from .errors import CommandError
from .options import a_number_above, several, whole_numbers
from .progress import progress

__all__ = ["configure", "run"]

_NO_SCALING = "--plot needs the table scaling: add --group scaling"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--group", type=several, action="extend", metavar="NAME", help="these tables only (comma or again)"
    )
    parser.add_argument("--list", action="store_true", help="list the tables and what is installed, and stop")
    parser.add_argument(
        "--threads", type=whole_numbers, default=[1], metavar="N,N", help="numbers of threads (default: 1)"
    )
    parser.add_argument("--seconds", type=a_number_above, default=0.5, help="per case (default: 0.5)")
    parser.add_argument("--json", metavar="FILE", help="write every figure here")
    parser.add_argument("--page", metavar="FILE", help="write the tables as Markdown here")
    parser.add_argument("--plot", metavar="FILE", help="draw time against row length here (the table scaling)")
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="measure nothing: take the figures of this JSON file"
    )


def _machine() -> str:
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _chosen(options: argparse.Namespace) -> list[str]:
    from regmax.bench import groups

    for name in options.group or []:
        if name not in groups():
            raise CommandError(f"there is no table {name!r}; there are {', '.join(groups())}")
    return options.group or list(groups())


def _measure(options: argparse.Namespace, names: list[str]) -> tuple[dict[str, Any], list[Any]]:
    from regmax.bench import measure_group
    from regmax.bench.libraries import installed
    from regmax.bench.table import text

    before = regmax.get_num_threads()
    lines = []
    try:
        for name in names:
            with progress() as bar:
                measured = measure_group(name, options.threads, options.seconds, bar)
            print(text(measured), flush=True)
            lines += measured
    finally:
        regmax.set_num_threads(before)
    found = {
        "regmax": regmax.__version__,
        "date": datetime.date.today().isoformat(),
        "command": f"regmax {shlex.join(sys.argv[1:])}",
        "machine": _machine(),
        "libraries": installed(),
    }
    return found, lines


def _is_whole(found: dict[str, Any], lines: list[Any]) -> bool:
    words = all(isinstance(found[key], str) for key in ("date", "machine", "command", "regmax"))
    return words and isinstance(found["libraries"], dict) and all(isinstance(line.case, str) for line in lines)


def _load(path: str) -> tuple[dict[str, Any], list[Any]]:
    from regmax.bench import Line, Measured

    try:
        whole = json.loads(Path(path).read_text(encoding="utf-8"))
        lines = [Line(**{**line, "cells": [Measured(**cell) for cell in line["cells"]]}) for line in whole.pop("lines")]
        if not _is_whole(whole, lines):
            raise ValueError
    except OSError as error:
        raise CommandError(
            f"cannot read {path} ({error.strerror}): name a file that `regmax bench --json` wrote"
        ) from error
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} holds no figures: name a file that `regmax bench --json` wrote") from error
    return whole, lines


def _write(options: argparse.Namespace, found: dict[str, Any], lines: list[Any], files: dict[str, Path]) -> None:
    from regmax.bench.page import draw, markdown

    if "json" in files:
        whole = {**found, "lines": [asdict(line) for line in lines]}
        files["json"].write_text(
            json.dumps(whole, separators=(",", ":")).replace('{"group"', '\n{"group"'), encoding="utf-8"
        )
    if "plot" in files:
        if not any(line.group == "scaling" for line in lines):
            raise CommandError(_NO_SCALING)
        # Named by its format, because the temporary file has no ending that tells.
        draw(lines, files["plot"], Path(options.plot).suffix.lstrip(".") or "png")
    if "page" in files:
        picture = os.path.relpath(options.plot, Path(options.page).parent) if options.plot else None
        files["page"].write_text(markdown(found, lines, picture), encoding="utf-8")


def _listed() -> str:
    from regmax.bench import cases, groups
    from regmax.bench.libraries import installed

    tables = [f"  {name:<14}{len(cases(name))} cases" for name in groups()]
    libraries = [f"  {name:<17}{version or 'not installed'}" for name, version in installed().items()]
    return "\n".join(["tables", *tables, "libraries", *libraries])


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.list:
        print(_listed())
        return
    names = _chosen(options)
    if options.plot and not options.source and "scaling" not in names:
        raise CommandError(_NO_SCALING)
    if options.plot:
        try:
            import matplotlib.figure  # noqa: F401
        except ImportError as error:
            raise CommandError('matplotlib is not installed: pip install "regmax[plot]"') from error
    with ExitStack() as outputs:
        wanted = distinct(options, "json", "page", "plot")
        files = {key: outputs.enter_context(replacing(path)) for key, path in wanted.items()}
        found, lines = _load(options.source) if options.source else _measure(options, names)
        _write(options, found, lines, files)
