"""Draw operators.png: the weights that each operator makes of the same scores.

python docs/pictures/operators.py      # needs matplotlib; writes beside this file
"""

from pathlib import Path

import matplotlib
import numpy as np

import regmax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SCORES = np.array([0.1, 0.9, 1.2, 1.1, 0.2, -0.4, 0.6, 1.0, 0.3, -0.2, 0.5, 0.4])
PANELS = (
    ("softmax", regmax.Softmax()),
    ("entmax, alpha = 1.5", regmax.Entmax(1.5)),
    ("sparsemax", regmax.Sparsemax()),
    ("pnormmax, p = 1.5", regmax.Pnormmax(1.5)),
    ("normmax, p = 2", regmax.Normmax(2.0)),
    ("topkmax, k = 3", regmax.Topkmax(3)),
    ("budgetmax, upper = 0.2", regmax.Budgetmax(0.2)),
    ("fusedmax, lam = 0.1", regmax.Fusedmax(0.1)),
    ("oscarmax, lam = 0.1", regmax.Oscarmax(0.1)),
)
OUTPUT = Path(__file__).with_suffix(".png")


def draw(axes, title, weights, colour="#2f6f9f"):
    """One panel of bars; an open circle marks a weight that is exactly 0."""
    place = np.arange(len(weights))
    axes.bar(place, weights, color=colour, width=0.8)
    zero = weights == 0
    axes.plot(place[zero], np.zeros(zero.sum()), "o", color="0.6", markersize=3, markerfacecolor="white", clip_on=False)
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.spines[["top", "right"]].set_visible(False)


def main():
    """The scores on top, the operators below on one scale."""
    figure, panels = plt.subplots(4, 3, figsize=(9, 7.6))
    for axes in panels[0, ::2]:
        axes.set_axis_off()
    draw(panels[0, 1], "the scores", SCORES, "0.5")
    for axes, (title, operator) in zip(panels[1:].flat, PANELS, strict=True):
        draw(axes, title, operator.argmax(SCORES))
        axes.set_ylim(0, 0.6)
    figure.subplots_adjust(left=0.05, right=0.98, top=0.95, bottom=0.03, hspace=0.45, wspace=0.2)
    figure.savefig(OUTPUT, dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
