"""What `regmax demo` prints: the header, the table, and one row of attention in characters."""

import textwrap
from collections.abc import Iterator, Sequence

import regmax

from .examples import Attention, describe
from .measure import WITNESS_ROWS, Result

__all__ = ["bars", "header", "table"]

_WIDTH = 100
_BAR = 13
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def header(attention: Attention) -> str:
    """What the input is."""
    heads, rows, n = attention.scores.shape
    first, second = attention.sentences
    return "\n".join(
        [
            f"regmax {regmax.__version__}: {heads} attention heads of a trained transformer that reads two sentences,",
            f"{heads * rows} rows of {n} scores, computed in float64.",
            "",
            f"  evidence  {first}",
            f"  claim     {second}",
            f"  heads     {', '.join(attention.places)}",
        ]
    )


def _line(result: Result, baseline: float) -> str:
    operator = result.example.operator
    distance = "failed" if result.distance is None else f"{result.distance:.1e}"
    return (
        f"{operator.name:<14}{describe(operator):<21}{result.kept:>6.1f}{result.segments:>9.1f}"
        f"{result.clusters:>9.1f}{result.entropy:>9.2f}{result.gap:>9.1e}{distance:>10}"
        f"{result.microseconds:>7.2f}{result.microseconds / baseline:>6.1f}"
    )


def table(results: Sequence[Result]) -> str:
    """One line per operator; the last column is the time in units of the first operator's."""
    titles = (
        f"{'operator':<35}{'kept':>6}{'segments':>9}{'clusters':>9}{'entropy':>9}{'gap':>9}{'to CVXPY':>10}"
        f"{'us/row':>7}{'x':>6}"
    )
    first = results[0]
    notes = (
        "Means per row: kept = weights above 0; segments = runs of equal weights side by side; clusters = distinct "
        "weights; entropy in nats. Worst of all rows: gap = certified bound on the loss of objective, in score units. "
        f"To CVXPY = largest difference of a weight over {len(WITNESS_ROWS)} rows of the first head. us/row = "
        f"microseconds in a large batch on {regmax.get_num_threads()} threads; x = in units of "
        f"{first.example.operator.name}."
    )
    lines = [_line(result, first.microseconds) for result in results]
    return "\n".join([titles, "-" * _WIDTH, *lines, "", *textwrap.wrap(notes, _WIDTH)])


def _bar(share: float, *, ascii_only: bool) -> str:
    """A bar of at most _BAR characters; anything above 0 is visible."""
    if ascii_only:
        full = round(share * _BAR)
        return "#" * full if full or not share else "."
    eighths = max(round(share * _BAR * 8), int(share > 0))
    full, rest = divmod(eighths, 8)
    return _EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")


def _carries(encoding: str | None) -> bool:
    try:
        _EIGHTHS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _columns(tokens: Sequence[str], results: Sequence[Result], row: int, *, ascii_only: bool) -> Iterator[str]:
    margin = max(map(len, tokens)) + 2
    top = max(result.weights[0, row].max() for result in results)
    yield (" " * margin + " ".join(f"{result.example.operator.name:<{_BAR}}" for result in results)).rstrip()
    for place, token in enumerate(tokens):
        cells = (_bar(result.weights[0, row, place] / top, ascii_only=ascii_only) for result in results)
        yield (f"{token:<{margin}}" + " ".join(f"{cell:<{_BAR}}" for cell in cells)).rstrip()


def bars(attention: Attention, results: Sequence[Result], row: int, encoding: str | None) -> str:
    """The weights of one row of head 0, tokens down, operators across; ASCII where ``encoding`` has no block glyphs."""
    ascii_only = not _carries(encoding)
    across = (_WIDTH - max(map(len, attention.tokens)) - 1) // (_BAR + 1)
    groups = [results[start : start + across] for start in range(0, len(results), across)]
    top = max(result.weights[0, row].max() for result in results)
    title = (
        f'What "{attention.tokens[row]}" of the claim looks at (first head). Full bar = {top:.2f}; blank = exactly 0.'
    )
    parts = ["\n".join(_columns(attention.tokens, group, row, ascii_only=ascii_only)) for group in groups]
    return "\n\n".join([title, *parts])
