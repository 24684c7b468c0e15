r"""p-Laplacian on a chain: the prox of ``sum c_k |y_{k+1} - y_k|^p / p`` and its argmax over the simplex, p > 1.

A primal-dual path: y >= 0 is kept by an interior point method (Mehrotra 1992), and the relation between the flow u and
the jump d of an edge is linearised in both: for p >= 2 ``u = c |d|^(p - 2) d``, for p < 2 (Chan, Golub & Mulet 1999)
``u (d^2 + eps^2)^((2 - p) / 2) = c d`` with eps going down. Each step is one elimination along the chain. On the
simplex the last steps are Newton's on the support.

Scores are scaled so that their range is at most 1; ``kappa`` is then the weight of the quadratic part.
"""

import numpy as np

from ._elementary import power
from ._jit import kernel
from ._threads import kept_rows
from .rows import enter, limits, normalise, place_of, room, scale
from .tridiagonal import PINNED, factor, substitute
from .tv import fusedmax_jacobian, fusedmax_row, solve_pieces, tv_jacobian

__all__ = [
    "CAP",
    "plaplacemax",
    "plaplacemax_jacobian",
    "plaplacian",
    "plaplacian_jacobian",
]

#: Steps before a row is given up.
CAP = 100
STOP = 2e-14
_TINY = 2.3e-308
SHRINK = 0.03  # of eps, per step
SETTLED = 1e-12
STRAY = 1e-11  # an entry or a balance below this is rounding
NOTHING = 1e-13  # a weight below this is none
ROUNDS = 6
BOUND = 3.0  # on the second-order correction, in units of the mean of y s: without it steps may go to and fro
POLISH = 3


@kernel
def _relations(y, u, c, p, eps, a, b, g):
    """Linearise the relation of flow and jump on every edge; ``g`` is what it is violated by."""
    half, curved = 0.5 * abs(2.0 - p), 0.5 * (p - 1.0)
    if p < 2:
        for i in range(y.size - 1):
            d = y[i + 1] - y[i]
            e = d * d + eps * eps
            m = power(e, half, _TINY)
            a[i] = max(c[i] - (2.0 - p) * u[i] * d * m / e, c[i] * curved)
            b[i] = m
            g[i] = u[i] * m - c[i] * d
    else:
        for i in range(y.size - 1):
            d = y[i + 1] - y[i]
            w = c[i] * power(d * d, half, _TINY) if p > 2 else c[i]
            a[i] = (p - 1.0) * w
            b[i] = 1.0
            g[i] = u[i] - w * d


@kernel
def _sharp_relations(y, u, c, p, a, b, g):
    """The same without eps, for flows near the solution: where p < 2 the jump is the smooth function, of the flow."""
    if p >= 2:
        _relations(y, u, c, p, 0.0, a, b, g)
        return
    exponent = 1.0 / (p - 1.0)
    for i in range(y.size - 1):
        full = c[i] if c[i] > _TINY else 1.0
        t = abs(u[i]) / full
        slope = power(t, exponent - 1.0, _TINY)
        some = c[i] > _TINY
        a[i] = 1.0 if some else 0.0
        b[i] = exponent * slope / full if some else 1.0
        g[i] = (slope * u[i] / full if some else u[i]) - (y[i + 1] - y[i] if some else 0.0)


@kernel
def _last_eps(c, p):
    """Where eps changes the energy by no more than rounding does."""
    return (STOP / (1.0 + c.size * _largest(c))) ** (1.0 / p)


@kernel
def _slack(y, u, c, p):
    """How far flows and jumps are apart: the sum of ``h(d) + h*(u) - u d`` over the edges, h = c |d|^p / p."""
    q = p / (p - 1.0)
    total = 0.0
    for i in range(y.size - 1):
        d = y[i + 1] - y[i]
        full = c[i] if c[i] > _TINY else 1.0
        stored = power(abs(d), p, _TINY) / p + power(abs(u[i]) / full, q, _TINY) / q
        total += abs(c[i] * stored - u[i] * d) if c[i] > _TINY else 0.0
    return total


@kernel
def _balance(y, z, u, kappa, tau, r):
    """``r = z - tau - kappa y`` plus what flows in; the largest flow."""
    n, widest = y.size, 0.0
    for i in range(n):
        r[i] = z[i] - tau - kappa * y[i]
    for i in range(n - 1):
        r[i] += u[i]
        r[i + 1] -= u[i]
        widest = max(widest, abs(u[i]))
    return widest


@kernel
def _largest(r):
    worst = 0.0
    for i in range(r.size):
        worst = max(worst, abs(r[i]))
    return worst


