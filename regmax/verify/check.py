"""Any solver judged against an operator: on every family of rows, by certificate, by CVXPY and by its derivatives."""

import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from inspect import isabstract
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax._parametrised import Parametrised

from .differences import jacobian_error, parameter_error, scattered, structure_error
from .instances import LAYOUTS, PLAIN, families, laid_out
from .report import Case, Failure, Measurement, Report
from .runner import InProcess, OwnProcess, Runner, SolverError
from .subject import admissible, kinds, measure, objective, scale, size_of_answer, witness

__all__ = ["DEFAULT_SIZES", "DEFAULT_TIMEOUT", "DEFAULT_TOLERANCE", "check", "verify"]

Array = NDArray[Any]
#: Called with a label, how much is done, and how much there is.
Progress = Callable[[str, int, int], None]

DEFAULT_SIZES = (1, 2, 3, 8, 33, 257)
DEFAULT_TOLERANCE = 1e-12
DEFAULT_TIMEOUT = 60.0
_DTYPES = ("float64", "float32")
_FLOAT32_TOLERANCE = 1e-5
_DERIVATIVE_TOLERANCE = 1e-6
_STRUCTURE_TOLERANCE = 1e-12
#: What the witness itself may be off by, in units of the answer.
_WITNESS_TOLERANCE = 1e-6
_WITNESS_ROWS = 2
_WITNESS_SIZES = range(1, 13)
_SMOOTH_SIZES = range(2, 13)
_SMOOTH_ROWS = 16
_DEFAULTS = {"rows": 6, "seed": 0, "tol": DEFAULT_TOLERANCE, "timeout": DEFAULT_TIMEOUT}
_LONGEST = 10**7
#: Names in a case of what is no family.
_DERIVATIVES, _BATCHES = "derivatives", "batches"


def _cases(operator: Parametrised, sample: int, sizes: Sequence[int], *, ours: bool) -> Iterator[Case]:
    """Every case of one operator with fixed parameters, for one row length at a time."""
    for n in sizes:
        for dtype in _DTYPES:
            for family in families(n, rows=1, dtype=np.dtype(dtype)):
                yield Case(operator.name, sample, n, family, dtype)
            if n > 1:
                for layout in list(LAYOUTS)[1:]:
                    yield Case(operator.name, sample, n, "normal 1", dtype, layout)
        if n in _SMOOTH_SIZES:
            yield Case(operator.name, sample, n, _DERIVATIVES)
        if ours and n > 1:
            yield Case(operator.name, sample, n, _BATCHES)


class _Judge:
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
        """The worst row of a case, and one sentence per broken promise."""
        if case.family == _DERIVATIVES:
            return self._derivatives(case)
        if case.family == _BATCHES:
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
        tolerance = max(self.tol, _FLOAT32_TOLERANCE) if case.dtype == "float32" else self.tol
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
    numbers = [np.asarray(v, float) for v in vars(operator).values() if v is not None]
    return all(np.isfinite(v).all() for v in numbers)


def _covered(operator: Parametrised, runner: Runner | None, chosen: Any) -> str | None:
    """Why the solver cannot be asked for this operator, or None; parameters that it lacks must be the defaults."""
    if runner is None or (names := runner.parameters()) is None or isinstance(chosen, Parametrised):
        return None
    defaults = {name: field.default for name, field in type(operator).__dataclass_fields__.items()}  # type: ignore[attr-defined]
    moved = [
        name
        for name, value in vars(operator).items()
        if name not in names and not (np.ndim(value) == 0 and value == defaults[name])
    ]
    return f"{operator.name}: no parameter {moved[0]}, so {operator} was left out" if moved else None


def _samples(chosen: Any, n: int) -> Sequence[Any]:
    if isinstance(chosen, Parametrised):
        return (chosen,)
    return chosen.samples(n)


