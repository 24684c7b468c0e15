"""Monotone root search, shared by the operators whose weights are a function of one threshold.

For a decreasing function with a bracket ``low < root < high`` of negative numbers: Newton's step where it stays
inside, else the neighbour of the end it points beyond; and every third time a midpoint that halves exponents first and
digits next, so that even a bracket from -1e300 to -1e-300 with a useless slope ends in about 64 of those.
"""

import numpy as np

from ._jit import kernel

__all__ = ["MAX_STEPS", "middle", "safeguarded"]

#: A third of it halves the bracket: ten times the exponent, 53 times the digits.
MAX_STEPS = 200


@kernel
def middle(low, high, eps):
    """A point strictly between two negative numbers, or one of them if there is none; ``eps`` sets the dtype."""
    if low < high + high + high + high:
        return -np.sqrt(-low) * np.sqrt(-high)
    return high - (high - low) * (eps / (eps + eps))


@kernel
def safeguarded(low, high, newton, step, eps):
    """The next point to try in the bracket, given Newton's proposal and how many steps were taken."""
    if step % 3 == 2:
        return middle(low, high, eps)
    proposal = max(min(newton, high + high * eps), low - low * eps)
    return proposal if low < proposal < high else middle(low, high, eps)
