"""Types of the functions and modules that are made from the registry; written by tests/torch/stub.py."""

from collections.abc import Iterable
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from .functional import argmax as argmax
from .losses import FenchelYoungLoss as FenchelYoungLoss
from .losses import fenchel_young_loss as fenchel_young_loss
from .modules import Weights as Weights

_Number = float | Tensor | ArrayLike
_Dims = int | tuple[int, int]

def budgetmax(
    x: Tensor,
    *,
    upper: _Number = ...,
    total: _Number = ...,
    gamma: _Number = ...,
    dim: int = ...,
    mask: Tensor | None = ...,
) -> Tensor: ...
def entmax(
    x: Tensor, *, alpha: _Number = ..., gamma: _Number = ..., dim: int = ..., mask: Tensor | None = ...
) -> Tensor: ...
def fusedmax(
    x: Tensor,
    *,
    lam: _Number = ...,
    gamma: _Number = ...,
    weights: _Number | None = ...,
    dim: int = ...,
    mask: Tensor | None = ...,
) -> Tensor: ...
def graphfusedmax(
    x: Tensor,
    *,
    edges: Any = ...,
    lam: _Number = ...,
    gamma: _Number = ...,
    weights: _Number | None = ...,
    dim: int = ...,
    mask: Tensor | None = ...,
) -> Tensor: ...
def kregularmax(
    x: Tensor,
    *,
    k: _Number = ...,
    gamma: _Number = ...,
    reading: str = ...,
    shape: tuple[int, int] | None = ...,
    dim: _Dims = ...,
    mask: Tensor | None = ...,
) -> Tensor: ...
def pnormmax(
    x: Tensor, *, p: _Number = ..., gamma: _Number = ..., dim: int = ..., mask: Tensor | None = ...
) -> Tensor: ...
def normmax(
    x: Tensor, *, p: _Number = ..., gamma: _Number = ..., dim: int = ..., mask: Tensor | None = ...
) -> Tensor: ...
def sparsemax(x: Tensor, *, gamma: _Number = ..., dim: int = ..., mask: Tensor | None = ...) -> Tensor: ...
def oscarmax(
    x: Tensor,
    *,
    lam: _Number = ...,
    gamma: _Number = ...,
    weights: _Number | None = ...,
    dim: int = ...,
    mask: Tensor | None = ...,
) -> Tensor: ...
def plaplacemax(
    x: Tensor,
    *,
    p: _Number = ...,
    lam: _Number = ...,
    gamma: _Number = ...,
    edges: Any = ...,
    weights: _Number | None = ...,
    dim: int = ...,
    mask: Tensor | None = ...,
) -> Tensor: ...
def softmax(x: Tensor, *, gamma: _Number = ..., dim: int = ..., mask: Tensor | None = ...) -> Tensor: ...
def topkmax(x: Tensor, *, k: _Number = ..., dim: int = ..., mask: Tensor | None = ...) -> Tensor: ...
def tv2dmax(
    x: Tensor,
    *,
    lam: _Number = ...,
    gamma: _Number = ...,
    shape: tuple[int, int] | None = ...,
    dim: _Dims = ...,
    mask: Tensor | None = ...,
) -> Tensor: ...

class Budgetmax(Weights):
    upper: Any
    total: Any
    gamma: Any
    def __init__(
        self,
        *,
        upper: _Number = ...,
        total: _Number = ...,
        gamma: _Number = ...,
        learn: Iterable[str] = ...,
        dim: _Dims = ...,
    ) -> None: ...

class Entmax(Weights):
    alpha: Any
    gamma: Any
    def __init__(
        self, *, alpha: _Number = ..., gamma: _Number = ..., learn: Iterable[str] = ..., dim: _Dims = ...
    ) -> None: ...

class Fusedmax(Weights):
    lam: Any
    gamma: Any
    weights: Any
    def __init__(
        self,
        *,
        lam: _Number = ...,
        gamma: _Number = ...,
        weights: _Number | None = ...,
        learn: Iterable[str] = ...,
        dim: _Dims = ...,
    ) -> None: ...

class Graphfusedmax(Weights):
    edges: Any
    lam: Any
    gamma: Any
    weights: Any
    def __init__(
        self,
        *,
        edges: Any = ...,
        lam: _Number = ...,
        gamma: _Number = ...,
        weights: _Number | None = ...,
        learn: Iterable[str] = ...,
        dim: _Dims = ...,
    ) -> None: ...

class Kregularmax(Weights):
    k: Any
    gamma: Any
    reading: Any
    shape: Any
    def __init__(
        self,
        *,
        k: _Number = ...,
        gamma: _Number = ...,
        reading: str = ...,
        shape: tuple[int, int] | None = ...,
        learn: Iterable[str] = ...,
        dim: _Dims = ...,
    ) -> None: ...

class Pnormmax(Weights):
    p: Any
    gamma: Any
    def __init__(
        self, *, p: _Number = ..., gamma: _Number = ..., learn: Iterable[str] = ..., dim: _Dims = ...
    ) -> None: ...

class Normmax(Weights):
    p: Any
    gamma: Any
    def __init__(
        self, *, p: _Number = ..., gamma: _Number = ..., learn: Iterable[str] = ..., dim: _Dims = ...
    ) -> None: ...

class Sparsemax(Weights):
    gamma: Any
    def __init__(self, *, gamma: _Number = ..., learn: Iterable[str] = ..., dim: _Dims = ...) -> None: ...

class Oscarmax(Weights):
    lam: Any
    gamma: Any
    weights: Any
    def __init__(
        self,
        *,
        lam: _Number = ...,
        gamma: _Number = ...,
        weights: _Number | None = ...,
        learn: Iterable[str] = ...,
        dim: _Dims = ...,
    ) -> None: ...

class Plaplacemax(Weights):
    p: Any
    lam: Any
    gamma: Any
    edges: Any
    weights: Any
    def __init__(
        self,
        *,
        p: _Number = ...,
        lam: _Number = ...,
        gamma: _Number = ...,
        edges: Any = ...,
        weights: _Number | None = ...,
        learn: Iterable[str] = ...,
        dim: _Dims = ...,
    ) -> None: ...

class Softmax(Weights):
    gamma: Any
    def __init__(self, *, gamma: _Number = ..., learn: Iterable[str] = ..., dim: _Dims = ...) -> None: ...

class Topkmax(Weights):
    k: Any
    def __init__(self, *, k: _Number = ..., learn: Iterable[str] = ..., dim: _Dims = ...) -> None: ...

class Tv2dmax(Weights):
    lam: Any
    gamma: Any
    shape: Any
    def __init__(
        self,
        *,
        lam: _Number = ...,
        gamma: _Number = ...,
        shape: tuple[int, int] | None = ...,
        learn: Iterable[str] = ...,
        dim: _Dims = ...,
    ) -> None: ...
