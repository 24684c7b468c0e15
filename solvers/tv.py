r"""Chains: the total variation prox, fusedmax, its Jacobian and the subgradient that certifies it.

The weights of fusedmax are the projection of the prox r onto the simplex, ``[r - tau]_+`` that sums to 1. Given a
lower bound on tau, only candidates can be in the support: r exceeds z by at most the weight of an entry's two edges.
So the prox is solved on the runs of candidates alone, the edges that leave a run pulling its ends down; that changes
nothing above the bound. ``taut_string`` solves a run.

An edge of weight c_k joins k and k + 1; c_k = 0 separates them.
"""

import numpy as np

from ._jit import exact, kernel
from ._threads import kept_rows
from .rows import compensated, enter, extent, floor_of, limits, place_of, room, row_sum, scale
from .simplex import sparsemax_row
from .taut_string import edge, solve_chain, widest

__all__ = [
    "fusedmax",
    "fusedmax_jacobian",
    "fusedmax_row",
    "fusedmax_subgradient",
    "solve_pieces",
    "tv",
    "tv_jacobian",
]


@kernel
def _edges(x, lam, weights, floor, c):
    """c_k = lam w_k, and 0 where an end is masked; an empty ``weights`` stands for ones."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for k in range(x.size - 1):
        w = weights[k] if weights.size > 0 else one
        c[k] = lam * w if w > zero and lam > zero and x[k] > floor and x[k + 1] > floor else zero


@kernel
def solve_pieces(row, c, out, hulls):
    """A row with masks, or with edges of their own: each connected piece."""
    floor = floor_of(row)
    first = 0
    for i in range(row.size):
        if i == row.size - 1 or c[i] == 0:
            if i == first:
                out[i] = row[i] if row[i] > floor else row.dtype.type(0)
            else:
                solve_chain(row, c, out, first, i + 1, hulls)
            first = i + 1


@kernel
def _tv_rows(x, lam, weights, hulls, out, start, stop):
    zero, floor, work = x.dtype.type(0), floor_of(x), room(x)
    for r in range(start, stop):
        plain = weights.shape[1] == 0 and zero < lam[r] < -floor / x.dtype.type(16)
        if plain and solve_chain(x[r], lam[r], out[r], 0, x.shape[1], hulls):
            continue
        row, _, live = enter(x[r], out[r], work)
        if live:
            c = np.empty_like(row)
            _edges(row, lam[r], weights[r % weights.shape[0]], floor, c)
            solve_pieces(row, c, out[r], hulls)


def tv(x, lam, weights, out, start, stop):
    """The prox of ``lam sum w_k |y_{k+1} - y_k|``, row by row; masked entries separate and get 0."""
    _tv_rows(x, lam, weights, kept_rows(4, x), out, start, stop)


@kernel
def tv_jacobian(y, v, live, lam, weights, out, start, stop):
    """The mean of v over each segment of equal live entries whose edges have weight."""
    zero = y.dtype.type(0)
    n = y.shape[1]
    for r in range(start, stop):
        w = weights[r % weights.shape[0]]
        first, total = 0, zero
        for i in range(n):
            total += v[r, i] if live[r, i] else zero
            linked = i < n - 1 and y[r, i + 1] == y[r, i] and live[r, i] and live[r, i + 1]
            if not (linked and lam[r] > zero and (w.size == 0 or w[i] > zero)):
                for j in range(first, i + 1):
                    out[r, j] = total / y.dtype.type(i + 1 - first)
                first, total = i + 1, zero


@kernel
def _first_threshold(z, c, peak, work):
    """A lower bound on tau, rounding included: the better of the support = everything and the support = {peak}."""
    one, zero = z.dtype.type(1), z.dtype.type(0)
    _, eps, _, void = limits(z)
    count = 0
    for i in range(z.size):
        work[i] = z[i] if z[i] > void else zero
        count += np.int64(z[i] > void)
    cut = (edge(c, peak - 1) if peak > 0 else zero) + (edge(c, peak) if peak < z.size - 1 else zero)
    tau = max((row_sum(work) - one) / z.dtype.type(count), -one - cut)
    return tau + z.dtype.type(16) * eps * tau


@kernel
def fusedmax_row(z, c, peak, out, hulls):
    """z: scores over gamma with maximum 0 at ``peak``, -inf where masked; overwritten. c: edge weights."""
    one, zero, void = z.dtype.type(1), z.dtype.type(0), limits(z)[3]
    reach = widest(c, 0, z.size)
    lowest, top, last = _first_threshold(z, c, peak, out) - reach - reach, void, 0
    while last < z.size:
        first, last = last, last + 1
        if not z[first] > lowest:
            out[first] = void
            continue
        while last < z.size and z[last] > lowest and edge(c, last - 1) > zero:
            last += 1
        if first > 0 and z[first - 1] > void:
            z[first] -= edge(c, first - 1)
        if last < z.size and z[last] > void:
            z[last - 1] -= edge(c, last - 1)
        if last == first + 1:
            out[first] = z[first]
        else:
            solve_chain(z, c, out, first, last, hulls)
        for i in range(first, last):
            top = max(top, out[i])
    sparsemax_row(out, top, one, z)
    for i in range(z.size):
        out[i] = z[i]


@kernel
def _fusedmax_rows(x, gamma, lam, weights, kept, out, start, stop):
    floor = floor_of(x)
    work = room(x)
    z, c, hulls = kept[0], kept[1], kept[2:]
    for r in range(start, stop):
        row, top, live = enter(x[r], out[r], work)
        if live:
            scale(row, top, gamma[r], z)
            peak = place_of(row, top)
            if weights.shape[1] == 0:
                fusedmax_row(z, lam[r], peak, out[r], hulls)
            else:
                _edges(row, lam[r], weights[r % weights.shape[0]], floor, c)
                fusedmax_row(z, c, peak, out[r], hulls)


def fusedmax(x, gamma, lam, weights, out, start, stop):
    _fusedmax_rows(x, gamma, lam, weights, kept_rows(6, x), out, start, stop)


@kernel
def fusedmax_jacobian(y, v, gamma, lam, weights, out, start, stop):
    """Average v over each segment, subtract its mean over the support, zero outside."""
    zero = y.dtype.type(0)
    n = y.shape[1]
    for r in range(start, stop):
        w = weights[r % weights.shape[0]]
        mean, support, first, total = zero, 0, 0, zero
        for i in range(n):
            if not y[r, i] > zero:
                out[r, i] = zero
                first, total = i + 1, zero
                continue
            support += 1
            mean += v[r, i]
            total += v[r, i]
            linked = i < n - 1 and y[r, i + 1] == y[r, i] and lam[r] > zero and (w.size == 0 or w[i] > zero)
            if not linked:
                for j in range(first, i + 1):
                    out[r, j] = total / y.dtype.type(i + 1 - first)
                first, total = i + 1, zero
        if support > 0:
            mean /= y.dtype.type(support)
        for i in range(n):
            out[r, i] = (out[r, i] - mean) / gamma[r] if y[r, i] > zero else zero


@exact
def _flow(z, y, c, tau, out):
    """Forward sweep of the dual flow, one group of equal neighbours at a time; writes the subgradient it stands for.

    At a jump the flow is all the edge carries; inside a group it is the least that serves what came before. What a
    group has too much by rounding is spread over it, or it would all show at the last entry.
    """
    n, zero = z.size, z.dtype.type(0)
    left, first = zero, 0
    while first < n:
        last, total, lost = first, z[first] - y[first] - tau, zero
        while last < n - 1 and c[last] > zero and y[last + 1] == y[last]:
            last += 1
            total, lost = compensated(total, lost, z[last] - y[last] - tau)
        right = zero
        if last < n - 1 and c[last] > zero:
            right = -c[last] if y[last + 1] > y[last] else c[last]
        excess = (total + left - right) / z.dtype.type(last + 1 - first)
        if y[first] == zero and excess < zero:
            excess = zero
        lost = zero
        for i in range(first, last):
            flow, lost = compensated(left, lost, (z[i] - y[i] - tau) - excess)
            if abs(flow) > c[i]:
                flow, lost = min(max(flow, -c[i]), c[i]), zero
            out[i] = y[i] + (flow - left)
            left = flow
        out[last] = y[last] + (right - left)
        left, first = right, last + 1


@kernel
def fusedmax_subgradient(x, y, gamma, lam, weights, out, start, stop):
    """An element of the subdifferential at y, chosen so that it certifies y at x where one does."""
    floor = floor_of(x)
    zero = x.dtype.type(0)
    c, z = np.empty_like(x[0]), np.empty_like(x[0])
    n = x.shape[1]
    for r in range(start, stop):
        _edges(x[r], lam[r], weights[r % weights.shape[0]], floor, c)
        top, _, _ = extent(x[r])
        scale(x[r], top, gamma[r], z)
        tau, support = zero, 0
        for i in range(n):
            if y[r, i] > zero:
                tau += z[i] - y[r, i]
                support += 1
        for k in range(n - 1):
            if c[k] > zero and (y[r, k] > zero) != (y[r, k + 1] > zero):
                tau -= c[k]
        tau /= x.dtype.type(max(support, 1))
        _flow(z, y[r], c, tau, out[r])
