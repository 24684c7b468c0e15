"""Any smooth convex function on the simplex, known by its gradient: a primal-dual interior point method.

Functions of whole rows come from Python, so nothing here is compiled. Source: Mehrotra 1992 for the path; Gould, Hribar
& Nocedal 2001 for conjugate gradients that stay in the plane sum d = 0.
"""

import numpy as np

__all__ = [
    "CAP",
    "LEAST",
    "RELATIVE_STEP",
    "column",
    "conjugate_gradients",
    "curvatures",
    "minimise",
    "product_by_differences",
]

#: Steps of the interior point method.
CAP = 150
#: Gradients are asked for at weights of at least this, where that of an entropy is finite; less becomes 0.
LEAST = 1e-37
_LEVEL = np.log(100.0)
_STEP = 1e-5  # of difference quotients, against weights that sum to 1
_LARGEST_CHANGE = 0.1  # of a weight: less would cost digits where only tiny weights still move
RELATIVE_STEP = 1e-4  # of a weight, where the quotient itself is the answer
_SAME = 1e-10  # difference between quotients of the same curvature
_CG_CAP, _CG_ACCURACY, _CG_ENOUGH = 300, 1e-3, 1e-2
_CG_DIGITS = 1e-10  # where the differences leave no more
_TO_THE_BOUNDARY = 0.995
_HALVINGS = 6
_STUCK = 12  # steps without a smaller gap
_SETTLED = 1e-13
_SHORT_OF_ZERO = 1e-24
_TAIL, _TAIL_STEPS, _LARGEST_POWER = 1e-12, 12, 100.0


def product_by_differences(gradient, change=_LARGEST_CHANGE):
    """The product of the Hessian at y > 0 with v, as a function (y, v), by central differences of the gradient.

    No weight is changed by more than the share ``change`` of it.
    """

    def product(y, v):
        size = np.abs(v)
        step = min(_STEP / max(size.max(), LEAST), change / max((size / y).max(), LEAST))
        return (gradient(y + step * v) - gradient(y - step * v)) / (2 * step)

    return product


def column(gradient, y, j):
    """Column j of the Hessian at y > 0 by differences.

    A step that is small against a tiny weight leaves few digits, so it grows as long as the curvature, to rounding,
    stays the same.
    """
    unit = np.zeros_like(y)
    unit[j] = 1.0
    here = None
    step = RELATIVE_STEP * y[j]
    found = (gradient(y + step * unit) - gradient(y - step * unit)) / (2 * step)
    while 10 * step <= _STEP:
        here = gradient(y) if here is None else here
        noise = 8 * np.finfo(float).eps * np.abs(here[j]) / step
        step *= 10
        further = (4 * gradient(y + step * unit) - 3 * here - gradient(y + 2 * step * unit)) / (2 * step)
        if not abs(further[j] - found[j]) <= noise + _SAME * abs(found[j]):
            break
        found = further
    return found


def _signs(n):
    """Two rows of signs that look random and are always the same."""
    k = np.arange(1, n + 1, dtype=np.uint64)
    mixed = [k * np.uint64(prime) ^ k * k * np.uint64(40503) for prime in (2654435761, 2246822519)]
    return np.array([1.0 - 2.0 * ((bits >> np.uint64(13)) & np.uint64(1)) for bits in mixed])


def curvatures(product, y):
    """An estimate, > 0, of the diagonal of the Hessian; exact where nothing is off the diagonal (Bekas et al. 2007).

    Weights are probed with others of their size: large ones would drown what small ones do.
    """
    level = np.floor(np.log(y) / _LEVEL)
    found = np.empty_like(y)
    for one in np.unique(level):
        here = level == one
        probes = np.where(here, _signs(y.size) * y, 0.0)
        total = sum(v * product(y, v) for v in probes)
        found[here] = np.abs(total[here]) / (len(probes) * y[here] ** 2)
    return np.maximum(found, LEAST)


def conjugate_gradients(multiply, diagonal, b, accuracy, cap, weights=0.0, enough=0.0):
    """(d, multiplier) with ``multiply(d) + multiplier = b`` and ``sum d = 0``, preconditioned by ``diagonal``.

    Until the error is ``accuracy`` of what it was, and the residual, each entry times its weight, ``enough``.
    """
    inverse = 1.0 / diagonal
    total = inverse.sum()

    def preconditioned(r):
        scaled = inverse * r
        return scaled - inverse * (scaled.sum() / total)

    d = np.zeros_like(b)
    multiplier = inverse @ b / total
    r = b - multiplier
    towards = g = preconditioned(r)
    size = first = r @ g
    for _ in range(cap):
        if not size > _CG_DIGITS**2 * first:
            break
        if size <= accuracy**2 * first and np.sum(weights * np.abs(r)) <= enough:
            break
        image = multiply(towards)
        curvature = towards @ image
        if not curvature > 0:
            break
        d = d + size / curvature * towards
        r = r - size / curvature * image
        mean = inverse @ r / total  # kept out of r, where it would drown the rest
        multiplier, r = multiplier + mean, r - mean
        g = preconditioned(r)
        size, before = r @ g, size
        towards = g + size / before * towards
    return d, multiplier


