"""Draw oscarmax_counterexample.png: where the published composition lands on the simplex, and what that costs.

python docs/pictures/oscarmax_counterexample.py      # needs matplotlib; writes beside this file
"""

from pathlib import Path

import matplotlib
import numpy as np

import regmax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SCORES, LAM = np.array([1.0, 0.1, 0.1]), 0.3
CORNERS = np.array([[0.5, np.sqrt(0.75)], [0.0, 0.0], [1.0, 0.0]])
BEST, PUBLISHED = "#1b7f5c", "#c4472b"
OUTPUT = Path(__file__).with_suffix(".png")


def objective(y):
    """``<x, y> - Omega(y)`` of points in the rows of ``y``."""
    return y @ SCORES - regmax.Oscarmax(LAM).value(y)


def grid(steps=300):
    """Points of the simplex, one per row."""
    a, b = np.meshgrid(np.linspace(0, 1, steps), np.linspace(0, 1, steps))
    y = np.stack([a.ravel(), b.ravel(), 1 - a.ravel() - b.ravel()], axis=1)
    return y[y[:, 2] >= 0]


def draw_simplex(axes, best, published):
    """Level lines of the objective over the triangle, with both answers."""
    y = grid()
    points, value = y @ CORNERS, objective(y)
    top = objective(best[None])[0]
    levels = top - np.array([0.3, 0.2, 0.12, 0.06, 0.02, 0.004])
    axes.tricontour(points[:, 0], points[:, 1], value, levels=levels, colors="0.65", linewidths=0.8)
    axes.plot(*np.vstack([CORNERS, CORNERS[:1]]).T, color="black", linewidth=1)
    axes.plot(*(best @ CORNERS), "o", color=BEST, markersize=5)
    axes.plot(*(published @ CORNERS), "s", color=PUBLISHED, markersize=5)
    for corner, name, shift in zip(CORNERS, "123", ((0, 0.03), (-0.04, -0.08), (0.04, -0.08)), strict=True):
        axes.text(*(corner + shift), f"$y_{name}=1$", ha="center")
    axes.set_title("level lines of the objective", fontsize=10)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_ylim(-0.12, 0.98)


def draw_line(axes, best, published):
    """The objective along the axis of symmetry ``y = (t, (1-t)/2, (1-t)/2)``."""
    t = np.linspace(0.5, 0.75, 200)
    y = np.stack([t, (1 - t) / 2, (1 - t) / 2], axis=1)
    axes.plot(t, objective(y), color="0.4")
    for point, colour, marker, name in (
        (best, BEST, "o", "oscarmax: (.633, .183, .183)"),
        (published, PUBLISHED, "s", "published: (.6, .2, .2)"),
    ):
        axes.plot(point[0], objective(point[None])[0], marker, color=colour, markersize=8, label=name)
    axes.set_xlabel("$t$ in $y = (t, (1-t)/2, (1-t)/2)$")
    axes.set_ylabel(r"$\langle x, y\rangle - \Omega(y)$")
    axes.set_title("the same along the axis of symmetry", fontsize=10)
    axes.legend(loc="lower center", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def main():
    """Compute both answers and draw them."""
    best, published = regmax.oscarmax(SCORES, lam=LAM), regmax.oscarmax_published(SCORES, lam=LAM)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    draw_simplex(left, best, published)
    draw_line(right, best, published)
    figure.savefig(OUTPUT, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
