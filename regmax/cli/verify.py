"""`regmax verify`: a table per operator, the line that repeats each failure, and reports as JSON and HTML."""

import argparse
import importlib
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import regmax

from .atomic import distinct, replacing
from .errors import CommandError
from .options import a_number_above, a_whole_number, a_whole_number_above, several, whole_numbers
from .progress import progress

__all__ = ["configure", "run"]

_SHOWN_FAILURES = 20
_FAILED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--op", type=several, action="extend", metavar="NAME", help="judge these only (comma or again)")
    parser.add_argument(
        "--size",
        type=whole_numbers,
        metavar="N,N,...",
        help="row lengths (default: 1,2,3,8,33,257)",
    )
    parser.add_argument(
        "--cases", type=a_whole_number_above, default=6, metavar="N", help="rows per random family (default: 6)"
    )
    parser.add_argument("--seed", type=a_whole_number, default=0, help="of the random families (default: 0)")
    parser.add_argument(
        "--tol",
        type=a_number_above,
        default=1e-12,
        help="largest gap, in units of a row's scale (default: 1e-12; float32 1e-5)",
    )
    parser.add_argument(
        "--solver",
        metavar="PACKAGE.MODULE:FUNCTION",
        help="judge this function instead of ours; called as function(rows, **parameters it names), in its own process",
    )
    parser.add_argument(
        "--timeout", type=a_number_above, default=60.0, help="seconds per call of --solver (default: 60)"
    )
    parser.add_argument("--case", metavar="CASE", help="repeat one case of an earlier report")
    parser.add_argument("--json", metavar="FILE", help="write all measurements here")
    parser.add_argument("--html", metavar="FILE", help="write a page with plots here; it needs no network to be read")


def _require(package: str, extra: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise CommandError(f'{package} is not installed: pip install "regmax[{extra}]"') from error


def _chosen(options: argparse.Namespace) -> list[str]:
    from regmax.verify.subject import kinds

    known = list(kinds())
    for name in options.op or []:
        if name not in known:
            raise CommandError(f"there is no operator {name!r}; there are {', '.join(known)}")
    if options.op == []:
        raise CommandError(f"--op names no operator; there are {', '.join(known)}")
    if options.case is not None and not options.op:
        options.op = [options.case.split("/")[0]]
    if options.solver is not None and (options.op is None or len(options.op) != 1):
        raise CommandError("--solver needs one operator to be judged against: name it with --op")
    if options.case is not None and len(options.op or []) != 1:
        raise CommandError("--case belongs to one operator: leave --op away, or name that one")
    return list(dict.fromkeys(options.op or known))


def _judged(options: argparse.Namespace, name: str, report: Any) -> Any:
    from regmax.verify import check, verify
    from regmax.verify.check import DEFAULT_SIZES

    common = {
        "sizes": options.size or DEFAULT_SIZES,
        "rows": options.cases,
        "seed": options.seed,
        "tol": options.tol,
        "case": options.case,
        "progress": report,
    }
    try:
        if options.solver is None:
            return verify(name, **common)
        return check(options.solver, name, timeout=options.timeout, **common)
    except ValueError as error:
        if not str(error).startswith("verify: "):
            raise
        raise CommandError(str(error).removeprefix("verify: ")) from error


def _all(options: argparse.Namespace, names: list[str]) -> Any:
    from regmax.verify import Report

    whole = Report()
    with progress() as bar:
        for name in names:
            part = _judged(options, name, bar)
            whole.measurements += part.measurements
            whole.failures += part.failures
            whole.skipped += part.skipped
    return whole


def _write(options: argparse.Namespace, report: Any, files: dict[str, Path]) -> None:
    if "json" in files:
        settings = {key: getattr(options, key) for key in ("solver", "seed", "cases", "tol")}
        whole = {"regmax": regmax.__version__, **settings, **report.as_dict()}
        files["json"].write_text(json.dumps(whole, indent=1, allow_nan=False), encoding="utf-8")
    if "html" in files:
        from regmax.verify.page import page

        files["html"].write_text(page(report, title=_title(options)), encoding="utf-8")


def _title(options: argparse.Namespace) -> str:
    return f"regmax {regmax.__version__}: {options.solver or 'its own solvers'} verified"


def _print(report: Any, seconds: float) -> None:
    from regmax.verify.report import table

    print(table(report))
    for failure in report.failures[:_SHOWN_FAILURES]:
        print(f"\n{failure}")
    if len(report.failures) > _SHOWN_FAILURES:
        print(f"\n... and {len(report.failures) - _SHOWN_FAILURES} more failures; --json FILE holds all of them.")
    for sentence in sorted(set(report.skipped)):
        print(f"\nLeft out: {sentence}.")
    if not report.measurements:
        print("\nNothing was judged, which is no pass.")
    broken = len({str(failure.case) for failure in report.failures})
    verdict = "Everything passes" if report.passed else f"{broken} fail of"
    print(f"\n{verdict}{':' if report.passed else ''} {len(report.measurements)} cases, in {seconds:.0f} s.")


def run(options: argparse.Namespace) -> int:
    """Run the command; 1 if anything failed."""
    started = time.perf_counter()
    _require("cvxpy", "verify")
    if options.html:
        _require("matplotlib", "plot")
    if options.solver is not None and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does, so that a module in this folder is found
    names = _chosen(options)
    with ExitStack() as outputs:
        named = distinct(options, "json", "html")
        files = {key: outputs.enter_context(replacing(path)) for key, path in named.items()}
        report = _all(options, names)
        _write(options, report, files)
    _print(report, time.perf_counter() - started)
    return 0 if report.passed else _FAILED
