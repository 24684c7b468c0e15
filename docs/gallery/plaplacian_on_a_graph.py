"""Weights on a graph for several exponents: from few sharp borders (p near 1) to bounded steps (p large).

python docs/gallery/plaplacian_on_a_graph.py [FOLDER]      # needs matplotlib
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from scipy.spatial import Delaunay

import regmax

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.collections import LineCollection

# Exponents, and a strength that leaves about 75 weights (for p = 1 the number jumps).
STRENGTHS = {1.0: 0.09, 1.25: 0.114, 1.5: 0.35, 2.0: 3.6, 3.0: 400.0, 8.0: 1e12}


def graph(n=260, seed=3):
    """Random points in the unit square and the short edges of their Delaunay triangulation."""
    points = np.random.default_rng(seed).random((n, 2))
    corners = Delaunay(points).simplices
    edges = np.unique(
        np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]]), axis=1), axis=0
    )
    return points, edges[np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) < 0.13]


def main(folder):
    """The scores and six answers, each with its certificate."""
    points, edges = graph()
    rng = np.random.default_rng(0)
    bumps = [np.exp(-np.sum((points - centre) ** 2, axis=1) / 0.02) for centre in ((0.3, 0.3), (0.72, 0.68))]
    x = bumps[0] + 0.8 * bumps[1] + 0.15 * rng.normal(size=len(points))
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.6), layout="constrained")
    axes = axes.ravel()
    panels = [("the scores", x)]
    for p, lam in STRENGTHS.items():
        omega = regmax.Plaplacemax(p, lam, gamma=4, edges=edges)
        y = omega.argmax(x)
        panels.append((f"p = {p:g}: {np.count_nonzero(y)} weights, gap {omega.certify(x, y).gap:.0e}", y))
    for panel, (title, values) in zip(axes, panels, strict=False):
        panel.add_collection(LineCollection(points[edges], colors="0.85", linewidths=0.6, zorder=0))
        colours = np.where(values == 0, np.nan, values) if title != "the scores" else values
        panel.scatter(*points.T, c="white", edgecolors="0.8", s=16, linewidths=0.5)
        drawn = panel.scatter(*points.T, c=colours, cmap="YlGnBu", s=22, edgecolors="none")
        panel.set_title(title, fontsize=10)
        panel.set_aspect("equal")
        panel.set_axis_off()
        figure.colorbar(drawn, ax=panel, shrink=0.7)
    axes[-1].set_axis_off()
    figure.savefig(folder / "plaplacian_on_a_graph.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
