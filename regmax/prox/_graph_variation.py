"""Total variation along the edges of a graph or grid: all of its prox but the parameters."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmax._graph import link_slopes
from regmax._graph_tv import binds, capacities, drops, flows, outflow, sides, variation, variation_expression
from regmax._parametrised import Spread
from regmax.solvers import graph_tv as solver
from regmax.solvers._threads import run

from ._proximal import Proximal

__all__ = ["GraphVariation"]

Array = NDArray[Any]


class GraphVariation(Proximal):
    """``g(y) = lam sum_e w_e |y_i - y_j|`` over edges that its subclasses name."""

    homogeneous = ("lam",)

    def _solve(self, x: Array, p: Spread, out: Array) -> None:
        run(solver.graph_tv, (x, p["lam"], p["weights"], p["edges"], sides(p)), out)

    def _multiply(self, y: Array, v: Array, live: Array, p: Spread, out: Array, *, transposed: bool) -> None:
        run(solver.graph_tv_jacobian, (y, v, live, p["lam"], p["weights"], p["edges"]), out)

    def _dual(self, y: Array, r: Array, live: Array, p: Spread) -> tuple[Array, Array]:
        # The best flows, whatever y is: they depend on x = y + r alone.
        capacity, drop = capacities(live, p), drops(y, p)
        flow = flows(np.where(live, y + r, 0.0), capacity, p)
        slack = np.where(drop == 0, 0.0, capacity * np.abs(drop) - flow * drop).sum(axis=1)
        return outflow(flow, y.shape[1], p), slack

    def _penalty(self, y: Array, live: Array, p: Spread) -> Array:
        return variation(y, live, p)

    def _slopes(self, x: Array, y: Array, v: Array, jv: Array, p: Spread) -> Spread:
        return link_slopes(y, jv, x != -np.inf, p)

    def _expression(self, y: Any, live: Array) -> Any:
        return variation_expression(self, y, live)

    @property
    def permutes(self) -> bool:
        """Whether permuting x permutes y."""
        return not binds(self)
