"""Where in a brain scan does it look like the marked patch? Softmax, sparsemax and tv2dmax on 65536 pixels.

python docs/gallery/attention_on_an_image.py [FOLDER]      # needs matplotlib, whose sample data the scan is
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.cbook import get_sample_data

import regmax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PATCH = 3  # pixels from the centre of a patch to its edge
QUERY = (118, 112)


def scan():
    """A magnetic resonance image of a head, 256 x 256, between 0 and 1."""
    with get_sample_data("s1045.ima.gz") as file:
        image = np.frombuffer(file.read(), np.uint16).reshape(256, 256)
    return image / image.max()


def scores(image):
    """Minus the mean squared difference of the patch around each pixel to the queried one, in units of its noise."""
    padded = np.pad(image, PATCH, mode="reflect")
    patches = np.lib.stride_tricks.sliding_window_view(padded, (2 * PATCH + 1, 2 * PATCH + 1))
    away = ((patches - patches[QUERY]) ** 2).mean(axis=(2, 3))
    return -away / np.quantile(away, 0.02)


def main(folder):
    """Four panels: the scan, and the weights of three operators on one scale each."""
    image = scan()
    x = scores(image)
    panels = {
        "softmax": regmax.softmax(x.ravel()).reshape(x.shape),
        "sparsemax, gamma = 200": regmax.sparsemax(x.ravel(), gamma=200).reshape(x.shape),
        "tv2dmax, lam = 0.002, gamma = 200": regmax.tv2dmax(x, lam=0.002, gamma=200),
    }
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.95), layout="constrained")
    axes[0].imshow(image, cmap="gray")
    axes[0].add_patch(plt.Rectangle((QUERY[1] - 6, QUERY[0] - 6), 12, 12, fill=False, color="#e74c3c", lw=1.5))
    axes[0].set_title("the scan, and the patch looked for", fontsize=10)
    for panel, (title, y) in zip(axes[1:], panels.items(), strict=True):
        panel.imshow(image, cmap="gray", alpha=0.35)
        panel.imshow(np.ma.masked_equal(y, 0), cmap="YlOrRd", interpolation="nearest")
        values = len(np.unique(y[y > 0]))
        panel.set_title(f"{title}\n{np.count_nonzero(y)} pixels, {values} different weights", fontsize=10)
    for panel in axes:
        panel.set_axis_off()
    figure.savefig(folder / "attention_on_an_image.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