def _room(y, d):
    """The share of the step d after which the first entry of y > 0 is nearly 0."""
    return min(1.0, _TO_THE_BOUNDARY / max(np.max(-d / y), LEAST))


def _tail(gradient, z, y):
    """Weights too small for the path, each to where its own slope is level, or to LEAST; none matters to the others."""
    small = y < _TAIL
    small[np.argmax(y)] = False
    if not small.any():
        return y
    y = y.copy()
    for _ in range(_TAIL_STEPS):
        g = gradient(y) - z
        slope = g - np.sum(np.where(small, 0.0, y * g)) / np.sum(np.where(small, 0.0, y))
        raised = np.where(small, 1.1 * y, y)
        growth = np.maximum((gradient(raised) - z - g) / np.log(1.1), LEAST)  # of each slope with the log of its weight
        power = np.clip(-slope / growth, -_LARGEST_POWER, _LARGEST_POWER)
        moved = np.where(small, np.clip(y * np.exp(power), LEAST, _TAIL), y)
        if np.all(np.abs(moved - y) <= 1e-12 * y):
            break
        y = moved
    return y


def minimise(gradient, product, z):
    """(y, gap): the point of the simplex that minimises ``f(y) - <z, y>``, and how far it can be from the minimum.

    ``gradient(y)`` is that of f at y > 0, ``product(y, v)`` its Hessian times v; z is finite. Entries of y below
    LEAST are 0. The gap is absolute; it is not small where the method got stuck or met its cap.
    """
    n = z.size
    y = np.full(n, 1.0 / n)
    if n == 1:
        return y, 0.0
    g = gradient(y) - z
    spread = g.max() - g.min()
    scale = np.abs(g).max()
    if not spread > _SETTLED * scale:
        return y, y @ g - g.min()
    t = spread / 2 - g.min()
    s = g + t
    best, least, idle, centring = y, np.inf, 0, 0.3
    for _ in range(CAP):
        gap, mu = y @ g - g.min(), y @ s / n
        idle = 0 if gap < least else idle + 1
        if gap <= least or gap <= _SETTLED * scale:
            best, least = y, gap
        if (gap <= _SETTLED * scale and mu <= _SHORT_OF_ZERO * scale) or idle >= _STUCK or not np.isfinite(gap):
            break
        y, s, t, g, centring = _step(gradient, product, z, y, s, t, g, centring * mu)
    return _finished(gradient, z, best, least, _SETTLED * scale)


def _finished(gradient, z, y, gap, settled):
    """With the tail found and what is negligible dropped, unless that makes it worse; sums to 1."""
    moved = _tail(gradient, z, y)
    g = gradient(moved) - z
    after = moved @ g - g.min()
    y, gap = (moved, after) if after <= max(gap, settled) else (y, gap)
    y = np.where(y <= LEAST * (1 + 1e-9), 0.0, y)
    return y / y.sum(), gap


def _step(gradient, product, z, y, s, t, g, target):
    """A Newton step towards the point of the path where every ``y s`` is ``target``."""
    pull, n = s / y, y.size
    d, moved = conjugate_gradients(
        lambda v: product(y, v) + pull * v,
        curvatures(product, y) + pull,
        target / y - g - t,
        _CG_ACCURACY,
        min(_CG_CAP, 2 * n),
        y,
        _CG_ENOUGH * (y @ s),
    )
    ds = target / y - s - pull * d
    step = min(_room(y, d), _room(s, ds))
    before = y @ np.abs(g + t - s) + y @ s
    for _ in range(_HALVINGS):
        new = np.maximum(y + step * d, 1e-3 * LEAST)
        new_g, new_s, new_t = gradient(new) - z, s + step * ds, t + step * moved
        after = new @ np.abs(new_g + new_t - new_s) + new @ new_s
        if after <= before * (1 - 0.01 * step) or after <= _SETTLED * np.abs(g).max():
            break
        step /= 2
    return new / new.sum(), new_s, new_t, new_g, min(0.5, max((1 - step) ** 2, 1e-6))
