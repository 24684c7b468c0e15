"""Where gradients flow: the Jacobian of sparsemax, fusedmax and oscarmax at the same scores, by torch.func.

python docs/gallery/where_gradients_flow.py [FOLDER]      # needs matplotlib and torch; the scores are made up
"""

import sys
from pathlib import Path

import matplotlib
import torch

import regmax.adapters.torch as rt

matplotlib.use("Agg")
import matplotlib.pyplot as plt

N = 24
OPERATORS = {
    "sparsemax": lambda x: rt.sparsemax(x, gamma=3.0),
    "fusedmax, lam = 0.05": lambda x: rt.fusedmax(x, lam=0.05, gamma=3.0),
    "oscarmax, lam = 0.01": lambda x: rt.oscarmax(x, lam=0.01, gamma=3.0),
}


def scores():
    """Two bumps with noise."""
    k = torch.arange(N, dtype=torch.float64)
    bumps = torch.exp(-((k - 6) ** 2) / 8) + 0.9 * torch.exp(-((k - 17) ** 2) / 5)
    return 0.8 * bumps + 0.1 * torch.randn(N, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def main(folder):
    """Above scores and weights, equal weights in one colour; below the Jacobians."""
    x = scores()
    figure, axes = plt.subplots(2, 3, figsize=(12.5, 6.6), layout="constrained", height_ratios=(1, 2.2))
    for (above, below), (title, operator) in zip(axes.T, OPERATORS.items(), strict=True):
        y = operator(x)
        jacobian = torch.func.jacrev(operator)(x)
        values, group = torch.unique(y, return_inverse=True)
        above.bar(range(N), y.numpy(), color=[matplotlib.colormaps["tab20"](g) for g in group.tolist()])
        above.plot(range(N), 0.15 * x.numpy(), ".-", color="0.35", lw=0.8, markersize=4)
        above.axhline(0, color="0.7", lw=0.6)
        above.set(xlim=(-0.5, N - 0.5), ylim=(-0.04, 0.2))
        above.set_title(f"{title}\n{(y > 0).sum()} positive weights, {(values > 0).sum()} values", fontsize=10)
        shown = below.imshow(jacobian.numpy(), cmap="RdBu_r", vmin=-0.4, vmax=0.4, interpolation="nearest")
        below.set_xlabel("score")
    axes[0, 0].set_ylabel("weight, and 0.15 score (line)")
    axes[1, 0].set_ylabel("weight")
    figure.colorbar(shown, ax=axes[1].tolist(), shrink=0.9, label="change of the weight per change of the score")
    figure.savefig(folder / "where_gradients_flow.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
