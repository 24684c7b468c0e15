"""The Newton system of a chain: entries y joined by flows u, solved by one elimination from both ends to the middle.

    D_i dy_i + du_{i-1} - du_i = r_i            (entry i)
    a_k (dy_{k+1} - dy_k) - b_k du_k = g_k      (edge k joins k and k + 1)

with D > 0, a >= 0, b >= 0 and a + b > 0. Entries and flows are eliminated in turn, so neither a rigid edge (b = 0) nor
a slack one (a = 0) is special, and no sign ever cancels: every pivot is a sum of positive numbers. All that one entry
must wait for is one division in ``factor`` and one multiplication with addition in ``substitute``; that two ends are
under way at once hides half of the waiting.
"""

from ._jit import exact, kernel

__all__ = ["PINNED", "factor", "substitute"]

#: The D of an entry that must not move.
PINNED = 1e200


@exact
def _edge(pivot, a, b):
    """Of an edge, given the pivot of its eliminated end: its inverse pivot, and what the other end's gains."""
    inverse = 1.0 / (b * pivot + a)
    return inverse, a * pivot * inverse


@kernel
def factor(D, a, b, pivot, inverse, down, link):
    """The pivots of the entries and their inverses; what an edge hands on, ``down``, and is pushed by, ``link``.

    Where pivot is that of the eliminated end, down is a / (b pivot + a) and link is pivot / (b pivot + a).
    """
    n = D.size
    middle = (n - 1) // 2
    left, right = 0.0, 0.0
    for i in range(middle):
        j = n - 1 - i
        pivot[i] = D[i] + left
        pivot[j] = D[j] + right
        link[i], left = _edge(pivot[i], a[i], b[i])
        link[j - 1], right = _edge(pivot[j], a[j - 1], b[j - 1])
    if n % 2 == 0:
        pivot[middle + 1] = D[middle + 1] + right
        link[middle], right = _edge(pivot[middle + 1], a[middle], b[middle])
    pivot[middle] = D[middle] + left + right
    for i in range(n - 1):
        down[i] = a[i] * link[i]
    for i in range(middle):
        link[i] *= pivot[i]
    for i in range(middle, n - 1):
        link[i] *= pivot[i + 1]
    for i in range(n):
        inverse[i] = 1.0 / pivot[i]


@kernel
def substitute(b, pivot, inverse, down, link, r, g, dy, du):
    """Solve for one right-hand side; ``r`` is overwritten."""
    n = r.size
    middle = (n - 1) // 2
    for i in range(n - 1):
        du[i] = g[i] * link[i]
    left, right = r[0], r[n - 1]
    for i in range(middle):
        j = n - 1 - i
        r[i], r[j] = left, right
        left = down[i] * left + (r[i + 1] + du[i])
        right = down[j - 1] * right + (r[j - 1] - du[j - 1])
    if n % 2 == 0:
        r[middle + 1] = right
        r[middle] = left + down[middle] * right - du[middle]
    else:
        r[middle] = left + (right - r[middle])
    # b link is 1 - down, of which little may be left where an edge is strong
    for i in range(middle):
        dy[i] = (b[i] * r[i] - g[i]) * (link[i] * inverse[i])
    for i in range(middle, n - 1):
        dy[i + 1] = (b[i] * r[i + 1] + g[i]) * (link[i] * inverse[i + 1])
    dy[middle] = r[middle] * inverse[middle]
    left = right = dy[middle]
    if n % 2 == 0:
        right = dy[middle + 1] + down[middle] * right
        dy[middle + 1] = right
    for k in range(middle):
        i = middle - 1 - k
        j = n - middle + k
        left = dy[i] + down[i] * left
        right = dy[j] + down[j - 1] * right
        dy[i], dy[j] = left, right
    # a pivot / (b pivot + a) is down pivot, so a flow is what its eliminated end has too much
    for i in range(middle):
        du[i] = pivot[i] * dy[i] - r[i]
    for i in range(middle, n - 1):
        du[i] = r[i + 1] - pivot[i + 1] * dy[i + 1]
