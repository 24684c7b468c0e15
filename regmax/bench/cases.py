"""What is timed: an operator with its parameters, and rows that stand for a kind of data."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import regmax
from regmax import prox

__all__ = ["Case", "cases", "groups"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """One line of a table: ``operator(rows())``; ``threads`` where it is about their number."""

    group: str
    name: str
    operator: Any
    rows: Callable[[], Array]
    shape: tuple[int, int]
    dtype: str = "float64"
    threads: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """What the line is called."""
        size = f"{self.shape[0]}x{_round(self.shape[1])}"
        return f"{self.name}, {size}" + (", float32" if self.dtype == "float32" else "")


def _round(n: int) -> str:
    return f"1e{len(str(n)) - 1}" if n >= 10_000 and str(n).strip("0") == "1" else str(n)


def _normal(shape: tuple[int, int], std: float, dtype: str) -> Array:
    return (std * np.random.default_rng(0).normal(size=shape)).astype(dtype)


def _threshold(group: str, name: str, operator: Any, shapes: Any, dtypes: Any = ("float64",)) -> Iterator[Case]:
    for shape in shapes:
        for std in (1.0, 0.01):
            for dtype in dtypes:
                rows = partial(_normal, shape, std, dtype)
                yield Case(group, f"{name}, std {std:g}", operator, rows, shape, dtype)


_BATCH, _LONG, _SHORT = (4096, 512), (512, 4096), (4096, 64)
_MILLION, _TEN_THOUSAND, _ROWS = (1, 1_000_000), (1, 10_000), (1024, 512)
_BOTH = ("float64", "float32")


def _softmax() -> Iterator[Case]:
    yield from _threshold("softmax", "softmax", regmax.Softmax(), [_BATCH], _BOTH)


def _sparsemax() -> Iterator[Case]:
    shapes = [_SHORT, _BATCH, _LONG, _MILLION]
    yield from _threshold("sparsemax", "sparsemax", regmax.Sparsemax(), shapes, _BOTH)


def _entmax() -> Iterator[Case]:
    shapes = [_SHORT, _BATCH, _LONG, _MILLION]
    yield from _threshold("entmax", "entmax 1.5", regmax.Entmax(1.5), shapes, _BOTH)
    for alpha, name in ((4 / 3, "4/3"), (1.25, "1.25"), (1.1, "1.1"), (1.3, "1.3"), (1.7, "1.7"), (1.9, "1.9")):
        yield from _threshold("entmax", f"entmax {name}", regmax.Entmax(alpha), [_BATCH])


def _others() -> Iterator[Case]:
    yield from _threshold("others", "pnormmax 1.5", regmax.Pnormmax(1.5), [_BATCH])
    yield from _threshold("others", "normmax 2", regmax.Normmax(2.0), [_BATCH])
    yield from _threshold("others", "budgetmax", regmax.Budgetmax(0.1), [_BATCH])
    yield from _threshold("others", "topkmax 8", regmax.Topkmax(8), [_BATCH])


def _structured() -> Iterator[Case]:
    yield from _threshold("structured", "fusedmax", regmax.Fusedmax(0.1), [_ROWS, _BATCH], _BOTH)
    yield from _threshold("structured", "oscarmax", regmax.Oscarmax(0.01), [_ROWS, _BATCH], _BOTH)


def _piecewise(shape: tuple[int, int]) -> Array:
    rng = np.random.default_rng(0)
    length = max(shape[1] // 1000, 32)
    levels = rng.normal(size=(shape[0], -(-shape[1] // length)))
    return np.repeat(levels, length, axis=1)[:, : shape[1]] + 0.1 * rng.normal(size=shape)


def _every_row(values: Any, shape: tuple[int, int]) -> Array:
    return np.broadcast_to(np.asarray(values(np.arange(shape[1])), float), shape).copy()


_SIGNALS: dict[str, Callable[[tuple[int, int]], Array]] = {
    "piecewise + noise": _piecewise,
    "noise": lambda shape: np.random.default_rng(0).normal(size=shape),
    "ramp": partial(_every_row, lambda k: k * 1.0),
    "sqrt": partial(_every_row, np.sqrt),
    "alternating": partial(_every_row, lambda k: (-1.0) ** k),
}


def _tv() -> Iterator[Case]:
    for shape in (_TEN_THOUSAND, _MILLION, _ROWS):
        for signal, rows in _SIGNALS.items():
            for lam in (0.1, 1.0, 10.0, 100.0):
                yield Case("prox.tv", f"{signal}, lam {lam:g}", prox.TV(lam), partial(rows, shape), shape)


def _ordered(shape: tuple[int, int], sign: int) -> Array:
    return sign * np.sort(np.random.default_rng(0).normal(size=shape), axis=1)


def _isotonic() -> Iterator[Case]:
    for shape in (_MILLION, _ROWS):
        yield Case("prox.isotonic", "random", prox.Isotonic(), partial(_SIGNALS["noise"], shape), shape)
        yield Case("prox.isotonic", "sorted", prox.Isotonic(), partial(_ordered, shape, 1), shape)
        yield Case("prox.isotonic", "decreasing", prox.Isotonic(), partial(_ordered, shape, -1), shape)


def _sorted_l1() -> Iterator[Case]:
    for shape in ((1, 100_000), _MILLION, _ROWS):
        rows = partial(_SIGNALS["noise"], shape)
        lam = 1.0 / shape[1]
        yield Case("prox.oscar", "oscar", prox.Oscar(0.0, lam), rows, shape)
        yield Case("prox.oscar", "slope", prox.Slope(lam * np.arange(shape[1] - 1.0, -1.0, -1.0)), rows, shape)


def _projections() -> Iterator[Case]:
    for shape in (_BATCH, _MILLION):
        rows = partial(_SIGNALS["noise"], shape)
        yield Case("projections", "simplex", prox.Simplex(), rows, shape)
        yield Case("projections", "l1 ball", prox.L1Ball(), rows, shape)
        yield Case("projections", "capped simplex", prox.CappedSimplex(0.1), rows, shape)


_IMAGE, _LARGE_IMAGE, _SEQUENCES = (1, 256 * 256), (1, 1024 * 1024), (64, 256)


def _plateaus(shape: tuple[int, int]) -> Array:
    """An image of 8 x 8 flat patches, with noise, in one row."""
    rng = np.random.default_rng(0)
    side = math.isqrt(shape[1])
    patches = np.kron(rng.normal(size=(8, 8)), np.ones((side // 8, side // 8)))
    return (patches + 0.2 * rng.normal(size=(side, side))).reshape(1, -1)


_IMAGES: dict[str, Callable[[tuple[int, int]], Array]] = {"noise": _SIGNALS["noise"], "plateaus": _plateaus}


def random_graph(vertices: int, edges: int) -> NDArray[np.int64]:
    """About as many different edges between random vertices."""
    ends = np.sort(np.random.default_rng(0).integers(vertices, size=(edges, 2)), axis=1)
    return np.unique(ends[ends[:, 0] != ends[:, 1]], axis=0)


def _graphs() -> Iterator[Case]:
    for shape in (_IMAGE, _LARGE_IMAGE):
        side = math.isqrt(shape[1])
        for image, rows in _IMAGES.items():
            for lam in (0.05, 0.5):
                smooth = prox.TV2D(lam, shape=(side, side))
                yield Case("graphs", f"prox.tv2d {image}, lam {lam:g}", smooth, partial(rows, shape), shape)
    for lam in (0.05, 0.5):
        weights = regmax.Tv2dmax(lam, shape=(256, 256))
        yield Case("graphs", f"tv2dmax noise, lam {lam:g}", weights, partial(_SIGNALS["noise"], _IMAGE), _IMAGE)
    shape, batch = (1, 100_000), (512, 64)
    for lam in (0.05, 0.5):
        operator = prox.GraphTV(random_graph(100_000, 300_000), lam)
        yield Case(
            "graphs", f"prox.graph_tv 3e5 edges, lam {lam:g}", operator, partial(_SIGNALS["noise"], shape), shape
        )
        small = regmax.Graphfusedmax(random_graph(64, 200), lam)
        yield Case("graphs", f"graphfusedmax 200 edges, lam {lam:g}", small, partial(_SIGNALS["noise"], batch), batch)


def _plaplacian() -> Iterator[Case]:
    for shape in (_SEQUENCES, (512, 256), (1, 1000)):
        for p in (1.05, 1.5, 2.0, 3.0, 8.0):
            rows = partial(_SIGNALS["noise"], shape)
            yield Case("p-Laplacian", f"plaplacemax p {p:g}", regmax.Plaplacemax(p, 0.1), rows, shape)
    for p in (1.5, 2.0, 3.0):
        rows = partial(_SIGNALS["noise"], _SEQUENCES)
        yield Case("p-Laplacian", f"prox.plaplacian p {p:g}", prox.PLaplacian(p, 1.0), rows, _SEQUENCES)
    for p in (1.5, 3.0):
        operator = regmax.Plaplacemax(p, 0.1, edges=random_graph(64, 200))
        shape = (512, 64)
        yield Case("p-Laplacian", f"200 edges, p {p:g}", operator, partial(_SIGNALS["noise"], shape), shape)


def _regular() -> Iterator[Case]:
    for sides in ((256, 256), (1024, 1024), (256, 1024)):
        shape = (1, sides[0] * sides[1])
        for std in (0.1, 1.0, 10.0, 100.0):
            name = f"kregularmax 4 of {sides[0]}x{sides[1]}, std {std:g}"
            rows = partial(_normal, shape, std, "float64")
            yield Case("K-regular", name, regmax.Kregularmax(4, shape=sides), rows, shape)
    rows = partial(_normal, _IMAGE, 1.0, "float64")
    yield Case("K-regular", "prox.birkhoff 256x256", prox.Birkhoff(shape=(256, 256)), rows, _IMAGE)
    shape = (512, 256)
    operator = regmax.Kregularmax(4, shape=(16, 16))
    yield Case("K-regular", "kregularmax 4 of 16x16", operator, partial(_normal, shape, 1.0, "float64"), shape)


def _calls() -> Iterator[Case]:
    for kind in regmax.operators().values():
        operator = regmax.Topkmax(3) if kind is regmax.Topkmax else kind()
        yield Case("one call", kind.name, operator, partial(_normal, (1, 8), 1.0, "float64"), (1, 8))


def _training() -> Iterator[Case]:
    for shape in (_BATCH, (256, 128), (8, 32)):
        chosen = (regmax.Softmax(), regmax.Sparsemax(), regmax.Entmax(1.5), regmax.Entmax(1.7))
        for operator in (*chosen, regmax.Fusedmax(0.1), regmax.Oscarmax(0.01)):
            name = f"entmax {operator.alpha}" if isinstance(operator, regmax.Entmax) else operator.name
            rows = partial(_normal, shape, 1.0, "float32")
            yield Case("torch", f"{name}, forward and backward", operator, rows, shape, "float32")


def _threads() -> Iterator[Case]:
    chosen = (regmax.Softmax(), regmax.Sparsemax(), regmax.Entmax(1.5), regmax.Fusedmax(0.1), regmax.Oscarmax(0.01))
    for operator in (*chosen, prox.TV(1.0)):
        rows = partial(_normal, _BATCH, 1.0, "float64")
        yield Case("threads", operator.name, operator, rows, _BATCH, threads=(1, 2))


def _scaling() -> Iterator[Case]:
    chosen = (regmax.Softmax(), regmax.Sparsemax(), regmax.Entmax(1.5), regmax.Fusedmax(0.1), regmax.Oscarmax(0.001))
    for operator in (*chosen, prox.TV(1.0), prox.Isotonic()):
        for power in range(4, 21, 2):
            shape = (max(1, 2**18 // 2**power), 2**power)
            yield Case("scaling", operator.name, operator, partial(_normal, shape, 1.0, "float64"), shape)


_GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "softmax": _softmax,
    "sparsemax": _sparsemax,
    "entmax": _entmax,
    "others": _others,
    "structured": _structured,
    "prox.tv": _tv,
    "prox.isotonic": _isotonic,
    "prox.oscar": _sorted_l1,
    "projections": _projections,
    "graphs": _graphs,
    "p-Laplacian": _plaplacian,
    "K-regular": _regular,
    "torch": _training,
    "one call": _calls,
    "threads": _threads,
    "scaling": _scaling,
}


def groups() -> tuple[str, ...]:
    """Names of the tables."""
    return tuple(_GROUPS)


def cases(group: str) -> tuple[Case, ...]:
    """The lines of one table."""
    return tuple(_GROUPS[group]())
