"""Who is read how often? One head of a trained transformer under softmax and kregularmax, with degree histograms.

python docs/gallery/balanced_attention.py [FOLDER]      # needs matplotlib
"""

import sys
from importlib.resources import files
from pathlib import Path

import matplotlib
import numpy as np

import regmax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

K = 4


def attention():
    """(scores of the first head, tokens) that come with regmax."""
    with files("regmax.data").joinpath("attention.npz").open("rb") as file, np.load(file) as data:
        return data["scores"][0].astype(float), data["tokens"].tolist()


def main(folder):
    """Maps above; below, what each token receives in all, and how many rows read it."""
    scores, tokens = attention()
    maps = {
        "softmax": regmax.softmax(scores),
        f"kregularmax, k = {K}, gamma = 3": regmax.kregularmax(scores, K, gamma=3.0),
        f"k_regular_graph, k = {K} (gamma to 0)": regmax.k_regular_graph(scores, K) / K,
    }
    figure, axes = plt.subplots(3, 3, figsize=(12.5, 9.2), layout="constrained", height_ratios=(3.3, 1, 1))
    for column, (title, weights) in zip(axes.T, maps.items(), strict=True):
        above, received, degrees = column
        above.imshow(np.ma.masked_equal(weights, 0), cmap="YlGnBu", vmin=0, vmax=1 / K, interpolation="nearest")
        above.set_title(title, fontsize=11)
        above.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=7)
        above.set_yticks(range(len(tokens)), tokens, fontsize=7)
        received.bar(range(len(tokens)), weights.sum(axis=0), color="#2f6f9f")
        received.axhline(1, color="0.5", lw=0.8)
        received.set(ylim=(0, 6), ylabel="weight received", xlabel="token")
        counted = np.bincount((weights > 0.01).sum(axis=0), minlength=len(tokens) + 1)
        degrees.bar(range(len(counted)), counted, color="#c0762f")
        degrees.set(xlabel="rows that give a token more than 0.01", ylabel="tokens")
    figure.savefig(folder / "balanced_attention.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
