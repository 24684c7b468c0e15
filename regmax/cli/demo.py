"""`regmax demo`: every operator on the attention of a real transformer, certified, checked, timed and drawn."""

import argparse
import importlib
import sys
import time
from pathlib import Path

from .atomic import replacing
from .errors import CommandError
from .examples import Attention, examples, load_attention
from .measure import WITNESS_ROWS, Result, measure
from .progress import progress
from .text import bars, header, table

__all__ = ["configure", "run"]

_PICTURE = "regmax-demo.png"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", metavar="DIR", default=".", help=f"folder for {_PICTURE} (default: the current one)")


def _require(*packages: str) -> None:
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise CommandError(f'{package} is not installed: pip install "regmax[demo]"') from error


def _measure_all(attention: Attention) -> list[Result]:
    chosen = examples(attention)
    results = []
    with progress() as report:
        for done, example in enumerate(chosen):
            report(f"compiling and running {example.operator.name}", done, len(chosen))
            results.append(measure(example, attention))
        report("drawing", len(chosen), len(chosen))
    return results


def _folder(path: str) -> Path:
    folder = Path(path)
    try:
        exists = folder.exists()
    except OSError as error:
        raise CommandError(f"cannot use the folder {path} ({error.strerror}): name another with --out") from error
    if not exists:
        raise CommandError(f"the folder {path} does not exist: create it or name another with --out")
    if not folder.is_dir():
        raise CommandError(f"{path} is not a folder: name one with --out")
    return folder


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    started = time.perf_counter()
    target = _folder(options.out) / _PICTURE
    _require("cvxpy", "matplotlib")
    from .picture import draw

    attention = load_attention()
    with replacing(target) as temporary:
        results = _measure_all(attention)
        draw(attention, results, temporary)
    encoding = getattr(sys.stdout, "encoding", None)
    closing = [
        f"Worst gap over all operators: {max(result.gap for result in results):.1e}",
        f"Picture: {target}",
        f"Total: {time.perf_counter() - started:.1f} s",
    ]
    print("\n\n".join([header(attention), table(results), bars(attention, results, WITNESS_ROWS[0], encoding)]))
    print("\n" + "\n".join(closing))
