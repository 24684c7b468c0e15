"""regmax in PyTorch: every operator on tensors, with derivatives in every mode of autograd.

>>> import torch
>>> import regmax.adapters.torch as rt
>>> x = torch.tensor([1.0, 2.1, 1.9], requires_grad=True)
>>> rt.fusedmax(x, lam=0.1)
tensor([0.0000, 0.5000, 0.5000], grad_fn=...)
"""

from . import functional
from .functional import *  # noqa: F403
from .functional import argmax

__all__ = ["argmax", *functional.__all__]
