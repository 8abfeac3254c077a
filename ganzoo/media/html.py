"""Small pieces of HTML, as notebooks show them: pictures, tables and curves."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 360, 120
"""Size of a chart, in pixels."""
MOST_POINTS = 200
"""Points of a curve that are drawn, at most."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Of Okabe and Ito 2008, which people who see few colours can tell apart."""
TALLEST = 480
"""Height of a picture, at most, in pixels."""


def heading(words: str) -> str:
    """Return a line in bold."""
    return f"<div style='margin:.4em 0'><b>{escape(words)}</b></div>"


def text(words: str) -> str:
    """Return a line."""
    return f"<div>{escape(words)}</div>"


def picture(png: bytes, about: str) -> str:
    """Return a picture that holds its own data.

    Args:
        png: The content of a PNG file.
        about: What it shows, for people who cannot see it.
    """
    data = base64.b64encode(png).decode("ascii")
    return (
        f"<img alt='{escape(about, quote=True)}' src='data:image/png;base64,{data}' "
        f"style='max-height:{TALLEST}px;image-rendering:pixelated'>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def code(lines: Iterable[str]) -> str:
    """Return lines of code."""
    return f"<pre style='margin:.4em 0'>{escape(chr(10).join(lines))}</pre>"


def chart(curves: Mapping[str, Mapping[int, float]]) -> str:
    """Return curves over steps as one picture, and nothing if there are too few points."""
    drawn = {name: _thin(curve) for name, curve in curves.items() if len(curve) > 1}
    if not drawn:
        return ""
    steps = [step for curve in drawn.values() for step, _ in curve]
    values = [value for curve in drawn.values() for _, value in curve]
    first, last, low, high = min(steps), max(steps), min(values), max(values)
    high = high if high > low else low + 1
    lines = []
    for colour, (name, curve) in zip(COLOURS, drawn.items(), strict=False):
        places = " ".join(
            f"{WIDTH * (step - first) / max(1, last - first):.1f},"
            f"{HEIGHT * (high - value) / (high - low):.1f}"
            for step, value in curve
        )
        lines.append(
            f"<polyline fill='none' stroke='{colour}' stroke-width='1.5' points='{places}'>"
            f"<title>{escape(name)}</title></polyline>"
        )
    keys = " ".join(
        f"<span style='color:{colour}'>{escape(name)}</span>"
        for colour, name in zip(COLOURS, drawn, strict=False)
    )
    about = f"from {low:.3g} to {high:.3g}, steps {first:,} to {last:,}"
    return (
        f"<svg role='img' aria-label='{escape(', '.join(drawn), quote=True)}' width='{WIDTH}' "
        f"height='{HEIGHT}' viewBox='-2 -2 {WIDTH + 4} {HEIGHT + 4}'>{''.join(lines)}</svg>"
        f"<div>{keys} {about}</div>"
    )


def _thin(curve: Mapping[int, float]) -> list[tuple[int, float]]:
    """Return points of a curve in order, at most so many."""
    points = sorted((step, value) for step, value in curve.items() if math.isfinite(value))
    every = -(-len(points) // MOST_POINTS)
    return points[::every] + (points[-1:] if (len(points) - 1) % max(every, 1) else [])
