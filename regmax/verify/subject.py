"""What a solver is judged against: an operator or proximal operator, its scale, its certificate and its witness."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import regmax
from regmax._parametrised import Parametrised
from regmax._regularizer import Regularizer
from regmax.prox import Proximal, proximals
from regmax.solvers.rows import FLOOR

__all__ = ["admissible", "kinds", "live", "measure", "objective", "scale", "size_of_answer", "witness"]

Array = NDArray[Any]


def kinds() -> dict[str, type[Parametrised]]:
    """Every operator and proximal operator, by name."""
    return {**regmax.operators(), **proximals()}


def live(x: Array) -> Array:
    """Which entries are not masked."""
    return ~(x <= FLOOR[x.dtype])


def admissible(operator: Parametrised, x: Array) -> Array:
    """The rows of ``x`` for which the problem has a solution."""

    def has_solution(row: Array) -> bool:
        batch = operator._batch(row)
        try:
            operator._prepare(batch, operator._spread(batch))
        except ValueError:
            return False
        return True

    return x[[has_solution(row) for row in x]]


def _strength(operator: Any, x: Array) -> Any:
    """gamma of each row; for topkmax its temperature."""
    return operator.gamma if operator.is_gradient else operator.temperature(x)


def _norm(x: Array) -> Array:
    """Euclidean norm of each row, without overflow; 1 where it is 0 or not finite."""
    top = np.abs(x).max(axis=-1, keepdims=True)
    top = np.where((top > 0) & np.isfinite(top), top, 1.0)
    with np.errstate(invalid="ignore"):
        norm = top[..., 0] * np.linalg.norm(x / top, axis=-1)
    return np.where((norm > 0) & np.isfinite(norm), norm, 1.0)


def scale(operator: Parametrised, x: Array, y: Array) -> Array:
    """What the accuracy of each row is promised against.

    For an operator max(|x|, gamma) over live entries, times what the weights sum to; below alpha = 1 gamma counts times
    n^(1 - alpha), because the slope of Omega reaches that at even weights. For a proximal operator the larger of the
    Euclidean norms of x and y.
    """
    entries = np.where(live(x), x, 0).astype(np.float64)
    if isinstance(operator, Proximal):
        return np.maximum(_norm(entries), _norm(y.astype(np.float64)))
    slope = x.shape[-1] ** np.maximum(1 - np.asarray(getattr(operator, "alpha", 1.0)), 0)
    return np.maximum(np.abs(entries).max(axis=-1), _strength(operator, x) * slope) * _mass(operator)


def _mass(operator: Any) -> Any:
    return np.maximum(getattr(operator, "total", 1.0), 1.0)


def size_of_answer(operator: Parametrised, x: Array, y: Array) -> Array:
    """The size of each answer: what weights sum to, or the scale of a prox."""
    if isinstance(operator, Proximal):
        return scale(operator, x, y)
    return np.broadcast_to(np.asarray(getattr(operator, "total", 1.0), float), x.shape[:-1])


def measure(operator: Any, x: Array, y: Array) -> tuple[Array, Array]:
    """(violation of the constraints, gap) per row, in units of their scale; the gap of a prox in squared units."""
    found = operator.certify(x, y)
    size = scale(operator, x, y)
    if isinstance(operator, Regularizer):
        return found.feasibility / size_of_answer(operator, x, y), found.gap / size
    total = np.maximum(size, np.abs(y).sum(axis=-1, dtype=np.float64))
    return found.feasibility / total, 0.5 * (found.error_bound / size) ** 2


def objective(operator: Any, x: Array, y: Array) -> Array:
    """What the problem minimises, per row."""
    if isinstance(operator, Proximal):
        return np.asarray(operator.objective(x, y))
    scores = np.where(live(x), x, 0.0)
    return _strength(operator, x) * operator.value(y, where=live(x)) - np.sum(scores * y, axis=-1)


def witness(operator: Parametrised, x: Array) -> Array:
    """The answer of CVXPY, or NaN in the rows where its solvers gave up."""
    import cvxpy

    from regmax.adapters import cvxpy as adapter

    solve: Any = adapter.prox if isinstance(operator, Proximal) else adapter.argmax
    answers = np.full(x.shape, np.nan)
    for row, answer in zip(x, answers, strict=True):
        try:
            answer[:] = solve(operator, row)
        except (cvxpy.error.SolverError, RuntimeError):
            continue
        except cvxpy.error.DCPError:
            raise ValueError(f"{operator.name}: CVXPY must see that Omega is convex, but it does not") from None
    return answers
