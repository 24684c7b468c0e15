"""regmax in PyTorch: every operator on tensors, with derivatives in every mode of autograd.

>>> import torch
>>> import regmax.adapters.torch as rt
>>> x = torch.tensor([1.0, 2.1, 1.9], requires_grad=True)
>>> rt.fusedmax(x, lam=0.1).detach()
tensor([0.0000, 0.5000, 0.5000])
"""

from . import functional, modules
from .functional import *  # noqa: F403
from .losses import FenchelYoungLoss, fenchel_young_loss
from .modules import *  # noqa: F403

__all__ = ["FenchelYoungLoss", "fenchel_young_loss", *functional.__all__, *modules.__all__]
