"""Solvers that are wrong in ways that real ones have been; the verification must catch each."""

import os
import sys
import time

import numpy as np

import regmax

# Compiled kernels are loaded now, so that the first call of a fresh process is no slower than the others.
for _dtype in (np.float32, np.float64):
    regmax.sparsemax(np.zeros((1, 2), _dtype))


def entmax_with_few_bisections(x, alpha=1.5, gamma=1.0):
    """Ten halvings of the threshold, then a division by the sum, which hides the error from a look at the sum."""
    z = (alpha - 1) * (x - x.max(axis=1, keepdims=True)) / gamma
    low, high = np.full((len(z), 1), -1.0, x.dtype), np.zeros((len(z), 1), x.dtype)
    for _ in range(10):
        middle = (low + high) / 2
        total = np.sum(np.maximum(z - middle, 0) ** (1 / (alpha - 1)), axis=1, keepdims=True)
        low, high = np.where(total >= 1, middle, low), np.where(total >= 1, high, middle)
    y = np.maximum(z - low, 0) ** (1 / (alpha - 1))
    return (y / y.sum(axis=1, keepdims=True)).astype(x.dtype)


def _sparsemax_of(values, x):
    """Sparsemax of rows x whose thresholds come from the sorted ``values``."""
    ranks = np.arange(1, values.shape[1] + 1, dtype=x.dtype)
    with np.errstate(all="ignore"):
        taus = (np.cumsum(values, axis=1) - 1) / ranks
    support = np.maximum(np.sum(values > taus, axis=1), 1)
    return np.maximum(x - np.take_along_axis(taus, support[:, None] - 1, axis=1), 0)


def sparsemax_without_ties(x):
    """A set of the scores instead of a list: one of two equal scores is forgotten."""
    x = x - x.max(axis=1, keepdims=True)
    rows = []
    for row in x:
        values = np.unique(row)[::-1]
        rows.append(_sparsemax_of(values[None], row[None])[0])
    return np.array(rows, x.dtype)


def sparsemax_without_shift(x):
    """Right in exact arithmetic; float32 scores around 1e6 leave no digits."""
    return _sparsemax_of(-np.sort(-x, axis=1), x).astype(x.dtype)


def sparsemax_of_contiguous_memory(x):
    """Reads from the first entry on as if rows followed each other, like a C function that ignores strides."""
    start = x.__array_interface__["data"][0]
    owner = x
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    memory = owner.reshape(-1, order="A")
    offset = (start - memory.__array_interface__["data"][0]) // x.itemsize
    read = np.resize(memory[offset : offset + x.size], x.shape)
    return regmax.sparsemax(read).astype(x.dtype)


def sparsemax_that_raises(x):
    """Raises where two scores tie."""
    if any(len(np.unique(row)) < len(row) for row in x):
        raise ZeroDivisionError("division by zero")
    return regmax.sparsemax(x)


def sparsemax_of_one_shape(x):
    """Flattens a single row."""
    return np.squeeze(regmax.sparsemax(x))


def sparsemax_in_float64(x):
    """Forgets the dtype."""
    return regmax.sparsemax(x.astype(np.float64))


def sparsemax_with_nan(x):
    """Loses a row with a mask."""
    return np.where(np.isinf(x).any(axis=1, keepdims=True), np.nan, regmax.sparsemax(x))


def sparsemax_in_place(x):
    """Writes its answer where the question stood."""
    y = regmax.sparsemax(x)
    if x.flags.writeable:
        x[...] = y
    return y


def sparsemax_that_hangs(x):
    """Never comes back from rows of equal scores."""
    while x.shape[1] > 1 and np.all(x == x[0, 0]):
        time.sleep(0.01)
    return regmax.sparsemax(x)


def sparsemax_that_exits(x):
    """Ends the process at rows of equal scores."""
    if x.shape[1] > 1 and np.all(x == x[0, 0]):
        os._exit(3)
    return regmax.sparsemax(x)


def sparsemax_that_talks(x):
    """Right, but prints."""
    print("hello")
    return regmax.sparsemax(x)


def sparsemax_of_nothing(x):
    """Forgets to return."""


def sparsemax_of_infinity(x):
    """Overflows."""
    return np.full_like(x, np.inf)


def simplex_of_infinity(x, radius=1.0):
    """Overflows, where the certificate divides by the size of the answer."""
    return np.full_like(x, np.inf)


def sparsemax_that_leaves(x):
    """Leaves Python politely where two scores tie."""
    if any(len(np.unique(row)) < len(row) for row in x):
        sys.exit(3)
    return regmax.sparsemax(x)


def sparsemax_nearly_feasible(x):
    """Weights of float32 that sum to a little more than 1."""
    y = regmax.sparsemax(x)
    return y * np.float32(1 + 8e-6) if x.dtype == np.float32 else y


def dies_of_one(x):
    """Ends its process, suddenly, where the first entry is 1."""
    if x[0, 0] == 1:
        os._exit(0)
    return x


NOT_A_FUNCTION = 3
