"""Every operator as a function on tensors: ``fusedmax(x, lam=0.1, dim=-1, mask=None)``; made from the registry."""

import inspect
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import regmax
from regmax import Regularizer
from regmax._dispatch import register

from . import _modes, _ops
from ._call import Call, call_of
from ._checks import require_parameters
from ._declared import Declared, Operator, operator_of, shipped, values_of
from ._rows import Layout, is_sharded, parameter_rows, require_mask, require_real, scores, weights_like
from ._sharded import solve_sharded

__all__ = ["argmax"]  # and the operators, below


_Numbers = (int, float, torch.SymInt, torch.SymFloat)


def _refused(operator: Operator, declared: Declared, value: Any) -> TypeError:
    return TypeError(f"{operator.name}: {declared.name} must be a number, an array or a tensor, got {value!r}")


def _pair(operator: Operator, value: Any) -> tuple[int, int]:
    if not isinstance(value, (tuple, list, torch.Size)) or len(value) != 2:
        raise TypeError(f"{operator.name}: shape must be two integers (height, width), got {value!r}")
    for side in value:
        if isinstance(side, bool) or not isinstance(side, (int, torch.SymInt)):
            raise TypeError(f"{operator.name}: shape must be two integers (height, width), got {value!r}")
    return value[0], value[1]


def _settled(operator: Operator, declared: Declared, value: Any, x: Any) -> Any:
    """A parameter as a number, word, pair or None that is fixed, or as a tensor; raises where it cannot be either."""
    if value is None:
        if declared.default is not None:
            raise _refused(operator, declared, value)
        return None
    if declared.name == "shape":
        return _pair(operator, value)
    if declared.kind == "structure" and declared.name != "edges":
        return value if declared.checked is None else declared.checked(operator.name, declared.name, value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _Numbers) and not isinstance(value, bool):
        if type(value) in _Numbers:
            return value
        return int(value) if isinstance(value, int) else float(value)
    if not isinstance(value, (np.ndarray, list, tuple)):
        raise _refused(operator, declared, value)
    try:
        tensor = torch.as_tensor(np.array(value), device=x.device if isinstance(x, Tensor) else None)
    except (TypeError, ValueError):
        raise _refused(operator, declared, value) from None
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise _refused(operator, declared, value)
    return tensor


