"""Attention heads that learn their alpha: each needs another sparsity, and finds it from alpha = 1.5.

python docs/gallery/learned_alpha.py [FOLDER]      # needs matplotlib and torch; the data are made up
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch

import regmax.adapters.torch as rt

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TOKENS, FEATURES = 16, 8
NEEDED = (1, 2, 5, 12)  # how many tokens each head has to read
COLORS = ("#c0392b", "#c0762f", "#2f6f9f", "#1b4f3a")
STEPS = 500
SHARPNESS = 1.0  # length of the queries, the same for all heads and not learned


def task(count, directions, generator):
    """Keys, values, and per head the mean value of those tokens whose keys lie farthest along its direction."""
    keys = torch.randn(count, TOKENS, FEATURES, generator=generator)
    values = torch.randn(count, TOKENS, generator=generator)
    relevance = torch.einsum("bnf,hf->bhn", keys, directions)
    order = relevance.argsort(-1, descending=True)
    sorted_values = values[:, None].expand_as(relevance).gather(-1, order)
    means = [sorted_values[:, h, :k].mean(-1) for h, k in enumerate(NEEDED)]
    return keys, values, torch.stack(means, dim=1), order


class Attention(torch.nn.Module):
    """One query of fixed length per head, and one alpha per head."""

    def __init__(self, learn):
        super().__init__()
        self.query = torch.nn.Parameter(0.1 * torch.ones(len(NEEDED), FEATURES))
        self.weights = rt.Entmax(alpha=torch.full((len(NEEDED),), 1.5), learn=learn)

    def forward(self, keys):
        query = SHARPNESS * torch.nn.functional.normalize(self.query, dim=-1)
        return self.weights(torch.einsum("bnf,hf->bhn", keys, query))


def trained(learn, directions):
    """(model, alpha at each step), after steps on fresh sequences."""
    model, path, generator = Attention(learn), [], torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(STEPS):
        keys, values, target, _ = task(256, directions, generator)
        path.append(model.weights.alpha.detach().clone())
        optimizer.zero_grad()
        found = torch.einsum("bhn,bn->bh", model(keys), values)
        (found - target).square().mean(0).sum().backward()
        optimizer.step()
    return model, torch.stack(path)


def main(folder):
    """Left alpha over the steps, middle the weight by rank, right the error with and without learning alpha."""
    torch.set_num_threads(1)  # small tensors
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(len(NEEDED), FEATURES, generator=generator), dim=-1)
    keys, values, target, order = task(4000, directions, generator)
    (learned, path), (fixed, _) = (trained(learn, directions) for learn in (("alpha",), ()))
    with torch.no_grad():
        weights = {"learned": learned(keys), "alpha = 1.5": fixed(keys)}
    errors = {
        name: (torch.einsum("bhn,bn->bh", y, values) - target).square().mean(0).sqrt() for name, y in weights.items()
    }
    by_rank = weights["learned"].gather(-1, order).mean(0)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 4.2), layout="constrained")
    ranks = np.arange(1, TOKENS + 1)
    for h, (k, color) in enumerate(zip(NEEDED, COLORS, strict=True)):
        left.plot(path[:, h].numpy(), color=color, label=f"reads {k}")
        middle.plot(ranks, by_rank[h].numpy(), "o-", color=color, markersize=3.5)
        middle.step(ranks, (ranks <= k) / k, where="mid", color=color, lw=0.8, ls=":")
    left.set(xlabel="step", ylabel="alpha")
    left.set_title("alpha of each head", fontsize=10)
    left.legend(fontsize=9)
    middle.set(xlabel="rank of the token", ylabel="weight", xticks=ranks)
    middle.set_title("mean weight by rank; dotted: what is asked for", fontsize=10)
    for i, found in enumerate(errors.values()):
        at = np.arange(len(NEEDED)) + 0.38 * (i - 0.5)
        right.bar(at, found.numpy(), 0.38, color=COLORS, alpha=(1.0, 0.45)[i])
    right.set_title("error: alpha learned (dark), alpha = 1.5 (pale)", fontsize=10)
    right.set_xlabel("tokens that the head has to read")
    right.set_xticks(range(len(NEEDED)), NEEDED)
    right.set_ylabel("root of the mean squared error")
    figure.savefig(folder / "learned_alpha.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
