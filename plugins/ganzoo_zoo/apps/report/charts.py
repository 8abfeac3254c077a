"""Plots as inline SVG in the colours of the page, and what the page's script draws in their place.

The SVG stands where scripts are off, and on paper. Matplotlib draws it. Its CSS becomes SVG
attributes, because the page's security policy forbids inline styles, and placeholder colours become
the page's CSS variables.
"""

from __future__ import annotations

import io
import re
import statistics
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from ganzoo.runs.metrics import Curve
from ganzoo_zoo.apps.report.history import downsample, thin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

INCHES = (5.0, 2.9)
POINTS = 72
"""Units of an SVG per inch."""
MOST_POINTS, FEWEST_POINTS = 400, 60
"""Points of a curve in the SVG, if the page has few curves or many; longer curves are averaged."""
MOST_KEPT = 2000
"""The most points of a curve that the script gets, if the page has few curves."""
MOST_CURVES = 10
FEW = 30
"""Curves with at most this many points are drawn with dots."""
COLOURS = 8
"""Number of curve colours; further curves reuse them with dashed lines."""
WIDE = 1000.0
"""Ratio of the largest to the median magnitude above which the scale is logarithmic."""
LOG = "logarithmic scale"
"""Note of a scale that has no place for 0 and below."""
BINS = 32
PLACES = 1
"""Decimal places of another axis than steps."""
DIGITS = 6
"""Significant digits of the values that the script gets."""
GREY = 7
"""Colour of the line at a total."""
ALL = "all"
"""Name of the line at a total."""
DASHES: Any = (0, (4, 2))

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
INK, RULE, MARK = "#000001", "#000002", "#000003"
LINES = tuple(f"#0001{i:02x}" for i in range(COLOURS))
THEME = {
    INK: "currentColor",
    RULE: "var(--rule)",
    MARK: "var(--mark)",
    **{line: f"var(--line-{i})" for i, line in enumerate(LINES)},
}
"""Placeholder colours for drawing, and the page's colours that replace them."""
ATTRIBUTES = {
    *("fill", "fill-opacity", "opacity", "stroke", "stroke-dasharray", "stroke-dashoffset"),
    *("stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor"),
}
"""CSS properties that are also SVG attributes."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.xmargin": 0.02,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Axis:
    """What curves are drawn over, in place of their steps."""

    name: str
    at: Mapping[int, float]
    """The place of each step; later steps have larger ones."""


@dataclass(frozen=True)
class Source:
    """Where a curve comes from."""

    run: str
    metric: str
    """Name of what was measured, unique within the run."""
    colour: int | None = None
    """Its colour, by which a run is known; None for the next one."""


@dataclass(frozen=True)
class Line:
    """The legend entry of a curve."""

    name: str
    colour: int
    dashed: bool
    last: str
    """The last value, as text."""


@dataclass(frozen=True)
class Chart:
    """A plot."""

    title: str
    svg: str
    lines: tuple[Line, ...]
    about: str
    """Text alternative of the plot."""
    note: str
    """How the SVG is drawn, or empty."""
    data: Mapping[str, Any]
    """Curves for the page's script; empty if it leaves the SVG as it is."""
    reading: tuple[str, ...] = ()
    """Where a reader may go wrong, a sentence or two each."""
    axis: str = ""
    """What it is drawn over, if the page offers a choice."""


