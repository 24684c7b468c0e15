"""Every operator and proximal operator with parameter sets worth testing, and how accurate each must be."""

from dataclasses import fields

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
    "numbers",
    "operators",
    "proxes",
    "scale",
    "scale_of",
    "shortened",
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
    given = {k: v for k, v in vars(operator).items() if v is not None}
    shown = (
        f"{k}={format(v, '.4g') if isinstance(v, int | float) else v.shape if isinstance(v, np.ndarray) else v}"
        for k, v in given.items()
    )
    return f"{operator.name}({', '.join(shown)})"


def numbers(operator):
    """The parameters that are numbers or arrays of them, which have derivatives, by name."""
    names = (f.name for f in fields(operator) if f.metadata["kind"] != "structure")
    return {name: getattr(operator, name) for name in names if getattr(operator, name) is not None}


def shortened(operator):
    """The same operator for rows without their last two of seven entries."""
    given = {k: v[..., :-2] if isinstance(v, np.ndarray) else v for k, v in vars(operator).items()}
    if given.get("edges") is not None:
        kept = (operator.edges < 5).all(axis=1)
        given["edges"] = operator.edges[kept]
        given["weights"] = None if operator.weights is None else operator.weights[kept]
    if given.get("shape") is not None:
        given["shape"] = tuple(min(side, 5) for side in operator.shape)
    return type(operator)(**given)


def strength(operator, x):
    """gamma of each row; for topkmax its temperature."""
    if operator.name == "topkmax":
        return np.asarray(operator.temperature(x))
    return np.broadcast_to(operator.gamma, x.shape[:-1])


def scale(operator, x):
    """The scale that the accuracy of weights is promised against."""
    return scale_of(operator, x, x)