def _kind(operator: Any) -> Any:
    """An operator with its parameters, or a class of operators, from what a caller may name it by."""
    if isinstance(operator, Parametrised):
        return operator
    if isinstance(operator, type) and issubclass(operator, Parametrised) and not isabstract(operator):
        return operator
    if isinstance(operator, str):
        if operator in kinds():
            return kinds()[operator]
        raise ValueError(f"verify: there is no operator {operator!r}; there are {', '.join(kinds())}")
    raise TypeError(f"verify: operator must be an operator, its class or its name, got {operator!r}")


def _asked_for(chosen: Any, name: str) -> str:
    """How a caller would write what is judged against."""
    if not isinstance(chosen, Parametrised):
        return repr(name)
    if any(isinstance(v, np.ndarray) for v in vars(chosen).values()):
        return "operator"
    return f"regmax.{'prox.' if name.startswith('prox.') else ''}{chosen!r}"


def _line(case: Case, solver: Any, chosen: Any, options: dict[str, Any]) -> str:
    """What to type to see one case again; ``options`` are those that are not the defaults."""
    if isinstance(chosen, Parametrised) or callable(solver):
        named = "".join(f", {key}={value!r}" for key, value in options.items())
        call = f"check(solver, {_asked_for(chosen, case.operator)}" if solver else f"verify({_asked_for(chosen, '')}"
        return f'regmax.verify.{call}, case="{case}"{named})'
    flags = {"rows": "cases", **{key: key for key in ("seed", "tol", "timeout")}}
    given = [word for key, value in options.items() for word in (f"--{flags[key]}", str(value))]
    judged = ["--solver", solver] if solver else []
    return shlex.join(["regmax", "verify", "--op", case.operator, "--case", str(case), *given, *judged])


def _checked(sizes: Sequence[int], rows: int, tol: float, timeout: float | None) -> None:
    """Raise where an option cannot be used."""
    if not isinstance(sizes, Sequence) or not sizes or not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise ValueError(f"verify: sizes must be integers >= 1, got {sizes!r}")
    if not isinstance(rows, int) or rows < 1:
        raise ValueError(f"verify: rows must be an integer >= 1, got {rows!r}")
    if not 0 < tol < np.inf:
        raise ValueError(f"verify: tol must be > 0 and finite, got {tol!r}")
    if timeout is not None and not 0 < timeout <= threading.TIMEOUT_MAX:
        raise ValueError(f"verify: timeout must be > 0 and at most {threading.TIMEOUT_MAX:.0f} s, got {timeout!r}")


def _only(case: str | None, chosen: Any) -> Case | None:
    """The case to repeat; raises ValueError where there is no such case of the operator."""
    if case is None:
        return None
    only = Case.parse(case)
    said = families(2, rows=1, dtype=np.dtype(only.dtype if only.dtype in _DTYPES else "float64"))
    known = [*said, _DERIVATIVES, _BATCHES]
    for value, allowed, what in (
        (only.operator, [chosen.name], "operator"),
        (only.family, known, "family"),
        (only.dtype, _DTYPES, "dtype"),
        (only.layout, LAYOUTS, "layout"),
        (only.sample, range(len(_samples(chosen, only.n))) if only.n <= _LONGEST else (), "sample, or a shorter row,"),
    ):
        if value not in allowed:
            raise ValueError(f"verify: there is no {what} {value!r} of {chosen.name} for the case {case!r}")
    return only


def _run(
    chosen: Any,
    solver: Any,
    runner: Runner | None,
    sizes: Sequence[int],
    only: Case | None,
    settings: dict[str, Any],
    progress: Progress | None,
) -> Report:
    """Judge every case, or only one. ``settings`` holds rows, seed, tol and timeout."""
    report = Report()
    work: list[tuple[Any, Case]] = []
    for n in (only.n,) if only else sizes:
        for sample, operator in enumerate(_samples(chosen, n)):
            if only is not None and only.sample != sample:
                continue
            why = _covered(operator, runner, chosen)
            if why is not None:
                report.skipped.append(why)
            elif only is None:
                work += [(operator, case) for case in _cases(operator, sample, (n,), ours=runner is None)]
            else:
                work.append((operator, only))
    moved = {key: value for key, value in settings.items() if value != _DEFAULTS[key]}
    for done, (operator, case) in enumerate(work):
        if progress is not None:
            progress(f"{case.operator}, rows of {case.n}", done, len(work))
        judge = _Judge(operator, runner, settings["tol"], settings["seed"], settings["rows"])
        measurement, problems = judge.judge(case)
        report.measurements.append(measurement)
        report.failures += [Failure(case, what, _line(case, solver, chosen, moved)) for what in problems]
    return report


