"""What `regmax demo` shows: the attention scores, and each operator with parameters that suit them."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

import regmax

__all__ = ["Attention", "Example", "describe", "examples", "load_attention"]


@dataclass(frozen=True)
class Attention:
    """Scores of shape (heads, tokens, tokens) in float64, with the tokens and where each head sits in the model."""

    scores: NDArray[np.float64]
    tokens: list[str]
    places: list[str]

    @property
    def sentences(self) -> tuple[str, str]:
        """The two sentences between the special tokens."""
        text = " ".join(self.tokens).replace(" .", ".")
        first, second = text.removeprefix("[CLS]").removesuffix("[SEP]").split("[SEP]")
        return first.strip(), second.strip()


@dataclass(frozen=True)
class Example:
    """An operator with its parameters, and in a few words what it does."""

    operator: regmax.Regularizer
    words: str


#: Operators on what attention is not; the gallery shows them.
_ELSEWHERE = ("tv2dmax",)


def _own(attention: Attention) -> tuple[Example, ...]:
    # The logits of head 0 spread over about 15 units. gamma = 3 lets the structured operators keep enough to group.
    return (
        Example(regmax.Softmax(), "every token keeps some weight"),
        Example(regmax.Entmax(1.5), "between softmax and sparsemax"),
        Example(regmax.Sparsemax(), "low scores get exactly 0"),
        Example(regmax.Pnormmax(1.5), "sparse, the top sharper than sparsemax"),
        Example(regmax.Normmax(2.0), "sparse, more even than sparsemax"),
        Example(regmax.Topkmax(4), "exactly 4 tokens per row"),
        Example(regmax.Budgetmax(0.2), "no token above its cap of 0.2"),
        Example(regmax.Fusedmax(0.2, gamma=3.0), "neighbours share one weight"),
        Example(regmax.Oscarmax(0.03, gamma=3.0), "tokens anywhere share one weight"),
        Example(
            regmax.Graphfusedmax(_repeats(attention.tokens), 0.2, gamma=3.0), "neighbours and repeated words share"
        ),
        Example(regmax.Plaplacemax(3.0, 4.0, gamma=3.0), "neighbours get similar weights"),
        Example(regmax.Kregularmax(4, gamma=3.0), "every token is read as much as every other"),
    )


def _repeats(tokens: list[str]) -> NDArray[np.int64]:
    """Edges between neighbours and between every two places of one word."""
    n = len(tokens)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if j == i + 1 or tokens[i] == tokens[j]]
    return np.array(pairs, np.int64)


def load_attention() -> Attention:
    """The real attention scores that come with regmax."""
    with files("regmax.data").joinpath("attention.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        places = [f"layer {layer} head {head}" for layer, head in zip(data["layers"], data["heads"], strict=True)]
        return Attention(data["scores"].astype(np.float64), data["tokens"].tolist(), places)


def examples(attention: Attention) -> list[Example]:
    """One example for every registered operator on rows; those without one of their own come last."""
    kinds = {name: kind for name, kind in regmax.operators().items() if name not in _ELSEWHERE}
    chosen = [example for example in _own(attention) if kinds.get(example.operator.name) is type(example.operator)]
    missing = [kinds[name] for name in kinds if name not in {example.operator.name for example in chosen}]
    return chosen + [Example(kind.samples(len(attention.tokens))[0], "") for kind in missing]


def _parameters(operator: Any) -> Iterable[tuple[str, Any]]:
    """The first parameter, and the others where they differ from their defaults; no graph, and no shape."""
    shown = [field for field in fields(operator) if field.name not in ("edges", "shape")]
    for place, field in enumerate(shown):
        value = getattr(operator, field.name)
        if value is not None and (place == 0 or isinstance(value, np.ndarray) or value != field.default):
            yield field.name, value


def describe(operator: regmax.Regularizer) -> str:
    """The parameters worth naming, as ``lam=0.2 gamma=3``."""
    return " ".join(f"{name}={_short(value)}" for name, value in _parameters(operator))


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return "array"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
