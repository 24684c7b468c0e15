"""Sparsemax on any device: Newton's method from the left, no sort. Sources: Martins & Astudillo 2016; Michelot 1986."""

import torch

from ._derivatives import symmetric, weighted_product
from ._rows import row_sum, rowwise, scale
from ._threshold import from_the_left

__all__ = ["jvp", "project", "sparsemax_rows", "vjp", "weights"]


def _step(z, t):
    excess = row_sum((z - t).clamp_min(0)) - 1
    return excess, excess / row_sum((z > t).to(z.dtype))


def project(z):
    """The nearest point of the simplex to rows whose maximum is 0; the last step is below the resolution of t."""
    t = from_the_left(lambda t: _step(z, t), -torch.ones_like(z[:, :1]))
    return ((z - t) - _step(z, t)[1]).clamp_min(0)


def sparsemax_rows(x, top, gamma):
    return project(scale(x, top, gamma))


@rowwise
def weights(x, top, p):
    return sparsemax_rows(x, top, p["gamma"])


jvp, vjp = symmetric(lambda x, y, labels, v, p: weighted_product((y > 0).to(y.dtype), v) / p["gamma"])
