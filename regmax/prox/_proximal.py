"""The abstraction: a convex penalty g, its proximal operator, and everything that follows from it.

A proximal operator supplies a solver, a Jacobian product, g and a dual point, all on rows. The base gives arrays of
any shape, parameter derivatives, certificate and the CVXPY problem.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regmax._convergence import quiet
from regmax._parametrised import Parametrised, Spread
from regmax._problem import one_problem
from regmax._rows import like_rows, spacing
from regmax.certificate import Certificate

__all__ = ["Proximal", "power_of_two_above", "proximals"]

Array = NDArray[Any]

#: Gaps, in units of the last place, above which a dual point near y may not say how good y is.
_LOOSE = 1000


def proximals() -> dict[str, type["Proximal"]]:
    """Every registered proximal operator, by its name, such as ``"prox.tv"``, in order of registration.

    Returns
    -------
    dict of str to type
        A copy: changing it changes nothing.

    Notes
    -----
    Raises nothing. Source: regmax.
    """
    return dict(Proximal._registry)  # type: ignore[arg-type]


class Proximal(Parametrised):
    r"""A convex penalty g and ``prox(x) = argmin_y |y - x|^2 / 2 + g(y)``; for a set, the nearest point of it.

    Arrays may have any shape; ``axis`` holds the entries of one problem, every other index is a row of the batch.
    ``where`` (boolean, True = takes part) and entries of -inf, or at most half the most negative finite number of the
    dtype, mask: such an entry gets 0, and the problem is that of the others. A row with NaN or +inf gives NaN.
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
    Source: Parikh & Boyd, "Proximal algorithms", 2014.
    """

    _registry: ClassVar[dict[str, type[Parametrised]]] = {}
    #: The parameters in the units of x: ``prox(s x)`` with these times s is ``s prox(x)``.
    homogeneous: ClassVar[tuple[str, ...]] = ()

    # What a proximal operator supplies, on rows. `p` holds its parameters spread by `_spread`.

    @abstractmethod
    def _solve(self, x: Array, p: Spread, out: Array) -> None:
        """Write the prox of the rows ``x`` to ``out``."""

    @abstractmethod
    def _multiply(self, y: Array, v: Array, live: Array, p: Spread, out: Array, *, transposed: bool) -> None:
        """Write ``J(y) v``, or ``J(y)^T v``, to ``out``, rows of the dtype of ``y``."""

    @abstractmethod
    def _dual(self, y: Array, r: Array, live: Array, p: Spread) -> tuple[Array, Array]:
        """A point u near ``r`` where the conjugate of g is finite, and ``g(y) + g*(u) - <u, y>``, which is >= 0.

        Everything in float64; ``r`` is ``metric (x - y)``, ``p["rounding"]`` the relative spacing of the floats of y.
        """

    def _penalty(self, y: Array, live: Array, p: Spread) -> Array:
        """g of each float64 row; 0 for a set, because how far outside y is, is the certificate's to say."""
        return np.zeros(len(y))

    def _violation(self, y: Array, live: Array, p: Spread) -> Array:
        """Largest violation of any constraint, per row."""
        return np.where(live, 0.0, np.abs(y)).max(axis=1)

    def _metric(self, p: Spread) -> Array:
        """The weights of the quadratic part, shape (rows or 1, n or 1)."""
        return np.ones((1, 1))

    def _in_units(self, p: Spread, unit: Array) -> Spread:
        """The parameters for x divided by ``unit``, per row."""
        return {key: _divided(v, unit) if key in self.homogeneous else v for key, v in p.items()}

    def _balanced(self, p: Spread) -> tuple[Spread, Array]:
        """The parameters with a metric of ordinary size, and what it was divided by, per row or once."""
        return p, np.ones(1)

    def _slopes(self, x: Array, y: Array, v: Array, jv: Array, p: Spread) -> Spread:
        """Derivatives of ``<v, prox(x)>`` in the parameters, per row and entry; ``jv`` is ``J^T v``."""
        return {}

    def _expression(self, y: Any, live: Array) -> Any:
        """g of a 1-D CVXPY expression."""
        return 0.0

    def _constraints(self, y: Any, live: Array, p: Spread) -> list[Any]:
        """What else a 1-D CVXPY variable must satisfy."""
        return []

    # What follows from it.

    def prox(self, x: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Array:
        """The point ``argmin_y |y - x|^2 / 2 + g(y)``, of the shape and dtype of ``x``."""
        batch = self._batch(x, axis, where)
        p = self._spread(batch)
        self._prepare(batch, p)
        out = np.empty_like(batch.data)
        self._solve(batch.data, p, out)
        return batch.restore(out)

    __call__ = prox

    def _apply(
        self, y: ArrayLike, v: ArrayLike, axis: int, x: ArrayLike | None, where: ArrayLike | None, *, transposed: bool
    ) -> Array:
        batch = self._batch(y, axis, None, "y")
        v = like_rows(self.name, v, batch, "v")
        masks = self._batch(np.zeros(batch.shape) if x is None else x, axis, where)
        if masks.shape != batch.shape:
            raise ValueError(f"{self.name}: x must have the shape {batch.shape} of y, got {masks.shape}")
        out = np.empty_like(batch.data)
        self._multiply(batch.data, v, masks.live, self._spread(batch), out, transposed=transposed)
        out[np.isnan(batch.data).any(axis=1)] = np.nan
        return batch.restore(out)

    def parameter_vjp(
        self, x: ArrayLike, y: ArrayLike, v: ArrayLike, axis: int = -1, where: ArrayLike | None = None
    ) -> dict[str, Any]:
        """Derivatives of ``<v, prox(x)>`` in each parameter, summed to the shape of that parameter."""
        batch = self._batch(x, axis, where)
        wide, live, p = self._wide(batch)
        point = like_rows(self.name, y, batch, "y", np.float64)
        cotangent = like_rows(self.name, v, batch, "v", np.float64)
        jv = np.empty_like(point)
        self._multiply(point, cotangent, live, p, jv, transposed=True)
        with np.errstate(invalid="ignore", over="ignore"):
            slopes = self._slopes(wide, point, cotangent, jv, p)
        for slope in slopes.values():
            slope[np.isnan(point).any(axis=1)] = np.nan
        return self._to_parameters(slopes, batch)

    def objective(self, x: ArrayLike, y: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Any:
        """The value ``|y - x|^2 / 2 + g(y)`` per row, in float64; g counts as 0 outside a set too."""
        batch = self._batch(x, axis, where)
        wide, live, p = self._wide(batch)
        point = like_rows(self.name, y, batch, "y", np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.where(live, point - wide, 0.0)
            value = 0.5 * np.sum(self._metric(p) * distance**2, axis=1) + self._penalty(point, live, p)
        return value.reshape(batch.batch_shape)[()]

    def certify(self, x: ArrayLike, y: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Certificate:
        """How far points ``y``, whoever computed them, can be from the prox of ``x``; all in float64.

        The gap is that of primal and dual objective, in the squared units of ``x``, and may overflow where those do;
        the error bound does not.
        """
        batch = self._batch(x, axis, where)
        wide, live, p = self._wide(batch)
        point = like_rows(self.name, y, batch, "y", np.float64)
        unit = power_of_two_above(np.maximum(np.where(live, np.abs(wide), 0.0), np.abs(point)).max(axis=1))
        scaled = {**self._in_units(p, unit), "rounding": np.array(spacing(y))}
        with np.errstate(invalid="ignore", over="ignore", divide="ignore", under="ignore"):
            scaled, metric_unit = self._balanced(scaled)
            gap = self._gap(_divided(np.where(live, wide, 0.0), unit), _divided(point, unit), live, scaled)
            valid = ~(np.isnan(point).any(axis=1) | ~np.all(wide < np.inf, axis=1))
            gap = np.where(np.isnan(gap) & valid, np.inf, np.where(valid, np.maximum(gap, 0.0), np.nan))
            bound = unit * np.sqrt(2.0 * gap / self._metric(scaled).min(axis=1))
            gap = gap * unit * unit * metric_unit
        violation = np.where(valid, self._violation(point, live, p), np.nan)
        found = (violation, gap, bound)
        return Certificate(*(part.reshape(batch.batch_shape)[()] for part in found))

    def _gap(self, x: Array, y: Array, live: Array, p: Spread) -> Array:
        gap = self._gap_by_dual(x, y, live, p)
        if (gap > _LOOSE * p["rounding"]).any():
            gap = np.fmin(gap, self._gap_to_own(x, y, live, p))
        return gap

    def _gap_by_dual(self, x: Array, y: Array, live: Array, p: Spread) -> Array:
        metric = self._metric(p)
        residual = np.where(live, metric * (x - y), 0.0)
        u, slack = self._dual(y, residual, live, p)
        return 0.5 * np.sum((residual - u) ** 2 / metric, axis=1) + slack

    def _gap_to_own(self, x: Array, y: Array, live: Array, p: Spread) -> Array:
        """What our own point is better by than y, and what proves it; tight where no dual point near y is."""
        best = np.empty_like(y)
        with quiet():
            self._solve(np.where(live, x, -np.inf), p, best)
        proof = self._gap_by_dual(x, best, live, {**p, "rounding": np.array(np.finfo(float).eps)})
        further = np.where(live, (y - best) * (0.5 * (y + best) - x), 0.0)
        nearer = np.sum(self._metric(p) * further, axis=1)
        return np.maximum(proof, 0.0) + nearer + self._penalty(y, live, p) - self._penalty(best, live, p)

    def problem(self, x: Any, where: ArrayLike | None = None) -> Any:
        """The CVXPY problem whose variable ``y`` solves to ``prox(x)``, for 1-D x or a CVXPY Parameter.

        The variable of a matrix is flattened in C order.
        """
        import cvxpy

        given, batch = one_problem(self, x, where)
        wide, masks, p = self._wide(batch)
        live = masks[0]
        x = np.where(live, wide[0], 0.0) if given is None else given
        y = cvxpy.Variable(live.size, name="y")
        root = np.sqrt(np.broadcast_to(self._metric(p)[0], live.shape)) * live
        distance = 0.5 * cvxpy.sum_squares(cvxpy.multiply(root, y - x))
        held = [y[~live] == 0] if not live.all() else []
        penalty = self._folded(batch)._expression(y, live)
        return cvxpy.Problem(cvxpy.Minimize(distance + penalty), [*held, *self._constraints(y, live, p)])


def power_of_two_above(size: Array) -> Array:
    """A power of two near each size, 1 where it is 0 or not finite; dividing by it rounds nothing."""
    finite = np.where(np.isfinite(size) & (size > 0), size, 1.0)
    return np.ldexp(1.0, np.clip(np.frexp(finite)[1], -1000, 1000))


def _divided(value: Array, unit: Array) -> Array:
    """Each row by its unit; a strength too large for it is infinite."""
    with np.errstate(over="ignore"):
        return value / (unit[:, None] if value.ndim == 2 else unit)
