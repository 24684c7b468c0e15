"""Total variation along the edges of a graph or grid as regularizer: all of the operator but its parameters."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax._graph import link_slopes
from regmax._graph_tv import (
    binds,
    capacities,
    drops,
    flows,
    largest_throughput,
    outflow,
    sides,
    variation,
    variation_expression,
)
from regmax._regularizer import Regularizer, Spread
from regmax.solvers import graph_tv as solver
from regmax.solvers._threads import run

from .quadratic import quadratic, quadratic_expression

__all__ = ["GraphVariation"]

Array = NDArray[Any]


class GraphVariation(Regularizer):
    """``Omega(y) = (|y|^2 - 1) / 2 + lam sum_e w_e |y_i - y_j|`` over edges that its subclasses name."""

    def _solve(self, x: Array, p: Spread, out: Array) -> None:
        run(solver.graphfusedmax, (x, p["gamma"], p["lam"], p["weights"], p["edges"], sides(p)), out)

    def _multiply(self, y: Array, v: Array, p: Spread, out: Array) -> None:
        run(solver.graphfusedmax_jacobian, (y, v, p["gamma"], p["lam"], p["weights"], p["edges"]), out)

    def _omega(self, y: Array, live: Array, p: Spread) -> Array:
        return quadratic(y) + variation(y, live, p)

    def _gradient(self, x: Array, y: Array, p: Spread) -> Array:
        live = x != -np.inf
        capacity, drop = capacities(live, p), drops(y, p)
        # A jump takes all that its edge carries; the edges inside a group even out what is left there.
        jumping = np.where(drop == 0, 0.0, capacity * np.sign(drop))
        top = np.where(live, x, -np.inf).max(axis=1, keepdims=True)
        scores = np.where(live, (x - top) / p["gamma"][:, None], 0.0)
        # Raising scores far below the support changes neither it nor the proof, and keeps the digits of the others.
        bridged = largest_throughput(capacity, y.shape[1], p)
        scores = np.maximum(scores, -4.0 * (1.0 + bridged)[:, None])
        left = scores - y - outflow(jumping, y.shape[1], p)
        inside = flows(left, np.where(drop == 0, capacity, 0.0), p)
        return y + outflow(jumping + inside, y.shape[1], p)

    def _slopes(self, x: Array, y: Array, v: Array, jv: Array, p: Spread) -> Spread:
        return link_slopes(y, jv * p["gamma"][:, None], x != -np.inf, p)

    def _expression(self, y: Any, live: Array) -> Any:
        return quadratic_expression(y) + variation_expression(self, y, live)

    @property
    def permutes(self) -> bool:
        return not binds(self)
