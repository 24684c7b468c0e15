"""What a verification found: a measurement per case, the failures, and the line that repeats each."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from math import isfinite, isnan
from typing import Any

__all__ = ["Case", "Failure", "Measurement", "Report", "shown", "summary", "table"]


@dataclass(frozen=True)
class Case:
    """One batch of rows: which operator and which of its samples, how long, which family, dtype and memory layout."""

    operator: str
    sample: int
    n: int
    family: str
    dtype: str = "float64"
    layout: str = "plain"

    def __str__(self) -> str:
        return f"{self.operator}/{self.sample}/{self.n}/{self.family}/{self.dtype}/{self.layout}"

    @classmethod
    def parse(cls, text: str) -> "Case":
        """The case that prints as ``text``; raises ValueError otherwise."""
        parts = text.split("/")
        if len(parts) != 6 or not parts[1].isdecimal() or not parts[2].isdecimal() or int(parts[2]) < 1:
            raise ValueError(
                f"verify: a case must read operator/sample/size/family/dtype/layout, such as "
                f"fusedmax/0/8/ties/float64/plain, got {text!r}"
            )
        return cls(parts[0], int(parts[1]), int(parts[2]), *parts[3:])


@dataclass(frozen=True)
class Measurement:
    """The worst row of one case; None where a quantity was not measured there."""

    case: Case
    violation: float | None = None
    gap: float | None = None
    distance: float | None = None
    derivative: float | None = None


@dataclass(frozen=True)
class Failure:
    """One broken promise: where, what, and the line that repeats it."""

    case: Case
    what: str
    line: str

    def __str__(self) -> str:
        return f"{self.case}: {self.what}\n    {self.line}"


@dataclass
class Report:
    """All measurements of one verification.

    ``gap`` is in units of the scale of each row (see docs/numerics.md), ``distance`` that to CVXPY, ``derivative``
    the error of derivatives in units of 1 + their size. ``skipped`` says what could not be asked, and why.
    """

    measurements: list[Measurement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether something was measured and nothing failed."""
        return bool(self.measurements) and not self.failures

    def _worst(self, name: str) -> float:
        return max((v for m in self.measurements if (v := getattr(m, name)) is not None), default=float("nan"))

    @property
    def worst_gap(self) -> float:
        """Largest gap in units of its scale; NaN where none was measured, as for the others."""
        return self._worst("gap")

    def gap_in(self, dtype: str) -> float:
        """Largest gap among the cases of one dtype."""
        return Report([m for m in self.measurements if m.case.dtype == dtype]).worst_gap

    @property
    def worst_distance(self) -> float:
        """Largest distance of an entry to CVXPY's."""
        return self._worst("distance")

    @property
    def worst_derivative(self) -> float:
        """Largest error of a derivative."""
        return self._worst("derivative")

    def of(self, operator: str) -> "Report":
        """The part that belongs to one operator."""
        return Report(
            [m for m in self.measurements if m.case.operator == operator],
            [f for f in self.failures if f.case.operator == operator],
            [s for s in self.skipped if s.startswith(f"{operator}:")],
        )

    @property
    def operators(self) -> list[str]:
        """Names of what was judged, in order."""
        cases = [m.case for m in self.measurements] + [f.case for f in self.failures]
        return list(dict.fromkeys(case.operator for case in cases))

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return {
            "passed": self.passed,
            "operators": [{"name": name, **_plain(summary(self.of(name)))} for name in self.operators],
            "failures": [{"case": str(f.case), "what": f.what, "line": f.line} for f in self.failures],
            "skipped": self.skipped,
            "measurements": [{**_plain(asdict(m)), "case": str(m.case)} for m in self.measurements],
        }

    def __str__(self) -> str:
        return "\n".join([table(self), *(f"\n{failure}" for failure in self.failures)])


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """What JSON can say: None for NaN, a word for infinity."""

    def said(value: Any) -> Any:
        if not isinstance(value, float) or isfinite(value):
            return value
        return None if isnan(value) else "infinity"

    return {key: said(value) for key, value in values.items()}


def shown(figure: float) -> str:
    """A figure in a table; "-" where nothing was measured."""
    return "-" if isnan(figure) else f"{figure:.1e}"


def summary(part: Report) -> dict[str, Any]:
    """The line of one operator in the table."""
    return {
        "cases": len(part.measurements),
        "worst_gap": part.worst_gap,
        "worst_gap_float64": part.gap_in("float64"),
        "worst_gap_float32": part.gap_in("float32"),
        "worst_distance": part.worst_distance,
        "worst_derivative": part.worst_derivative,
        "failures": len(part.failures),
        "passed": part.passed,
    }


_WIDTH = 13
_COLUMNS = ("cases", "gap float64", "gap float32", "to CVXPY", "derivative", "verdict")


def _cells(values: Iterable[str]) -> str:
    return "".join(f"{value:>{_WIDTH}}" for value in values)


def table(report: Report) -> str:
    """One line per operator."""
    lines = [f"{'operator':<22}{_cells(_COLUMNS)}", "-" * (22 + _WIDTH * len(_COLUMNS))]
    for name in report.operators:
        part = report.of(name)
        gaps = (part.gap_in("float64"), part.gap_in("float32"))
        figures = (*gaps, part.worst_distance, part.worst_derivative)
        verdict = "pass" if part.passed else f"FAIL ({len(part.failures)})"
        cells = (str(len(part.measurements)), *map(shown, figures), verdict)
        lines.append(f"{name:<22}{_cells(cells)}")
    return "\n".join(lines)
