"""Types of options: a word that is none of them is answered with what it must be."""

import argparse
import math

__all__ = ["a_number_above", "a_whole_number", "a_whole_number_above", "several", "whole_numbers"]


def a_whole_number(text: str) -> int:
    """An integer."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None


def a_whole_number_above(text: str) -> int:
    """An integer above 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return number


def a_number_above(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number


def several(text: str) -> list[str]:
    """Words with commas between."""
    return [part.strip() for part in text.split(",") if part.strip()]


def whole_numbers(text: str) -> list[int]:
    """Integers above 0 with commas between."""
    try:
        found = [a_whole_number_above(part) for part in several(text)]
    except argparse.ArgumentTypeError:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(f"must be whole numbers above 0, with commas between, got {text!r}")
    return found
