"""Pnormmax and normmax on any device: weights ``d^(q-1) / sum d^(q-1)``, ``d = [z - t]_+``, ``1/p + 1/q = 1``.

Sources: Niculae & Blondel 2017 for the squared norm; Blondel, Martins & Niculae 2020 for the norm.
"""

import torch

from ._derivatives import per_row, ratio, symmetric
from ._rows import limits, row_sum, rowwise, scale
from ._threshold import enclose, from_the_left, missing_share
from .entmax import lesser_powers, power, raised, relative_powers, smooth_power
from .sparsemax import sparsemax_rows

__all__ = ["normmax_jvp", "normmax_vjp", "normmax_weights", "pnormmax_jvp", "pnormmax_vjp", "pnormmax_weights"]


def _power_sums(z, t, q):
    """(sum d^(q-2), sum d^(q-1), sum d^q) over the support of ``d = [z - t]_+``."""
    d = z - t
    a = power(d, q - 1)
    d = d.clamp_min(limits(z)[0])
    return row_sum(a / d), row_sum(a), row_sum(a * d)


def _normalised(y):
    return y / row_sum(y)


@rowwise
def normmax_weights(x, top, p):
    z, q = scale(x, top, p["gamma"]), p["p"] / (p["p"] - 1)

    def evaluate(t):
        _, s, f = _power_sums(z, t, q)
        return f - 1, (f - f ** (1 - 1 / q)) / s

    return _normalised(power(z - from_the_left(evaluate, -torch.ones_like(z[:, :1])), q - 1))


def _slope(z, t, q):
    """(minus the derivative of ``t + |d|_q^2 / 2`` less 1, its derivative)."""
    lowest, lower, f = _power_sums(z, t, q)
    shrink = f ** (2 / q - 1)
    return shrink * lower, (2 - q) * shrink * lower * lower / f + (q - 1) * shrink * lowest


def _squared(z, p):
    """p != 2. Two neighbouring thresholds are blended above 2, where weights near 0 move by far more than an ulp."""
    q = p / (p - 1)

    def evaluate(t, low):
        slope, curvature = _slope(z, t, q)
        return slope - 1, t + (slope - 1) / curvature

    low = -torch.ones_like(z[:, :1])
    high = -(z.shape[-1] ** (-2 / q)) + torch.zeros_like(low)
    low, high = enclose(evaluate, low, high, low, 4 * limits(z)[1])
    share = torch.where(p > 2, missing_share(_slope(z, low, q)[0], _slope(z, high, q)[0], 1), 0)
    above = power(z - low, q - 1)
    return _normalised(above + share * (power(z - high, q - 1) - above))


@rowwise
def pnormmax_weights(x, top, p):
    exponent = p["p"]
    general, sparse = torch.stack([(exponent != 2).any(), (exponent == 2).any()]).tolist()
    y = sparsemax_rows(x, top, p["gamma"]) if sparse else x
    if general:
        found = _squared(scale(x, top, p["gamma"]), torch.where(exponent == 2, 1.5, exponent))
        y = torch.where(exponent == 2, y, found)
    return y


def _norm(y, p):
    """The p-norm, by powers of ratios to a constant, 1 for a row without weights."""
    top = y.detach().amax(-1, keepdim=True)
    top = torch.where(top > 0, top, 1)
    seen = y > 0
    powers = torch.where(seen, smooth_power(torch.where(seen, y / top, 1), p), 0)
    total = row_sum(powers)
    return top * torch.where(total > 0, total, 1) ** (1 / p)


def _normmax_product(x, y, labels, v, p):
    """``(I - y 1^T) G (I - 1 y^T) v``, ``G = N (y / N)^(2-p) / (gamma (p-1))``, N the norm: it is flat along y."""
    gamma, p = p["gamma"], p["p"]
    norm = _norm(y, p)
    g, reference = relative_powers(y, 2 - p)
    moved = g * (v - row_sum(y * v))
    moved = moved - y * row_sum(moved)
    return raised(moved, reference / norm, 2 - p) * norm / (gamma * (p - 1))


def _pnormmax_product(x, y, labels, v, p):
    """``H - H 1 1^T H / (1^T H 1)``, ``gamma (p-1) H = (y / N)^(2-p) - (2-p) / N^2 y y^T``, N the norm of y."""
    gamma, p = p["gamma"], p["p"]
    norm = _norm(y, p)
    g = lesser_powers(y, 2 - p)
    inverse = (norm / g.reference) ** (2 - p)
    c = (2 - p) * inverse / (norm * norm)
    moved = torch.where(y > 0, v - v.gather(-1, g.at), 0)
    mass, along = row_sum(y), row_sum(y * moved)
    mean = row_sum(g.powers * moved - c * y * along) * g.inverse
    mean = ratio(mean, 1 + row_sum(g.powers - c * y * mass) * g.inverse)
    even = (2 - p) / (norm * norm) * y * (along - mean * mass)
    even = even.scatter(-1, g.at, 0)
    even = even.scatter_add(-1, g.at, -row_sum(even))
    return (raised(g.product(moved, mean), g.reference / norm, 2 - p) - even) / (gamma * (p - 1))


def _change(rises):
    """Minus gamma times the derivative of the gradient ``(y / N)^(p-1) N^rises`` in p."""

    def change(x, y, p):
        gamma, p = p["gamma"], p["p"]
        seen = y > 0
        norm = _norm(y, p)
        share = torch.where(seen, torch.where(seen, y, 1) / norm, 1)
        logs, safe = torch.log(torch.where(seen, y, 1)), torch.where(seen, smooth_power(share, p), 0)
        growth = (row_sum(safe * logs) - torch.log(norm)) / p
        slope = torch.log(share) + (1 + rises - p) * growth
        return torch.where(seen, -gamma * smooth_power(share, p - 1) * norm**rises * slope, 0)

    return change


normmax_jvp, normmax_vjp = symmetric(_normmax_product, p=per_row(_change(0)))
pnormmax_jvp, pnormmax_vjp = symmetric(_pnormmax_product, p=per_row(_change(1)))
