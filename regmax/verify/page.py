"""A report as one HTML page with its plots inside, readable without a network."""

import html
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from .report import Report, shown

__all__ = ["page"]

_FLOOR = 1e-18  # drawn for what is exactly 0
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; } th, td { padding: .25em .9em; text-align: right; }
th { border-bottom: 2px solid #444; } td { border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } .fail { color: #b00020; font-weight: 600; }
pre { background: #f4f4f4; padding: .7em; overflow-x: auto; } svg { max-width: 100%; height: auto; }
"""


def _svg(draw: Callable[[Any], None], width: float, height: float) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "regmax", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _visible(gap: float | None) -> float:
    return max(gap or 0.0, _FLOOR) if gap is None or np.isfinite(gap) else 1e3


def _gaps_by_size(report: Report) -> Callable[[Any], None]:
    def draw(figure: Any) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, dtype in zip(panels, ("float64", "float32"), strict=True):
            for index, name in enumerate(report.operators):
                cases = [m for m in report.of(name).measurements if m.case.dtype == dtype and m.gap is not None]
                sizes = sorted({m.case.n for m in cases})
                worst = [max(_visible(m.gap) for m in cases if m.case.n == n) for n in sizes]
                marker, dash = "osv^Dx+*"[index % 8], ("-", "--")[index // 8 % 2]
                axes.loglog(sizes, worst, marker=marker, linestyle=dash, ms=4, lw=1, label=name)
            axes.set(title=dtype, xlabel="entries per row")
            if len({m.case.n for m in report.measurements}) == 1:
                axes.set_xlim(report.measurements[0].case.n / 2, 2 * report.measurements[0].case.n)
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("worst gap, in units of scale")
        panels[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

    return draw


def _gaps_by_family(report: Report) -> Callable[[Any], None]:
    names = report.operators
    found = list(dict.fromkeys(m.case.family for m in report.measurements if m.gap is not None))
    worst = np.full((len(names), len(found)), np.nan)
    for m in report.measurements:
        if m.gap is not None and m.case.dtype == "float64":
            at = names.index(m.case.operator), found.index(m.case.family)
            worst[at] = np.nanmax([worst[at], np.log10(_visible(m.gap))])

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        image = axes.imshow(
            worst, aspect="auto", cmap="viridis", vmin=-18, vmax=max(-6.0, np.nanmax(worst, initial=-18))
        )
        axes.set_xticks(range(len(found)), found, rotation=60, ha="right")
        axes.set_yticks(range(len(names)), names)
        figure.colorbar(image, ax=axes, label="log10 of the worst gap, float64", pad=0.01)

    return draw


def _histograms(report: Report) -> Callable[[Any], None]:
    names = report.operators
    columns = min(4, len(names))

    def draw(figure: Any) -> None:
        panels = np.atleast_1d(figure.subplots(-(-len(names) // columns), columns, sharex=True, squeeze=False)).ravel()
        bins = np.arange(-18.5, 4, 1.0)
        for axes, name in zip(panels, names, strict=False):
            for dtype, color in (("float64", "#1f6f8b"), ("float32", "#e08e45")):
                gaps = [m.gap for m in report.of(name).measurements if m.gap is not None and m.case.dtype == dtype]
                axes.hist([np.log10(_visible(gap)) for gap in gaps], bins, alpha=0.7, color=color, label=dtype)
            axes.set_title(name, fontsize=9)
            axes.set_yscale("symlog")
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        panels[0].legend(frameon=False, fontsize=8)
        figure.supxlabel("log10 of the worst gap of a case (exact answers at -18)", fontsize=9)
        figure.supylabel("cases", fontsize=9)

    return draw


def _rows(report: Report) -> str:
    lines = []
    for name in report.operators:
        part = report.of(name)
        figures = (part.gap_in("float64"), part.gap_in("float32"), part.worst_distance, part.worst_derivative)
        cells = "".join(f"<td>{shown(figure)}</td>" for figure in figures)
        verdict = "pass" if part.passed else f'<span class="fail">FAIL ({len(part.failures)})</span>'
        lines.append(f"<tr><td>{html.escape(name)}</td><td>{len(part.measurements)}</td>{cells}<td>{verdict}</td></tr>")
    return "\n".join(lines)


def _failures(report: Report) -> str:
    if not report.failures:
        return ""
    listed = "\n\n".join(str(failure) for failure in report.failures)
    return f"<h2>Failures</h2>\n<pre>{html.escape(listed)}</pre>"


def page(report: Report, title: str) -> str:
    """The report as the text of one HTML file."""
    heads = ("operator", "cases", "gap float64", "gap float32", "to CVXPY", "derivative", "verdict")
    plots = ""
    if report.measurements:
        height = 1.8 * -(-len(report.operators) // 4) + 1
        plots = "\n".join(
            f"<h2>{heading}</h2>\n{_svg(draw, 11, tall)}"
            for heading, draw, tall in (
                ("Worst gap against row length", _gaps_by_size(report), 4.2),
                ("Worst gap by family", _gaps_by_family(report), 1.6 + 0.28 * len(report.operators)),
                ("How the gaps are spread", _histograms(report), height),
            )
        )
    verdict = "Everything passes." if report.passed else f"{len(report.failures)} failures."
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{verdict} {len(report.measurements)} cases. A gap bounds how much better the best answer can be, in units of the
row's scale (squared units for proximal operators); "to CVXPY" is the largest distance of an entry to that solver's
answer; "derivative" the largest difference between a derivative and a difference quotient.</p>
<table><tr>{"".join(f"<th>{head}</th>" for head in heads)}</tr>
{_rows(report)}
</table>
{plots}
{_failures(report)}
</body></html>
"""
