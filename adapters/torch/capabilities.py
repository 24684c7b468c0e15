"""What works: one table of operator x mode x device x dtype, which the tests run through and the documentation prints.

A cell is True, or the sentence that says what happens instead; the tests then demand an error.
"""

import regmax

__all__ = ["markdown", "summary", "table"]

#: The ways of torch to ask for derivatives, and what of each is tested.
MODES = {
    "backward": "`loss.backward()`; gradcheck",
    "double backward": "`create_graph=True`; gradgradcheck",
    "forward AD": "dual numbers; gradcheck",
    "torch.func": "grad, vjp, jvp, vmap, jacrev, jacfwd, hessian",
    "compile": "`torch.compile(fullgraph=True)` forwards and backwards, also with dynamic shapes",
    "compile + func": "transforms inside compiled code, up to four of each other",
    "export": "`torch.export`",
    "checkpoint": "activation checkpointing, anomaly mode, deterministic algorithms",
    "autocast": "float16 and bfloat16, computed in float32",
}
#: Where scores may be, and what solves there.
DEVICES = {"cpu": "the compiled kernels", "other": "torch operations that stay on the device of the scores"}
DTYPES = ("float64", "float32", "float16", "bfloat16")

_EXCEPTIONS: dict[tuple[str, str, str, str], str] = {}

Cells = dict[str, dict[str, bool | str]]


def _cells(name: str, mode: str) -> Cells:
    return {
        device: {dtype: _EXCEPTIONS.get((name, mode, device, dtype), True) for dtype in DTYPES} for device in DEVICES
    }


def table() -> dict[str, dict[str, Cells]]:
    """For every operator that regmax ships, every mode, device and dtype, True or what happens instead.

    Returns
    -------
    dict of dict of dict of dict
        ``table()["fusedmax"]["forward AD"]["cpu"]["float16"]``.

    Notes
    -----
    Raises nothing. Source: regmax.
    """
    return {name: {mode: _cells(name, mode) for mode in MODES} for name in regmax.operators()}


def _matrix(corner: list[str], rows: dict[str, list[str]]) -> list[str]:
    lines = ["| " + " | ".join(corner) + " |", "|---|" + "---|" * (len(corner) - 1)]
    return lines + [f"| {head} | " + " | ".join(cells) + " |" for head, cells in rows.items()]


def _works(cells: Cells) -> bool:
    return all(cell is True for by_dtype in cells.values() for cell in by_dtype.values())


def markdown() -> str:
    """The operators by modes as the documentation shows them: yes where all devices and dtypes work.

    Returns
    -------
    str
        A table in Markdown, and below it what each exception says.

    Notes
    -----
    Raises nothing. Source: regmax.
    """
    rows = {f"`{name}`": ["yes" if _works(at) else "no" for at in modes.values()] for name, modes in table().items()}
    reasons = [f"- `{name}`, {', '.join(where)}: {sentence}" for (name, *where), sentence in _EXCEPTIONS.items()]
    return "\n".join([*_matrix(["operator", *MODES], rows), *(["", *reasons] if reasons else [])])


def summary() -> str:
    """The modes by devices and dtypes as the documentation shows them: how many operators work.

    Returns
    -------
    str
        A table in Markdown.

    Notes
    -----
    Raises nothing. Source: regmax.
    """
    found = table()
    places = [(device, dtype) for device in DEVICES for dtype in DTYPES]
    rows = {}
    for mode in MODES:
        works = [sum(modes[mode][device][dtype] is True for modes in found.values()) for device, dtype in places]
        rows[mode] = [f"all {n}" if n == len(found) else f"{n} of {len(found)}" for n in works]
    return "\n".join(_matrix(["mode", *(f"{device}, {dtype}" for device, dtype in places)], rows))
