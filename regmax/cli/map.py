"""`regmax map`: one operator over a .npy file, in blocks of rows, so that the file may exceed memory."""

import argparse
import difflib
import errno
import math
import os
import tokenize
import warnings
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

import regmax
from regmax._rows import as_rows, normalised_axis

from .atomic import replacing
from .errors import CommandError
from .progress import Report, progress

__all__ = ["configure", "run"]

Array = NDArray[Any]
Block = tuple[slice, ...]

_BLOCK = 1 << 22  # entries computed at a time
_PREFIX = "parameter_"


def _takers() -> dict[str, list[str]]:
    """For each parameter of any operator, the operators that take it."""
    takers: dict[str, list[str]] = {}
    for name, kind in regmax.operators().items():
        for declared in fields(kind):  # type: ignore[arg-type]
            takers.setdefault(declared.name, []).append(name)
    return takers


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Example: regmax map --op fusedmax --lam 0.1 --in x.npy --out y.npy"
    names = ", ".join(sorted(regmax.operators()))
    parser.add_argument("--op", required=True, metavar="NAME", help=f"the operator: {names}")
    parser.add_argument("--in", required=True, metavar="X.npy", dest="source", help="scores, real, any shape")
    parser.add_argument("--out", required=True, metavar="Y.npy", help="weights; may be the input file")
    parser.add_argument(
        "--axis",
        type=_axis,
        default=-1,
        metavar="AXIS",
        help="axis with the scores of one problem, or two: --axis=-2,-1 (default: -1; of matrices -2,-1)",
    )
    parser.add_argument(
        "--where", metavar="MASK.npy", help="boolean mask that broadcasts to the scores, True = takes part"
    )
    group = parser.add_argument_group(
        "parameters of the operators",
        "each a number or a .npy file with an array; shape as 16x16; edges (m, 2), or adjacency from save_npz",
    )
    for name, takers in _takers().items():
        group.add_argument(f"--{name}", dest=_PREFIX + name, metavar="VALUE", help="of " + ", ".join(sorted(takers)))