@kernel
def _reach(y, dy):
    """How far y may go along dy and stay >= 0."""
    worst = 0.0
    for i in range(y.size):
        worst = max(worst, -dy[i] / y[i])
    return 1.0 / worst if worst > 0 else 1e300


@kernel
def _sum(v):
    total = 0.0
    for i in range(v.size):
        total += v[i]
    return total


@kernel
def _add(target, factor, v):
    for i in range(target.size):
        target[i] += factor * v[i]


@kernel
def _clip(u, c):
    """No flow exceeds its edge, because no jump exceeds 1."""
    for i in range(u.size):
        u[i] = min(max(u[i], -c[i]), c[i])


@kernel
def _to_total(total, unit, unit_flow, dy, du):
    """Shift a solution along that for the unit vector until dy sums to ``total``; the step of tau this is."""
    step = (_sum(dy) - total) / _sum(unit)
    _add(dy, -step, unit)
    _add(du, -step, unit_flow)
    return step


@kernel
def _interior(z, c, p, kappa, y, u, s, w):
    """Follow the path to y on the simplex; (what is left of the gap, tau)."""
    a, b, g, D, inverse, down, link, r = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    dy, du, ds, unit, unit_flow, more, more_flow, none = w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15]
    n = y.size
    eps, last, left = 1.0, _last_eps(c, p), 1e300
    tau = min(1.0, max(-_sum(z) / n, 1.0 / n))
    for i in range(n):
        y[i] = 1.0 / n
        s[i] = kappa * y[i] - z[i] + tau
        u[i], none[i] = 0.0, 0.0
    for _ in range(CAP):
        widest = _balance(y, z, u, kappa, tau, r)
        complementary = 0.0
        off = 0.0
        for i in range(n):
            complementary += y[i] * s[i]
            off = max(off, abs(r[i] + s[i]))
        missing = 1.0 - _sum(y)
        near = complementary <= STOP and off <= STOP * (1.0 + widest) and abs(missing) <= STOP
        if near and (p >= 2 or eps <= last):
            left = complementary + _slack(y, u, c, p)
            if left <= 2.0 * STOP:
                break
        _relations(y, u, c, p, eps, a, b, g)
        for i in range(n):
            D[i] = kappa + s[i] / y[i]
            ds[i] = 1.0
        factor(D, a, b, inverse, down, link)
        substitute(inverse, down, link, ds, none, unit, unit_flow)
        substitute(inverse, down, link, r, g, dy, du)
        step = _to_total(missing, unit, unit_flow, dy, du)
        for i in range(n):
            ds[i] = -s[i] - s[i] * dy[i] / y[i]
        reach = min(1.0, _reach(y, dy), _reach(s, ds))
        ahead = 0.0
        for i in range(n):
            ahead += (y[i] + reach * dy[i]) * (s[i] + reach * ds[i])
        centre = (ahead / complementary) ** 3 * complementary / n
        most = BOUND * complementary / n
        for i in range(n):
            ds[i] = (centre - min(max(dy[i] * ds[i], -most), most)) / y[i]
            r[i] = ds[i]
        substitute(inverse, down, link, r, none, more, more_flow)
        step += _to_total(0.0, unit, unit_flow, more, more_flow)
        _add(dy, 1.0, more)
        _add(du, 1.0, more_flow)
        for i in range(n):
            ds[i] -= s[i] + s[i] * dy[i] / y[i]
        reach = min(1.0, 0.995 * _reach(y, dy), 0.995 * _reach(s, ds))
        _add(y, reach, dy)
        _add(s, reach, ds)
        _add(u, reach, du)
        tau += reach * step
        if p < 2:
            _clip(u, c)
        eps = max(eps * SHRINK, last)
    return left, tau


@kernel
def _polish(z, c, p, kappa, tau, y, u, D, w):
    """A few steps of Newton's method with the entries of D = PINNED held at 0; how well the others balance.

    Leaves the balance of every entry in w[7].
    """
    a, b, g, inverse, down, link, r = w[0], w[1], w[2], w[4], w[5], w[6], w[7]
    dy, du, ones, unit, unit_flow, none = w[8], w[9], w[10], w[11], w[12], w[15]
    n = y.size
    for _ in range(POLISH):
        _balance(y, z, u, kappa, tau, r)
        _sharp_relations(y, u, c, p, a, b, g)
        for i in range(n):
            free = D[i] < PINNED
            r[i] = r[i] if free else 0.0
            ones[i] = 1.0 if free else 0.0
            if i > 0 and not free and D[i - 1] == PINNED:
                a[i - 1], b[i - 1], g[i - 1] = 0.0, 1.0, u[i - 1]
        factor(D, a, b, inverse, down, link)
        substitute(inverse, down, link, ones, none, unit, unit_flow)
        substitute(inverse, down, link, r, g, dy, du)
        tau += _to_total(1.0 - _sum(y), unit, unit_flow, dy, du)
        _add(y, 1.0, dy)
        _add(u, 1.0, du)
        if p < 2:
            _clip(u, c)
    _balance(y, z, u, kappa, tau, r)
    off = 0.0
    for i in range(n):
        off = max(off, abs(r[i]) if D[i] < PINNED else 0.0)
    return off + _slack(y, u, c, p)


