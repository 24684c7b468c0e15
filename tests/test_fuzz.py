"""A million rows per operator, by certificate alone. Left out of the default run: ``pytest -m exhaustive``."""

import numpy as np
import pytest

import regmax
from regmax import prox
from regmax.verify.subject import admissible, kinds, measure

from .instances import label

ROWS, BATCH = 1_000_000, 2_000

SHAPES = {
    "normal": lambda rng, n: rng.normal(size=(BATCH, n)) * 10 ** rng.uniform(-3, 3, size=(BATCH, 1)),
    "lattice": lambda rng, n: rng.integers(-3, 4, size=(BATCH, n)) * rng.choice([0.05, 0.1, 0.5, 1 / 3]),
    "walk": lambda rng, n: np.cumsum(rng.normal(size=(BATCH, n)), axis=1) * rng.choice([0.01, 0.1, 1]),
    "sorted": lambda rng, n: np.sort(rng.normal(size=(BATCH, n)), axis=1) * rng.choice([-1, 1]),
    "holes": lambda rng, n: rng.choice([0, 0.1, 0.3, -np.inf], size=(BATCH, n)),
    "ramp": lambda rng, n: np.arange(n) * rng.choice([0.05, 0.1, 1 / 3]) + 0.05 * rng.integers(0, 2, size=(BATCH, n)),
    "geometric": lambda rng, n: rng.choice([-1, 1], size=(BATCH, n)) * 10.0 ** rng.integers(-12, 12, size=(BATCH, n)),
}
STRENGTHS = (0.0, 0.01, 0.05, 0.1, 1 / 3, 1.0, 10.0, 1e6, np.inf)


def random_operator(kind, rng, n):
    """One of the samples, or other strengths and orders."""
    choices = list(kind.samples(n))
    if kind is prox.Oscar:
        choices += [kind(*rng.choice(STRENGTHS, 2))] * 5
    elif kind in (prox.TV, prox.L1Ball, prox.Simplex):
        strength = float(rng.choice(STRENGTHS))
        choices += [kind(strength)] * 5 if kind is not prox.Simplex or 0 < strength < np.inf else []
    elif "lam" in vars(choices[0]):
        choices += [kind(float(rng.choice(STRENGTHS)), gamma=float(rng.choice([0.1, 1.0, 3.0])))] * 5
    if kind is regmax.Entmax:
        choices += [kind(float(rng.uniform(0.1, 6)), gamma=float(rng.choice([0.1, 1.0, 3.0])))] * 10
    if kind in (regmax.Pnormmax, regmax.Normmax):
        choices += [kind(float(1 + rng.exponential()) + 0.01)] * 5
    return choices[rng.integers(len(choices))]


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_a_million_rows(kind, dtype):
    rng = np.random.default_rng(2026)
    allowed = 1e-12 if dtype == np.float64 else 1e-5
    done = 0
    while done < ROWS:
        n = int(rng.integers(1, 80))
        name = list(SHAPES)[rng.integers(len(SHAPES))]
        if dtype == np.float32 and name == "geometric":
            name = "normal"
        x = SHAPES[name](rng, n).astype(dtype)
        operator = random_operator(kind, rng, n)
        if name == "holes" and hasattr(operator, "upper"):
            x = admissible(operator, x)
        done += BATCH
        y = operator(x)
        violation, gap = measure(operator, x, y)
        assert np.max(gap, initial=0.0) <= allowed, (label(operator), name, x[np.argmax(gap)].tolist())
        spacing = np.finfo(dtype).eps * 4 * np.sqrt(n)
        assert np.max(violation, initial=0.0) <= spacing, (label(operator), name, x[np.argmax(violation)].tolist())


@pytest.mark.exhaustive
@pytest.mark.parametrize("operator", [regmax.Fusedmax(np.inf), regmax.Oscarmax(np.inf), regmax.Sparsemax()], ids=label)
def test_rows_longer_than_float32_can_count(operator):
    n = 2**24 + 1000
    x = np.zeros(n, np.float32)
    x[-1] = np.finfo(np.float32).min
    y = operator.argmax(x)
    assert y.dtype == np.float32
    assert y[-1] == 0
    np.testing.assert_allclose(y[:-1], 1 / (n - 1), rtol=1e-6)
