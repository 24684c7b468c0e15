"""Monotone root search, shared by the operators whose weights are a function of one threshold.

For a decreasing function with a bracket ``low < root < high`` of negative numbers: Newton's step where it stays
inside, else a midpoint that halves exponents first and digits next, so that a bracket from -1e300 to -1e-300
takes about 64 steps, not a thousand.
"""

import numpy as np

from ._jit import kernel

__all__ = ["MAX_STEPS", "middle", "safeguarded"]

#: More steps than any bracket of float64 needs: ten halve the exponent, 53 the digits, Newton may waste half.
MAX_STEPS = 200


@kernel
def middle(low, high):
    """A point strictly between two negative numbers, or one of them if there is none."""
    if low < high * 4:
        return -np.sqrt(-low) * np.sqrt(-high)
    return high - (high - low) / 2


@kernel
def safeguarded(low, high, newton):
    """Newton's proposal if it lies strictly inside the bracket, else :func:`middle`."""
    return newton if low < newton < high else middle(low, high)
