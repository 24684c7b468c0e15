"""Any solver judged against an operator: on every family of rows, by certificate, by CVXPY and by its derivatives."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax._parametrised import Parametrised

from .differences import jacobian_error, parameter_error, scattered, structure_error
from .instances import LAYOUTS, PLAIN, families, laid_out
from .report import Case, Failure, Measurement, Report
from .runner import InProcess, OwnProcess, Runner, SolverError
from .subject import admissible, kinds, measure, objective, scale, size_of_answer, witness

__all__ = ["DEFAULT_SIZES", "check", "verify"]

Array = NDArray[Any]
#: Called with a label, how much is done, and how much there is.
Progress = Callable[[str, int, int], None]

DEFAULT_SIZES = (1, 2, 3, 8, 33, 257)
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
        self.tolerance = {"float64": tol, "float32": max(tol, _FLOAT32_TOLERANCE)}

    def solve(self, x: Array) -> Any:
        """What the solver says; raises SolverError where it does not answer with an array like ``x``."""
        if self.runner is None:
            return self.operator(x)
        names = self.runner.parameters()
        given = {k: v for k, v in vars(self.operator).items() if v is not None and (names is None or k in names)}
        before = x.copy()
        y = self.runner.solve(x, given)
        try:
            y = np.asarray(y)
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
            return Measurement(case, 0.0, 0.0), []
        try:
            y = self.solve(x)
        except SolverError as error:
            return Measurement(case), [str(error)]
        if np.isnan(y).any():
            return Measurement(case), [f"answers NaN in row {int(np.isnan(y).any(axis=1).argmax())}"]
        violations, gaps = measure(self.operator, x, y)
        violation, gap = float(np.max(violations)), float(np.max(gaps))
        problems = []
        tolerance = self.tolerance[case.dtype]
        rounding = 8 * np.sqrt(case.n) * float(np.finfo(case.dtype).eps)
        if not violation <= max(rounding, tolerance if tolerance > 1e-12 else 0.0):
            problems.append(f"row {int(np.nanargmax(violations))} violates a constraint by {violation:.1e} of its size")
        if not gap <= tolerance:
            problems.append(f"row {int(np.nanargmax(gaps))} has gap {gap:.1e}, allowed {tolerance:.0e}")
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
            return Measurement(case, derivative=0.0), []
        try:
            worst = jacobian_error(self.solve, self.operator, x, v)
        except SolverError as error:
            return Measurement(case), [str(error)]
        if not worst <= _DERIVATIVE_TOLERANCE:
            problems.append(f"the Jacobian product differs from difference quotients by {worst:.1e}")
        if self.runner is None:
            structure = structure_error(self.operator, x)
            if not structure <= _STRUCTURE_TOLERANCE:
                problems.append(f"the Jacobian is not what its kind must be (symmetric, J 1 = 0) by {structure:.1e}")
            along = parameter_error(self.operator, x, v)
            if not along <= _DERIVATIVE_TOLERANCE:
                problems.append(f"derivatives in parameters differ from difference quotients by {along:.1e}")
            worst = max(worst, along)
        return Measurement(case, derivative=worst), problems

    def _batches(self, case: Case) -> tuple[Measurement, list[str]]:
        """Rows must not depend on each other, nor on whether parameters are shared or given per row."""
        x = admissible(self.operator, families(case.n, self.seed, self.rows)["normal 1"])
        y = self.solve(x)
        alone = np.concatenate([self.solve(row[None]) for row in x]) if len(x) else y
        problems = [] if np.array_equal(alone, y) else ["a row alone gets another answer than in a batch"]
        operator = self.operator
        numbers = {k: v for k, v in vars(operator).items() if isinstance(v, float) and k != "upper"}
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
    if isinstance(operator, Parametrised) or (isinstance(operator, type) and issubclass(operator, Parametrised)):
        return operator
    if isinstance(operator, str):
        if operator in kinds():
            return kinds()[operator]
        raise ValueError(f"verify: there is no operator {operator!r}; there are {', '.join(kinds())}")
    raise TypeError(f"verify: operator must be an operator, its class or its name, got {operator!r}")


def _line(case: Case, solver: Any, chosen: Any, seed: int, rows: int) -> str:
    """What to type to see one case again."""
    if isinstance(chosen, Parametrised) or callable(solver):
        asked = "operator" if isinstance(chosen, Parametrised) else repr(case.operator)
        return f'regmax.verify.check(solver, {asked}, case="{case}", seed={seed}, rows={rows})'
    named = f" --solver {solver}" if solver else ""
    return f'regmax verify --op {case.operator} --seed {seed} --cases {rows} --case "{case}"{named}'


def _run(
    chosen: Any,
    solver: Any,
    runner: Runner | None,
    sizes: Sequence[int],
    rows: int,
    seed: int,
    tol: float,
    only: Case | None,
    progress: Progress | None,
) -> Report:
    report = Report()
    work: list[tuple[Any, Case]] = []
    for n in (only.n,) if only else sizes:
        for sample, operator in enumerate(_samples(chosen, n)):
            why = _covered(operator, runner, chosen)
            if why is not None:
                report.skipped.append(why)
                continue
            if only is None:
                work += [(operator, case) for case in _cases(operator, sample, (n,), ours=runner is None)]
            elif only.sample == sample:
                work.append((operator, only))
    for done, (operator, case) in enumerate(work):
        if progress is not None:
            progress(f"{case.operator}, rows of {case.n}", done, len(work))
        judge = _Judge(operator, runner, tol, seed, rows)
        measurement, problems = judge.judge(case)
        report.measurements.append(measurement)
        report.failures += [Failure(case, what, _line(case, solver, chosen, seed, rows)) for what in problems]
    return report


def check(
    solver: Callable[..., Any] | str,
    operator: Any,
    *,
    sizes: Sequence[int] = DEFAULT_SIZES,
    rows: int = 6,
    seed: int = 0,
    tol: float = 1e-12,
    timeout: float | None = 60.0,
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
    only = None if case is None else Case.parse(case)
    try:
        runner: Runner = OwnProcess(solver, timeout) if isinstance(solver, str) else InProcess(solver, timeout)
    except SolverError as error:
        raise ValueError(f"verify: {error}") from error
    try:
        return _run(chosen, solver, runner, sizes, rows, seed, tol, only, progress)
    finally:
        runner.close()


def verify(
    operator: Any,
    *,
    sizes: Sequence[int] = DEFAULT_SIZES,
    rows: int = 6,
    seed: int = 0,
    tol: float = 1e-12,
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
    only = None if case is None else Case.parse(case)
    return _run(_kind(operator), None, None, sizes, rows, seed, tol, only, progress)
