"""Monotone root search, shared by the operators whose weights are a function of one threshold.

Where Newton's method from the left cannot overshoot, only the rounding of a large sum can make it: :func:`onward`.

For a decreasing function with a bracket ``low < root < high``: Newton's step where it stays inside, else the neighbour
of the end it points beyond; and after some steps every third time a midpoint that halves exponents first and digits
next, so that even a bracket from -1e300 to -1e-300 with a useless slope ends in about 64 of those.
"""

import numpy as np

from ._jit import kernel
from .rows import limits

__all__ = ["MAX_STEPS", "middle", "onward", "safeguarded"]

# Newton's method alone mostly ends in fewer; a midpoint between loses the step that brings it back.
_PATIENCE = 12
#: A third of what follows halves the bracket: ten times the exponent, 53 times the digits.
MAX_STEPS = _PATIENCE + 3 * 64


@kernel
def onward(low, t, excess, step, z):
    """(low, next) after Newton's step from t, where the function exceeds its target by ``excess``.

    ``next == t`` says that t is the root; ``next == low`` that no number is left between low and a t past the root.
    Past it t can only be by the rounding of a large sum, which was smaller for a smaller step.
    """
    eps = limits(z)[1]
    if excess >= -z.dtype.type(16) * eps:
        return t, (t + step if t + step > t else t)
    back = low + (t - low) / z.dtype.type(2)
    return low, (back if low < back < t else low)


@kernel
def middle(low, high, z):
    """A point strictly between two numbers, or one of them if there is none; z is any row of their dtype."""
    zero = z.dtype.type(0)
    if low < zero < high:
        return zero
    negative = low < zero
    near, far = (-high, -low) if negative else (low, high)
    start = max(near, limits(z)[0])
    point = np.sqrt(start) * np.sqrt(far) if far > start + start + start + start else near
    if not near < point < far:
        point = near + (far - near) / z.dtype.type(2)
    return -point if negative else point


@kernel
def safeguarded(low, high, newton, step, z):
    """The next point to try in the bracket, given Newton's proposal and how many steps were taken."""
    if step >= _PATIENCE and step % 3 == 2:
        return middle(low, high, z)
    eps = limits(z)[1]
    proposal = max(min(newton, high - abs(high) * eps), low + abs(low) * eps)
    return proposal if low < proposal < high else middle(low, high, z)
