"""Every operator as a module, ``Entmax(alpha=1.5, learn=("alpha",))``; made from the registry.

What is learned is kept within the bounds of its rule by a parametrization of ``torch.nn.utils.parametrize``.
"""

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from regmax._parameters import ABOVE_ONE, AT_LEAST_ONE, EDGE_WEIGHT, NON_INCREASING, NON_NEGATIVE, POSITIVE

from ._declared import Declared, Operator, shipped, values_of
from .functional import check_parameter, described, solve, with_edges

__all__ = ["Weights"]  # and the operators, below


def _inverse_softplus(value: Tensor) -> Tensor:
    return value + torch.log(-torch.expm1(-value))


class _Above(nn.Module):
    """Numbers above a bound: ``bound + softplus(raw)``."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, raw: Tensor) -> Tensor:
        return self.bound + nn.functional.softplus(raw)

    def right_inverse(self, value: Tensor) -> Tensor:
        return _inverse_softplus(value - self.bound)


class _Falling(nn.Module):
    """Numbers that fall along the last dim: the last is free, each other one lies a softplus above the next."""

    def forward(self, raw: Tensor) -> Tensor:
        steps = nn.functional.softplus(raw[..., :-1]).flip(-1).cumsum(-1).flip(-1)
        return torch.cat([raw[..., -1:] + steps, raw[..., -1:]], dim=-1)

    def right_inverse(self, value: Tensor) -> Tensor:
        steps = (value[..., :-1] - value[..., 1:]).clamp_min(torch.finfo(value.dtype).eps)  # equal ones part slowly
        return torch.cat([_inverse_softplus(steps), value[..., -1:]], dim=-1)


def _listed(learn: Any) -> tuple[str, ...]:
    if isinstance(learn, str):
        return (learn,)
    if not isinstance(learn, (tuple, list, set, frozenset)) or not all(isinstance(name, str) for name in learn):
        raise TypeError(f"learn must be names of parameters, got {learn!r}")
    return tuple(learn)


_BOUNDS = {
    POSITIVE.words: lambda: _Above(0.0),
    NON_NEGATIVE.words: lambda: _Above(0.0),
    EDGE_WEIGHT.words: lambda: _Above(0.0),
    ABOVE_ONE.words: lambda: _Above(1.0),
    AT_LEAST_ONE.words: lambda: _Above(1.0),
    NON_INCREASING.words: _Falling,
}


class Weights(nn.Module):
    """A regularized argmax as a layer: scores to weights, along ``dim``; entries where ``mask`` is False get 0.

    Parameters
    ----------
    learn : sequence of str, default ()
        The names of parameters to be learned, from the given value on; kept within their rules. A tensor is learned
        entry by entry, for example ``alpha=torch.full((heads, 1), 1.5)`` on scores (batch, heads, queries, keys).
    dim : int or pair of ints, default -1
        The dim that holds the scores of one problem; of a matrix its two dims, by default the last.
    values : numbers or tensors
        The parameters of the operator, by name, as for its function.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter breaks its rule or cannot be learned.

    Notes
    -----
    A learned parameter is an attribute like the others; its unbounded form is what optimizers and ``state_dict`` see.
    Source: regmax.
    """

    operator: Operator

    def __init__(self, *, learn: Iterable[str] = (), dim: Any = -1, **values: Any) -> None:
        super().__init__()
        self.dim = dim
        self.learn = _listed(learn)
        names = {declared.name for declared in self.operator.parameters}
        for name in (*values, *self.learn):
            if name not in names:
                raise TypeError(f"{self.operator.name}: {name} is not one of its parameters")
        values = with_edges(self.operator, values)
        for declared in self.operator.parameters:
            self._keep(declared, values.get(declared.name, declared.default))

    def _keep(self, declared: Declared, value: Any) -> None:
        if declared.name in self.learn:
            self._learn(declared, value)
        elif isinstance(value, nn.Parameter) or not isinstance(value, Tensor) or value.requires_grad:
            check_parameter(self.operator, declared, value)
            setattr(self, declared.name, value)
        else:
            self.register_buffer(declared.name, value)

    def _learn(self, declared: Declared, value: Any) -> None:
        bound = _BOUNDS.get(declared.words)
        if bound is None or value is None:
            raise ValueError(f"{self.operator.name}: {declared.name} cannot be learned, got {value!r}")
        made = bound()
        start = self._start(declared, made, value, None if isinstance(value, Tensor) else torch.get_default_dtype())
        self.register_parameter(declared.name, nn.Parameter(start.detach().clone()))
        parametrize.register_parametrization(self, declared.name, made)

    def _start(self, declared: Declared, bound: nn.Module, value: Any, dtype: torch.dtype | None) -> Tensor:
        """A value from which a parameter can be learned, as a tensor."""
        owner = f"{self.operator.name}: {declared.name}"
        check_parameter(self.operator, declared, value)
        start = torch.as_tensor(value if isinstance(value, Tensor) else np.array(value), dtype=dtype)
        numbers = start.detach().cpu().double().numpy() if start.device.type != "meta" else None
        if not start.is_floating_point() or (numbers is not None and not np.all(declared.holds(numbers))):  # type: ignore[misc]
            raise ValueError(f"{owner} must {declared.words}, got {value}")
        if numbers is not None and isinstance(bound, _Above) and not np.all(numbers > bound.bound):
            raise ValueError(f"{owner} must start above {bound.bound:g} to be learned, got {value}")
        if numbers is not None and not np.all(numbers < np.inf):
            raise ValueError(f"{owner} must start at a finite value to be learned, got {value}")
        return start

    def __setattr__(self, name: str, value: Any) -> None:
        """A new value of what is learned keeps the rules of the first; a number stands for all entries."""
        if parametrize.is_parametrized(self, name):
            bounds: Any = self.parametrizations
            raw = bounds[name].original
            declared = next(one for one in self.operator.parameters if one.name == name)
            value = self._start(declared, bounds[name][0], value, raw.dtype).to(raw.device)
            value = value.expand_as(raw).clone() if value.dim() == 0 else value
        super().__setattr__(name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """The class that a layer was made from and its state; torch gives one that learns a class without a name."""
        if not parametrize.is_parametrized(self):
            return super().__reduce_ex__(protocol)
        kind: Any = parametrize.type_before_parametrizations(self)
        return _blank, (kind,), kind.__getstate__(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        modules = dict(state["_modules"])
        bounds = modules.pop("parametrizations", {})
        super().__setstate__({**state, "_modules": modules, "_parameters": dict(state["_parameters"])})
        for name, bound in bounds.items():
            self.register_parameter(name, nn.Parameter(bound().detach()))
            parametrize.register_parametrization(self, name, bound[0])
        if bounds:
            self.parametrizations = bounds  # what was saved, to the last bit

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The weights of the scores ``x``."""
        return solve(self.operator, x, self.dim, mask, values_of(self.operator, self))

    def extra_repr(self) -> str:
        """The parameters, arrays by their shape."""
        parts = []
        for declared in self.operator.parameters:
            value = getattr(self, declared.name)
            if isinstance(value, Tensor):
                single = value.dim() == 0 and value.device.type != "meta"
                value = f"{value.item():.4g}" if single else tuple(value.shape)
            parts.append(f"{declared.name}={value}")
        return ", ".join([*parts, f"learn={self.learn!r}"] if self.learn else parts)


