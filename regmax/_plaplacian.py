"""What the p-Laplacian prox and operator share: the energy of differences, its slopes, and flows that certify.

Values are rows (rows, n), or with features (rows, n, d): those are laid out as (rows d, n), one row per feature, and
only the lengths of differences couple them again.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax.solvers import tv as chain
from regmax.solvers._threads import run

from ._graph import link_weights
from ._graph_tv import drops, flows, outflow
from ._parametrised import Spread

__all__ = ["certifying_flow", "energy", "energy_expression", "energy_slopes", "slack"]

Array = NDArray[Any]

_UNITS = (4, 64, 1024, 16384)  # of the last place of the largest value that values may be off by, tried in turn
_ENOUGH = 1e-14  # a gap, in units of the largest value or 1, that no other flow need better
_TINY = 1e-300
_SURE = 1e-13  # of the capacity: a flow known as well as this is known


def _by_edge(y: Array, p: Spread, d: int) -> tuple[Array, Array]:
    """(differences (rows d, m), their lengths (rows, m)) along the edges, of values laid out by feature."""
    drop = drops(y, p)
    return drop, _lengths(drop, d)


def _lengths(rows: Array, d: int) -> Array:
    """Euclidean lengths of the vectors in rows laid out by feature; none overflows that a float can hold."""
    parts = np.abs(rows.reshape(len(rows) // d, d, rows.shape[1]))
    if d == 1:
        return parts[:, 0]
    largest = parts.max(axis=1)
    return largest * np.linalg.norm(parts / np.where(largest > 0, largest, 1.0)[:, None], axis=1)


def _spread_out(by_edge: Array, d: int) -> Array:
    """One row per feature."""
    return by_edge if d == 1 else np.repeat(by_edge, d, axis=0)


def _pull(drop: Array, size: Array, p: Spread, d: int) -> Array:
    """The gradient of ``|difference|^p / p``; 0 where there is none."""
    power = np.where(size > 0, np.where(size > 0, size, 1.0) ** (p["p"][:, None] - 2), 0.0)
    return _spread_out(power, d) * drop


def _strengths(live: Array, p: Spread) -> Array:
    """``(lam w)^(1 / (p - 1))``, below p = 2 ``lam w``: from the flow of an edge to its jump without large powers.

    Where values are in a ``unit``, those of the values in it.
    """
    root = 1.0 / np.maximum(p["p"] - 1.0, 1.0)[:, None]
    units = p["unit"][:, None] ** ((p["p"][:, None] - 2.0) * root) if "unit" in p else 1.0
    weights = link_weights(p, live)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(weights > 0, p["lam"][:, None] ** root * weights**root * units, 0.0)


def _flow(size: Array, strength: Array, p: Spread) -> Array:
    """The flow that belongs to differences of some size."""
    exponent = p["p"][:, None] - 1.0
    with np.errstate(over="ignore"):
        pulls = strength * np.where(size > 0, size, 0.0) ** np.minimum(exponent, 1.0)
        return np.where(strength > 0, pulls, 0.0) ** np.maximum(exponent, 1.0)


def energy(y: Array, live: Array, p: Spread, d: int = 1) -> Array:
    """``lam / p sum_e w_e |y_i - y_j|^p`` of each row."""
    _, size = _by_edge(y, p, d)
    some = (size > 0) & (link_weights(p, live) > 0)
    with np.errstate(invalid="ignore", over="ignore"):
        each = size * _flow(size, _strengths(live, p), p)
    return np.sum(np.where(some, each, 0.0), axis=1) / p["p"]


def energy_slopes(y: Array, jv: Array, live: Array, p: Spread, d: int = 1) -> Spread:
    """Derivatives of ``<v, y>`` in lam, p and the weights, given J v for an unscaled quadratic part."""
    drop, size = _by_edge(y, p, d)
    along = (_pull(drop, size, p, d) * drops(jv, p)).reshape(len(size), d, size.shape[1]).sum(axis=1)
    weights = link_weights(p, live)
    each = weights * along
    curved = each * np.log(np.where(size > 0, size, 1.0))
    lam = p["lam"][:, None]
    slopes = {"lam": -each.sum(axis=1), "p": -np.where(curved == 0, 0.0, lam * curved).sum(axis=1)}
    if p["weights"].shape[1]:
        joined = link_weights({**p, "weights": np.empty((1, 0))}, live) > 0
        slopes["weights"] = -np.where(joined & (along != 0), lam * along, 0.0)
    return slopes


def certifying_flow(
    z: Array, y: Array, live: Array, p: Spread, d: int, gap: Callable[[Array], Array], solved: Callable[[], Array]
) -> Array:
    """Flows (rows d, m) that show a small ``gap``; whichever they are, what they show is proved.

    Those that y implies, within growing margins of rounding; else those ``solved`` for, because near p = 1 differences
    too small for y to tell carry flows.
    """
    flow = _flow_within(_UNITS[0], z, y, live, p, d)
    least = gap(flow)
    enough = _ENOUGH * np.maximum(1.0, _by_row(np.abs(z), live).max(axis=1, initial=0.0))
    others: list[Callable[[], Array]] = [partial(_flow_within, units, z, y, live, p, d) for units in _UNITS[1:]]
    for candidate in (*others, solved):
        late = least > enough
        if not late.any():
            break
        other = candidate()
        found = gap(other)
        better = late & (found < least)
        flow, least = np.where(np.repeat(better, d)[:, None], other, flow), np.where(better, found, least)
    return flow


def _by_row(values: Array, live: Array) -> Array:
    """All features of a row beside each other."""
    return values.reshape(len(live), values.size // max(len(live), 1))


def _flow_within(units: float, z: Array, y: Array, live: Array, p: Spread, d: int) -> Array:
    """Flows that the differences in y, up to rounding, may stand for, and that make z - y even-most.

    Where a difference is lost in the rounding of y, and p is near 1, its flow is not; it is found as total variation
    finds its own: as the flow that leaves every group as even as it can.
    """
    drop, size = _by_edge(y, p, d)
    c = _strengths(live, p)
    room = _by_row(np.abs(z), live).sum(axis=1) + 1.0
    most = 4.0 * room[:, None]
    rigid, c = np.isinf(c), np.where(np.isinf(c), most, c)
    unsure = units * p["rounding"] * _by_row(np.abs(y), live).max(axis=1, initial=0.0)[:, None] + _TINY
    ends = size - unsure, size + unsure
    low, high = (np.sign(end) * np.minimum(_flow(np.abs(end), c, p), most) for end in ends)
    middle, half = (low + high) / 2, np.where(rigid, most, (high - low) / 2)
    full = np.minimum(_flow(np.ones_like(c), c, p), most)
    half = np.where(half > _SURE * full, np.minimum(half, most) / np.sqrt(d), 0.0)
    direction = drop / _spread_out(np.where(size > 0, size, 1.0), d)
    sure = _spread_out(np.where(half > 0, middle, _flow(size, c, p)), d) * direction
    if not half.any():
        return sure
    left = z - y - outflow(sure, y.shape[1], p)
    return sure + _evened(left, _spread_out(half, d), p)


def _evened(left: Array, capacity: Array, p: Spread) -> Array:
    """The flows within their capacities that make rows even-most."""
    if not p["chain"]:
        return flows(left, capacity, p)
    even = np.empty_like(left)
    run(chain.tv, (left, np.ones(len(left)), np.ascontiguousarray(capacity)), even)
    return np.clip(np.cumsum(left - even, axis=1)[:, :-1], -capacity, capacity)


def slack(y: Array, flow: Array, live: Array, p: Spread, d: int = 1) -> Array:
    """``h(drop) + h*(flow) - <flow, drop>`` summed over the edges, h = c |.|^p / p: 0 where flow and drop agree."""
    c = _strengths(live, p)
    drop, size = _by_edge(y, p, d)
    carried = _lengths(flow, d)
    exponent = p["p"][:, None]
    with np.errstate(all="ignore"):
        jump = np.where(exponent < 2, (carried / c) ** (1 / (exponent - 1)), carried ** (1 / (exponent - 1)) / c)
        conjugate = carried * jump * (exponent - 1) / exponent
        conjugate = np.where(exponent > 1, conjugate, np.where(carried <= c * (1 + 1e-15), 0.0, np.inf))
        stored = size * _flow(size, c, p) / exponent
        total = stored + conjugate - (flow * drop).reshape(len(c), d, c.shape[1]).sum(axis=1)
    total = np.where(np.isinf(c), np.where(size > 0, np.inf, 0.0), total)
    return np.where(c > 0, np.maximum(total, 0.0), 0.0).sum(axis=1)


def energy_expression(y: Any, live: Array, p: Spread, exponent: float) -> Any:
    """``sum w_e |y_i - y_j|^p / p`` of a CVXPY expression of shape (n,) or (n, d)."""
    import cvxpy

    weights = link_weights(p, live[None])[0]
    some = weights > 0
    if not some.any():
        return 0.0
    tail, head = p["edges"][some].T
    size = cvxpy.abs(y[head] - y[tail]) if y.ndim == 1 else cvxpy.norm(y[head] - y[tail], 2, axis=1)
    return weights[some] @ (size if exponent == 1 else cvxpy.power(size, exponent)) / exponent
