"""What the penalties on differences along the edges of a graph or grid share: values, flows and CVXPY expressions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax.solvers import graph_tv as solver
from regmax.solvers._threads import run
from regmax.solvers.graph import grid_edges

from ._graph import link_weights
from ._parametrised import Parametrised, Spread
from ._problem import single
from ._rows import Rows

__all__ = [
    "OnGrid",
    "capacities",
    "drops",
    "flows",
    "largest_throughput",
    "outflow",
    "sides",
    "variation",
    "variation_expression",
]

Array = NDArray[Any]


class OnGrid(Parametrised):
    """An operator or prox on matrices whose entries are joined to those beside, above and below."""

    matrix = True

    def _spread(self, batch: Rows) -> Spread:
        p = super()._spread(batch)
        p["edges"] = grid_edges(*batch.item_shape)
        p["weights"] = np.empty((1, 0), batch.data.dtype)
        return p


def binds(operator: Any) -> bool:
    """Whether any edge has an effect."""
    return bool(np.any(np.asarray(operator.lam) > 0)) and np.size(getattr(operator, "edges", 1)) > 0


def sides(p: Spread) -> Array:
    """Height and width of the grid that the edges make up, or zeros."""
    return p.get("shape", np.zeros(2, np.int64))


def capacities(live: Array, p: Spread) -> Array:
    """lam times the weight of each edge between live vertices, shape (rows, m)."""
    weights = link_weights(p, live)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(weights > 0, p["lam"][:, None] * weights, 0.0)


def _ends(p: Spread) -> tuple[Array, Array]:
    """The smaller and the larger vertex of each edge, between which a flow is positive."""
    return p["edges"].min(axis=1), p["edges"].max(axis=1)


def drops(y: Array, p: Spread) -> Array:
    """How much y falls along each edge, shape (rows, m)."""
    tail, head = _ends(p)
    return y[:, tail] - y[:, head]


def flows(x: Array, capacity: Array, p: Spread) -> Array:
    """The flows within their capacities that make float64 rows even-most, shape (rows, m)."""
    found = np.empty(capacity.shape)
    if found.size:
        run(solver.graph_flows, (x, capacity, p["edges"], sides(p)), found)
    return np.clip(found, -capacity, capacity)


def outflow(flow: Array, n: int, p: Spread) -> Array:
    """What flows out of each of n vertices, less what flows in, shape (rows, n)."""
    out, back = _sums(flow, n, p)
    return out - back


def largest_throughput(capacity: Array, n: int, p: Spread) -> Array:
    """The most that can flow out of any vertex, per row."""
    out, back = _sums(capacity, n, p)
    return (out + back).max(axis=1)


def _sums(flow: Array, n: int, p: Spread) -> tuple[Array, Array]:
    """The flows of edges summed at their smaller and at their larger vertices, each of shape (rows, n)."""
    row = n * np.arange(len(flow))[:, None]
    sums = (np.bincount((row + end).ravel(), flow.ravel(), len(flow) * n) for end in _ends(p))
    out, back = (total.reshape(len(flow), n) for total in sums)
    return out, back


def variation(y: Array, live: Array, p: Spread) -> Array:
    """``lam sum_e w_e |y_i - y_j|`` per row."""
    total = np.sum(link_weights(p, live) * np.abs(drops(y, p)), axis=1)
    return np.where(total == 0, 0.0, p["lam"] * total)


def variation_expression(operator: Any, y: Any, live: Array) -> Any:
    """The same of a 1-D CVXPY expression."""
    import cvxpy

    p = operator._spread(operator._batch(np.zeros(live.size)))
    if not len(p["edges"]):
        return 0.0
    tail, head = _ends(p)
    return single(operator, "lam") * (link_weights(p, live[None])[0] @ cvxpy.abs(y[tail] - y[head]))
