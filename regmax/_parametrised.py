"""What operators and proximal operators share: parameters, checked once and spread to rows; and the registry."""

from abc import ABC, abstractmethod
from dataclasses import Field, fields
from functools import cache, partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._parameters import check, spread, sum_to_shape
from ._rows import Rows, as_rows

__all__ = ["Parametrised", "Spread"]

Array = NDArray[Any]
#: The parameters of every row, by name.
Spread = dict[str, Array]


@cache
def _declared(kind: type) -> tuple[Field[Any], ...]:
    return fields(kind)


class Parametrised(ABC):
    """A frozen dataclass whose fields are parameters, numbers or arrays that broadcast against the batch."""

    #: Name of the function beside the class; error messages begin with it.
    name: ClassVar[str]
    #: CVXPY solvers that reach a tight tolerance on this problem; of several the better answer counts.
    witnesses: ClassVar[tuple[str, ...]] = ("CLARABEL",)
    #: The gap, relative to the scale of a row, at which an iterative float64 solver stops; 0 for a finite one.
    tolerance: ClassVar[float] = 0.0
    #: Whether the unit is a matrix: two axes, or one that is folded by the field ``shape``.
    matrix: ClassVar[bool] = False

    _registry: ClassVar[dict[str, type["Parametrised"]]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in cls.__dict__:
            taken = cls._registry.get(cls.name)
            if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"{cls.__qualname__}: name must be new, but {cls.name!r} is {taken.__qualname__}")
            cls._registry[cls.name] = cls

    def __post_init__(self) -> None:
        for declared in _declared(type(self)):
            value = check(self.name, declared, getattr(self, declared.name))
            object.__setattr__(self, declared.name, value)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Parametrised) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, because pickled arrays come back writable; by keyword, as some fields ask for.
        return partial(type(self), **self._fields()), ()

    def _key(self) -> tuple[Any, ...]:
        values = (getattr(self, declared.name) for declared in _declared(type(self)))
        return (type(self), *((v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values))

    @abstractmethod
    def __call__(self, x: ArrayLike, axis: int = -1, where: ArrayLike | None = None) -> Array:
        """The solution for ``x``, of its shape and dtype."""

    @abstractmethod
    def _apply(
        self, y: ArrayLike, v: ArrayLike, axis: int, x: ArrayLike | None, where: ArrayLike | None, *, transposed: bool
    ) -> Array:
        """The product of the Jacobian at ``y``, or of its transpose, with ``v``."""

    def jacobian(
        self,
        y: ArrayLike,
        v: ArrayLike,
        axis: int = -1,
        x: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Array:
        """The product ``J v`` of the Jacobian, at the answer ``y`` that was returned, with ``v``.

        Rows are float32 or float64 as ``y`` is. An operator asks for the scores ``x`` (and their mask) only where its
        weights do not determine J, that is where ``is_gradient`` is False. A proximal operator takes the mask from
        ``where``, and from ``x`` if that is given, because an entry of ``y`` may be 0 without being masked.
        """
        return self._apply(y, v, axis, x, where, transposed=False)

    def vjp(
        self,
        y: ArrayLike,
        v: ArrayLike,
        axis: int = -1,
        x: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Array:
        """The product ``J^T v``: that of :meth:`jacobian` where J is symmetric, as it mostly is."""
        return self._apply(y, v, axis, x, where, transposed=True)

    def _batch(self, x: ArrayLike, axis: Any = -1, where: ArrayLike | None = None, name: str = "x") -> Rows:
        """The problems in ``x`` as rows; for matrices the default axis stands for the last two."""
        if not self.matrix:
            return as_rows(self.name, x, axis, where, name)
        shape: tuple[int, int] | None = getattr(self, "shape", None)
        if shape is None:
            pair = (-2, -1) if isinstance(axis, int) and axis == -1 else axis
            if not isinstance(pair, tuple | list):
                raise ValueError(f"{self.name}: axis must be the two axes of a matrix, or shape be given, got {axis!r}")
            return as_rows(self.name, x, pair, where, name, pair=True)
        batch = as_rows(self.name, x, axis, where, name)
        if batch.data.shape[1] != shape[0] * shape[1]:
            raise ValueError(
                f"{self.name}: shape must fold the {batch.data.shape[1]} entries of a row, got {shape[0]} x {shape[1]}"
            )
        batch.item_shape = shape
        return batch

    def _folded(self, batch: Rows) -> Self:
        """The same operator for the rows of ``batch``, in which matrices are flattened."""
        if not self.matrix:
            return self
        return type(self)(**{**self._fields(), "shape": batch.item_shape})

    def _fields(self) -> dict[str, Any]:
        return {declared.name: getattr(self, declared.name) for declared in _declared(type(self))}

    def _spread(self, batch: Rows) -> Spread:
        values = self._fields()
        p = {one.name: spread(self.name, one, values[one.name], batch) for one in _declared(type(self))}
        if self.matrix:
            p["shape"] = np.array(batch.item_shape)
        return p

    def _fit(self, batch: Rows) -> Spread:
        """The parameters of each row, with those that depend on its scores."""
        return self._spread(batch)

    def _prepare(self, batch: Rows, p: Spread) -> None:
        """Raise where a row has no solution."""

    def _wide(self, batch: Rows) -> tuple[Array, Array, Spread]:
        """Rows in float64 with -inf at masked entries, which entries are live, and the parameters in float64."""
        live = batch.live
        x = np.where(live, batch.data.astype(np.float64, copy=False), -np.inf)
        p = self._fit(batch)
        return x, live, {key: v.astype(np.float64) if v.dtype.kind == "f" else v for key, v in p.items()}

    def _to_parameters(self, slopes: Spread, batch: Rows) -> dict[str, Any]:
        """Derivatives per row (and entry), summed to the shapes of the parameters they belong to."""
        return {
            declared.name: sum_to_shape(slopes[declared.name], declared, getattr(self, declared.name), batch)
            for declared in _declared(type(self))
            if declared.name in slopes
        }

    @classmethod
    @abstractmethod
    def samples(cls, n: int) -> tuple[Self, ...]:
        """Instances of this class worth testing on rows of n entries."""
