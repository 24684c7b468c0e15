"""Entmax on any device, every alpha > 0: weights ``[1 + e (z_i - u)]_+^(1/e)``, e = alpha - 1, by Newton on the norm.

Sources: Peters, Niculae & Martins 2019; Blondel, Martins & Niculae 2020.
"""

import math
from typing import NamedTuple

import torch

from ._derivatives import per_row, symmetric, times
from ._rows import limits, row_sum, rowwise, scale
from ._threshold import enclose, from_the_left, missing_share
from .softmax import softmax_rows
from .sparsemax import sparsemax_rows

__all__ = ["jvp", "lesser_powers", "power", "raised", "relative_powers", "smooth_power", "vjp", "weights"]


def power(d, exponent):
    """``[d]_+ ** exponent``."""
    tiny = limits(d)[0]
    return torch.where(d > tiny, d.clamp_min(tiny) ** exponent, 0)


def _powers(z, u, e):
    """(y, y / d) with ``d = 1 + e (z - u)``."""
    w = (e * (z - u)).clamp(-1, limits(z)[2])
    inside = (w > -1) & (z > -math.inf)
    w = torch.where(inside, w, 0)
    y = torch.where(inside, torch.exp(torch.log1p(w) / e), 0)
    return y, y / (1 + w)


def _newton(z, u, e):
    y, slope = _powers(z, u, e)
    f = row_sum(y)
    return f - 1, -f * torch.expm1(-e * torch.log(f)) / (e * row_sum(slope))


def _general(z, e):
    """0 < alpha < 2, alpha != 1; near alpha = 1 one step ends softmax."""
    u = from_the_left(lambda u: _newton(z, u, e), torch.zeros_like(z[:, :1]))
    y = _powers(z, u, e)[0]
    return y / row_sum(y)


def _bracketed(z, e):
    """alpha > 2, in ``t = e u - 1``; two neighbouring thresholds are blended, because weights near 0 move by far more
    than an ulp.
    """
    exponent, (tiny, eps, _) = 1 / e, limits(z)
    z = torch.where(z > -math.inf, (e * z).clamp_min(-limits(z)[2]), -math.inf)

    def evaluate(t, low):
        d = z - t
        y = power(d, exponent)
        f = row_sum(y)
        return f - 1, t + e * (f - 1) / row_sum(y / d.clamp_min(tiny))

    low = -torch.ones_like(z[:, :1])
    high = -(z.shape[-1] ** -e).clamp_min(tiny) + torch.zeros_like(low)
    low, high = enclose(evaluate, low, high, low, 2 * eps)
    above, below = power(z - low, exponent), power(z - high, exponent)
    y = above + missing_share(row_sum(above), row_sum(below), 1) * (below - above)
    return y / row_sum(y)


@rowwise
def weights(x, top, p):
    gamma, alpha = p["gamma"], p["alpha"]
    kinds = torch.stack([(alpha == 1).any(), (alpha == 2).any(), (alpha > 2).any(), ((alpha < 2) & (alpha != 1)).any()])
    soft, sparse, beyond, general = kinds.tolist()
    z = scale(x, top, gamma)
    y = torch.zeros_like(x)
    if soft:
        y = torch.where(alpha == 1, softmax_rows(x, top, gamma), y)
    if sparse:
        y = torch.where(alpha == 2, sparsemax_rows(x, top, gamma), y)
    if beyond:
        y = torch.where(alpha > 2, _bracketed(z, torch.where(alpha > 2, alpha - 1, 2)), y)
    if general:
        here = (alpha < 2) & (alpha != 1)
        y = torch.where(here, _general(z, torch.where(here, alpha - 1, 0.5)), y)
    return y


def smooth_power(x, exponent):
    """``x^exponent`` of positive x; its derivatives are made of shares dx / x, where those of pow can overflow."""
    return torch.exp(exponent * torch.log(x))


def _extremes(y):
    """(the largest, the smallest and the second smallest entry of the support), constants; 1 where there is none."""
    fixed = y.detach()
    low = torch.where(y > 0, fixed, math.inf).topk(min(2, y.shape[-1]), largest=False).values
    least, second = low[:, :1], low[:, -1:]
    found = (fixed.amax(-1, keepdim=True), least, torch.where(second < math.inf, second, least))
    return (torch.where((one > 0) & (one < math.inf), one, 1) for one in found)


def _relative(y, seen, reference, exponent):
    return torch.where(seen, smooth_power(torch.where(seen, y / reference, 1), exponent), 0)


def relative_powers(y, exponent):
    """``(y / reference)^exponent`` on the support, at most 1, and the reference, a constant: an entry of y."""
    largest, least, _ = _extremes(y)
    reference = torch.where(exponent > 0, largest, least)
    return _relative(y, y > 0, reference, exponent), reference


class Lesser(NamedTuple):
    """Powers of the support without the largest of them, which may not be representable beside the others."""

    powers: torch.Tensor
    at: torch.Tensor  # where the largest is
    inverse: torch.Tensor  # 1 / the largest
    reference: torch.Tensor  # an entry of y, a constant to which all is relative

    def product(self, moved, mean):
        """``g (moved - mean)`` of all of them where it sums to 0, the largest included; ``moved`` is 0 there."""
        out = self.powers * (moved - mean)
        return out.scatter_add(-1, self.at, -row_sum(out))


def lesser_powers(y, exponent):
    """``y^exponent`` relative to the largest power, for negative exponents to the second largest."""
    largest, _, second = _extremes(y)
    reference = torch.where(exponent > 0, largest, second)
    at = torch.where(y > 0, torch.where(exponent > 0, -y.detach(), y.detach()), math.inf).argmin(-1, keepdim=True)
    others = (y > 0) & (torch.arange(y.shape[-1], device=y.device) != at)
    heaviest = y.gather(-1, at)
    inverse = _relative(heaviest, heaviest > 0, reference, -exponent)
    return Lesser(_relative(y, others, reference, exponent), at, inverse, reference)


def raised(values, base, exponent):
    """``values base^exponent``, whose halves may be representable where the power is not."""
    half = base ** (exponent / 2)
    return times(half, times(half, values))


def _product(x, y, labels, v, p):
    exponent = 2 - p["alpha"]
    g = lesser_powers(y, exponent)
    moved = v - v.gather(-1, g.at)
    mean = row_sum(g.powers * moved) * g.inverse / (1 + row_sum(g.powers) * g.inverse)
    return raised(g.product(moved, mean), g.reference, exponent) / p["gamma"]


def _log_slope(y, e):
    """Derivative of ``(y^e - 1) / e`` in e on the support; by its series where e log y is small."""
    seen = y > 0
    logs = torch.log(torch.where(seen, y, 1))
    t = e * logs
    small = t.abs() < 1e-3
    safe = torch.where(small, 1, t)
    exact = (safe * torch.exp(safe) - torch.expm1(safe)) / safe**2
    near = torch.where(small, t, 0)
    series = 0.5 + near * (1 / 3 + near * (1 / 8 + near * (1 / 30 + near / 144)))
    return logs**2 * torch.where(small, series, exact)


jvp, vjp = symmetric(_product, alpha=per_row(lambda x, y, p: -p["gamma"] * _log_slope(y, p["alpha"] - 1)))