@kernel
def _moved_support(y, r, D, kappa):
    """Hold what fell below 0, free what is pulled above; whether anything changed."""
    changed = False
    for i in range(y.size):
        if D[i] < PINNED and not y[i] >= -STRAY:
            D[i] = PINNED
            changed = True
        elif D[i] == PINNED and r[i] > STRAY:
            D[i] = kappa
            changed = True
    return changed


@kernel
def _finish(z, c, p, kappa, tau, y, u, s, w):
    """From a point of the path to the solution, support first guessed and then found; else the point stays."""
    D, start, flow = w[3], w[16], w[17]
    n = y.size
    for i in range(n):
        D[i] = kappa if y[i] > s[i] else PINNED
        start[i], flow[i] = y[i], u[i]
    for _ in range(ROUNDS):
        for i in range(n):
            y[i], u[i] = start[i] if D[i] < PINNED else 0.0, flow[i]
        off = _polish(z, c, p, kappa, tau, y, u, D, w)
        if not _moved_support(y, w[7], D, kappa) and off <= SETTLED:
            for i in range(n):
                y[i] = max(y[i], 0.0) if D[i] < PINNED else 0.0
            return
    for i in range(n):
        y[i] = start[i] if start[i] > min(s[i], NOTHING) else 0.0


@kernel
def _free(z, c, p, y, u, w):
    """Newton's method without bounds on y, with eps going down for p < 2; the last move."""
    a, b, g, D, inverse, down, link, r = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    dy, du = w[8], w[9]
    n = y.size
    mean = _sum(z) / n
    for i in range(n):
        y[i], u[i], D[i] = mean, 0.0, 1.0
    eps, last, moved = 1.0, _last_eps(c, p), 1e300
    for _ in range(CAP):
        if moved <= SETTLED and (p >= 2 or eps <= last):
            break
        _balance(y, z, u, 1.0, 0.0, r)
        _relations(y, u, c, p, eps, a, b, g)
        factor(D, a, b, inverse, down, link)
        substitute(inverse, down, link, r, g, dy, du)
        _add(y, 1.0, dy)
        _add(u, 1.0, du)
        if p < 2:
            _clip(u, c)
        moved = _largest(dy)
        eps = max(eps * SHRINK, last)
    return _sharpened(z, c, p, y, u, w) if p < 2 else moved


@kernel
def _sharpened(z, c, p, y, u, w):
    """Newton's method from near the solution; the last move."""
    a, b, g, D, inverse, down, link, r = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    dy, du, kept = w[8], w[9], w[10]
    kept[:] = y
    moved = 0.0
    for _ in range(POLISH):
        _balance(y, z, u, 1.0, 0.0, r)
        _sharp_relations(y, u, c, p, a, b, g)
        factor(D, a, b, inverse, down, link)
        substitute(inverse, down, link, r, g, dy, du)
        _add(y, 1.0, dy)
        _add(u, 1.0, du)
        _clip(u, c)
        moved = _largest(dy)
    if not moved <= 1e-7:
        y[:] = kept
    return moved


@kernel
def _edges(live, lam, weights, c):
    """c_k = lam w_k between live entries, else 0. An empty ``weights`` stands for ones."""
    for k in range(c.size - 1):
        w = np.float64(weights[k]) if weights.size > 0 else 1.0
        c[k] = lam * w if live[k] and live[k + 1] and w > 0 and lam > 0 else 0.0
    c[c.size - 1] = 0.0


@kernel
def _soften(c, factor, p, resolution):
    """Scale the edges, up to the strength, returned, that keeps ends within ``resolution`` under any flow there is."""
    most = 4.0 * c.size * np.exp(min(-(p - 1.0) * np.log(resolution), 600.0))
    for k in range(c.size):
        c[k] = min(c[k] * factor, most)
    return most


