"""Products with the Jacobian of a row whose Omega is known by its hooks, and derivatives in its parameters.

On the directions T in which the weights can move at first order, the Jacobian is the inverse of the Hessian restricted
to T: the support, less the direction 1, and where there is a penalty only the directions that its prox lets through.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax.solvers import splitting
from regmax.solvers.generic import LEAST, RELATIVE_STEP, column, conjugate_gradients, curvatures, product_by_differences

from ._hooks import Hooks

__all__ = ["FAR", "LARGEST", "cut_off", "multiply", "subgradient"]

Array = NDArray[Any]

#: The largest support whose Hessian is written out; with a penalty the longest row.
LARGEST = 1024
#: Scores further below the best, in units of gamma, rarely have a weight, and cost the digits of others.
FAR = 1e8
_STEP = 1e-6  # of the differences of a prox
_LET_THROUGH = 1e-6  # an eigenvalue of the derivative of a prox above this is one
_ACCURACY = 1e-10
_AWAY = 1e-5


def cut_off(scores: Array, y: Array, gamma: float) -> Array:
    """Scores of maximum 0 in units of gamma; far ones without weight are raised, which keeps the digits of others."""
    with np.errstate(over="ignore"):
        z = (scores - scores.max()) / gamma
    return np.where(y > 0, np.maximum(z, -np.finfo(float).max), np.maximum(z, -FAR))


def subgradient(hooks: Hooks, y: Array, z: Array) -> splitting.Answer:
    """The best proof for live weights y at the scores z in units of gamma."""
    scale = max(float(np.abs(z).max()), 1.0)
    if hooks.operator._has_penalty:
        return splitting.certified(hooks.terms(z), y, scale)
    slope = hooks.gradient(np.maximum(y, LEAST)) - z
    return splitting.Answer(y, y, np.zeros_like(y), float(y @ slope - slope.min()))


def multiply(hooks: Hooks, y: Array, v: Array, u: Array | None) -> Array:
    """``J v`` for gamma = 1 at live weights y, u the subgradient of the penalty there if there is one."""
    support = y > LEAST
    out = np.zeros_like(y)
    if support.sum() <= 1:
        return out
    if u is None and support.sum() > LARGEST:
        out[support] = _by_iteration(hooks, y, v, support)
    elif u is None:
        out[support] = _on_the_plane(hooks, _hessian(hooks, y, support), v[support])
    else:
        out[:] = _on_the_groups(hooks, y, v, u, support)
    return out


def _hessian(hooks: Hooks, y: Array, support: Array) -> Array:
    """The Hessian of the smooth part on the support, exactly symmetric; of two quotients that of the larger weight."""
    places = np.flatnonzero(support)
    raised = np.maximum(y, LEAST)
    if hooks.operator._writes("smooth_hessian"):
        columns = [hooks.product(raised, np.eye(1, y.size, j)[0]) for j in places.tolist()]
    else:
        columns = [column(hooks.gradient, raised, j) for j in places]
    found = np.array(columns).T[places]
    larger = y[places][:, None] > y[places]
    mean = 0.5 * (found + found.T)
    return np.where(larger, found.T, np.where(larger.T, found, mean))


def _solved(hooks: Hooks, matrix: Array, right: Array) -> Array:
    """``matrix^-1 right`` of a positive definite matrix, scaled so that weights of any size keep their digits."""
    diagonal = np.diagonal(matrix)
    if (diagonal > 0).all():
        root = 1.0 / np.sqrt(diagonal)
        try:
            lower = np.linalg.cholesky(root[:, None] * matrix * root)
        except np.linalg.LinAlgError:
            pass
        else:
            half = np.linalg.solve(lower, root[:, None] * right)
            return root[:, None] * np.linalg.solve(lower.T, half)
    raise ValueError(
        f"{hooks.operator.name}: the Jacobian needs a smooth part that curves in every direction that the weights can "
        "move in, and its Hessian is not positive definite there"
    )


def _on_the_plane(hooks: Hooks, matrix: Array, v: Array) -> Array:
    """``H^-1 v - (H^-1 1)(H^-1 1)^T v / (1^T H^-1 1)``."""
    solved, even = _solved(hooks, matrix, np.stack([v, np.ones_like(v)], axis=1)).T
    return solved - even * (solved.sum() / even.sum())


def _by_iteration(hooks: Hooks, y: Array, v: Array, support: Array) -> Array:
    """The same by conjugate gradients, where the Hessian is too large to be written out."""
    raised = np.maximum(y, LEAST)
    exact = hooks.operator._writes("smooth_hessian")
    whole = hooks.product if exact else product_by_differences(hooks.gradient, RELATIVE_STEP)

    def product(w: Array) -> Array:
        full = np.zeros_like(y)
        full[support] = w
        return whole(raised, full)[support]

    diagonal = curvatures(whole, raised)[support]
    return conjugate_gradients(product, diagonal, v[support], _ACCURACY, 4 * v.size)[0]


def _on_the_groups(hooks: Hooks, y: Array, v: Array, u: Array, support: Array) -> Array:
    """The same restricted to what the penalty lets move, with what it adds to the curvature there."""
    name, n = hooks.operator.name, y.size
    if n > LARGEST:
        raise ValueError(f"{name}: the Jacobian with a penalty takes at most {LARGEST} entries that take part, got {n}")
    if not np.abs(hooks.prox(y + u, 1.0) - y).max() <= _AWAY:
        raise ValueError(f"{name}: the Jacobian with a penalty needs the weights that solve the problem at x")
    let = np.array([hooks.prox(y + u + e, 1.0) - hooks.prox(y + u - e, 1.0) for e in _STEP * np.eye(n)]) / (2 * _STEP)
    values, vectors = np.linalg.eigh(0.5 * (let + let.T))
    free = values > _LET_THROUGH
    moving, values = vectors[:, free], np.minimum(values[free], 1.0)
    # Directions inside `moving`, zero off the support, of sum 0: where none of three projections takes anything away.
    taken = np.eye(n) - moving @ moving.T + np.diag(1.0 * ~support) + np.full((n, n), 1.0 / n)
    sizes, basis = np.linalg.eigh(taken)
    basis = np.where(support[:, None], basis[:, sizes < _LET_THROUGH], 0.0)
    if not basis.shape[1]:
        return np.zeros(n)
    basis = np.where(support[:, None], basis - basis.sum(axis=0) / support.sum(), 0.0)
    bend = np.where(values < 1 - _LET_THROUGH, 1.0 / values - 1.0, 0.0)
    along = moving.T @ basis
    inside = basis[support]
    matrix = inside.T @ _hessian(hooks, y, support) @ inside + along.T @ (bend[:, None] * along)
    return basis @ _solved(hooks, 0.5 * (matrix + matrix.T), (basis.T @ v)[:, None])[:, 0]