def _blank(kind: type[Weights]) -> Weights:
    """A layer that waits for its state."""
    return kind.__new__(kind)


_DOCUMENTATION = """{first}

    A layer: ``{kind}()(x, mask)`` is ``{name}(x, mask=mask)``.

    Parameters
    ----------
{parameters}
    learn : sequence of str, default ()
        The names of parameters to be learned, from the given value on.
    dim : int or pair of ints, default -1
        The dim, or the two, that hold the scores of one problem.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter breaks its rule or cannot be learned.

    Notes
    -----
    See :class:`Weights`. Source: that of :class:`regmax.{kind}`.
    """


def _module(operator: Operator) -> type[Weights]:
    """The module of one operator."""
    summary = inspect.getdoc(operator.kind).partition("\n")[0]  # type: ignore[union-attr]
    body = {
        "operator": operator,
        "__doc__": _DOCUMENTATION.format(
            first=summary, parameters=described(operator), kind=operator.kind.__name__, name=operator.name
        ),
        "__module__": __name__.removesuffix(".modules"),
    }
    kind = type(operator.kind.__name__, (Weights,), body)
    only = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(one.name, only, default=one.default) for one in operator.parameters]
    rest = [inspect.Parameter("learn", only, default=()), inspect.Parameter("dim", only, default=-1)]
    kind.__signature__ = inspect.Signature([*own, *rest])  # type: ignore[attr-defined]
    return kind


for _operator in shipped().values():
    globals()[_operator.kind.__name__] = _module(_operator)
    __all__ += [_operator.kind.__name__]
