"""Every operator and proximal operator with parameter sets worth testing, and how accurate each must be."""

import numpy as np

import regmax
from regmax.prox import proximals
from regmax.verify import families
from regmax.verify.subject import admissible as feasible_rows
from regmax.verify.subject import scale as scale_of

__all__ = [
    "SIZES",
    "cases",
    "families",
    "feasible_rows",
    "label",
    "operators",
    "proxes",
    "scale",
    "scale_of",
    "strength",
]

SIZES = (1, 2, 3, 8, 33)


def operators(n):
    """Every sample of every registered operator for rows of n entries."""
    return [operator for kind in regmax.operators().values() for operator in kind.samples(n)]


def proxes(n):
    """Every sample of every registered proximal operator for rows of n entries."""
    return [proximal for kind in proximals().values() for proximal in kind.samples(n)]


def cases(sizes=SIZES, samples=operators):
    """(size, operator) for parametrize, with readable ids."""
    pairs = [(n, operator) for n in sizes for operator in samples(n)]
    return {"argvalues": pairs, "ids": [f"n={n} {label(operator)}" for n, operator in pairs]}


def label(operator):
    """The operator with its parameters, arrays by their shape."""
    fields = {k: v for k, v in vars(operator).items() if v is not None}
    shown = (f"{k}={v.shape if isinstance(v, np.ndarray) else _short(v)}" for k, v in fields.items())
    return f"{operator.name}({', '.join(shown)})"


def _short(value):
    return format(value, ".4g") if isinstance(value, int | float) else value


def strength(operator, x):
    """gamma of each row; for topkmax its temperature."""
    if operator.name == "topkmax":
        return np.asarray(operator.temperature(x))
    return np.broadcast_to(operator.gamma, x.shape[:-1])


def scale(operator, x):
    """The scale that the accuracy of weights is promised against."""
    return scale_of(operator, x, x)