def draw_curves(
    title: str,
    curves: Mapping[str, Curve],
    marked: Mapping[str, int] | None = None,
    salt: str = "",
    axis: Axis | None = None,
    *,
    sources: Mapping[str, Source] | None = None,
    total: float | None = None,
    most: int = MOST_KEPT,
    reading: Sequence[str] = (),
) -> Chart:
    """Draw curves over the steps, or over another axis.

    Args:
        title: Title of the plot.
        curves: Curves by name, of which the first ``MOST_CURVES`` are drawn.
        marked: The step to mark with a ring, by name of the curve.
        salt: Distinguishes plots with the same title on a page.
        axis: What to draw over in place of steps; it has a place for each of them.
        sources: Where each curve comes from, by its name.
        total: The value that would be all, such as the number of modes: the plot reaches from 0
            to it, with a dashed line there.
        most: The most points of a curve that the script gets.
        reading: See :class:`Chart`.
    """
    shown = dict(list(curves.items())[:MOST_CURVES])
    at = axis.at if axis else {step: step for curve in shown.values() for step in curve}
    known = sources or {}
    most_drawn = max(FEWEST_POINTS, min(MOST_POINTS, most // 5))
    rings = {name: step for name, step in (marked or {}).items() if name in shown}
    placed = {name: {at[step]: each for step, each in own.items()} for name, own in shown.items()}
    lines = [
        _choose_line(name, i, curve, known.get(name))
        for i, (name, curve) in enumerate(shown.items())
    ]
    with _figure(title + salt) as (figure, axes):
        scale = _choose_scale(axes, [value for curve in shown.values() for value in curve.values()])
        for line in lines:
            _draw_line(axes, line, downsample(placed[line.name], most_drawn))
        for name, step in rings.items():
            axes.plot([at[step]], [shown[name][step]], "o", ms=9, mfc="none", mec=MARK, mew=1.6)
        if total is not None:
            axes.axhline(total, color=LINES[GREY], linestyle=DASHES, linewidth=1.2)
            axes.set_ylim(0, max(1.06 * total, axes.get_ylim()[1]))
        axes.set_xlabel(axis.name if axis else "step")
        if axis is None:
            locator: Any = axes.xaxis.get_major_locator()  # a MaxNLocator, by default
            locator.set_params(integer=True)
        svg = _write_svg(figure)
    data = [_curve_data(line, placed[line.name], most, known.get(line.name)) for line in lines]
    for each in data:
        if each["name"] in rings:
            each["mark"] = _place(at[rings[each["name"]]])
    bounds = {}
    if total is not None:
        lines.append(Line(ALL, GREY, dashed=True, last=format_number(total)))
        data.append(_total_data(total, [place for curve in placed.values() for place in curve]))
        bounds = {"low": 0, "high": total}
    about_axis = {} if axis is None else {"axis": _axis_data(axis)}
    return Chart(
        title,
        svg,
        tuple(lines),
        _describe_curves(shown),
        "; ".join(_notes(scale, shown, most_drawn)),
        {**about_axis, **bounds, "log": scale == LOG, "curves": data},
        (*reading, *_hints(curves, shown, most)),
    )


def _choose_line(name: str, number: int, curve: Curve, source: Source | None) -> Line:
    colour = number if source is None or source.colour is None else source.colour
    last = format_number(curve[max(curve)])
    return Line(name, colour % COLOURS, colour >= COLOURS, last)


def _notes(scale: str, shown: Mapping[str, Curve], most: int) -> Iterator[str]:
    """Yield how the SVG is drawn."""
    if scale:
        yield scale
    if any(len(curve) > most for curve in shown.values()):
        yield "lines are means over neighbouring steps, bands show their range"


def _hints(curves: Mapping[str, Curve], shown: Mapping[str, Curve], most: int) -> Iterator[str]:
    """Yield what of the curves is not drawn."""
    if any(len(curve) > most for curve in shown.values()):
        yield f"Of long curves, only every k-th point and the extremes: about {most:,}."
    if (more := len(curves) - len(shown)) > 0:
        yield f"{more} more curves are not shown."


def _curve_data(
    line: Line, curve: Mapping[float, float], most: int, source: Source | None
) -> dict[str, Any]:
    kept = thin(curve, most)
    return {
        "name": line.name,
        "colour": line.colour,
        "dashed": line.dashed,
        **({} if source is None else {"run": source.run, "metric": source.metric}),
        "steps": [_place(step) for step in kept],
        "values": [float(f"{value:.{DIGITS}g}") for value in kept.values()],
    }


def _total_data(total: float, places: Sequence[float]) -> dict[str, Any]:
    ends = [_place(min(places)), _place(max(places))]
    about = {"name": ALL, "colour": GREY, "dashed": True, "plain": True}
    return {**about, "steps": ends, "values": [total, total]}


def _place(place: float) -> float:
    return place if isinstance(place, int) else round(place, PLACES)


def _axis_data(axis: Axis) -> dict[str, Any]:
    places = {step: _place(place) for step, place in sorted(axis.at.items())}
    return {"name": axis.name, "steps": list(places), "at": list(places.values())}


def draw_histogram(title: str, values: Mapping[str, Tensor]) -> Chart:
    """Draw the histograms of several sets of numbers over one another."""
    import torch

    everything = torch.cat(list(values.values())).double()
    low, high = float(everything.min()), float(everything.max())
    if high - low < 1e-9 * max(1.0, abs(low)):
        low, high = low - 0.5, high + 0.5
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    with _figure(title) as (figure, axes):
        for i, numbers in enumerate(values.values()):
            shares = torch.histogram(numbers.double().cpu(), edges).hist / len(numbers)
            axes.stairs(
                shares.tolist(), edges.tolist(), fill=True, color=LINES[i], alpha=0.25, lw=0
            )
            axes.stairs(shares.tolist(), edges.tolist(), color=LINES[i], lw=1.6)
        axes.set_xlabel("logit")
        axes.set_ylabel("share")
        svg = _write_svg(figure)
    means = {
        name: format_number(float(numbers.double().mean())) for name, numbers in values.items()
    }
    lines = [
        Line(name, i, dashed=False, last=f"mean {mean}")
        for i, (name, mean) in enumerate(means.items())
    ]
    about = ", ".join(f"{name} with a mean of {mean}" for name, mean in means.items())
    return Chart(
        title,
        svg,
        tuple(lines),
        f"{about}, from {format_number(low)} to {format_number(high)}.",
        "",
        {},
    )


def format_number(value: float) -> str:
    """Format a number with four significant digits, as ``numbers.js`` does."""
    mantissa, _, power = f"{value:.3e}".partition("e")
    rounded = float(f"{mantissa}e{power}")
    if rounded == 0 or 1e-4 <= abs(rounded) < 1e5:
        text = f"{rounded:,.10g}"
        if "e" in text:
            text = f"{rounded:.7f}".rstrip("0")
    else:
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"
    return text.replace("-", "−")


@contextmanager
def _figure(salt: str) -> Iterator[tuple[Figure, Axes]]:
    from matplotlib import rc_context, style
    from matplotlib.figure import Figure

    # The user's matplotlib settings must not matter. The salt makes ids unique within the page.
    with (
        style.context("default", after_reset=True),
        rc_context({**STYLE, "svg.hashsalt": salt}),
        warnings.catch_warnings(action="ignore"),
    ):
        figure = Figure(figsize=INCHES, dpi=POINTS, layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.subplots()
        axes.patch.set_visible(False)
        yield figure, axes


def _choose_scale(axes: Axes, values: Sequence[float]) -> str:
    """Choose the scale of the value axis, and describe it unless it is linear."""
    sizes = sorted(abs(value) for value in values if value)
    if not sizes or sizes[-1] <= WIDE * (usual := statistics.median(sizes)):
        return ""
    if min(values) > 0:
        axes.set_yscale("log")
        return LOG
    axes.set_yscale("symlog", linthresh=10 * usual)
    return f"{LOG}, linear near 0"


def _draw_line(axes: Axes, line: Line, points: Sequence[tuple[float, ...]]) -> None:
    steps, means, lows, highs = zip(*points, strict=True)
    if lows != highs:
        axes.fill_between(steps, lows, highs, color=LINES[line.colour], alpha=0.2, linewidth=0)
    axes.plot(
        *(steps, means),
        color=LINES[line.colour],
        linestyle=DASHES if line.dashed else "-",
        linewidth=1.6,
        marker="o" if len(points) <= FEW else None,
        markersize=4,
    )


def _write_svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _apply_theme(file.getvalue())


def _apply_theme(text: str) -> str:
    """Return an SVG without CSS, in the page's colours."""
    root = ElementTree.fromstring(text)
    for part in root.iter():
        for name, value in _parse_style(part.attrib.pop("style", "")):
            if name in ATTRIBUTES:
                part.set(name, value)
            elif name.startswith("font") and (size := re.search(r"([\d.]+)px", value)):
                part.set("font-size", size[1])
        for name in ("fill", "stroke"):
            if (colour := part.get(name, "").lower()) in THEME:
                part.set(name, THEME[colour])
    _drop_unused(root)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _parse_style(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, _, value = declaration.partition(":")
        yield name.strip(), value.strip()


def _drop_unused(root: ElementTree.Element) -> None:
    """Remove style sheets, metadata, and ids without references."""
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    for parent in list(root.iter()):
        if parent.get("id") not in used:
            parent.attrib.pop("id", None)
        for child in list(parent):
            tag = child.tag.rpartition("}")[2]
            if tag in ("metadata", "style") or (tag == "defs" and not _has_used_id(child, used)):
                parent.remove(child)


def _has_used_id(part: ElementTree.Element, used: set[str]) -> bool:
    return any(each.get("id") in used for each in part.iter())


def _describe_curves(curves: Mapping[str, Curve]) -> str:
    """Return the text alternative of a plot."""
    parts = []
    for name, curve in curves.items():
        (first, begins), (last, ends) = min(curve.items()), max(curve.items())
        low, high = min(curve.values()), max(curve.values())
        parts.append(
            f"{name}: {format_number(begins)} at step {first}, {format_number(ends)} at step "
            f"{last}, between {format_number(low)} and {format_number(high)}."
        )
    return " ".join(parts)
