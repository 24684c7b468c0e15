"""A user's own Omega, known only by its value and gradient, and perhaps by a prox: the slower way that always works."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, Field, dataclass, fields
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax.solvers import generic as solver
from regmax.solvers import splitting

from ._convergence import warn_unless_converged
from ._generic_agreement import contradictions
from ._generic_jacobian import FAR, cut_off, multiply, subgradient
from ._generic_slopes import parameter_slopes
from ._hooks import Hooks
from ._parameters import POSITIVE, Parameter, parameter
from ._regularizer import Regularizer, Spread
from ._rows import Rows, like_rows

__all__ = ["GenericRegularizer"]

Array = NDArray[Any]


@cache
def _decorated(kind: Any) -> bool:
    """Whether every class that declares parameters is a dataclass: that takes the declarations out of the class."""
    declared = any(isinstance(value, Field) for one in kind.__mro__ for value in vars(one).values())
    params = kind.__dataclass_params__
    return not declared and params.frozen and not params.eq


@dataclass(frozen=True, eq=False)
class GenericRegularizer(Regularizer):
    r"""``Omega = smooth + penalty`` from what its author knows of it: value and gradient, value and prox.

    A subclass is a frozen dataclass with a ``name``; its fields are its parameters. It writes :meth:`smooth` and
    :meth:`smooth_gradient`, and :meth:`penalty` with :meth:`penalty_prox` for a part that has kinks. Each is asked
    about one problem: ``y`` is a float64 vector with 0 at masked entries, ``live`` says which entries are not masked,
    and parameters that vary over the batch hold the numbers of this problem. Everything else follows, more slowly than
    in the operators of regmax, and certified like there.

    Parameters
    ----------
    gamma : float or array that broadcasts against the batch
        Strength, > 0. By keyword only, so that the positions are those of the subclass's own fields.

    Raises
    ------
    ValueError, TypeError
        If a parameter breaks its rule, or a method returns what it must not.

    Notes
    -----
    Rows that do not converge get their best point and a ConvergenceWarning. With a penalty ``jacobian`` needs ``x``.
    Source: docs/adding_an_operator.md.
    """

    sees_masks: ClassVar[bool] = True
    tolerance: ClassVar[float] = 1e-9

    _: KW_ONLY
    gamma: Parameter = parameter(1.0, POSITIVE)

    # What a user writes.

    def smooth(self, y: Array, live: Array) -> float:
        """The differentiable part of Omega at weights y >= 0."""
        raise NotImplementedError(f"{self.name}: smooth must be written")

    def smooth_gradient(self, y: Array, live: Array) -> Array:
        """The gradient of :meth:`smooth` where live weights are > 0; what it says of masked entries is not used."""
        raise NotImplementedError(f"{self.name}: smooth_gradient must be written")

    def smooth_hessian(self, y: Array, v: Array, live: Array) -> Array:
        """The Hessian of :meth:`smooth` times v, where live weights are > 0. Optional: else by differences."""
        raise NotImplementedError

    def penalty(self, y: Array, live: Array) -> float:
        """The part of Omega that may have kinks, convex. Optional, together with :meth:`penalty_prox`."""
        raise NotImplementedError

    def penalty_prox(self, v: Array, step: float, live: Array) -> Array:
        """``argmin_d |d - v|^2 / 2 + step penalty(d)``, to rounding, over all d that are 0 at masked entries."""
        raise NotImplementedError

    def as_cvxpy(self, y: Any, live: Array) -> Any:
        """Omega of a 1-D CVXPY expression. Optional: CVXPY is a witness only where it is written."""
        raise NotImplementedError(f"{self.name}: as_cvxpy must be written for CVXPY to be a witness")

    @property
    def strong_convexity(self) -> float:
        """A modulus of strong convexity of Omega on the simplex, by which gaps bound distances; 0 if none is known."""
        return 0.0

    @classmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        return (cls(),)

    # What follows from it.

    def __new__(cls, *values: Any, **named: Any) -> Self:
        if not _decorated(cls):
            raise TypeError(f"{cls.__qualname__}: the class must be decorated with @dataclass(frozen=True, eq=False)")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        owner = type(self).__qualname__
        if not hasattr(self, "name"):
            raise TypeError(f"{owner}: name must be set in the class")
        for hook in ("smooth", "smooth_gradient"):
            if not self._writes(hook):
                raise TypeError(f"{owner}: {hook} must be written")
        for hook, other in (("penalty", "penalty_prox"), ("penalty_prox", "penalty")):
            if self._writes(other) and not self._writes(hook):
                raise TypeError(f"{owner}: {hook} must be written, because {other} is")
        for one in fields(self):
            if "rule" not in one.metadata:
                raise TypeError(f"{owner}: {one.name} must be declared as a parameter, with a rule")
        super().__post_init__()

    def contradictions(self, n: int, seed: int = 0) -> list[str]:
        """What these methods say against each other at random weights of n entries, a sentence each; [] is good."""
        return contradictions(self, n, seed)

    @classmethod
    def _writes(cls, hook: str) -> bool:
        """Whether the class has its own version of one of the methods above."""
        return getattr(cls, hook) is not getattr(GenericRegularizer, hook)

    @property
    def _has_penalty(self) -> bool:
        """Whether Omega has a part with kinks."""
        return self._writes("penalty")

    def _fit(self, batch: Rows) -> Spread:
        return {**self._spread(batch), "x": batch.data}

    def _of_row(self, p: Spread, r: int) -> Self:
        """The same operator with the parameters of one row, as numbers and vectors."""
        given = self._fields()
        for one in fields(self):
            if one.metadata["kind"] != "structure" and given[one.name] is not None:
                spread = p[one.name]
                given[one.name] = spread[r if len(spread) > 1 else 0]
        return type(self)(**given)

    def _problems(self, p: Spread, live: Array, *arrays: Array) -> Iterator[tuple[int, Hooks, tuple[Array, ...]]]:
        """(row, hooks, live entries of each array) of every row that has an answer."""
        valid = live.any(axis=1) & np.logical_and.reduce([(a < np.inf).all(axis=1) for a in arrays])
        for r in np.flatnonzero(valid).tolist():
            taken = tuple(np.ascontiguousarray(a[r][live[r]], np.float64) for a in arrays)
            yield r, Hooks(self._of_row(p, r), live[r]), taken

    @np.errstate(all="ignore")
    def _solve(self, x: Array, p: Spread, out: Array) -> None:
        live = Rows(x, x.shape, (1,), x.dtype).live
        out[:] = np.where(live.any(axis=1, keepdims=True), np.nan, 0.0)
        left = np.zeros(len(x))
        for r, hooks, (scores,) in self._problems(p, live, x):
            y, left[r] = _weights(hooks, (scores - scores.max()) / float(p["gamma"][r]))
            out[r] = 0.0
            out[r, live[r]] = y
        warn_unless_converged(self.name, left, self.tolerance, f"{solver.CAP} steps")

    @np.errstate(all="ignore")
    def _multiply(self, y: Array, v: Array, p: Spread, out: Array) -> None:
        out[:] = 0.0
        scores = p["x"] if self._has_penalty else np.zeros_like(y)
        for r, hooks, (weights, cotangent, x) in self._problems(p, p["live"], y, v, scores):
            u = None
            if self._has_penalty:
                u = subgradient(hooks, weights, cut_off(x, weights, float(p["gamma"][r]))).u
            out[r, p["live"][r]] = multiply(hooks, weights, cotangent, u) / float(p["gamma"][r])

    def _apply(
        self, y: ArrayLike, v: ArrayLike, axis: int, x: ArrayLike | None, where: ArrayLike | None, *, transposed: bool
    ) -> Array:
        if not self._has_penalty:
            return super()._apply(y, v, axis, x, where, transposed=transposed)
        if x is None:
            raise TypeError(f"{self.name}: the Jacobian with a penalty depends on the scores, so x must be given")
        batch = self._batch(y, axis, None, "y")
        scores = self._batch(x, axis, where)
        if scores.shape != batch.shape:
            raise ValueError(f"{self.name}: x must have the shape {batch.shape} of y, got {scores.shape}")
        p = {**self._fit(scores), "live": scores.live}
        return batch.restore(self._product(batch, like_rows(self.name, v, batch, "v"), p))

    def _omega(self, y: Array, live: Array, p: Spread) -> Array:
        total = np.where(live.any(axis=1), np.nan, 0.0)
        for r, hooks, (weights,) in self._problems(p, live, y):
            total[r] = hooks.value(weights)
        return total

    @np.errstate(all="ignore")
    def _gradient(self, x: Array, y: Array, p: Spread) -> Array:
        live = x != -np.inf
        out = np.where(live, np.nan, 0.0)
        for r, hooks, (scores, weights) in self._problems(p, live, x, y):
            u = subgradient(hooks, weights, cut_off(scores, weights, float(p["gamma"][r]))).u
            out[r, live[r]] = hooks.gradient(np.maximum(weights, solver.LEAST)) + u
        return out

    @np.errstate(all="ignore")
    def _gap(self, scores: Array, y: Array, live: Array, p: Spread) -> Array:
        """That of the base, and what the penalty at y is above the subgradient's bound."""
        gap = np.full(len(y), np.nan)
        for r, hooks, (x, weights) in self._problems(p, live, scores, y):
            gamma = float(p["gamma"][r])
            gap[r] = gamma * subgradient(hooks, weights, cut_off(x, weights, gamma)).gap
        return gap

    def _distance(self, gap: Array, n: int, p: Spread) -> Array:
        modulus = np.array([self._of_row(p, r).strong_convexity for r in range(len(gap))], float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(modulus > 0, np.sqrt(2.0 * gap / (p["gamma"] * modulus)), np.inf)

    @np.errstate(all="ignore")
    def _slopes(self, x: Array, y: Array, v: Array, jv: Array, p: Spread) -> Spread:
        # Differentiate x = gamma dOmega + tau along J v: the part of v that moves nothing counts for nothing.
        return parameter_slopes(self, x, y, jv * p["gamma"][:, None], p)

    def _expression(self, y: Any, live: Array) -> Any:
        return self.as_cvxpy(y, live)


def _weights(hooks: Hooks, z: Array) -> tuple[Array, float]:
    """The weights of one row of scores of maximum 0, and how far they may be from the best, in units of its scale."""
    scale = min(max(-float(z.min()), 1.0), 1e300)
    far = FAR
    while True:
        cut = np.maximum(z, -far)
        y, gap = _solved(hooks, cut)
        if far >= 1e20 or not (y[z < -far] > 0).any():
            return y, gap / scale
        far *= 1e4


def _solved(hooks: Hooks, z: Array) -> tuple[Array, float]:
    if not hooks.operator._has_penalty:
        return solver.minimise(hooks.gradient, hooks.product, z)
    answer = splitting.minimise_with_penalty(hooks.terms(z))
    return answer.y, answer.gap
