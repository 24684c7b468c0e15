"""A smooth convex function plus a penalty known by its proximal operator, on the simplex: three ways, fastest first.

Every way ends with the proof that :func:`proof` measures, so none is trusted. Source: Yu 2013 for projecting after the
prox; Beck & Teboulle 2009 and O'Donoghue & Candes 2015; Douglas & Rachford 1956 with Walker & Ni 2011.
"""

from typing import NamedTuple

import numpy as np

from . import simplex
from .generic import LEAST, curvatures, minimise

__all__ = ["CAP", "Answer", "Terms", "certified", "minimise_with_penalty", "proof"]

#: Steps of the last way, each of them one smooth problem.
CAP = 200
_FORWARD_CAP, _PATIENCE, _STEEPEST = 3000, 150, 1e5
_MEMORY = 10
_ENOUGH = 1e-13  # of the scale of the scores: with this gap the next way is not tried
_GOOD = 1e-11  # with this one the last way is not tried, or stops


class Terms(NamedTuple):
    """What is minimised over the simplex: ``f(y) + penalty(y) - <z, y>``."""

    gradient: object  # of f at y > 0
    product: object  # its Hessian at y times v
    penalty: object
    prox: object  # (v, step) -> argmin |d - v|^2 / 2 + step penalty(d)
    z: np.ndarray


class Answer(NamedTuple):
    """A point y of the simplex, a subgradient u of the penalty at p, and the gap that they prove."""

    y: np.ndarray
    p: np.ndarray
    u: np.ndarray
    gap: float


def _projected(v):
    """The nearest point of the simplex."""
    out = np.empty((1, v.size))
    simplex.sparsemax(np.ascontiguousarray(v)[None], np.ones(1), out, 0, 1)
    return out[0]


def proof(terms, y, p, u):
    """An :class:`Answer`: no point of the simplex is better than y by more than its gap.

    For every d, ``penalty(d) >= penalty(p) + <u, d - p>``, and f lies above its tangent at y.
    """
    slope = terms.gradient(np.maximum(y, LEAST)) + u - terms.z
    slack = terms.penalty(y) - terms.penalty(p) - u @ (y - p)
    return Answer(y, p, u, float(y @ slope - slope.min() + max(slack, 0.0)))


def _better(one, other):
    return one if one.gap <= other.gap or np.isnan(other.gap) else other


def _composed(terms):
    """The prox of the scores first, the smooth problem after.

    Exact where f treats all entries alike and the penalty is the Lovász extension of a submodular function, as total
    variation on any graph is: then the weights are ordered as the prox is, and keep its subgradient.
    """
    p = terms.prox(terms.z, 1.0)
    u = terms.z - p
    return proof(terms, minimise(terms.gradient, terms.product, p)[0], p, u)


def _forward_backward(terms, best, enough):
    """Accelerated steps along gradient, prox and projection; for bounded curvature, and penalties as above."""
    y = q = best.y
    before, momentum = y, 1.0
    steep = first = _typical_curvature(terms, y)
    since, mark = 0, best.gap
    for _ in range(_FORWARD_CAP):
        g = terms.gradient(np.maximum(q, LEAST))
        while True:
            v = q - (g - terms.z) / steep
            p = terms.prox(v, 1.0 / steep)
            y = _projected(p)
            moved = y - q
            bend = (terms.gradient(np.maximum(y, LEAST)) - g) @ moved
            if bend <= steep * (moved @ moved) * (1 + 1e-9) or steep > _STEEPEST * first:
                break
            steep *= 2
        best = _better(proof(terms, y, p, steep * (v - p)), best)
        since += 1
        if best.gap <= 0.1 * mark:
            since, mark = 0, best.gap
        if best.gap <= enough or since > _PATIENCE or steep > _STEEPEST * first:
            break
        momentum, last = (
            (1.0, 1.0) if (q - y) @ (y - before) > 0 else ((1 + np.sqrt(1 + 4 * momentum**2)) / 2, momentum)
        )
        q = np.maximum(y + (last - 1) / momentum * (y - before), 0.0)
        before = y
    return best


def _typical_curvature(terms, y):
    y = np.maximum(y, 1e-12)
    return float(y * y @ curvatures(terms.product, y) / (y @ y)) or 1.0


def _alternating(terms, best, enough, smooth):
    """Douglas-Rachford steps: ``smooth(w, rho)`` minimises f - <z, .> + rho |. - w|^2 / 2, and then the prox.

    Anderson's extrapolation from the last steps makes hundreds of them tens.
    """
    rho = _typical_curvature(terms, best.y)
    v = best.y + best.u / rho
    points: list = []
    residuals: list = []
    for _ in range(CAP):
        p = terms.prox(v, 1.0 / rho)
        y = smooth(2 * p - v, rho)
        best = _better(proof(terms, y, p, rho * (v - p)), best)
        if best.gap <= enough or not np.isfinite(v).all():
            break
        points, residuals = [*points[-_MEMORY:], v], [*residuals[-_MEMORY:], y - p]
        v = v + residuals[-1]
        if len(points) > 1:
            bends, moves = np.diff(residuals, axis=0).T, np.diff(points, axis=0).T
            weights = np.linalg.lstsq(bends, residuals[-1], rcond=1e-10)[0]
            v = v - (moves + bends) @ weights
    return best


def minimise_with_penalty(terms):
    """The best :class:`Answer` found; its gap is not small where every way met its cap."""
    scale = max(np.abs(terms.z).max(), 1.0)
    best = _composed(terms)
    if not best.gap <= _ENOUGH * scale:
        best = _forward_backward(terms, best, _ENOUGH * scale)

    def smooth(w, rho):
        gradient = lambda y: terms.gradient(y) + rho * (y - w)  # noqa: E731
        return minimise(gradient, lambda y, v: terms.product(y, v) + rho * v, terms.z)[0]

    return best if best.gap <= _GOOD * scale else _alternating(terms, best, _GOOD * scale, smooth)


def certified(terms, y, scale):
    """The best proof for a given y: a subgradient from the scores, from y itself, or found by search."""
    p = terms.prox(terms.z, 1.0)
    best = proof(terms, y, p, terms.z - p)
    if best.gap <= _ENOUGH * scale:
        return best
    slope = terms.gradient(np.maximum(y, LEAST)) - terms.z
    v = y - slope
    p = terms.prox(v, 1.0)
    best = _better(proof(terms, y, p, v - p), best)
    if best.gap <= _ENOUGH * scale:
        return best
    # The u in the penalty's subgradients that leaves y nearest to where the projected prox would put it.
    near = Terms(lambda d: d, lambda d, w: w, terms.penalty, terms.prox, v)
    found = _alternating(near, best._replace(gap=np.inf), 0.0, lambda w, rho: _projected((v + rho * w) / (1 + rho)))
    return _better(proof(terms, y, found.p, found.u), best)
