"""Operators with parameters worth testing on tensors, and scores away from kinks."""

import warnings

import numpy as np
import torch

import regmax
import regmax.adapters.torch as rt

N = 6
EDGES = torch.tensor([(i, j) for i in range(N) for j in range(i) if (i * j) % 3 == 1])
#: What each operator is called with on rows of N scores.
SETTINGS = {
    "softmax": {"gamma": 0.7},
    "sparsemax": {"gamma": 1.3},
    "entmax": {"alpha": 1.7, "gamma": 0.9},
    "pnormmax": {"p": 1.5, "gamma": 0.8},
    "normmax": {"p": 2.0, "gamma": 0.8},
    "budgetmax": {"upper": 0.45, "total": 1.1, "gamma": 0.9},
    "topkmax": {"k": 3},
    "fusedmax": {"lam": 0.2, "gamma": 0.8},
    "oscarmax": {"lam": 0.05, "gamma": 0.8},
    "graphfusedmax": {"edges": EDGES, "lam": 0.2, "gamma": 0.8},
    "tv2dmax": {"lam": 0.2, "gamma": 0.8, "shape": (2, 3)},
    "plaplacemax": {"p": 1.5, "lam": 0.3, "gamma": 0.8},
    "kregularmax": {"k": 2, "gamma": 0.8, "shape": (2, 3)},
}
#: Parameters that have derivatives, by operator.
LEARNABLE = {
    "softmax": ("gamma",),
    "sparsemax": ("gamma",),
    "entmax": ("alpha", "gamma"),
    "pnormmax": ("p", "gamma"),
    "normmax": ("p", "gamma"),
    "budgetmax": ("upper", "total", "gamma"),
    "topkmax": (),
    "fusedmax": ("lam", "gamma", "weights"),
    "oscarmax": ("lam", "gamma", "weights"),
    "graphfusedmax": ("lam", "gamma", "weights"),
    "tv2dmax": ("lam", "gamma"),
    "plaplacemax": ("p", "lam", "gamma", "weights"),
    "kregularmax": ("gamma",),
}
WEIGHTS = {
    "fusedmax": torch.linspace(0.5, 1.5, N - 1, dtype=torch.float64),
    "oscarmax": torch.linspace(3.0, 0.5, N, dtype=torch.float64),
    "graphfusedmax": torch.linspace(0.5, 1.5, len(EDGES), dtype=torch.float64),
    "plaplacemax": torch.linspace(0.5, 1.5, N - 1, dtype=torch.float64),
}


def scores(*batch, seed=0, dtype=torch.float64):
    """Random scores of shape (*batch, N)."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(1.2 * rng.normal(size=(*batch, N))).to(dtype)


def function(name):
    """The operator with its settings, of scores alone."""
    return lambda x, **more: getattr(rt, name)(x, **{**SETTINGS[name], **more})


def of_any_size(name):
    """The operator on scores of any size; those of matrices on their last two dims."""
    settings = {key: value for key, value in SETTINGS[name].items() if key != "shape"}
    return lambda x: getattr(rt, name)(x, **settings)


def in_numpy(name):
    """The same operator of NumPy."""
    given = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in SETTINGS[name].items()}
    return regmax.operators()[name](**given)


def nested(dtype=torch.float32):
    """What is no dense tensor though its layout says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them a prototype
        return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], dtype=dtype)


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to give them up
        return torch._empty_affine_quantized([2, N], scale=1.0, zero_point=0, dtype=torch.quint8)
