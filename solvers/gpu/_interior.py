r"""The primal-dual path of the p-Laplacian on the simplex, p > 1, all rows at once.

An interior point method (Mehrotra 1992) in which the relation of flow and jump of an edge is linearised in both, for
p < 2 as ``u (d^2 + eps^2)^((2 - p) / 2) = c d`` with eps going down (Chan, Golub & Mulet 1999); then Newton's steps on
the support. Each step is cyclic reduction on a chain, a dense factorisation on other graphs. The steps are those of
:mod:`regmax.solvers.plaplacian_network`.
"""

from typing import NamedTuple

import torch

from ._links import drops, gathered
from ._rows import row_sum
from ._tridiagonal import chain_solve

__all__ = ["Problem", "follow", "system"]

CAP = 100
SHRINK = 0.03  # of eps, per step
ROUNDS = 6
BOUND = 3.0  # on the second-order correction, in units of the mean of y s
POLISH = 8
CLOSE = 0.995  # of the way to the boundary


class Precision(NamedTuple):
    """What a dtype can tell apart."""

    stop: float
    settled: float  # a balance below this is good
    stray: float  # an entry or a balance below this is rounding
    still: float  # a move below this is none
    stiffest: float  # with more, rounding of the others would drown the diagonal
    held: float  # the diagonal of an entry that must not move
    tiny: float


_PRECISION = {
    torch.float64: Precision(2e-14, 1e-12, 1e-11, 1e-16, 1e10, 1e30, 1e-300),
    torch.float32: Precision(2e-6, 2e-5, 2e-5, 5e-8, 1e4, 1e15, 1e-37),
}


def precision(x):
    return _PRECISION[x.dtype]


class Problem(NamedTuple):
    """Scores of a range of at most 1, strengths of the edges, exponent, weight of the quadratic part, the edges."""

    z: torch.Tensor
    c: torch.Tensor
    p: torch.Tensor
    kappa: torch.Tensor
    net: dict

    def taken(self, flow):
        """What flows from heads to tails take from the entries."""
        return -gathered(flow, self.z.shape[1], self.net)


class Point(NamedTuple):
    """Weights, flows, multipliers of the bounds, multiplier of the sum."""

    y: torch.Tensor
    u: torch.Tensor
    s: torch.Tensor
    tau: torch.Tensor


def _kept(done, old, new):
    return type(old)(*(torch.where(done, a, b) for a, b in zip(old, new, strict=True)))


def system(diagonal, K, net):
    """``diag + B^T K B`` of each row."""
    n, (tail, head) = diagonal.shape[-1], net["edges"].T
    matrix = diagonal.new_zeros(len(K), n * n)
    for i, j, sign in ((tail, head, -1), (head, tail, -1), (tail, tail, 1), (head, head, 1)):
        matrix = matrix.index_add(1, i * n + j, sign * K)
    return matrix.reshape(-1, n, n) + torch.diag_embed(diagonal)


def _solver(problem, diagonal, K):
    if problem.net["chain"]:
        return lambda b: chain_solve(diagonal, K, b[:, :, None])[:, :, 0]
    factor, _ = torch.linalg.cholesky_ex(system(diagonal, K, problem.net))
    return lambda b: torch.cholesky_solve(b[:, :, None], factor)[:, :, 0]


def _power(base, exponent):
    """Of a base >= 0, which counts as 0 below the smallest numbers."""
    tiny = precision(base).tiny
    return torch.where(base > tiny, base.clamp_min(tiny) ** exponent, (exponent == 0).to(base.dtype))


def _relation(problem, y, u, eps):
    """(K, off): flow and jump linearised, ``du = K B dy - off``."""
    jump, c, p = drops(y, problem.net), problem.c, problem.p
    square = jump * jump
    e = square + eps * eps
    m = _power(e, 1 - p / 2)
    along = (2 - p) * u * jump * m / e
    curved = c * _power(square, p / 2 - 1)
    size = torch.where(p < 2, c / m, curved)
    more = torch.where(p < 2, -torch.minimum(along.clamp_min(0), c * (3 - p) / 2) / m, (p - 2) * curved)
    excess = (size / precision(size).stiffest).clamp_min(1)
    return (size + more) / excess, (u - size * jump) / excess


def _sharp(problem, y, u):
    """The same without eps, for flows near the solution: where p < 2 the jump is the smooth function, of the flow."""
    c, p = problem.c, problem.p
    some = c > 0
    full = torch.where(some, c, 1)
    narrow = torch.where(p < 2, p, 1.5)
    slope = _power(u.abs() / full, (2 - narrow) / (narrow - 1)) / full
    K = torch.where(some, (narrow - 1) / slope.clamp_min(1 / precision(slope).stiffest), 0)
    wide_K, wide_off = _relation(problem, y, u, torch.zeros_like(p))
    smooth = p < 2
    off = torch.where(some, K * (slope * u - drops(y, problem.net)), u)
    return torch.where(smooth, K, wide_K), torch.where(smooth, off, wide_off)


def _clipped(problem, u):
    """No flow exceeds its edge where p < 2, because no jump exceeds 1."""
    return torch.where(problem.p < 2, torch.minimum(torch.maximum(u, -problem.c), problem.c), u)


