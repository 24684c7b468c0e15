"""The proof that travels with an answer: feasibility, Frank-Wolfe gap, and the distance they bound."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Certificate"]


@dataclass(frozen=True)
class Certificate:
    """How wrong weights can be, without trusting the solver that produced them; one entry per row.

    With a subgradient g of the regularizer at y and the support function of the domain D, every y satisfies
    ``objective(best) - objective(y) <= gap = max_{d in D} <x - gamma g, d - y>``.

    Parameters
    ----------
    feasibility : float or array
        Largest violation of any constraint of the domain.
    gap : float or array
        Upper bound on how much better the best weights are, in the units of the scores. Of feasible weights: where
        ``feasibility`` is above rounding it says nothing.
    error_bound : float or array
        Upper bound on the Euclidean distance to the best weights; infinite where the regularizer has no known modulus
        of convexity, and where the weights are not feasible.

    Notes
    -----
    Source: Jaggi, "Revisiting Frank-Wolfe", ICML 2013. Raises nothing.
    """

    feasibility: Any
    gap: Any
    error_bound: Any