def _load(path: str, option: str) -> Array:
    """The array in a .npy file, mapped, not read."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise CommandError(f"cannot read {option} {path} (not a regular file): name a .npy file")
    try:
        with np.errstate(over="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a header may claim more entries than there are integers
            return open_memmap(path, mode="r")
    except OSError as error:
        raise CommandError(f"cannot read {option} {path} ({error.strerror}): name a .npy file that exists") from error
    except (ValueError, EOFError, SyntaxError, TypeError, OverflowError, tokenize.TokenError) as error:
        raise CommandError(
            f"{option} {path} is not a whole .npy file of numbers: write a real array with numpy.save"
        ) from error


def _adjacency(path: str, option: str) -> Any:
    """A sparse matrix as scipy.sparse.save_npz writes it."""
    import scipy.sparse

    try:
        return scipy.sparse.load_npz(path)
    except OSError as error:
        raise CommandError(f"cannot read {option} {path} ({error.strerror}): name a .npz file that exists") from error
    except Exception as error:
        raise CommandError(f"{option} {path} is not a sparse matrix: write one with scipy.sparse.save_npz") from error


def _axis(text: str) -> int | tuple[int, ...]:
    """An axis, or several."""
    axes = tuple(int(word) for word in text.split(","))
    return axes[0] if len(axes) == 1 else axes


def _value(declared: Field[Any], text: str) -> Any:
    """A parameter as typed: a number, an array from a file, a shape or a word."""
    name = declared.name
    if text.endswith(".npy"):
        return _load(text, f"--{name}")
    if text.endswith(".npz"):
        return _adjacency(text, f"--{name}")
    if declared.metadata["kind"] == "structure":
        sides = text.replace(",", "x").split("x")
        return tuple(map(int, sides)) if all(side.isdigit() for side in sides) else text
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    raise CommandError(f"--{name} must be a number or the path of a .npy file, got {text!r}")


def _kind(name: str) -> type[regmax.Regularizer]:
    kinds = regmax.operators()
    if name in kinds:
        return kinds[name]
    close = difflib.get_close_matches(name, kinds, n=3, cutoff=0.5)
    known = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(sorted(kinds))}"
    raise CommandError(f"there is no operator {name!r}: {known}")


def _given(options: argparse.Namespace, declared: dict[str, Field[Any]]) -> dict[str, Any]:
    """The parameters on the command line, all of which the operator must take."""
    typed = {
        key.removeprefix(_PREFIX): text
        for key, text in vars(options).items()
        if key.startswith(_PREFIX) and text is not None
    }
    for name in typed:
        if name not in declared:
            raise CommandError(f"{options.op} has no parameter {name!r}: it takes {', '.join(declared)}")
    return {name: _value(declared[name], text) for name, text in typed.items()}


def _blocks(shape: tuple[int, ...], axes: tuple[int, ...], limit: int, fixed: Block = ()) -> Iterator[Block]:
    """Slices that cover an array, none of which cuts ``axes``, of at most ``limit`` entries or a single problem."""
    place = len(fixed)
    if place == len(shape):
        yield fixed
    elif place in axes:
        yield from _blocks(shape, axes, limit, (*fixed, slice(0, shape[place])))
    else:
        inner = math.prod(shape[place + 1 :]) * math.prod(shape[axis] for axis in axes if axis < place)
        step = max(1, limit // max(1, inner))
        for start in range(0, shape[place], step):
            block = (*fixed, slice(start, min(start + step, shape[place])))
            if inner <= limit:
                yield (*block, *(slice(0, size) for size in shape[place + 1 :]))
            else:
                yield from _blocks(shape, axes, limit, block)


def _off(axes: tuple[int, ...], parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """What belongs to the batch."""
    return tuple(part for place, part in enumerate(parts) if place not in axes)


def _broadcast(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    try:
        return np.broadcast_to(value, shape)
    except ValueError as error:
        raise CommandError(f"--{name} must broadcast to shape {shape}, got shape {value.shape}") from error


def _cutter(declared: Field[Any], value: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Callable[[Block], Any]:
    """What a parameter is on a block of the scores."""
    kind, name = declared.metadata["kind"], declared.name
    shared = kind == "structure" or (kind not in ("row", "item") and np.ndim(value) < 2)
    if shared or not isinstance(value, np.ndarray):
        return lambda block: value
    if kind == "item":
        whole = _broadcast(name, value, shape)
        return lambda block: whole[block]
    batch = _off(axes, shape)
    whole = _broadcast(name, value, batch if kind == "row" else (*batch, value.shape[-1]))
    return lambda block: whole[_off(axes, block)]


def _place(block: Block, shape: tuple[int, ...]) -> str:
    """Where a block lies, since an operator counts the rows of the block; nothing where it is the whole."""
    if all(part == slice(0, size) for part, size in zip(block, shape, strict=True)):
        return ""
    return f" (within x[{', '.join(f'{part.start}:{part.stop}' for part in block)}])"


def _weights(
    kind: type[regmax.Regularizer], parameters: dict[str, Any], x: Array, axis: Any, where: Any, place: str
) -> Array:
    try:
        return kind(**parameters).argmax(x, axis, where)
    except (ValueError, TypeError, MemoryError) as error:
        # An array that is quoted in the complaint fills several lines.
        sentence = " ".join(line.strip() for line in str(error).splitlines())
        raise CommandError(f"{sentence}{place}") from error


def _reserve(path: Path) -> None:
    """Claim the space of a file now: a full disk would otherwise kill the process while it writes to the mapping."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def _checked_axes(kind: type[regmax.Regularizer], x: Array, axis: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The axes counted from 0 and the dtype of the weights, from an empty batch of the same dtype."""
    try:
        given = axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(normalised_axis(kind.name, one, x.ndim) for one in given)
        none = x[tuple(slice(size if place in axes else 0) for place, size in enumerate(x.shape))]
        batch = as_rows(kind.name, none, axis, pair=kind.matrix)
        return batch.axes, batch.dtype
    except (ValueError, TypeError) as error:
        raise CommandError(str(error)) from error


def _write(options: argparse.Namespace, path: Path, report: Report) -> str:
    """Fill ``path`` block by block; a summary. The mappings end with this call, before the file is replaced."""
    kind = _kind(options.op)
    declared = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    given = _given(options, declared)
    x = _load(options.source, "--in")
    folded = not kind.matrix or "shape" in given
    axis = (-2, -1) if options.axis == -1 and not folded else options.axis
    axes, dtype = _checked_axes(kind, x, axis)
    cutters = {name: _cutter(declared[name], value, x.shape, axes) for name, value in given.items()}
    where = None if options.where is None else _broadcast("where", _load(options.where, "--where"), x.shape)
    y = open_memmap(path, mode="w+", dtype=dtype, shape=x.shape)
    _reserve(path)
    done = 0
    for block in _blocks(x.shape, axes, _BLOCK):
        parameters = {name: cut(block) for name, cut in cutters.items()}
        mask = None if where is None else where[block]
        y[block] = _weights(kind, parameters, x[block], axis, mask, _place(block, x.shape))
        done += x[block].size
        report(options.op, done, x.size)
    y.flush()
    sides = [x.shape[one] for one in axes]
    unit = "rows" if len(axes) == 1 else "matrices"
    return f"{x.size // math.prod(sides)} {unit} of {' x '.join(map(str, sides))}, {dtype}"


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    with replacing(options.out) as temporary, progress() as report:
        summary = _write(options, temporary, report)
    print(f"{options.op}: {summary}, written to {options.out}")
