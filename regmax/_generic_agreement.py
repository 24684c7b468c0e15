"""Whether what a user wrote about Omega agrees with itself, by differences and comparisons at random points."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._hooks import Hooks

__all__ = ["contradictions"]

Array = NDArray[Any]

_ROWS = 8
_STEP = 1e-4  # of difference quotients of fourth order: their error and their rounding are below 1e-10
_AGREEMENT, _ROUNDING = 1e-6, 1e-9
_EXACT = 1e-12  # of values compared, in units of their size
_PROX_STEPS = (0.1, 1.0)
_NEARBY = (1.0, 0.1, 1e-2, 1e-3, 1e-4)


def contradictions(operator: Any, n: int, seed: int) -> list[str]:
    """One sentence per hook that contradicts another at one of several random points of n entries, some masked."""
    rng = np.random.default_rng(seed)
    live = np.ones((_ROWS, n), bool)
    if n > 2:
        live[1::2, rng.integers(n)] = False
    y, other = (_inside(rng, live) for _ in range(2))
    p = operator._spread(operator._batch(y))
    found: dict[Callable[..., str | None], str] = {}
    for _, hooks, (one, two) in operator._problems(p, live, y, other):
        for check in _checks(operator):
            sentence = check(hooks, one, two, rng)
            if sentence is not None:
                found.setdefault(check, f"{operator.name}: {sentence}")
    return list(found.values())


def _inside(rng: np.random.Generator, live: Array) -> Array:
    """Rows of weights that are all well above 0."""
    raw = np.where(live, 0.5 + rng.exponential(size=live.shape), 0.0)
    return raw / raw.sum(axis=1, keepdims=True)


def _checks(operator: Any) -> Iterator[Callable[..., str | None]]:
    yield _gradient
    if operator._writes("smooth_hessian"):
        yield _hessian
    yield _curvature
    if operator._has_penalty:
        yield _prox


def _quotient(function: Callable[[Array], Any], y: Array, w: Array) -> Any:
    near, far = (function(y + s * w) - function(y - s * w) for s in (_STEP, 2 * _STEP))
    return (8 * near - far) / (12 * _STEP)


def _gradient(hooks: Hooks, y: Array, other: Array, rng: np.random.Generator) -> str | None:
    w = other - y
    slopes = hooks.gradient(y) * w
    said, found = float(slopes.sum()), float(_quotient(hooks.smooth, y, w))
    size = _AGREEMENT * (abs(found) + float(np.abs(slopes).sum())) + _ROUNDING * abs(hooks.smooth(y))
    if abs(said - found) <= size:
        return None
    return f"smooth_gradient must be the gradient of smooth, which rises by {found:.6g} where it says {said:.6g}"


def _hessian(hooks: Hooks, y: Array, other: Array, rng: np.random.Generator) -> str | None:
    w = other - y
    said, found = hooks.product(y, w), _quotient(hooks.gradient, y, w)
    away = said - found
    away -= away.mean()  # a multiple of 1 moves no weights
    size = _AGREEMENT * np.abs([said, found]).max() + _ROUNDING * np.abs(hooks.gradient(y)).max()
    if np.abs(away).max() <= size:
        return None
    worst = int(np.abs(away).argmax())
    return (
        f"smooth_hessian must be the derivative of smooth_gradient, which is {found[worst]:.6g} in an entry where it "
        f"says {said[worst]:.6g}"
    )


def _curvature(hooks: Hooks, y: Array, other: Array, rng: np.random.Generator) -> str | None:
    """Half way between two points Omega is below their mean by at least modulus |y - other|^2 / 8."""
    modulus, eighth = float(hooks.operator.strong_convexity), float(np.sum((y - other) ** 2)) / 8
    ends, middle = (hooks.value(y), hooks.value(other)), hooks.value((y + other) / 2)
    if not np.isfinite(ends).all():
        return None
    below = sum(ends) / 2 - middle
    if below + _EXACT * max(map(abs, (*ends, middle))) >= modulus * eighth * (1 - _ROUNDING):
        return None
    if below < 0:
        return f"Omega must be convex, but half way between two points it is above their mean by {-below:.2g}"
    return f"strong_convexity must be at most {below / eighth:.6g}, that of Omega between two points, got {modulus:.6g}"


def _prox(hooks: Hooks, y: Array, other: Array, rng: np.random.Generator) -> str | None:
    for step in _PROX_STEPS:
        v = rng.normal(size=y.size)

        def objective(d: Array, v: Array = v, step: float = step) -> float:
            return 0.5 * float(np.sum((d - v) ** 2)) + step * hooks.penalty(d)

        answer = hooks.prox(v, step)
        here = objective(answer)
        best = min(objective(d) for d in _rivals(hooks, v, step, answer, rng))
        if not here <= best + _EXACT * (abs(here) + float(v @ v)):
            return f"penalty_prox must minimise |d - v|^2 / 2 + step penalty(d), but {best:.6g} is below its {here:.6g}"
    return None


def _rivals(hooks: Hooks, v: Array, step: float, answer: Array, rng: np.random.Generator) -> Iterator[Array]:
    """Points on the ways to v, to 0, to the mean, to the prox of other steps, and in random directions."""
    ends = [v, np.zeros_like(v), np.full_like(v, v.mean()), *(hooks.prox(v, s * step) for s in (0.5, 2.0))]
    ways = [*(end - answer for end in ends), *rng.normal(size=(8, v.size)), *np.eye(v.size)]
    for way in ways:
        for t in _NEARBY:
            yield answer + t * way
            yield answer - t * way
