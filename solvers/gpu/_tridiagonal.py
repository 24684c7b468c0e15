"""Tridiagonal systems of any number of rows at once: every second unknown is eliminated everywhere, log n times.

Sources: Hockney 1965 for cyclic reduction; Grassmann, Taksar & Heyman 1985 for sums in place of differences: of each
equation its excess over the edges is kept, so nothing cancels, however stiff an edge is.
"""

from torch.nn.functional import pad

from ._segments import shifted

__all__ = ["chain_solve"]


def chain_solve(excess, K, sides):
    """``(diag(excess) + B^T K B)^-1 sides`` for a chain: excess > 0, K >= 0 (rows, n - 1), sides (rows, n, k)."""
    left, right, by = pad(K, (1, 0)), pad(K, (0, 1)), 1
    while by < excess.shape[1]:
        pivot = excess + left + right
        back, ahead = left / shifted(pivot, by, 1), right / shifted(pivot, -by, 1)
        excess = excess + back * shifted(excess, by, 0) + ahead * shifted(excess, -by, 0)
        sides = sides + back[:, :, None] * shifted(sides, by, 0) + ahead[:, :, None] * shifted(sides, -by, 0)
        left, right = back * shifted(left, by, 0), ahead * shifted(right, -by, 0)
        by *= 2
    return sides / excess[:, :, None]