def _slack(problem, y, u):
    """How far flows and jumps are apart."""
    c, p = problem.c, problem.p
    jump = drops(y, problem.net)
    held = _power(u.abs() / torch.where(c > 0, c, 1), p / (p - 1)) * (p - 1) / p
    return row_sum((c * (_power(jump.abs(), p) / p + held) - u * jump).abs())


def _balance(problem, point):
    return problem.z - point.tau - problem.kappa * point.y - problem.taken(point.u)


def _reach(v, dv):
    return 1 / (-dv / v).amax(-1, keepdim=True).clamp_min(precision(v).tiny)


def _step(problem, point, eps):
    """A predictor, a corrector, and as far along them as all stays positive."""
    y, u, s, tau = point
    n = y.shape[1]
    K, off = _relation(problem, y, u, eps)
    solve = _solver(problem, problem.kappa + s / y, K)
    pulled, product, missing = _balance(problem, point) + problem.taken(off), row_sum(y * s), 1 - row_sum(y)
    unit = solve(torch.ones_like(y))

    def move(push):
        dy = solve(pulled + push)
        moved = (row_sum(dy) - missing) / row_sum(unit)
        dy = dy - moved * unit
        return dy, push - s - s * dy / y, moved

    dy, ds, _ = move(torch.zeros_like(y))
    reach = torch.minimum(_reach(y, dy), _reach(s, ds)).clamp_max(1)
    mean = product / n
    centre = (row_sum((y + reach * dy) * (s + reach * ds)) / product) ** 3 * mean
    curved = torch.minimum(torch.maximum(dy * ds, -BOUND * mean), BOUND * mean)
    dy, ds, moved = move((centre - curved) / y)
    reach = (CLOSE * torch.minimum(_reach(y, dy), _reach(s, ds))).clamp_max(1)
    u = _clipped(problem, u + reach * (K * drops(dy, problem.net) - off))
    return Point(y + reach * dy, u, s + reach * ds, tau + reach * moved)


def _path(problem):
    """(the end of the path, what is left of the gap)."""
    n, stop = problem.z.shape[1], precision(problem.z).stop
    y = torch.full_like(problem.z, 1 / n)
    tau = torch.maximum(-row_sum(problem.z) / n, torch.full_like(y[:, :1], 1 / n)).clamp_max(1)
    point = Point(y, torch.zeros_like(problem.c), problem.kappa * y - problem.z + tau, tau)
    eps, last = torch.ones_like(tau), (stop / (1 + n * problem.c.amax(-1, keepdim=True))) ** (1 / problem.p)
    left = torch.full_like(tau, torch.inf)
    for _ in range(CAP):
        product, missing = row_sum(point.y * point.s), 1 - row_sum(point.y)
        off = (_balance(problem, point) + point.s).abs().amax(-1, keepdim=True)
        settled = off <= stop * (1 + point.u.abs().amax(-1, keepdim=True))
        near = settled & (missing.abs() <= stop) & (product <= stop) & ((problem.p >= 2) | (eps <= last))
        left = torch.where(near, product + _slack(problem, point.y, point.u), left)
        done = left <= 2 * stop
        if done.all():
            break
        point = _kept(done, point, _step(problem, point, eps))
        eps = torch.maximum(eps * SHRINK, last)
    return point, left


def _newton(problem, point, free):
    """Newton's method for the free entries, the others held at 0: (the point, what the balance is off by)."""
    still = torch.zeros_like(point.tau, dtype=torch.bool)
    held = torch.where(free, problem.kappa, precision(point.y).held)
    for _ in range(POLISH):
        K, off = _sharp(problem, point.y, point.u)
        solve = _solver(problem, held, K)
        unit = torch.where(free, solve(free.to(held.dtype)), 0)
        r = _balance(problem, point) + problem.taken(off)
        dy = torch.where(free, solve(torch.where(free, r, 0)), 0)
        step = (row_sum(dy) - (1 - row_sum(point.y))) / row_sum(unit)
        dy = dy - step * unit
        u = _clipped(problem, point.u + K * drops(dy, problem.net) - off)
        point = _kept(still, point, Point(point.y + dy, u, point.s, point.tau + step))
        still = still | (dy.abs().amax(-1, keepdim=True) <= precision(point.y).still)
        if still.all():
            break
    return point, _balance(problem, point)


def follow(problem):
    """(the weights, what is left of the gap): Newton's on the support, or the path's end where that leads away."""
    path, left = _path(problem)
    free = path.y > path.s
    start = torch.where(free, path.y, 0)
    answer, done = torch.where(free, path.y, 0), torch.zeros_like(left, dtype=torch.bool)
    for _ in range(ROUNDS):
        point, r = _newton(problem, path._replace(y=torch.where(free, start, 0)), free)
        lost, found = free & ~(point.y >= -precision(r).stray), ~free & (r > precision(r).stray)
        moved = (lost | found).any(-1, keepdim=True)
        off = torch.where(free, r, 0).abs().amax(-1, keepdim=True) + _slack(problem, point.y, point.u)
        good = ~done & ~moved & (off <= precision(r).settled)
        answer = torch.where(good, point.y.clamp_min(0), answer)
        left = torch.where(good, torch.minimum(left, off), left)
        done = done | ~moved
        if done.all():
            break
        free = torch.where(done, free, (free & ~lost) | found)
        start = torch.where(found, start.clamp_min(0), start)
    return answer, left
