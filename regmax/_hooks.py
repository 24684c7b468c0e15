"""What a user wrote about Omega, asked about the live entries of one row; and its answers, checked."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax.solvers.generic import product_by_differences
from regmax.solvers.splitting import Terms

__all__ = ["Hooks"]

Array = NDArray[Any]


class Hooks:
    """The functions of one row, of its live entries only; they raise one sentence where an answer is no good."""

    def __init__(self, operator: Any, live: Array) -> None:
        self.operator = operator
        self.live = live
        self.whole = bool(live.all())
        by_user = operator._writes("smooth_hessian")
        self.product = self._product if by_user else product_by_differences(self.gradient)

    def _full(self, y: Array) -> Array:
        if self.whole:
            return y.copy()  # what a hook does to it stays there
        full = np.zeros(self.live.size)
        full[self.live] = y
        return full

    def _answer(self, hook: str, *given: Any) -> Array:
        with np.errstate(all="ignore"):
            answer = getattr(self.operator, hook)(*given, self.live.copy())
        try:
            found = np.asarray(answer)
        except ValueError:
            raise ValueError(f"{self.operator.name}: {hook} must return numbers, got a ragged sequence") from None
        if found.dtype.kind not in "biuf":
            got = "None" if answer is None else found.dtype.name
            raise ValueError(f"{self.operator.name}: {hook} must return real numbers, got {got}")
        return found.astype(np.float64)

    def _number(self, hook: str, y: Array) -> float:
        found = self._answer(hook, self._full(y))
        if found.shape != ():
            raise ValueError(f"{self.operator.name}: {hook} must return one number, got shape {found.shape}")
        if np.isnan(found):
            raise ValueError(f"{self.operator.name}: {hook} must return a number, got nan")
        return float(found)

    def _vector(self, hook: str, *given: Any) -> Array:
        found = self._answer(hook, *given)
        if found.shape != self.live.shape:
            raise ValueError(
                f"{self.operator.name}: {hook} must return shape {self.live.shape}, that of y, got {found.shape}"
            )
        found = found[self.live]
        if not np.isfinite(found).all():
            wrong = found[~np.isfinite(found)][0]
            raise ValueError(f"{self.operator.name}: {hook} must return finite numbers at weights > 0, got {wrong}")
        return found

    def smooth(self, y: Array) -> float:
        return self._number("smooth", y)

    def gradient(self, y: Array) -> Array:
        return self._vector("smooth_gradient", self._full(y))

    def _product(self, y: Array, v: Array) -> Array:
        return self._vector("smooth_hessian", self._full(y), self._full(v))

    def penalty(self, y: Array) -> float:
        return self._number("penalty", y)

    def prox(self, v: Array, step: float) -> Array:
        return self._vector("penalty_prox", self._full(v), step)

    def value(self, y: Array) -> float:
        return self.smooth(y) + (self.penalty(y) if self.operator._has_penalty else 0.0)

    def terms(self, z: Array) -> Terms:
        return Terms(self.gradient, self.product, self.penalty, self.prox, z)
