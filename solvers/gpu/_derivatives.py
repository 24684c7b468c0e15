"""Jacobian products of operators whose Jacobian J is symmetric, as functions of the weights that autograd can follow.

With ``argmax <x, y> - gamma Omega(y)`` a parameter c acts like scores that move by ``-d(gamma grad Omega) / dc``.
Derived in docs/theory.md.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from ._rows import fold, offsets, row_sum, tidy

__all__ = ["Slope", "per_row", "ratio", "symmetric", "times", "weighted_product"]


class Slope(NamedTuple):
    """How a parameter acts: ``along(x, y, labels, d, p)`` as scores; ``back(x, y, labels, jg, p)``, its transpose."""

    along: Callable
    back: Callable


def per_row(change):
    """The slope of a parameter of one number per row, which moves scores by ``change(x, y, p)``."""
    return Slope(
        lambda x, y, labels, d, p: change(x, y, p) * d,
        lambda x, y, labels, jg, p: row_sum(change(x, y, p) * jg),
    )


def symmetric(product, **slopes):
    """(jvp, vjp) from ``product(x, y, labels, v, p)``, which sees v = 0 where there is no weight."""
    slopes = {"gamma": per_row(lambda x, y, p: -offsets(x, y) / p["gamma"]), **slopes}

    def multiply(x, y, labels, v, p):
        return tidy(y, product(x, y, labels, torch.where(y > 0, v, 0), p))

    def jvp(x, y, labels, dx, dp, p):
        moved = dx
        for name, d in dp.items():
            moved = moved + slopes[name].along(x, y, labels, d, p)
        return multiply(x, y, labels, moved, p)

    def vjp(x, y, labels, g, p, wanted):
        gx = multiply(x, y, labels, g, p)
        return gx, {name: fold(slopes[name].back(x, y, labels, gx, p), p[name]) for name in wanted}

    return jvp, vjp


def ratio(a, b):
    """``a / b``, 0 where b is 0."""
    return torch.where(b == 0, 0, a / torch.where(b == 0, 1, b))


def times(factor, x):
    """``factor x``, 0 where x is, even if the factor is infinite; a finite one has its derivatives there too."""
    return torch.where(torch.isinf(factor) & (x == 0), 0, factor) * x


def weighted_product(g, v):
    """``(diag g - g g^T / sum g) v``; v is taken relative to its value at the largest weight."""
    moved = v - v.gather(-1, g.detach().argmax(-1, keepdim=True))
    return g * (moved - ratio(row_sum(g * moved), row_sum(g)))
