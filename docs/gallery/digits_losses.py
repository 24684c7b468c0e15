"""One linear classifier of handwritten digits per loss: how often it is right, and how many classes get weight.

python docs/gallery/digits_losses.py [FOLDER]      # needs matplotlib, torch, and the digits of scikit-learn
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.datasets import load_digits

import regmax
import regmax.adapters.torch as rt

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LOSSES = {
    "softmax": regmax.Softmax(),
    "entmax, alpha = 1.5": regmax.Entmax(alpha=1.5),
    "sparsemax": regmax.Sparsemax(),
    "fusedmax, lam = 0.1": regmax.Fusedmax(lam=0.1),
}
COLORS = ("#7f8c8d", "#2f6f9f", "#c0762f", "#c0392b")
DECAY = 1e-3
SHOWN = 4


def digits():
    """(pixels, labels) to learn from, 1297 of them, and 500 to judge by."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    x, t = torch.from_numpy(images[order] / 16), torch.from_numpy(labels[order])
    return x[500:], t[500:], x[:500], t[:500]


def fitted(omega, x, t):
    """The linear map with the least loss and a little decay."""
    layer = torch.nn.Linear(x.shape[1], 10, dtype=x.dtype)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = rt.fenchel_young_loss(omega, layer(x), t) + DECAY * layer.weight.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    return layer


def main(folder):
    """Above, how many of the ten classes get weight; below, digits that softmax is least sure of, same colours."""
    torch.set_num_threads(1)  # small tensors
    x, t, others, truth = digits()
    weights = {title: rt.argmax(omega, fitted(omega, x, t)(others)).detach() for title, omega in LOSSES.items()}
    figure = plt.figure(figsize=(12.5, 7.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    for panel, (title, y), color in zip(above.subplots(1, 4, sharey=True), weights.items(), COLORS, strict=True):
        right = (y.argmax(-1) == truth).double().mean().item()
        count = (y > 0).sum(-1)
        panel.bar(range(1, 11), np.bincount(count.numpy(), minlength=11)[1:], color=color)
        panel.set_xticks(range(1, 11))
        panel.set_xlabel("classes with weight")
        panel.set_title(f"{title}\n{right:.1%} right, {count.double().mean():.1f} classes on average", fontsize=10)
    above.axes[0].set_ylabel("of 500 digits")
    unsure = weights["softmax"].amax(-1).argsort()[:SHOWN].tolist()
    panels = below.subplots(2, SHOWN, height_ratios=(1, 1.1))
    for (digit, bars), i in zip(panels.T, unsure, strict=True):
        digit.imshow(others[i].reshape(8, 8).numpy(), cmap="gray_r")
        digit.set_axis_off()
        digit.set_title(f"a {truth[i].item()}", fontsize=10)
        for k, (y, color) in enumerate(zip(weights.values(), COLORS, strict=True)):
            bars.bar(np.arange(10) + 0.2 * (k - 1.5), y[i].numpy(), 0.2, color=color)
        bars.set(xticks=range(10), ylim=(0, 0.6), xlabel="class")
    panels[1, 0].set_ylabel("weight")
    figure.savefig(folder / "digits_losses.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
