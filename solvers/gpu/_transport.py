r"""Matrices with given sums, ``argmin |y - X / gamma|^2`` with ``0 <= y <= cap``, a batch at once, by their dual.

``y = clip(z, 0, cap)`` with ``z = X / g - u 1' - 1 v'``, which is what is kept: so y has digits even where scores have
none to spare. A round is a threshold for each row and each column and a damped Newton step with a line search
(Li, Sun & Toh 2020; damping as of Levenberg & Marquardt); g comes down to gamma in stages.
"""

from typing import NamedTuple

import torch

from ._derivatives import ratio
from ._rows import limits

__all__ = ["incidence", "row_threshold", "transport"]

# Stages: the first g against the spread of a row, the factor to the next, and the residual that ends one early.
_FIRST, _FACTOR, _ROUGH = 1 / 6, 4.0, 0.03
# In units of the spacing of the scores gamma would drown in their rounding below this.
_LEAST = 2.0**11
_MOST_ROUNDS, _PATIENCE, _HALVINGS = 500, 3, 40
# What rounding leaves of an entry that is 0, in units of the spacing of 1.
_DUST = 16
# A step is long enough when the slope along it has fallen to this part.
_SLOPE = 0.3


class Sums(NamedTuple):
    """Which entries take part, row sums (batch, h, 1), column sums (batch, 1, w), the largest entry (batch, 1, 1)."""

    live: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    cap: torch.Tensor

    def clipped(self, z):
        return torch.where(self.live, torch.minimum(z.clamp_min(0), self.cap), 0)

    def missed(self, y):
        """What rows and columns have too much."""
        return y.sum(2, keepdim=True) - self.rows, y.sum(1, keepdim=True) - self.columns

    def free(self, z):
        return self.live & (z > 0) & ~(z >= self.cap)


def _threshold(z, live, total, cap):
    """t with ``sum clip(z - t, 0, cap) = total`` along the last axis, by the sorted breakpoints of that sum.

    Where the sum does not fix t, the middle of those possible: at an end of them Newton's steps would meet a kink.
    """
    z = torch.where(live, z, torch.where(live, z, torch.inf).amin(-1, keepdim=True))
    z = torch.where(torch.isfinite(z), z, 0)
    one = live.to(z.dtype)
    place, order = torch.cat([z, z - cap], -1).sort(dim=-1, descending=True)
    slope = torch.cat([one, -one], -1).gather(-1, order).cumsum(-1)
    gap = place[..., :-1] - place[..., 1:]
    sums = torch.cat([torch.zeros_like(total), (slope[..., :-1] * gap).cumsum(-1)], -1)
    near = 64 * limits(z)[1] * cap
    reached = (sums >= total - near).to(torch.int64)
    first = torch.where(reached.any(-1, keepdim=True), reached.argmax(-1, keepdim=True), sums.shape[-1] - 1)
    before = (first - 1).clamp_min(0)
    missing = total - sums.gather(-1, before)
    exact = place.gather(-1, before) - ratio(missing, slope.gather(-1, before))
    last = (sums <= total + near).to(torch.int64).sum(-1, keepdim=True) - 1
    flat = (last > first) & (last < sums.shape[-1] - 1)
    middle = (place.gather(-1, first) + place.gather(-1, last.clamp_min(0))) / 2
    return torch.where(total > 0, torch.where(flat, middle, exact), 0)


def row_threshold(z, cap):
    """t of each row with ``sum clip(z - t, 0, cap) = 1``."""
    one = torch.ones_like(z[..., :1])
    return _threshold(z, torch.ones_like(z, dtype=torch.bool), one, cap * one)


def _swept(z, sums):
    z = z - _threshold(z, sums.live, sums.rows, sums.cap)
    turned = (z.transpose(1, 2), sums.live.transpose(1, 2), sums.columns.transpose(1, 2), sums.cap)
    return z - _threshold(*turned).transpose(1, 2)


def incidence(F):
    """``[[D_r, F], [F^T, D_c]]`` of the entries F that are free (1, else 0), its degrees on the diagonal."""
    degrees = torch.cat([F.sum(2), F.sum(1)], 1)
    h, w = F.shape[1:]
    upper = torch.cat([F.new_zeros(len(F), h, h), F], 2)
    lower = torch.cat([F.transpose(1, 2), F.new_zeros(len(F), w, w)], 2)
    return torch.cat([upper, lower], 1) + torch.diag_embed(degrees)


def _newton(free, excess, damping):
    """A damped Newton step (a, b) for rows and columns, given which entries are free."""
    h, matrix = free.shape[1], incidence(free.to(excess[0].dtype))
    matrix = matrix + damping * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    sides = torch.cat([excess[0], excess[1].transpose(1, 2)], 1)
    found = torch.cholesky_solve(sides, torch.linalg.cholesky_ex(matrix)[0])
    return found[:, :h], found[:, h:].transpose(1, 2)


