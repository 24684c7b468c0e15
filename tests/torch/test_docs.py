"""The page on PyTorch prints the table that the tests run through, not one of its own."""

from pathlib import Path

from regmax.adapters.torch import capabilities

ROOT = Path(__file__).resolve().parents[2]
PAGE, README = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/torch.md", "README.md"))


def test_the_matrices_of_the_pages_are_the_table():
    assert f"\n\n{capabilities.markdown()}\n\n" in PAGE
    assert f"\n\n{capabilities.summary()}\n\n" in README


def test_the_page_says_what_each_mode_is():
    lines = [f"| {mode} | {meaning} |" for mode, meaning in capabilities.MODES.items()]
    assert "\n".join(["| mode | asked for by |", "|---|---|", *lines, ""]) in PAGE
