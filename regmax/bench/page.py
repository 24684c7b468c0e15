"""The measurements as a page of Markdown, and time against row length as a picture."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .table import Line, Measured, yardstick

__all__ = ["draw", "markdown"]

#: What answers another question, and how its line is drawn.
_YARDSTICKS = {"copy": "--", "torch softmax": ":", "numpy sort": "-."}


def _time(seconds: float) -> str:
    scale, unit = (1e6, " us") if seconds < 1e-3 else (1e3, " ms")
    return f"{seconds * scale:.3g}{unit}"


def _cell(cell: Measured | None) -> str:
    if cell is None:
        return ""
    if cell.seconds is None:
        return cell.failed or "failed"
    if cell.gap is None:
        return _time(cell.seconds)
    return f"{_time(cell.seconds)} ({max(cell.gap, cell.violation or 0.0):.0e})"


def _ratio(line: Line, other: Measured | None) -> str:
    ours = line.cell("regmax")
    if other is None or ours is None or not other.seconds or not ours.seconds:
        return ""
    return f"{ours.seconds / other.seconds:.2f}"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(lines: Sequence[Line]) -> str:
    names = dict.fromkeys(cell.library for line in lines for cell in line.cells)
    libraries = [*(n for n in names if n not in _YARDSTICKS), *(n for n in _YARDSTICKS if n in names)]
    heads = ["case", "threads", *libraries, "to the yardstick", "to the fastest other"]
    rows = []
    for line in lines:
        measured = yardstick(line)
        ratio = _ratio(line, measured)
        named = f"{ratio} x {measured.library}" if measured and ratio else ""
        cells = [_cell(line.cell(library)) for library in libraries]
        rows.append(_row([line.case, str(line.threads), *cells, named, _ratio(line, line.fastest_other)]))
    return "\n".join([_row(heads), _row("---" for _ in heads), *rows])


def markdown(found: dict[str, Any], lines: Sequence[Line], picture: str | None = None) -> str:
    """A page; ``found`` holds date, command, machine and versions."""
    versions = ", ".join(f"{name} {v}" for name, v in found["libraries"].items() if v)
    missing = ", ".join(name for name, v in found["libraries"].items() if not v) or "none"
    parts = [
        f"# Measured on {found['date']}",
        f"{found['machine']}. regmax {found['regmax']}, {versions}. Not installed, so left out: {missing}.",
        f"Written by `{found['command']}`; do not edit. Each cell is the median time of a call and, in parentheses, "
        "the worst gap or violation of its answer in units of the row's scale (see "
        "[verification](../verification.md)). Yardsticks (torch softmax, numpy sort, copy) answer another question "
        "and have no accuracy. Ratios are those of regmax, taken in one process with runs interleaved; times of "
        "different days must not be compared.",
    ]
    if picture:
        parts.append(f"![Time per entry against row length]({picture})")
    for group in dict.fromkeys(line.group for line in lines):
        parts.append(f"## {group}\n\n{_table([line for line in lines if line.group == group])}")
    return "\n\n".join(parts) + "\n"


def draw(lines: Sequence[Line], path: str | Path, kind: str = "png") -> None:
    """Nanoseconds per entry against row length, from the lines of the group "scaling"."""
    from matplotlib.figure import Figure

    chosen = [line for line in lines if line.group == "scaling" and line.threads == 1]
    names = list(dict.fromkeys(line.case.split(",")[0] for line in chosen))
    figure = Figure(figsize=(12, 6), layout="constrained")
    panels = figure.subplots(2, -(-len(names) // 2), sharex=True, sharey=True, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        mine = [line for line in chosen if line.case.split(",")[0] == name]
        for library in dict.fromkeys(cell.library for line in mine for cell in line.cells):
            found = [(line.n, line.rows * line.n, cell) for line in mine if (cell := line.cell(library))]
            points = [(n, 1e9 * cell.seconds / size) for n, size, cell in found if cell.seconds]
            style: dict[str, Any] = {"color": "#c0392b", "lw": 2.2, "zorder": 3} if library == "regmax" else {"lw": 1.1}
            if library in _YARDSTICKS:
                style = {"color": "#999999", "lw": 1.0, "ls": _YARDSTICKS[library]}
            axes.loglog(*zip(*points, strict=True), label=library, **style)
        axes.set_title(name)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=6, loc="upper right", edgecolor="none", framealpha=0.9)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    panels[0].set_ylim(top=panels[0].get_ylim()[1] * 100)  # room for the legends
    figure.supxlabel("entries per row (262144 or more in all)")
    figure.supylabel("nanoseconds per entry, one thread")
    figure.savefig(path, dpi=110, format=kind)