def _length(z, sums, a, b):
    """How far to go along a step: where the slope of the dual, which falls, is small; 1 is tried first."""

    def slope(t):
        line, column = sums.missed(sums.clipped(z - t * (a + b)))
        return (a * line).sum(1, keepdim=True) + (b * column).sum(2, keepdim=True)

    low = torch.zeros_like(sums.cap)
    high, t, initial = torch.full_like(low, torch.inf), torch.ones_like(low), slope(low)
    done = ~(initial > 0)
    for _ in range(_HALVINGS):
        found = slope(t)
        done = done | (found.abs() <= _SLOPE * initial)
        if done.all():
            break
        low, high = torch.where(found > 0, t, low), torch.where(found > 0, high, t)
        t = torch.where(done, t, torch.where(torch.isinf(high), 4 * t, (low + high) / 2))
    return torch.where(initial > 0, t, 0)


def _residual(excess):
    return torch.maximum(excess[0].abs().amax(1, keepdim=True), excess[1].abs().amax(2, keepdim=True))


def _completed(y, sums, damping):
    """Entries near their bounds put there, and what rounding left of the sums taken from the free ones."""
    dust = _DUST * limits(y)[1]
    y = torch.where(y > dust, torch.where(y < sums.cap * (1 - dust), y, sums.cap), 0)
    free = sums.free(y)
    for _ in range(2):
        a, b = _newton(free, sums.missed(y), damping)
        y = torch.where(free, torch.minimum((y - (a + b)).clamp_min(0), sums.cap), y)
    return y


def _first_stage(x, sums, gamma):
    """(x less the largest entry of its row and then of its column; the first g, the last g, its part above gamma)."""
    x = torch.where(sums.live, x, -torch.inf)
    top = x.amax(2, keepdim=True)
    x = x - torch.where(torch.isfinite(top), top, 0)
    side = x.amax(1, keepdim=True)
    x = torch.where(sums.live, x - torch.where(torch.isfinite(side), side, 0), 0).clamp_min(-limits(x)[2] / 8)
    count = sums.live.sum(2, keepdim=True)
    sorted_rows = torch.where(sums.live, x, -torch.inf).sort(dim=2, descending=True).values
    middle = sorted_rows.gather(2, (count // 2).clamp_max(x.shape[2] - 1))
    depths = torch.where(count > 0, sorted_rows[:, :, :1] - middle, 0)
    depths = torch.where(torch.isfinite(depths), depths, 0)
    spread = (depths / count.gt(0).sum(1, keepdim=True).clamp_min(1)).sum(1, keepdim=True)
    depth = -x.flatten(1).amin(1)[:, None, None]
    last = torch.maximum(gamma, _LEAST * limits(x)[1] * depth)
    return x, torch.maximum(last, _FIRST * spread), last, ratio(last - gamma, depth)


def transport(x, live, gamma, rows, columns, cap):
    """(the matrices, what a sum misses at most, or the part of the scores by which gamma had to be raised, if more).

    x of shape (batch, h, w), gamma and cap (batch, 1, 1), row sums (batch, h, 1), column sums (batch, 1, w).
    """
    sums = Sums(live, rows, columns, cap)
    x, g, last, raised = _first_stage(x, sums, gamma)
    z, eps = x / g, limits(x)[1]
    tight, enough = eps * max(x.shape[1:]) ** 0.5, 5e3 * eps
    best, stale = torch.full_like(cap, torch.inf), torch.zeros_like(cap)
    done = torch.zeros_like(cap, dtype=torch.bool)
    for _ in range(_MOST_ROUNDS):
        swept = _swept(z, sums)
        excess = sums.missed(sums.clipped(swept))
        residual = _residual(excess)
        final = g == last
        stale = torch.where(residual < 0.5 * best, 0, stale + 1)
        best = torch.minimum(best, residual)
        ended = done | (final & ((residual <= tight) | ((residual <= enough) & (stale >= _PATIENCE))))
        z = torch.where(done, z, swept)
        done = ended
        if done.all():
            break
        lowered = ~final & (residual <= _ROUGH)
        following = torch.where(lowered, torch.maximum(g / _FACTOR, last), g)
        a, b = _newton(sums.free(z), excess, residual.clamp(enough, 1e-2))
        moved = z - _length(z, sums, a, b) * (a + b)
        z = torch.where(done, z, torch.where(lowered, z * (g / following), moved))
        best, g = torch.where(lowered, torch.inf, best), following
    y = _completed(sums.clipped(z), sums, enough)
    return y, torch.maximum(_residual(sums.missed(y)), raised).flatten()
