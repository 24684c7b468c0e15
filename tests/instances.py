"""Rows that break solvers, by family; and every operator with parameter sets worth testing."""

import numpy as np

import regmax

SIZES = (1, 2, 3, 8, 33)


def families(n, seed=0):
    """Name to float64 rows of n scores."""
    rng = np.random.default_rng(seed)
    k = np.arange(n)
    noise = rng.normal(size=(6, n))
    dominant = noise.copy()
    dominant[np.arange(6), rng.integers(n, size=6)] += 50
    holes = np.where(rng.random((6, n)) < 0.4, -np.inf, noise)
    holes[:, 0] = noise[:, 0]
    additive = np.where(np.isinf(holes), np.finfo(np.float64).min, holes)
    return {
        "normal 1e-3": noise * 1e-3,
        "normal 1": noise,
        "normal 1e3": noise * 1e3,
        "ties": np.round(noise * 2) / 2,
        "all equal": np.full((2, n), 0.7),
        "zeros": np.zeros((2, n)),
        "ramp": np.stack([k * 0.05, k[::-1] * 0.05, k * 3.0]),
        "exponential ramp": np.stack([-(0.5**k), -(2.0 ** (k % 40)), 0.5**k]),
        "square root": np.sqrt(k)[None] * np.array([[1.0], [0.1]]),
        "alternating": np.stack([(-1.0) ** k, 0.01 * (-1.0) ** k, 1e3 * (-1.0) ** k]),
        "dominant": dominant,
        "two levels": np.where(k < n // 2, 0.3, 0.31)[None] + np.zeros((2, 1)),
        "offset 1e6": noise + 1e6,
        "offset -1e9": noise - 1e9,
        "huge": noise * 1e300,
        "tiny": noise * 1e-300,
        "mixed scale": noise * 10.0 ** rng.integers(-8, 8, size=(6, n)),
        "-inf": holes,
        "additive mask": additive,
    }


def operators(n):
    """Every sample of every registered operator for rows of n entries."""
    return [operator for kind in regmax.operators().values() for operator in kind.samples(n)]


def cases(sizes=SIZES):
    """(size, operator) for parametrize, with readable ids."""
    pairs = [(n, operator) for n in sizes for operator in operators(n)]
    return {"argvalues": pairs, "ids": [f"n={n} {label(operator)}" for n, operator in pairs]}


def label(operator):
    """The operator with its parameters, arrays by their shape."""
    fields = {k: v for k, v in vars(operator).items() if v is not None}
    shown = (f"{k}={v.shape if isinstance(v, np.ndarray) else format(v, '.4g')}" for k, v in fields.items())
    return f"{operator.name}({', '.join(shown)})"


def feasible_rows(operator, rows):
    """Rows whose live entries can carry the operator's budget."""
    if operator.name != "budgetmax":
        return rows
    live = rows > np.finfo(rows.dtype).min / 2
    room = np.where(live, operator.upper, 0).sum(axis=1)
    return rows[room >= operator.total]


def strength(operator, x):
    """gamma of each row; for topkmax its temperature."""
    if operator.name == "topkmax":
        return np.asarray(operator.temperature(x))
    return np.broadcast_to(operator.gamma, x.shape[:-1])


def scale(operator, x):
    """The scale that accuracy is promised against: max(|x|, gamma) over live entries.

    Below alpha = 1 gamma counts times n^(1 - alpha), because the slope of Omega reaches that at even weights.
    """
    live = np.where(x > np.finfo(x.dtype).min / 2, x, 0)
    slope = x.shape[-1] ** np.maximum(1 - np.asarray(getattr(operator, "alpha", 1.0)), 0)
    return np.maximum(np.abs(live).max(axis=-1), strength(operator, x) * slope).astype(np.float64)
