"""One solver, asked for one case at a time, held against certificate, CVXPY and difference quotients."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax._parametrised import Parametrised

from .differences import jacobian_error, parameter_error, scattered, structure_error
from .instances import PLAIN, families, laid_out
from .report import Case, Measurement
from .runner import Runner, SolverError
from .subject import admissible, measure, objective, scale, size_of_answer, witness

__all__ = ["BATCHES", "DEFAULT_TOLERANCE", "DERIVATIVES", "HOOKS", "Judge"]

Array = NDArray[Any]

DEFAULT_TOLERANCE = 1e-12
_FLOAT32_TOLERANCE = 1e-5
_DERIVATIVE_TOLERANCE = 1e-6
_STRUCTURE_TOLERANCE = 1e-12
#: What the witness itself may be off by, in units of the answer.
_WITNESS_TOLERANCE = 1e-6
_WITNESS_ROWS = 2
_WITNESS_SIZES = range(1, 13)
_SMOOTH_ROWS = 16
#: Names in a case of what is no family.
DERIVATIVES, BATCHES, HOOKS = "derivatives", "batches", "hooks"


class Judge:
    """One solver, one operator with fixed parameters."""

    def __init__(
        self,
        operator: Any,
        runner: Runner | None,
        tol: float,
        seed: int,
        rows: int,
    ) -> None:
        self.operator = operator
        self.runner = runner
        self.seed = seed
        self.rows = rows
        self.tol = tol

    def solve(self, x: Array) -> Array:
        """What the solver says; raises SolverError where it does not answer with finite numbers, one per score."""
        y = self.operator(x) if self.runner is None else self._asked(self.runner, x)
        if not np.isfinite(y).all():
            row = int(np.argmin(np.isfinite(y).all(axis=1)))
            raise SolverError(f"answers {'NaN' if np.isnan(y[row]).any() else 'infinity'} in row {row}")
        return y

    def _asked(self, runner: Runner, x: Array) -> Array:
        names = runner.parameters()
        given = {k: v for k, v in vars(self.operator).items() if v is not None and (names is None or k in names)}
        before = x.copy()
        answer = runner.solve(x, given)
        try:
            y = np.asarray(answer)
        except Exception as error:
            raise SolverError(f"returns something that is no array ({type(error).__name__})") from error
        if y.shape != x.shape:
            raise SolverError(f"returns shape {y.shape} for {x.shape}")
        if y.dtype != x.dtype:
            raise SolverError(f"returns {y.dtype} for {x.dtype}")
        if not np.array_equal(before, x):
            raise SolverError("changes its input")
        return y

    def judge(self, case: Case) -> tuple[Measurement, list[str]]:
        """The worst row of a case, and one sentence per broken promise; that of the operator where it refuses."""
        try:
            return self._judged(case)
        except ValueError as error:
            return Measurement(case), [str(error)]

    def _judged(self, case: Case) -> tuple[Measurement, list[str]]:
        if case.family == HOOKS:
            return Measurement(case), self._contradictions(case)
        if case.family == DERIVATIVES:
            return self._derivatives(case)
        if case.family == BATCHES:
            return self._batches(case)
        return self._family(case)

    def _rows_of(self, case: Case) -> Array:
        found = families(case.n, self.seed, self.rows, np.dtype(case.dtype))
        return laid_out(admissible(self.operator, found[case.family]), case.layout)

    def _family(self, case: Case) -> tuple[Measurement, list[str]]:
        x = self._rows_of(case)
        if not len(x):
            return Measurement(case), []
        try:
            y = self.solve(x)
        except SolverError as error:
            return Measurement(case), [str(error)]
        with np.errstate(invalid="ignore", over="ignore"):
            violations, gaps = (np.nan_to_num(part, nan=np.inf) for part in measure(self.operator, x, y))
        violation, gap = float(np.max(violations)), float(np.max(gaps))
        problems = []
        tolerance = max(self.tol, _FLOAT32_TOLERANCE if case.dtype == "float32" else self.operator.tolerance)
        rounding = 8 * np.sqrt(case.n) * float(np.finfo(case.dtype).eps)
        if not violation <= (rounding if self.tol <= DEFAULT_TOLERANCE else max(rounding, self.tol)):
            problems.append(f"row {int(np.argmax(violations))} violates a constraint by {violation:.1e} of its size")
        if not gap <= tolerance:
            problems.append(f"row {int(np.argmax(gaps))} has gap {gap:.1e}, allowed {tolerance:.0e}")
        distance = self._distance(case, x, y, problems)
        return Measurement(case, violation, gap, distance), problems

    def _distance(self, case: Case, x: Array, y: Array, problems: list[str]) -> float | None:
        """Largest distance to CVXPY's answer, which must be within what both certificates leave open."""
        asked = case.n in _WITNESS_SIZES and case.family in (*PLAIN, "all equal", "normal 1e-3", "-inf")
        if not asked or case.dtype != "float64" or case.layout != "plain" or not _is_single(self.operator):
            return None
        x, y = x[:_WITNESS_ROWS], y[:_WITNESS_ROWS]
        other = witness(self.operator, x)
        answered = np.logical_not(np.isnan(other).any(axis=1))
        if not answered.any():
            return None
        self._compare(x, y, other, answered, problems)
        away = (y - other) / size_of_answer(self.operator, x, y)[:, None]
        return float(np.abs(away)[answered].max())

    def _compare(self, x: Array, y: Array, other: Array, answered: Array, problems: list[str]) -> None:
        """The distance must be within what both certificates leave open, the objective no worse than CVXPY's."""
        size = size_of_answer(self.operator, x, y)
        away = np.linalg.norm(y - other, axis=1) / size
        open_to_both = sum(self.operator.certify(x, answer).error_bound / size for answer in (y, other))
        # An infinite bound is one of an operator without a modulus of convexity: there the objective alone decides.
        beyond = answered & ~(away <= _WITNESS_TOLERANCE + open_to_both)
        if beyond.any():
            problems.append(f"row {int(beyond.argmax())} is {away[beyond].max():.1e} away from CVXPY")
        worse = (objective(self.operator, x, y) - objective(self.operator, x, other)) / scale(self.operator, x, y)
        beyond = answered & ~(worse <= _WITNESS_TOLERANCE)
        if beyond.any():
            problems.append(
                f"row {int(beyond.argmax())} has an objective worse than CVXPY's by {worse[beyond].max():.1e}"
            )

    def _derivatives(self, case: Case) -> tuple[Measurement, list[str]]:
        x, v = scattered(case.n, _SMOOTH_ROWS, self.seed)
        x = admissible(self.operator, x)
        v = v[: len(x)]
        problems = []
        if not len(x):
            return Measurement(case), []
        try:
            worst = jacobian_error(self.solve, self.operator, x, v)
        except SolverError as error:
            return Measurement(case), [str(error)]
        if worst is not None and not worst <= _DERIVATIVE_TOLERANCE:
            problems.append(f"the Jacobian product differs from difference quotients by {worst:.1e}")
        if self.runner is None:
            structure = structure_error(self.operator, x)
            if not structure <= _STRUCTURE_TOLERANCE:
                problems.append(f"the Jacobian is not what its kind must be (symmetric, J 1 = 0) by {structure:.1e}")
            along = parameter_error(self.operator, x, v)
            if not along <= _DERIVATIVE_TOLERANCE:
                problems.append(f"derivatives in parameters differ from difference quotients by {along:.1e}")
            worst = max(worst or 0.0, along)
        return Measurement(case, derivative=worst), problems

    def _contradictions(self, case: Case) -> list[str]:
        """What a user's Omega says against itself, where a row alone can carry its parameters."""
        if not len(admissible(self.operator, scattered(case.n, 1, self.seed)[0])):
            return []
        found: list[str] = self.operator.contradictions(case.n, self.seed)
        return found

    def _batches(self, case: Case) -> tuple[Measurement, list[str]]:
        """Rows must not depend on each other, nor on whether parameters are shared or given per row."""
        x = admissible(self.operator, families(case.n, self.seed, self.rows)["normal 1"])
        y = self.solve(x)
        alone = np.concatenate([self.solve(row[None]) for row in x]) if len(x) else y
        problems = [] if np.array_equal(alone, y) else ["a row alone gets another answer than in a batch"]
        operator = self.operator
        per_row = [f.name for f in fields(operator) if f.metadata["kind"] == "row"]
        numbers = {k: v for k in per_row if isinstance(v := getattr(operator, k), float)}
        if len(x) and numbers:
            factors = np.linspace(1.0, 1.5, len(x))
            several = type(operator)(**{**vars(operator), **{k: v * factors for k, v in numbers.items()}})
            for r, factor in enumerate(factors):
                single = type(operator)(**{**vars(operator), **{k: v * factor for k, v in numbers.items()}})
                try:
                    same = np.array_equal(several(x)[r], single(x[r]))
                except ValueError:  # the moved parameters leave no solution
                    break
                if not same:
                    problems.append(f"parameters per row give row {r} another answer than the same as numbers")
                    break
        return Measurement(case), problems


def _is_single(operator: Parametrised) -> bool:
    """Whether CVXPY can carry the parameters."""
    given = [
        value
        for f in fields(operator)  # type: ignore[arg-type]
        if f.metadata["kind"] != "structure" and (value := getattr(operator, f.name)) is not None
    ]
    return all(np.isfinite(np.asarray(value, float)).all() for value in given)
