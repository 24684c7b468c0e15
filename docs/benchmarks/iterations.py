"""Writes iterations.md: steps, times and accuracy of the iterative solvers over grids of their parameters.

Run with one thread: ``REGMAX_NUM_THREADS=1 python docs/benchmarks/iterations.py``, a few minutes.
"""

import datetime
import time
from pathlib import Path

import numpy as np

import regmax
from regmax.verify import families

_PAGE = Path(__file__).with_suffix(".md")
_ORDINARY = 1e3  # families with larger scores are of another kind

_HEAD = """# Steps of the iterative solvers

Written by `REGMAX_NUM_THREADS=1 python docs/benchmarks/iterations.py` on {date}, on a machine like that of
[cpu.md](cpu.md), float64. What is finite (thresholds, total variation, OSCAR) has no place here. Times are the best of
three, and move with the machine; steps do not.

## K-regular matrices

`regmax.Kregularmax(K)` of normal scores times `std`, `gamma = 1`: steps of the semismooth Newton method over all
stages, time of the matrix and of one Jacobian product, what row and column sums are off by, and the certified gap over
`rows max|S|`. With K = all columns the matrix is constant.

| rows x columns | mask | K | std | Newton steps | forward ms | backward ms | sums off by | relative gap |
|---|---|---|---|---|---|---|---|---|
"""

_CHAINS = """
## p-Laplacian on chains

`regmax.Plaplacemax(p, lam)` of the families of rows of `regmax verify` whose scores are of ordinary size (noise, ties,
ramps, waves, peaks, plateaus): steps, each one elimination along the chain, the last Newton steps counted, for p = 2
the first guess too. The time is that of 512 rows of normal scores.

| p | lam | rows of | steps, mean | at most | 512 rows, ms | relative gap |
|---|---|---|---|---|---|---|
"""


def _best(call):
    """The shortest of three calls in milliseconds, after one that compiles."""
    call()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def _masks(shape, k):
    yield "none", None
    if k == 4 and shape[0] == shape[1]:
        yield "no diagonal", ~np.eye(shape[0], dtype=bool)
        yield "random half", np.random.default_rng(1).random(shape) < 0.5


def _matrix_line(shape, k, mask, where, std):
    x = std * np.random.default_rng(0).normal(size=shape)
    operator = regmax.Kregularmax(k)
    found = operator.solve(x, where=where)
    y, v = found.weights, np.random.default_rng(1).normal(size=shape)
    forward, backward = _best(lambda: operator(x, where=where)), _best(lambda: operator.jacobian(y, v))
    off = max(np.abs(y.sum(axis=1) - 1).max(), np.abs(y.sum(axis=0) - shape[0] / shape[1]).max())
    gap = operator.certify(x, y, where=where).gap / (shape[0] * np.abs(x).max())
    size = f"{shape[0]} x {shape[1]} | {mask} | {k} | {std:g}"
    return f"| {size} | {found.iterations} | {forward:.1f} | {backward:.1f} | {off:.0e} | {gap:.0e} |\n"


def _matrices():
    for shape in ((256, 256), (256, 1024), (1024, 1024)):
        for k in (4,) if shape[0] < shape[1] else (1, 4, 16, shape[1] // 2, shape[1]):
            for mask, where in _masks(shape, k):
                for std in (0.1, 1, 10, 100):
                    yield _matrix_line(shape, k, mask, where, std)


def _rows(n):
    found = [x for x in families(n).values() if np.isfinite(x).all() and 1e-3 < np.abs(x).max() < _ORDINARY]
    return np.concatenate(found)


def _steps(operator, x):
    """Steps of each row, which the class does not show."""
    batch = operator._batch(x)
    return operator._solved(batch.data, operator._spread(batch), np.empty((len(x), 0)), np.empty_like(x))[:, 1]


def _chain_line(p, lam, n):
    operator, x = regmax.Plaplacemax(p, lam), _rows(n)
    steps, scores = _steps(operator, x), np.random.default_rng(0).normal(size=(512, n))
    proof = operator.certify(x, operator(x)).gap / np.maximum(np.abs(x).max(axis=1), 1)
    batch = _best(lambda: operator(scores))
    return f"| {p:g} | {lam:g} | {n} | {steps.mean():.1f} | {steps.max():.0f} | {batch:.0f} | {proof.max():.0e} |\n"


def _chains():
    for n in (256, 1000):
        for p in (1.05, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 8):
            for lam in (0.01, 1, 100):
                yield _chain_line(p, lam, n)


if __name__ == "__main__":
    date = datetime.datetime.now(datetime.UTC).date()
    _PAGE.write_text("".join([_HEAD.format(date=date), *_matrices(), _CHAINS, *_chains()]), encoding="utf-8")
