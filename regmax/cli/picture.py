"""The picture of `regmax demo`: the attention map of one head under each operator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .examples import Attention, describe
from .measure import Result

__all__ = ["draw"]

_ACROSS = 3
_INK = "#1f2a37"
_FAINT = "#6b7280"


def _colours() -> tuple[Any, Any]:
    """Colours for weights above 0, on a scale that shows small ones; exact zeros are masked and stay white."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    colours = LinearSegmentedColormap.from_list("weights", colormaps["YlGnBu"](np.linspace(0.12, 1.0, 256)))
    return colours.with_extremes(bad="white"), PowerNorm(0.5, vmin=0.0, vmax=1.0)


def _panel(axes: Any, tokens: Sequence[str], result: Result, colours: Any, norm: Any) -> Any:
    """One attention map: each row is a token that looks, each column a token looked at."""
    weights = result.weights[0]
    image = axes.imshow(np.ma.masked_equal(weights, 0.0), cmap=colours, norm=norm, interpolation="nearest")
    places = range(len(tokens))
    axes.set_xticks(places, tokens, rotation=90, fontsize=7, color=_INK)
    axes.set_yticks(places, tokens, fontsize=7, color=_INK)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_color("#c5cad1")
    border = tokens.index("[SEP]") + 0.5
    for line in (axes.axhline, axes.axvline):
        line(border, color="#9aa3af", linewidth=0.6, linestyle=(0, (4, 3)))
    operator = result.example.operator
    axes.set_title(f"{operator.name}  {describe(operator)}", loc="left", fontsize=11, color=_INK, weight="bold", pad=19)
    axes.text(0, 1.018, result.example.words, transform=axes.transAxes, fontsize=9, color=_FAINT)
    return image


def _colour_bar(figure: Any, image: Any, panels: Any) -> None:
    bar = figure.colorbar(image, ax=panels, location="bottom", shrink=0.5, aspect=45, pad=0.015)
    bar.set_ticks([0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
    bar.ax.set_xticklabels(["0+", "0.01", "0.05", "0.1", "0.2", "0.4", "0.6", "0.8", "1"], fontsize=8, color=_INK)
    bar.set_label("attention weight (square-root scale); white = exactly 0", fontsize=9, color=_INK)
    bar.outline.set_edgecolor("#c5cad1")


def _headline(figure: Any, attention: Attention, height: float) -> None:
    """Title and explanation, at fixed distances in inches from the upper edge."""
    evidence, claim = attention.sentences
    title = "One attention head, one set of scores, and what each operator makes of them"
    explained = (
        f"Each row is a token that looks, each column a token it looks at; the weights of a row sum to 1. Scores: "
        f"{attention.places[0]} of a trained transformer\n"
        f"that reads “{evidence}” and, after the dashed line, “{claim}”"
    )
    figure.text(0.02, 1 - 0.18 / height, title, fontsize=17, weight="bold", color=_INK, va="top")
    figure.text(0.02, 1 - 0.56 / height, explained, fontsize=10.5, color=_FAINT, va="top", linespacing=1.45)


def draw(attention: Attention, results: Sequence[Result], path: Path) -> None:
    """Write the picture, a PNG, to ``path``."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    down = -(-len(results) // _ACROSS)
    height = 4.55 * down + 1.9
    layout = ConstrainedLayoutEngine(rect=(0.015, 0.007, 0.975, 1 - 1.15 / height), hspace=0.03, wspace=0.03)
    figure = Figure(figsize=(12.5, height), dpi=110, layout=layout, facecolor="white")
    panels = figure.subplots(down, _ACROSS, squeeze=False)
    colours, norm = _colours()
    for axes, result in zip(panels.flat, results, strict=False):
        image = _panel(axes, attention.tokens, result, colours, norm)
    for axes in panels.flat[len(results) :]:
        axes.set_axis_off()
    _colour_bar(figure, image, panels)
    _headline(figure, attention, height)
    figure.savefig(path, format="png")
