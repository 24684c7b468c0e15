"""Denoising a line of a mountain range and a brain scan: total variation beside the p-Laplacian.

python docs/gallery/denoising.py [FOLDER]      # needs matplotlib, whose sample data both are
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.cbook import get_sample_data

from regmax import prox

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def profile():
    """Elevation along one line of a digital model of a fault, in units of 100 m."""
    with get_sample_data("jacksboro_fault_dem.npz") as data:
        return data["elevation"][150].astype(float) / 100


def scan():
    """A magnetic resonance image of a head, 256 x 256, between 0 and 1."""
    with get_sample_data("s1045.ima.gz") as file:
        image = np.frombuffer(file.read(), np.uint16).reshape(256, 256)
    return image / image.max()


def error(found, truth):
    """Root of the mean squared error."""
    return np.sqrt(np.mean((found - truth) ** 2))


def main(folder):
    """The line above, the image below, each with the error that is left."""
    rng = np.random.default_rng(0)
    line = profile()
    noisy = line + 0.25 * rng.normal(size=line.size)
    lines = {
        "prox.tv, lam = 0.3": prox.tv(noisy, 0.3),
        "prox.plaplacian, p = 1.5, lam = 1": prox.plaplacian(noisy, 1.5, 1.0),
        "prox.plaplacian, p = 2, lam = 2": prox.plaplacian(noisy, 2.0, 2.0),
    }
    image = scan()
    grainy = image + 0.1 * rng.normal(size=image.shape)
    images = {"with noise": grainy, "prox.tv2d, lam = 0.06": prox.tv2d(grainy, 0.06), "without": image}
    figure = plt.figure(figsize=(12.5, 7.4), layout="constrained")
    above, below = figure.subfigures(2, 1)
    for panel, (title, found) in zip(above.subplots(1, 3, sharey=True), lines.items(), strict=True):
        panel.plot(noisy, ".", color="0.8", markersize=2.5)
        panel.plot(line, color="0.35", lw=0.8)
        panel.plot(found, color="#c0392b", lw=1.4)
        panel.set_title(f"{title}: error {error(noisy, line):.3f} to {error(found, line):.3f}", fontsize=10)
        panel.set_axis_off()
    for panel, (title, shown) in zip(below.subplots(1, 3), images.items(), strict=True):
        panel.imshow(shown, cmap="gray", vmin=0, vmax=0.9)
        left = "" if shown is image else f": error {error(shown, image):.3f}"
        panel.set_title(title + left, fontsize=10)
        panel.set_axis_off()
    figure.savefig(folder / "denoising.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
