"""Small pieces of HTML, as notebooks show them: pictures, tables, bars and curves.

They need no script, and no style beyond attributes of their own. Curves are pictures too: notebook
servers and GitHub remove drawings in SVG from HTML.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ganzoo.errors import escape_text

WIDTH, HEIGHT = 360, 120
"""Size of a chart, in pixels."""
MOST_POINTS = 200
"""Points of a curve that are drawn, at most."""
TALLEST = 400
"""Height of a picture, at most, in pixels."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Of Okabe and Ito 2008, which people who see few colours can tell apart."""


def _say(words: str) -> str:
    """Return words as they stand in HTML, on one line, also within the quotes of an attribute."""
    return escape(escape_text(words), quote=True)


def heading(words: str) -> str:
    """Return a line in bold."""
    return f"<div style='margin:.4em 0'><b>{_say(words)}</b></div>"


def text(words: str) -> str:
    """Return a line."""
    return f"<div>{_say(words)}</div>"


def picture(png: bytes, about: str) -> str:
    """Return a picture that holds its own data.

    Args:
        png: The content of a PNG file.
        about: What it shows, for people who cannot see it.
    """
    return _image("png", png, about)


def _image(kind: str, content: bytes, about: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    return (
        f"<img alt='{_say(about)}' src='data:image/{kind};base64,{data}' "
        f"style='display:block;max-width:100%;max-height:{TALLEST}px'/>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts."""
    head = "".join(f"<th style='text-align:left'>{_say(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{_say(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def code(lines: Iterable[str]) -> str:
    """Return lines of code."""
    return f"<pre style='margin:.4em 0'>{chr(10).join(map(_say, lines))}</pre>"


def bar(what: str, done: int, total: int, more: str = "") -> str:
    """Return the progress of work as a bar, with numbers and what else there is to say."""
    words = f"{what} {done:,} of {total:,}" + (f" · {more}" if more else "")
    return (
        f"<div><progress value='{done}' max='{max(1, total)}' "
        f"aria-label='{_say(what)}'></progress> {_say(words)}</div>"
    )


def chart(curves: Mapping[str, Mapping[int, float]]) -> str:
    """Return curves over steps as one picture, and nothing if there are too few points."""
    thin = {name: _thin(curve) for name, curve in curves.items()}
    drawn = {name: curve for name, curve in thin.items() if len(curve) > 1}
    if not drawn:
        return ""
    steps = [step for curve in drawn.values() for step, _ in curve]
    values = [value for curve in drawn.values() for _, value in curve]
    first, last, low, high = min(steps), max(steps), min(values), max(values)
    high = high if high > low else low + 1
    lines = []
    for colour, curve in zip(COLOURS, drawn.values(), strict=False):
        places = " ".join(
            f"{WIDTH * (step - first) / max(1, last - first):.1f},"
            f"{HEIGHT * (high - value) / (high - low):.1f}"
            for step, value in curve
        )
        lines.append(
            f"<polyline fill='none' stroke='{colour}' stroke-width='1.5' points='{places}'/>"
        )
    keys = " ".join(
        f"<span style='color:{colour}'>{_say(name)}</span>"
        for colour, name in zip(COLOURS, drawn, strict=False)
    )
    about = f"from {low:.3g} to {high:.3g}, steps {first:,} to {last:,}"
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' "
        f"viewBox='-2 -2 {WIDTH + 4} {HEIGHT + 4}'>{''.join(lines)}</svg>"
    )
    names = f"{', '.join(drawn)} {about}"
    return f"{_image('svg+xml', svg.encode(), names)}<div>{keys} {about}</div>"


def _thin(curve: Mapping[int, float]) -> list[tuple[int, float]]:
    """Return points of a curve in order, at most so many."""
    points = sorted((step, value) for step, value in curve.items() if math.isfinite(value))
    every = max(1, -(-len(points) // MOST_POINTS))
    return points[::every] + (points[-1:] if points and (len(points) - 1) % every else [])