def _split(operator: Operator, values: dict[str, Any], x: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The parameters that are fixed, and those that are tensors."""
    fixed: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    values = with_edges(operator, values)
    for declared in operator.parameters:
        value = values.pop(declared.name, declared.default)
        if not isinstance(value, Tensor) and type(value) is not float:
            value = _settled(operator, declared, value, x)
        (tensors if isinstance(value, Tensor) else fixed)[declared.name] = value
    if values:
        raise TypeError(f"{operator.name}: {next(iter(values))} is not one of its parameters")
    return fixed, tensors


def with_edges(operator: Operator, values: dict[str, Any]) -> dict[str, Any]:
    """The parameters, a sparse adjacency matrix among them replaced by its edges and their weights."""
    if not hasattr(values.get("edges"), "tocoo"):
        return values
    found = operator.kind(edges=values["edges"], weights=values.get("weights"))._fields()  # type: ignore[call-arg]
    return {**values, "edges": found["edges"], "weights": found["weights"]}


def _check_number(operator: Operator, declared: Declared, value: Any) -> None:
    if declared.holds is not None and not declared.holds(value):
        raise ValueError(f"{operator.name}: {declared.name} must {declared.words}, got {value}")


def check_parameter(operator: Operator, declared: Declared, value: Any) -> None:
    """Raise one sentence where a parameter cannot be one, as far as that can be told without scores."""
    if not isinstance(value, Tensor):
        settled = _settled(operator, declared, value, None)
        if isinstance(settled, _Numbers):
            _check_number(operator, declared, settled)


def _check_numbers(operator: Operator, fixed: dict[str, Any]) -> None:
    for declared in operator.parameters:
        if isinstance(fixed.get(declared.name), _Numbers):
            _check_number(operator, declared, fixed[declared.name])


def _all_rows(operator: Operator, fixed: dict[str, Any], rows: Tensor) -> dict[str, Tensor]:
    """Numbers as tensors, because what is traced or transformed sees no others."""
    found = {}
    for declared in operator.parameters:
        value = fixed.get(declared.name)
        if isinstance(value, _Numbers):
            width = rows.shape[1] if declared.kind == "item" else 1
            dtype = torch.int64 if declared.counts else rows.dtype
            found[declared.name] = rows.new_full((1, width), value, dtype=dtype)
    return found


class Problem(NamedTuple):
    """Scores as rows, with what their weights depend on."""

    operator: Operator
    rows: Tensor
    layout: Layout
    call: Call
    values: tuple[Tensor, ...]
    mode: str
    moving: bool  # whether a parameter of real numbers is a tensor of the caller

    def weights(self, rows: Tensor) -> Tensor:
        """The weights of such rows, differentiable in the mode torch is in."""
        if self.mode == "fast" and _modes.plain(rows):
            return _ops.fast(self.call, rows, self.values)
        return (_ops.traced if self.mode == "traced" else _ops.full)(self.call, rows, self.values)


def problem(operator: Operator, x: Any, dim: Any, mask: Any, values: dict[str, Any], exact: bool = False) -> Problem:
    """Scores and parameters in rows, checked; ``exact``: masked entries are -inf and no other number."""
    fixed, tensors = _split(operator, values, x)
    mode = "traced" if _modes.compiling() else "fast" if _modes.plain(x, *tensors.values()) else "full"
    if mode == "full" and is_sharded(_modes.within(x)):
        raise TypeError(f"{operator.name}: x must be no DTensor within transforms of torch.func")
    pair = operator.matrix and fixed.get("shape") is None
    exact = exact or mode != "fast" or not _ops.on_host(x)
    rows, layout = scores(operator.name, x, dim, mask, pair, exact)
    if operator.matrix:
        fixed["shape"] = layout.item_shape if pair else fixed["shape"]
        height, width = fixed["shape"]
        if height < 1 or height * width != rows.shape[1]:
            raise ValueError(
                f"{operator.name}: shape must fold the {rows.shape[1]} entries of a row, got {height} x {width}"
            )
    by_name = {declared.name: declared for declared in operator.parameters}
    spread = {
        name: parameter_rows(operator.name, by_name[name], value, layout, rows) for name, value in tensors.items()
    }
    if exact:
        _check_numbers(operator, fixed)
    if mode != "fast":
        spread = {**spread, **_all_rows(operator, fixed, rows)}
        fixed = {name: fixed[name] for name in ("shape", "reading") if fixed.get(name)}
    call = (Call if mode == "traced" else call_of)(operator, tuple(spread), tuple(fixed.items()))
    moving = any(value.is_floating_point() for value in tensors.values())
    return Problem(operator, rows, layout, call, tuple(spread.values()), mode, moving)


def checked(operator: Operator, x: Tensor, values: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the rows of x as tensors, by name, checked like those of every call."""
    found = problem(operator, x, -1, None, values, exact=True)
    p = _ops.parameters(found.call, found.rows, found.values)
    require_parameters(found.call, found.rows, p)
    return p


def solve(operator: Operator, x: Any, dim: Any, mask: Any, values: dict[str, Any]) -> Tensor:
    """The weights of an operator in whatever mode torch is in."""
    if is_sharded(x):
        return solve_sharded(solve, operator, x, dim, mask, values)
    found = problem(operator, x, dim, mask, values)
    y = _ops.fast(found.call, found.rows, found.values) if found.mode == "fast" else found.weights(found.rows)
    return weights_like(y, found.layout)


def argmax(omega: Any, x: Tensor, dim: Any = -1, mask: Tensor | None = None) -> Tensor:
    """``omega.argmax(x)`` of a regmax operator, also of your own, with its derivatives.

    Parameters
    ----------
    omega : regmax.Regularizer
        For example ``regmax.Fusedmax(lam=0.2)``.
    x : Tensor, shape (..., n)
        Scores; n of them along ``dim``.
    dim : int or pair of ints, default -1
        The dim that holds the scores of one problem; of a matrix its two dims, by default the last.
    mask : bool Tensor that broadcasts against ``x``, optional
        True = takes part.

    Returns
    -------
    Tensor of the shape and dtype of ``x``
        Weights.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the dim or the mask breaks its rule.

    Notes
    -----
    Source: regmax.
    """
    if not isinstance(omega, Regularizer):
        got = "a layer" if isinstance(omega, nn.Module) else type(omega).__name__
        got = f"the class {omega.__name__}" if isinstance(omega, type) else got
        raise TypeError(f"argmax: omega must be an operator such as regmax.Sparsemax(), got {got}")
    operator = operator_of(type(omega))
    return solve(operator, x, dim, mask, values_of(operator, omega))


def _require_handed(operator: Operator, x: Tensor, where: Any) -> None:
    require_real(operator.name, "x", x)
    if where is not None:
        require_mask(operator.name, x, where, "where")


def handed(omega: Any, x: Tensor, axis: Any = -1, where: Any = None) -> Tensor:
    """:func:`argmax` for a tensor that was given to NumPy's side, in the words of that."""
    _require_handed(operator_of(type(omega)), x, where)
    return argmax(omega, x, axis, where)


register("torch", handed)


def _let_compilers_follow(operator: Operator, original: Any) -> None:
    """Have torch.compile trace a function of NumPy's side without making an instance, which it cannot follow."""
    own = inspect.signature(original).parameters.values()
    default = inspect.signature(original).parameters["axis"].default
    names = [one.name for one in own if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD][1:]

    def traced(x: Any, *given: Any, axis: Any = default, where: Any = None, **values: Any) -> Any:
        values = {**dict(zip(names[: len(given)], given, strict=True)), **values}
        if not isinstance(x, Tensor):
            return operator.kind(**values).argmax(x, axis, where)
        _require_handed(operator, x, where)
        return solve(operator, x, axis, where, values)

    torch.compiler.substitute_in_graph(original, skip_signature_check=True)(traced)


_DOCUMENTATION = """{first}

    Parameters
    ----------
    x : Tensor, shape (..., n)
        Scores; n of them along ``dim``.
{parameters}
    dim : int{pair}, default -1
        The dim that holds the scores of one problem{matrix}.
    mask : bool Tensor that broadcasts against ``x``, optional
        True = takes part; other entries get weight 0. Entries of -inf are masked too.

    Returns
    -------
    Tensor of the shape and dtype of ``x``
        Weights; zeros where a whole row is masked, NaN in a row with NaN or +inf.

    Raises
    ------
    ValueError, TypeError
        One sentence, where a parameter, the dim or the mask breaks its rule.

    Notes
    -----
    Differentiable in ``x`` and in every parameter that is a tensor of real numbers. Source: that of
    :class:`regmax.{kind}`, which says what the parameters mean.
    """

_BEHIND = {
    "row": "number, or tensor that broadcasts against the batch",
    "item": "number, or tensor that broadcasts against ``x``",
    "edge": "tensor of shape (..., n - 1)",
    "rank": "tensor of shape (..., n)",
    "link": "tensor of shape (..., m)",
}


def described(operator: Operator) -> str:
    """The parameters of an operator as docstrings list them."""
    lines = []
    for one in operator.parameters:
        kind = {"edges": "int tensor of shape (m, 2)", "shape": "pair of ints"}.get(
            one.name, _BEHIND.get(one.kind, "str")
        )
        optional = "optional" if one.default is None else f"default {one.default}"
        lines += [f"    {one.name} : {kind}, {optional}", f"        As for :class:`regmax.{operator.kind.__name__}`."]
    return "\n".join(lines)


def _function(operator: Operator) -> Any:
    """The function of one operator."""

    def function(x: Tensor, *, dim: Any = -1, mask: Tensor | None = None, **values: Any) -> Tensor:
        return solve(operator, x, dim, mask, values)

    function.__name__ = function.__qualname__ = operator.name
    function.__module__ = __name__.removesuffix(".functional")
    only = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(one.name, only, default=one.default) for one in operator.parameters]
    whole = list(inspect.signature(function).parameters.values())[:-1]
    function.__signature__ = inspect.Signature([whole[0], *own, *whole[1:]], return_annotation=Tensor)  # type: ignore[attr-defined]
    function.__doc__ = _DOCUMENTATION.format(
        first=inspect.getdoc(operator.kind).partition("\n")[0],  # type: ignore[union-attr]
        parameters=described(operator),
        pair=" or pair of ints" if operator.matrix else "",
        matrix=", or the two of a matrix; by default the last two" if operator.matrix else "",
        kind=operator.kind.__name__,
    )
    return function


for _name, _operator in shipped().items():
    globals()[_name] = _function(_operator)
    __all__ += [_name]
    if hasattr(regmax, _name):
        _let_compilers_follow(_operator, getattr(regmax, _name))
