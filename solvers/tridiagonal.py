"""The Newton system of a chain: entries y joined by flows u, solved by one elimination from left to right.

    D_i dy_i + du_{i-1} - du_i = r_i            (entry i)
    a_k (dy_{k+1} - dy_k) - b_k du_k = g_k      (edge k joins k and k + 1)

with D > 0, a >= 0, b >= 0 and a + b > 0. Entries and flows are eliminated in turn, so neither a rigid edge (b = 0) nor
a slack one (a = 0) is special, and no sign ever cancels: every pivot is a sum of positive numbers. All that one entry
must wait for is one division in ``factor`` and one multiplication with addition in ``substitute``.
"""

from ._jit import exact, kernel

__all__ = ["PINNED", "factor", "substitute"]

#: The D of an entry that must not move.
PINNED = 1e200


@exact
def factor(D, a, b, inverse, down, link):
    """The inverse pivots of the entries; what an edge hands ``down``; the inverse pivots ``link`` of the edges."""
    pivot = D[0]
    n = D.size
    for i in range(n - 1):
        inverse[i] = pivot
        link[i] = D.dtype.type(1) / (b[i] * pivot + a[i])
        pivot = D[i + 1] + a[i] * pivot * link[i]
    inverse[n - 1] = pivot
    for i in range(n - 1):
        down[i] = a[i] * link[i]
        link[i] *= inverse[i]
    for i in range(n):
        inverse[i] = D.dtype.type(1) / inverse[i]


@kernel
def substitute(inverse, down, link, r, g, dy, du):
    """Solve for one right-hand side; ``r`` is overwritten, ``du`` has a place for every entry.

    After ``factor``, link is pivot / (b pivot + a) and down is a / (b pivot + a).
    """
    n = r.size
    for i in range(n - 1):
        du[i] = g[i] * link[i]
    total = r[0]
    for i in range(n - 1):
        total = down[i] * total + (r[i + 1] + du[i])
        r[i + 1] = total
    for i in range(n - 1):
        du[i] += down[i] * r[i]
    for i in range(n - 1):
        dy[i] = (r[i] - du[i]) * inverse[i]
    dy[n - 1] = r[n - 1] * inverse[n - 1]
    last = dy[n - 1]
    for k in range(n - 1):
        i = n - 2 - k
        last = dy[i] + down[i] * last
        dy[i] = last
    # a pivot / (b pivot + a) is down / inverse, so a flow is what its left end has too much
    for i in range(n - 1):
        du[i] = dy[i] / inverse[i] - r[i]
