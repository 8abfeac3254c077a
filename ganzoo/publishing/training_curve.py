"""The training curve of a run: a picture of the loss terms of both networks, step by step."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.runs.metrics import (
    GRADIENT_NORM,
    LOGITS,
    NETWORKS,
    Curve,
    CurveGroup,
    is_number,
    read_metrics,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


INCHES, DPI = (12, 5), 100
MAX_POINTS = 600
"""Points of a curve, at most; a longer curve is drawn by means of neighbouring points."""
MAX_CURVES = 10
"""Curves in a panel, at most: as many as there are colours."""
LONGEST_NAME = 32
"""Characters of a curve's name in a legend."""


def draw_training_curve(metrics_file: Path) -> bytes | None:
    """Draw the training curve of a run, with the same bytes each time.

    There is a panel for the loss terms of each network, and one for logits if any were logged.

    Args:
        metrics_file: The run's ``metrics.jsonl``, of any length; damaged lines are skipped.

    Returns:
        A PNG file of 1200 x 500 pixels; None if no term was logged at two steps.

    Raises:
        ganzoo.errors.InputError: the file is missing.
    """
    panels = {
        title: {name: curve for name, curve in curves.items() if len(curve) > 1}
        for title, curves in _read_curves(metrics_file).items()
    }
    panels = {title: curves for title, curves in panels.items() if curves}
    return _draw_figure(panels) if panels else None


def _read_curves(path: Path) -> dict[str, dict[str, Curve]]:
    """Return the curves of each panel, by the panel's title and their names."""
    panels = {title: CurveGroup() for title in (*NETWORKS, LOGITS)}
    for step, row in read_metrics(path):
        for key, value in row.items():
            network, _, name = key.partition("/")
            if network not in NETWORKS or not name or name == GRADIENT_NORM or not is_number(value):
                continue
            title, label = (LOGITS, key) if "logit" in name else (network, name)
            panels[title].add(label, step, value)
    return {title: group.curves() for title, group in panels.items()}


def _draw_figure(panels: Mapping[str, Mapping[str, Curve]]) -> bytes:
    from matplotlib import style
    from matplotlib.figure import Figure

    # A person's own matplotlib settings must not change the picture.
    with style.context("default", after_reset=True):
        figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white", layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for place, (title, curves) in zip(axes, panels.items(), strict=True):
            _draw_panel(place, title, curves)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw_panel(axes: Axes, title: str, curves: Mapping[str, Curve]) -> None:
    from matplotlib.ticker import MaxNLocator

    lines = []
    for curve in list(curves.values())[:MAX_CURVES]:
        points = _thin(sorted(curve.items()))
        lines += axes.plot([step for step, _ in points], [value for _, value in points], lw=1.2)
    axes.set_title(title)
    axes.set_xlabel("generator updates")
    locator = axes.xaxis.get_major_locator()
    assert isinstance(locator, MaxNLocator)  # matplotlib's default is one
    locator.set_params(integer=True)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    # Plugins name their terms: "$" must not begin a formula, and "_" must not hide a name.
    names = [_format_label(name) for name in curves][:MAX_CURVES]
    legend = axes.legend(lines, names, frameon=False, loc="best")
    for text in legend.get_texts():
        text.set_parse_math(False)


def _format_label(name: str) -> str:
    text = name.encode("ascii", "backslashreplace").decode().lstrip("_")
    return text[:LONGEST_NAME] or "term"


def _thin(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """Replace neighbouring points by their mean, as many as it takes to have few enough."""
    count = -(-len(points) // MAX_POINTS)
    parts = [points[start : start + count] for start in range(0, len(points), count)]
    return [
        (sum(step for step, _ in part) / len(part), sum(value for _, value in part) / len(part))
        for part in parts
    ]
