"""The measuring: contenders in turn, medians, and the accuracy of every answer."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax.verify.subject import measure

from .cases import Case, cases
from .contender import Contender
from .libraries import contenders, set_threads

__all__ = ["Line", "Measured", "measure_group", "text", "yardstick"]

_LEAST_RUNS, _MOST_RUNS = 5, 400
_TOO_SLOW = 2.0  # seconds of one call, after which it is not repeated
_FAST = 0.02  # seconds of one call below which the caches matter


@dataclass(frozen=True)
class Measured:
    """One cell: the median time of a call, how often it ran, and the worst gap and violation of its answer.

    ``gap`` is None for a yardstick, which answers another question; ``failed`` says what was raised instead.
    """

    library: str
    seconds: float | None
    runs: int = 0
    gap: float | None = None
    violation: float | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Line:
    """One case with all its cells."""

    group: str
    case: str
    rows: int
    n: int
    dtype: str
    threads: int
    cells: list[Measured] = field(default_factory=list)

    def cell(self, library: str) -> Measured | None:
        """The cell of one library."""
        return next((cell for cell in self.cells if cell.library == library), None)

    @property
    def fastest_other(self) -> Measured | None:
        """The fastest of the other libraries that answer."""
        others = [c for c in self.cells if c.library != "regmax" and c.gap is not None and c.seconds is not None]
        return min(others, key=lambda cell: cell.seconds or np.inf, default=None)


def yardstick(line: Line) -> Measured | None:
    """What the ratio of a line is taken to: the sort, the softmax, the fastest other solver, or the copy."""
    for name in ("numpy sort", "torch softmax"):
        if (cell := line.cell(name)) is not None:
            return cell
    return line.fastest_other or line.cell("copy")


def _seconds(call: Callable[[], Any], *, warm: bool = False) -> float:
    """The time of a call; of the second of two if the first shall fill the caches that others have emptied."""
    if warm:
        call()
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _accuracy(case: Case, x: NDArray[Any], contender: Contender) -> tuple[float | None, float | None]:
    if not contender.answers:
        return None, None
    y = np.asarray(contender.call())
    if y.shape != x.shape or np.isnan(y).any():
        return np.inf, np.inf
    violation, gap = measure(case.operator, x, y)
    return float(np.max(gap)), float(np.max(violation))


def _short(value: float | None) -> float | None:
    """Two digits are enough for an error."""
    return None if value is None else float(f"{value:.2g}")


def measure_case(case: Case, threads: int, budget: float) -> Line:
    """All contenders of one case, their runs interleaved, so that a busy moment of the machine hits all."""
    set_threads(threads)
    x = case.rows()
    line = Line(case.group, case.label, case.shape[0], case.shape[1], case.dtype, threads)
    running: dict[str, list[float]] = {}
    accuracies: dict[str, tuple[float | None, float | None]] = {}
    ready = []
    for contender in contenders(case, x):
        try:
            accuracies[contender.name] = _accuracy(case, x, contender)
            running[contender.name] = [_seconds(contender.call)]
            ready.append(contender)
        except Exception as error:
            line.cells.append(Measured(contender.name, None, failed=type(error).__name__))
    repeated = [contender for contender in ready if running[contender.name][0] < _TOO_SLOW]
    spent = 0.0
    for run in range(_MOST_RUNS):
        if run >= _LEAST_RUNS and spent >= budget:
            break
        for contender in repeated:
            times = running[contender.name]
            times.append(_seconds(contender.call, warm=times[0] < _FAST))
            spent += times[-1]
    for contender in ready:
        times = running[contender.name][1:] or running[contender.name]
        gap, violation = accuracies[contender.name]
        median = float(f"{np.median(times):.4g}")
        line.cells.append(Measured(contender.name, median, len(times), _short(gap), _short(violation)))
    return line


def measure_group(
    group: str,
    threads: Sequence[int] = (1,),
    budget: float = 0.5,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Line]:
    """Every case of one table, for each number of threads where it names none; ``budget`` is in seconds per case."""
    work = [(case, count) for case in cases(group) for count in case.threads or threads]
    lines = []
    for done, (case, count) in enumerate(work):
        if progress is not None:
            progress(f"{group}: {case.label}", done, len(work))
        lines.append(measure_case(case, count, budget))
    return lines


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "failed"
    scale, unit = (1e6, "us") if seconds < 1e-3 else (1e3, "ms")
    return f"{seconds * scale:.3g} {unit}"


def text(lines: Sequence[Line]) -> str:
    """The lines as text, one contender below the other."""
    parts = []
    for line in lines:
        reference = yardstick(line)
        parts.append(f"{line.group}: {line.case} ({line.threads} thread{'s' if line.threads > 1 else ''})")
        for cell in line.cells:
            ratio = ""
            if reference is not None and reference.seconds and cell.seconds:
                ratio = f"{cell.seconds / reference.seconds:8.2f} x {reference.library}"
            gap = "" if cell.gap is None else f"   gap {cell.gap:.0e}"
            parts.append(f"    {cell.library:<28}{cell.failed or _time(cell.seconds):>10}{ratio}{gap}")
    return "\n".join(parts)
