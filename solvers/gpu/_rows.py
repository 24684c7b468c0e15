"""What every twin does to a row: tell masked, dead and broken entries apart, and shift by the maximum."""

import math

import torch

__all__ = ["fold", "limits", "offsets", "row_sum", "rowwise", "scale", "tidy", "wide"]


def limits(x):
    """(smallest normal number, relative spacing, largest number) in the dtype of ``x``."""
    info = torch.finfo(x.dtype)
    return info.tiny, info.eps, info.max


def row_sum(x):
    return x.sum(-1, keepdim=True)


def rowwise(solve):
    """``weights`` from ``solve(x, top, p)``: zeros where a row is masked, NaN where it holds NaN or +inf."""

    def weights(x, p):
        top = x.amax(-1, keepdim=True)
        proper = torch.isfinite(top)
        y = solve(torch.where(proper, x, 0), torch.where(proper, top, 0), p)
        return torch.where(proper, y, torch.where(top == -math.inf, 0.0, math.nan).to(x.dtype))

    return weights


def scale(x, top, gamma):
    """``(x - top) / gamma``, -inf where masked, finite where live even if the difference overflows."""
    lowest = -limits(x)[2] / (4 * x.shape[-1])
    return torch.where(x > -math.inf, ((x - top) * (1 / gamma)).clamp_min(lowest), -math.inf)


def offsets(x, y):
    """``x - max x`` where there is weight, else 0; the maximum is a constant, to which no product is sensitive."""
    seen = y > 0
    top = x.detach().amax(-1, keepdim=True)
    return torch.where(seen, torch.where(seen, x, 0) - torch.where(torch.isfinite(top), top, 0), 0)


def tidy(y, product):
    """The product, NaN where the weights are."""
    return torch.where(y == y, product, y)


def fold(gradient, parameter):
    """Sum a gradient per row over what shares one value of the parameter."""
    shared = [i for i in range(parameter.ndim) if parameter.shape[i] == 1 and gradient.shape[i] != 1]
    return gradient.sum(shared, keepdim=True) if shared else gradient


def wide(x):
    """In float64 if it is a tensor of floats, where the device has that."""
    exact = torch.is_tensor(x) and x.is_floating_point() and x.device.type != "mps"
    return x.double() if exact else x
