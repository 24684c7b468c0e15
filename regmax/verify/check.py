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

from .instances import LAYOUTS, families
from .judge import BATCHES, DEFAULT_TOLERANCE, DERIVATIVES, HOOKS, Judge
from .report import Case, Failure, Report
from .runner import InProcess, OwnProcess, Runner, SolverError
from .subject import kinds

__all__ = ["DEFAULT_SIZES", "DEFAULT_TIMEOUT", "DEFAULT_TOLERANCE", "check", "verify"]

Array = NDArray[Any]
#: Called with a label, how much is done, and how much there is.
Progress = Callable[[str, int, int], None]

DEFAULT_SIZES = (1, 2, 3, 8, 33, 257)
DEFAULT_TIMEOUT = 60.0
_DTYPES = ("float64", "float32")
_SMOOTH_SIZES = range(2, 13)
_DEFAULTS = {"rows": 6, "seed": 0, "tol": DEFAULT_TOLERANCE, "timeout": DEFAULT_TIMEOUT}
_LONGEST = 10**7


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
            yield Case(operator.name, sample, n, DERIVATIVES)
        if ours and n > 1:
            yield Case(operator.name, sample, n, BATCHES)
        if ours and n in _SMOOTH_SIZES and _written_as_hooks(operator):
            yield Case(operator.name, sample, n, HOOKS)


def _written_as_hooks(operator: Any) -> bool:
    """Whether Omega is known by what a user wrote of it, which may contradict itself."""
    return hasattr(operator, "contradictions")


def _covered(operator: Any, runner: Runner | None, chosen: Any) -> str | None:
    """Why the solver cannot be asked for this operator, or None; parameters that it lacks must be the defaults."""
    if runner is None or (names := runner.parameters()) is None or isinstance(chosen, Parametrised):
        return None
    defaults = {field.name: field.default for field in fields(operator)}
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


def _class_of(chosen: Any) -> Any:
    return type(chosen) if isinstance(chosen, Parametrised) else chosen


def _is_ours(chosen: Any) -> bool:
    """Whether regmax ships it, so that its name alone says what it is; a user's own class has to be passed."""
    return _class_of(chosen).__module__.partition(".")[0] == "regmax"


def _asked_for(chosen: Any) -> str:
    """How a caller would write what is judged against."""
    kind = _class_of(chosen)
    if chosen is kind:
        return repr(kind.name) if _is_ours(chosen) else kind.__name__
    if any(isinstance(v, np.ndarray) for v in vars(chosen).values()):
        return "operator"
    package = ("regmax.prox." if kind.name.startswith("prox.") else "regmax.") if _is_ours(chosen) else ""
    return f"{package}{kind.__name__}{repr(chosen).removeprefix(kind.__qualname__)}"


def _line(case: Case, solver: Any, chosen: Any, options: dict[str, Any]) -> str:
    """What to type to see one case again; ``options`` are those that are not the defaults."""
    if isinstance(chosen, Parametrised) or callable(solver) or not _is_ours(chosen):
        named = "".join(f", {key}={value!r}" for key, value in options.items())
        judge = "solver" if callable(solver) else repr(solver)
        call = f"check({judge}, {_asked_for(chosen)}" if solver else f"verify({_asked_for(chosen)}"
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
    known = [*said, DERIVATIVES, BATCHES, *([HOOKS] if _written_as_hooks(chosen) else [])]
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
        judge = Judge(operator, runner, settings["tol"], settings["seed"], settings["rows"])
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
