"""The page on PyTorch prints the table that the tests run through, not one of its own."""

from pathlib import Path

from regmax.adapters.torch import capabilities

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "torch.md").read_text(encoding="utf-8")


def test_the_matrix_of_the_page_is_the_table():
    assert f"\n\n{capabilities.markdown()}\n\n" in PAGE


def test_the_page_says_what_each_mode_is():
    lines = [f"| {mode} | {meaning} |" for mode, meaning in capabilities.MODES.items()]
    assert "\n".join(["| mode | asked for by |", "|---|---|", *lines, ""]) in PAGE
