"""The abstraction: a regularizer Omega, everything that follows from it, and the registry of operators.

An operator supplies a solver, a Jacobian product, Omega and a subgradient, all on rows. The base gives arrays of any
shape, max, Fenchel-Young loss, parameter derivatives, certificate and the CVXPY problem.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._convergence import quiet
from ._dispatch import adapter_for
from ._domain import Simplex
from ._parametrised import Parametrised, Spread
from ._problem import live_of, problem_scores
from ._rows import Rows, like_rows, spacing
from .certificate import Certificate

__all__ = ["Regularizer", "Spread", "operators"]

Array = NDArray[Any]

#: A gap of Frank and Wolfe, relative to the scale of a row, above which it may say nothing of how good weights are.
_LOOSE = 1e-6


def operators() -> dict[str, type["Regularizer"]]:
    """Every registered operator, by the name of its function, in order of registration.

    Returns
    -------
    dict of str to type
        ``operators()["fusedmax"] is regmax.Fusedmax``. A copy: changing it changes nothing.

    Notes
    -----
    Subclassing :class:`Regularizer` registers. Raises nothing. Source: regmax.
    """
    return dict(Regularizer._registry)  # type: ignore[arg-type]


class Regularizer(Parametrised):
    r"""A convex regularizer ``Omega`` and its regularized argmax ``argmax_y <x, y> - gamma Omega(y)`` over a domain.

    Arrays may have any shape; ``axis`` holds the scores of one problem, every other index is a row of the batch.
    ``where`` (boolean, True = takes part) and entries of -inf, or at most half the most negative finite number of the
    dtype, mask: such an entry gets weight 0, and a row without any other gets zeros. A row with NaN or +inf gives NaN.
    float32 and float64 are computed as such, half precision in float32, integers in float64.

    Parameters
    ----------
    Those of the operator. Each is a number or an array that broadcasts against the batch.

    Raises
    ------
    ValueError, TypeError
        One sentence that names the operator, the parameter, the rule and the value.

    Notes
    -----
    Source: Niculae & Blondel, "A regularized framework for sparse and structured neural attention", 2017.
    """

    _registry: ClassVar[dict[str, type[Parametrised]]] = {}
    #: False where the map is not the gradient of ``max`` (its Jacobian is then not symmetric).
    is_gradient: ClassVar[bool] = True
    #: True where the Jacobian at given weights depends on which entries are masked.
    sees_masks: ClassVar[bool] = False

    # What an operator supplies, on rows. `p` holds its parameters spread by `_spread`.

    @abstractmethod
    def _solve(self, x: Array, p: Spread, out: Array) -> None:
        """Write the weights of the rows ``x`` to ``out``."""

    @abstractmethod
    def _multiply(self, y: Array, v: Array, p: Spread, out: Array) -> None:
        """Write ``J(y) v`` to ``out``, rows of the dtype of ``y``."""

    @abstractmethod
    def _omega(self, y: Array, live: Array, p: Spread) -> Array:
        """Omega of each float64 row, its penalty restricted to the live entries."""

    @abstractmethod
    def _gradient(self, x: Array, y: Array, p: Spread) -> Array:
        """A subgradient of Omega at the float64 rows ``y``, up to a constant, that certifies ``y`` at ``x``."""

    @abstractmethod
    def _expression(self, y: Any, live: Array) -> Any:
        """Omega of a 1-D CVXPY expression."""

    def _slopes(self, x: Array, y: Array, v: Array, jv: Array, p: Spread) -> Spread:
        """Derivatives of ``<v, argmax(x)>`` in the parameters other than gamma, per row and entry; ``jv`` is J v."""
        return {}

    def _domain(self, p: Spread) -> Simplex:
        return Simplex()

    def _distance(self, gap: Array, n: int, p: Spread) -> Array:
        """Bound on the Euclidean distance to the best weights; here Omega is 1-strongly convex."""
        return np.sqrt(gap / self._strength(p))

    def _strength(self, p: Spread) -> Array:
        return p["gamma"]

    def _gap(self, scores: Array, y: Array, live: Array, p: Spread) -> Array:
        """Bound on what the best weights are better by than y, whose floats have the relative spacing ``rounding``."""
        x = np.where(live, scores, -np.inf)
        slope = np.where(live, scores - self._strength(p)[:, None] * self._gradient(x, y, p), 0.0)
        return self._domain(p).support(slope, live, y) - np.sum(np.where(y == 0, 0.0, slope * y), axis=1)

    @property
    def permutes(self) -> bool:
        """Whether permuting the scores permutes the weights."""
        return True

    # What follows from it.

    def _weights(self, batch: Rows) -> tuple[Array, Spread]:
        p = self._spread(batch)
        self._prepare(batch, p)
        out = np.empty_like(batch.data)
        self._solve(batch.data, p, out)
        return out, p

    def argmax(self, x: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Array:
        """The weights ``argmax_y <x, y> - gamma Omega(y)``, of the shape and dtype of ``x``; a tensor for a tensor."""
        if (elsewhere := adapter_for(x)) is not None:
            return elsewhere(self, x, axis, where)
        batch = self._batch(x, axis, where)
        return batch.restore(self._weights(batch)[0])

    __call__ = argmax

    def max(self, x: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Any:
        """The value ``max_y <x, y> - gamma Omega(y)`` per row; -inf where everything is masked."""
        batch = self._batch(x, axis, where)
        y, _ = self._weights(batch)
        wide, live, p = self._wide(batch)
        top = wide.max(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            y = y.astype(np.float64, copy=False)
            inner = np.where(y > 0, wide - top[:, None], 0.0) * y
            value = inner.sum(axis=1) - self._strength(p) * self._omega(y, live, p)
            value = value + top * self._domain(p).mass(len(y))
        return batch.restore_scalars(np.where(live.any(axis=1), value, -np.inf))

    def value(self, y: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Any:
        """``Omega(y)`` per row, without gamma; penalties on order or neighbours see only the entries of ``where``."""
        batch = self._batch(y, axis, None, "y")
        mask = self._batch(np.zeros(batch.shape), axis, where)
        wide = batch.data.astype(np.float64, copy=False)
        with np.errstate(invalid="ignore", over="ignore"):
            return batch.restore_scalars(self._omega(wide, mask.live, self._spread(mask)))

    def _apply(
        self, y: ArrayLike, v: ArrayLike, axis: int, x: ArrayLike | None, where: ArrayLike | None, *, transposed: bool
    ) -> Array:
        batch = self._batch(y, axis, None, "y")
        v = like_rows(self.name, v, batch, "v")
        if self.sees_masks:
            masks = self._batch(np.zeros(batch.shape) if x is None else x, axis, where)
            return batch.restore(self._product(batch, v, {**self._spread(batch), "live": masks.live}))
        if self.is_gradient:
            return batch.restore(self._product(batch, v, self._spread(batch)))
        if x is None:
            raise TypeError(f"{self.name}: the Jacobian depends on the scores, so x must be given")
        scores = self._batch(x, axis, where)
        if scores.shape != batch.shape:
            raise ValueError(f"{self.name}: x must have the shape {batch.shape} of y, got {scores.shape}")
        scores.data = scores.data.astype(batch.data.dtype, copy=False)
        p = {**self._fit(scores), "x": scores.data, "transposed": np.array(transposed)}
        return batch.restore(self._product(batch, v, p))

    def _product(self, batch: Rows, v: Array, p: Spread) -> Array:
        out = np.empty_like(batch.data)
        self._multiply(batch.data, v, p, out)
        out[np.isnan(batch.data).any(axis=1)] = np.nan
        return out

    def parameter_vjp(
        self, x: ArrayLike, y: ArrayLike, v: ArrayLike, axis: int = -1, where: ArrayLike | None = None
    ) -> dict[str, Any]:
        """Derivatives of ``<v, argmax(x)>`` in each parameter, summed to the shape of that parameter."""
        if not self.is_gradient:
            return {}
        batch = self._batch(x, axis, where)
        wide, live, p = self._wide(batch)
        weights = like_rows(self.name, y, batch, "y", np.float64)
        cotangent = like_rows(self.name, v, batch, "v", np.float64)
        jv = self._product(batch.like(weights), cotangent, {**p, "live": live})
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            slopes = self._slopes(wide, weights, cotangent, jv, p)
            scores = np.where(live, wide - wide.max(axis=1, keepdims=True), 0.0)
            slopes["gamma"] = -np.sum(np.where(jv == 0, 0.0, jv * scores), axis=1) / p["gamma"]
        return self._to_parameters(slopes, batch)

    def _targets(self, batch: Rows, target: ArrayLike) -> Array:
        """Labels as one-hot rows, distributions as rows."""
        n = batch.data.shape[1]
        array = np.asarray(target)
        if array.shape == batch.shape and array.dtype.kind != "O":
            rows = like_rows(self.name, array, batch, "target", np.float64)
            self._check_targets(batch, rows)
            return rows
        if array.dtype.kind not in "iu":
            raise TypeError(
                f"{self.name}: target must hold integer labels of shape {batch.batch_shape} or distributions of shape "
                f"{batch.shape}, got {array.dtype} of shape {array.shape}"
            )
        if array.shape != batch.batch_shape:
            raise ValueError(f"{self.name}: target labels must have shape {batch.batch_shape}, got shape {array.shape}")
        labels = array.reshape(-1)
        if ((labels < 0) | (labels >= n)).any():
            wrong = labels[(labels < 0) | (labels >= n)][0]
            raise ValueError(f"{self.name}: target labels must be in 0..{n - 1}, got {wrong}")
        rows = np.zeros((len(labels), n))
        rows[np.arange(len(labels)), labels] = 1.0
        self._check_targets(batch, rows)
        return rows

    def _check_targets(self, batch: Rows, rows: Array) -> None:
        """Raise where a target misses the domain by more than 1e-3, what half precision loses in a sum."""
        violation = self._domain(self._spread(batch)).violation(rows, np.ones(rows.shape, bool))
        if not (violation <= 1e-3).all():
            raise ValueError(
                f"{self.name}: target must lie in the domain of the operator, got a row that violates it by "
                f"{violation.max():.3g}"
            )

    def loss(self, x: ArrayLike, target: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Any:
        """Fenchel-Young loss ``max(x) + gamma Omega(t) - <x, t>`` per row: at least 0, and 0 only if t is argmax(x).

        ``target`` holds integer labels of the batch's shape, or points of the domain (to 1e-3) of the shape of ``x``.
        The loss of a target with weight on a masked entry is +inf.
        """
        batch = self._batch(x, axis, where)
        t = self._targets(batch, target)
        y, _ = self._weights(batch)
        wide, live, p = self._wide(batch)
        outside = ((t > 0) & ~live).any(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            y = y.astype(np.float64, copy=False)
            scores = np.where(live, wide - wide.max(axis=1, keepdims=True), 0.0)
            t = np.where(live, t, 0.0)
            curved = self._omega(t, live, p) - self._omega(y, live, p)
            value = self._strength(p) * curved + np.sum(np.where(y == t, 0.0, scores * (y - t)), axis=1)
        broken = np.isnan(y).any(axis=1)
        value = np.where(broken, np.nan, np.where(outside, np.inf, np.maximum(value, 0.0)))
        return batch.restore_scalars(value)

    def loss_gradient(self, x: ArrayLike, target: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Array:
        """Gradient of :meth:`loss` in the scores, ``argmax(x) - target``, zero at masked entries."""
        batch = self._batch(x, axis, where)
        t = self._targets(batch, target)
        y, _ = self._weights(batch)
        return batch.restore(np.where(batch.live, y - t.astype(y.dtype), y.dtype.type(0)))

    def subgradient(self, x: ArrayLike, y: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Array:
        """A subgradient of Omega at ``y`` up to a constant, chosen so that it certifies ``y`` at ``x`` where one does.

        Computed and returned in float64; zero at masked entries.
        """
        batch = self._batch(x, axis, where)
        wide, live, p = self._wide(batch)
        with np.errstate(invalid="ignore", over="ignore"):
            g = np.where(live, self._gradient(wide, like_rows(self.name, y, batch, "y", np.float64), p), 0.0)
        return batch.like(g).restore(g)

    def certify(self, x: ArrayLike, y: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Certificate:
        """How far weights ``y``, whoever computed them, can be from the best for the scores ``x``; all in float64."""
        batch = self._batch(x, axis, where)
        weights = like_rows(self.name, y, batch, "y", np.float64)
        wide, live, p = self._wide(batch)
        domain = self._domain(p)
        some = live.any(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            top = np.where(some, wide.max(axis=1), 0.0)[:, None]
            scores = np.where(live, wide - top, 0.0)
            p["rounding"] = np.array(spacing(y))
            gap = self._gap(scores, weights, live, p)
            bound = self._distance(np.maximum(gap, 0.0), wide.shape[1], p)
            scale = np.maximum(np.abs(scores).max(axis=1), self._strength(p))
            if (gap > _LOOSE * scale).any():
                own = self._gap_to_own(scores, weights, live, p)
                # Half of what a gap of Frank and Wolfe shows of the distance: that is the sum of two such gaps.
                bound = np.fmin(bound, self._distance(2.0 * np.maximum(own, 0.0), wide.shape[1], p))
                gap = np.fmin(gap, own)
            valid = ~(np.isnan(weights).any(axis=1) | ~np.all(wide < np.inf, axis=1))
            gap = np.where(np.isnan(gap) & valid, np.inf, np.maximum(gap, 0.0))  # NaN from infinite penalties
            gap = np.where(some, gap, 0.0)
            bound = np.where(some, bound, 0.0)
        violation = domain.violation(weights, live)
        rounding = 16 * np.sqrt(wide.shape[1]) * spacing(y) * np.maximum(domain.mass(len(wide)), 1.0)
        bound = np.where(violation > rounding, np.inf, bound)
        found = (violation, gap, bound)
        return Certificate(*(part.reshape(batch.batch_shape)[()] for part in found))

    def _gap_to_own(self, scores: Array, y: Array, live: Array, p: Spread) -> Array:
        """What our own weights are better by than y, and what proves them; tight where no subgradient at y is.

        The best subgradient at y proves nothing where y misses the ties of the solution by rounding.
        """
        x = np.where(live, scores, -np.inf)
        best = np.empty_like(y)
        with quiet():
            self._solve(x, p, best)
        proof = self._gap(scores, best, live, {**p, "rounding": np.array(np.finfo(float).eps)})
        nearer = np.sum(np.where(best == y, 0.0, scores * (best - y)), axis=1)
        curved = self._omega(best, live, p) - self._omega(y, live, p)
        return np.maximum(proof, 0.0) + nearer - self._strength(p) * curved

    def expression(self, y: Any, where: ArrayLike | None = None) -> Any:
        """Omega of a 1-D CVXPY variable, for use in a larger problem; parameters must be those of one row."""
        return self._expression(y, live_of(self.name, y.shape[0], where))

    def problem(self, x: Any, where: ArrayLike | None = None) -> Any:
        """The CVXPY problem whose variable ``y`` solves to ``argmax(x)``, for 1-D scores or a CVXPY Parameter.

        The weights are ``problem.var_dict["y"].value`` after ``problem.solve()``; those of a matrix in C order.
        """
        import cvxpy

        x, batch = problem_scores(self, x, where)
        _, masks, p = self._wide(batch)
        live = masks[0]
        y = cvxpy.Variable(live.size, name="y")
        objective = x @ y - float(self._strength(p)[0]) * self._folded(batch)._expression(y, live)
        return cvxpy.Problem(cvxpy.Maximize(objective), self._domain(p).constraints(y, live))