@kernel
def _unite(y, c, most):
    """One value for what rigid edges join: its jumps, below rounding, would else come out as rounding."""
    first, total = 0, 0.0
    for i in range(y.size):
        total += y[i]
        if i == y.size - 1 or c[i] < most:
            if i > first:
                y[first : i + 1] = total / (i + 1 - first)
            first, total = i + 1, 0.0


@kernel
def _lowest(z, c):
    """An entry below has weight 0 in the answer; z has maximum 0 and -inf where masked."""
    total, count, reach, peak = 0.0, 0, 0.0, 0
    for i in range(z.size):
        if z[i] > -np.inf:
            total += z[i]
            count += 1
        peak = i if z[i] == 0 else peak
        reach = max(reach, c[i])
    around = c[peak] + (c[peak - 1] if peak > 0 else 0.0)
    return max((total - 1.0) / count, -1.0 - around) - 2.0 * reach - 1.0


@kernel
def plaplacemax_row(z, c, p, resolution, y, w):
    """z: scores over gamma with maximum 0, -inf where masked; c: edges. Both overwritten. What is left of the gap."""
    n = z.size
    lowest, spread = _lowest(z, c), 1.0
    for i in range(n):
        z[i] = max(z[i], lowest)
        spread = max(spread, -z[i])
    kappa = 1.0 / spread
    for i in range(n):
        z[i] *= kappa
    most = _soften(c, kappa, p, resolution)
    u, s = w[0], w[1]
    left, tau = _interior(z, c, p, kappa, y, u, s, w[2:])
    _finish(z, c, p, kappa, tau, y, u, s, w[2:])
    _unite(y, c, most)
    normalise(y)
    return left


@kernel
def _plaplacemax_rows(x, gamma, p, lam, weights, kept, live, out, left, start, stop):
    work = room(x)
    z, c, y, w = kept[0], kept[1], kept[2], kept[3:]
    for r in range(start, stop):
        left[r, 0] = 0.0
        row, top, some = enter(x[r], out[r], work)
        if not some:
            continue
        for i in range(row.size):
            live[i] = row[i] > -np.inf
            y[i] = row[i]
        scale(y, np.float64(top), np.float64(gamma[r]), z)
        _edges(live, np.float64(lam[r]), weights[r % weights.shape[0]], c)
        if p[r] == 1 or lam[r] == 0 or lam[r] == np.inf:
            fusedmax_row(z, c, place_of(row, top), y, w)
        else:
            left[r, 0] = plaplacemax_row(z, c, np.float64(p[r]), np.float64(limits(x)[1]), y, w)
        for i in range(row.size):
            out[r, i] = y[i]


def _kept(x):
    """Room for one row in float64, whatever the dtype: steps that shrink to nothing need its digits."""
    return kept_rows(23, np.empty((0, x.shape[1]))), np.empty(x.shape[1], bool)


def plaplacemax(x, gamma, p, lam, weights, left, out, start, stop):
    """Row by row; ``left`` (rows, 1) says what is left of the gap, in units of the range of the scores."""
    kept, live = _kept(x)
    _plaplacemax_rows(x, gamma, p, lam, weights, kept, live, out, left, start, stop)


@kernel
def plaplacian_row(z, c, p, resolution, y, w):
    """z: a sequence, overwritten; c: edges, overwritten. The last move, in units of the range of z."""
    n = z.size
    low, high, mean = z[0], z[0], 0.0
    for i in range(n):
        low, high = min(low, z[i]), max(high, z[i])
        mean += z[i] / n
    width = high - low
    if not width > 0:
        for i in range(n):
            y[i] = z[i]
        return 0.0
    for i in range(n):
        z[i] = (z[i] - mean) / width
    most = _soften(c, np.exp(min(max((p - 2.0) * np.log(width), -700.0), 700.0)), p, resolution)
    moved = _free(z, c, p, y, w[0], w[1:])
    for i in range(n):
        y[i] = mean + width * y[i]
    _unite(y, c, most)
    return moved


@kernel
def _plaplacian_rows(x, p, lam, weights, kept, live, out, left, start, stop):
    work = room(x)
    z, c, y, w = kept[0], kept[1], kept[2], kept[3:]
    for r in range(start, stop):
        left[r, 0] = 0.0
        row, top, some = enter(x[r], out[r], work)
        if not some:
            continue
        for i in range(row.size):
            live[i] = row[i] > -np.inf
            z[i] = row[i] if live[i] else top
        _edges(live, np.float64(lam[r]), weights[r % weights.shape[0]], c)
        if p[r] == 1 or lam[r] == 0 or lam[r] == np.inf:
            solve_pieces(z, c, y, w)
        else:
            left[r, 0] = plaplacian_row(z, c, np.float64(p[r]), np.float64(limits(x)[1]), y, w)
        for i in range(row.size):
            out[r, i] = y[i] if live[i] else 0.0


