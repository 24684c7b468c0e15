"""What works: one table of operator x mode, which the tests run through and the documentation prints.

A cell is True, or the sentence that says what happens instead; the tests then demand an error.
"""

import regmax

__all__ = ["markdown", "table"]

#: The ways of torch to ask for derivatives, and what of each is tested.
MODES = {
    "backward": "`loss.backward()`; gradcheck",
    "double backward": "`create_graph=True`; gradgradcheck",
    "forward AD": "dual numbers; gradcheck",
    "torch.func": "grad, vjp, jvp, vmap, jacrev, jacfwd, hessian",
    "compile": "`torch.compile(fullgraph=True)` forwards and backwards, also with dynamic shapes",
    "compile + func": "transforms inside compiled code, up to the fourth order",
    "export": "`torch.export`",
    "checkpoint": "activation checkpointing, anomaly mode, deterministic algorithms",
    "autocast": "float16 and bfloat16, computed in float32",
}

_EXCEPTIONS: dict[tuple[str, str], str] = {}


def table() -> dict[str, dict[str, bool | str]]:
    """For every operator that regmax ships, and every mode, True or what happens instead.

    Returns
    -------
    dict of dict
        ``table()["fusedmax"]["forward AD"]``.

    Notes
    -----
    Raises nothing. Source: regmax.
    """
    return {name: {mode: _EXCEPTIONS.get((name, mode), True) for mode in MODES} for name in regmax.operators()}


def markdown() -> str:
    """The table as the documentation shows it.

    Returns
    -------
    str
        A table in Markdown, and below it what each exception says.

    Notes
    -----
    Raises nothing. Source: regmax.
    """
    lines = ["| operator | " + " | ".join(MODES) + " |", "|---|" + "---|" * len(MODES)]
    for name, cells in table().items():
        lines.append(f"| `{name}` | " + " | ".join("yes" if cell is True else "no" for cell in cells.values()) + " |")
    reasons = [f"- `{name}`, {mode}: {sentence}" for (name, mode), sentence in _EXCEPTIONS.items()]
    return "\n".join([*lines, *(["", *reasons] if reasons else [])])