def check(
    solver: Callable[..., Any] | str,
    operator: Any,
    *,
    sizes: Sequence[int] = DEFAULT_SIZES,
    rows: int = 6,
    seed: int = 0,
    tol: float = DEFAULT_TOLERANCE,
    timeout: float | None = DEFAULT_TIMEOUT,
    case: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge a solver, whoever wrote it, against an operator or proximal operator.

    The solver is called with rows (a 2-D array of float64 or float32) and those parameters of the operator that its
    signature names, by keyword; it must return an array of the same shape and dtype. It meets ties, ramps, masks of
    -inf, scales from 1e-300 to 1e300, strided and read-only arrays.

    Parameters
    ----------
    solver : callable, or str ``"package.module:function"``
        A string is imported in a process of its own, which is killed when a case takes longer than ``timeout``.
    operator : Regularizer or Proximal, or a class of those, or a name such as ``"oscarmax"`` or ``"prox.tv"``
        With an instance the solver must solve for exactly these parameters; else several sets are tried, and those
        that need a parameter the solver does not have are left out and listed in ``skipped``.
    sizes : sequence of int, default (1, 2, 3, 8, 33, 257)
        Row lengths.
    rows : int, default 6
        Rows per random family.
    seed : int, default 0
    tol : float, default 1e-12
        Largest allowed gap in units of the scale of a row; in float32 at least 1e-5 is allowed.
    timeout : float or None, default 60
        Seconds per call. A callable that is too late is left behind on its thread; only a string can be cut off
        while it holds Python's lock.
    case : str, optional
        Judge this case of an earlier report alone.
    progress : callable, optional
        Called as ``progress(label, done, total)``.

    Returns
    -------
    Report
        With ``passed``, ``worst_gap``, ``worst_distance`` (to CVXPY), ``worst_derivative``, ``failures``.

    Raises
    ------
    ValueError, TypeError
        If the operator, the solver's name or an option cannot be used.

    Notes
    -----
    Source: regmax; docs/verification.md.
    """
    chosen = _kind(operator)
    if not isinstance(solver, str) and not callable(solver):
        raise TypeError(f"verify: solver must be a callable or package.module:function, got {solver!r}")
    _checked(sizes, rows, tol, timeout)
    only = _only(case, chosen)
    settings = {"rows": rows, "seed": seed, "tol": tol, "timeout": timeout}
    try:
        runner: Runner = OwnProcess(solver, timeout) if isinstance(solver, str) else InProcess(solver, timeout)
    except SolverError as error:
        raise ValueError(f"verify: {error}") from error
    try:
        return _run(chosen, solver, runner, sizes, only, settings, progress)
    finally:
        runner.close()


def verify(
    operator: Any,
    *,
    sizes: Sequence[int] = DEFAULT_SIZES,
    rows: int = 6,
    seed: int = 0,
    tol: float = DEFAULT_TOLERANCE,
    case: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge regmax's own solver of an operator: all that :func:`check` does, and the laws of its derivatives.

    Parameters
    ----------
    operator : Regularizer or Proximal, or a class of those, or a name
    sizes, rows, seed, tol, case, progress
        As for :func:`check`.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        If the operator or an option cannot be used.

    Notes
    -----
    Source: regmax; docs/verification.md.
    """
    chosen = _kind(operator)
    _checked(sizes, rows, tol, None)
    settings = {"rows": rows, "seed": seed, "tol": tol, "timeout": DEFAULT_TIMEOUT}
    return _run(chosen, None, None, sizes, _only(case, chosen), settings, progress)