def plaplacian(x, p, lam, weights, left, out, start, stop):
    """The prox of ``lam / p sum w_k |y_{k+1} - y_k|^p``; ``left`` (rows, 1) is the last move, relative to the range."""
    kept, live = _kept(x)
    _plaplacian_rows(x, p, lam, weights, kept, live, out, left, start, stop)


@kernel
def _stiffness(y, c, p, free, a, b):
    """The edges as the Jacobian sees them: du / dd = a / b; none between entries that do not move."""
    for i in range(y.size - 1):
        d = abs(y[i + 1] - y[i])
        near = power(d, abs(2.0 - p), _TINY) if p != 2 else 1.0
        a[i] = c[i] * (p - 1.0) * (near if p > 2 else 1.0)
        b[i] = near if p < 2 and c[i] > 0 else 1.0
        if not (free[i] or free[i + 1]):
            a[i], b[i] = 0.0, 1.0


@kernel
def _linearised(y, v, c, p, free, out, unit, w):
    """``out = H^-1 v`` and ``unit = H^-1 1`` on the free entries, H = I + B^T diag(du / dd) B; 0 elsewhere."""
    a, b, D, inverse, down, link, r, flow, none = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8]
    _stiffness(y, c, p, free, a, b)
    for i in range(y.size):
        D[i] = 1.0 if free[i] else PINNED
        none[i] = 0.0
        r[i] = v[i] if free[i] else 0.0
    factor(D, a, b, inverse, down, link)
    substitute(inverse, down, link, r, none, out, flow)
    for i in range(y.size):
        r[i] = 1.0 if free[i] else 0.0
    substitute(inverse, down, link, r, none, unit, flow)
    for i in range(y.size):
        out[i] = out[i] if free[i] else 0.0
        unit[i] = unit[i] if free[i] else 0.0


@kernel
def _jacobian_rows(y, v, live, gamma, p, lam, weights, bounded, kept, free, out, start, stop):
    row, given, c, found, unit, w = kept[0], kept[1], kept[2], kept[3], kept[4], kept[5:]
    for r in range(start, stop):
        for i in range(row.size):
            free[i] = live[r, i] and (y[r, i] > 0 or not bounded)
            row[i] = y[r, i]
            given[i] = v[r, i]
        _edges(live[r], np.float64(lam[r]), weights[r % weights.shape[0]], c)
        _linearised(row, given, c, np.float64(p[r]), free, found, unit, w)
        mass = _sum(unit)
        mean = _sum(found) / mass if bounded and mass > 0 else 0.0
        for i in range(row.size):
            out[r, i] = (found[i] - mean * unit[i]) / gamma[r]


def _split(exponent, lam):
    """(rows of total variation, the others): p = 1, or no edge gives way at all."""
    straight = (exponent == 1) | np.isinf(lam)
    return np.flatnonzero(straight), np.flatnonzero(~straight)


def on_rows(driver, chosen, start, inputs, out):
    """Call a driver on some rows, counted from ``start``; what has one row is shared by all."""
    if chosen.size:
        taken = [array[start + chosen] if len(array) > 1 else array for array in inputs]
        answer = np.empty((chosen.size, out.shape[1]), out.dtype)
        driver(*taken, answer, 0, chosen.size)
        out[start + chosen] = answer


def _bounded(y, v, live, gamma, p, lam, weights, out, start, stop):
    kept, free = _kept(y)
    _jacobian_rows(y, v, live, gamma, p, lam, weights, True, kept, free, out, start, stop)


def _unbounded(y, v, live, p, lam, weights, out, start, stop):
    kept, free = _kept(y)
    _jacobian_rows(y, v, live, np.ones_like(lam), p, lam, weights, False, kept, free, out, start, stop)


def plaplacemax_jacobian(y, v, live, gamma, p, lam, weights, out, start, stop):
    """One linear solve on the support."""
    straight, curved = _split(p[start:stop], lam[start:stop])
    on_rows(fusedmax_jacobian, straight, start, (y, v, gamma, lam, weights), out)
    on_rows(_bounded, curved, start, (y, v, live, gamma, p, lam, weights), out)


def plaplacian_jacobian(y, v, live, p, lam, weights, out, start, stop):
    """One linear solve."""
    straight, curved = _split(p[start:stop], lam[start:stop])
    on_rows(tv_jacobian, straight, start, (y, v, live, lam, weights), out)
    on_rows(_unbounded, curved, start, (y, v, live, p, lam, weights), out)
