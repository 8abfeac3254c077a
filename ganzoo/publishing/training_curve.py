"""The picture of a run's training: what both networks minimised, over the steps."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.runs.metrics import GRADIENT_NORM, LOGITS, NETWORKS, Curve, is_number, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes


INCHES, DPI = (12, 5), 100
MAX_POINTS = 600
"""Points of a curve; of more, the means of as many after one another are drawn."""
MAX_CURVES = 10
"""Curves in a panel, one of each colour."""
LONGEST_NAME = 32


def draw_training_curve(metrics_file: Path) -> bytes | None:
    """Draw the curves of a run as a PNG of 1200 x 500 pixels, the same bytes each time.

    A panel for the loss terms of each network, and one for logits where some were logged.

    Args:
        metrics_file: The run's ``metrics.jsonl``; damaged lines are passed over.

    Returns:
        The file; None if no term was logged at two steps.

    Raises:
        ganzoo.errors.InputError: there is no such file.
    """
    panels = {
        title: {name: curve for name, curve in curves.items() if len(curve) > 1}
        for title, curves in _read_curves(metrics_file).items()
    }
    panels = {title: curves for title, curves in panels.items() if curves}
    return _draw_figure(panels) if panels else None


def _read_curves(path: Path) -> dict[str, dict[str, Curve]]:
    """Return curves by panel and name."""
    panels: dict[str, dict[str, Curve]] = {title: {} for title in (*NETWORKS, LOGITS)}
    for step, row in read_metrics(path):
        for key, value in row.items():
            network, _, name = key.partition("/")
            if network not in NETWORKS or not name or name == GRADIENT_NORM or not is_number(value):
                continue
            title, label = (LOGITS, key) if "logit" in name else (network, name)
            panels[title].setdefault(label, {})[step] = value
    return panels


def _draw_figure(panels: Mapping[str, Mapping[str, Curve]]) -> bytes:
    from matplotlib import style
    from matplotlib.figure import Figure

    # Whatever a person has set up for their own figures changes nothing here.
    with style.context("default", after_reset=True):
        figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white", layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for place, (title, curves) in zip(axes, panels.items(), strict=True):
            _draw_panel(place, title, curves)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw_panel(axes: Axes, title: str, curves: Mapping[str, Curve]) -> None:
    lines = []
    for curve in list(curves.values())[:MAX_CURVES]:
        points = _thin(sorted(curve.items()))
        lines += axes.plot([step for step, _ in points], [value for _, value in points], lw=1.2)
    axes.set_title(title)
    axes.set_xlabel("generator updates")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    # A plugin names its terms: a dollar is no formula, and "_" hides nothing.
    names = [_label(name) for name in curves][:MAX_CURVES]
    legend = axes.legend(lines, names, frameon=False, loc="best")
    for text in legend.get_texts():
        text.set_parse_math(False)


def _label(name: str) -> str:
    text = name.encode("ascii", "backslashreplace").decode().lstrip("_")
    return text[:LONGEST_NAME] or "term"


def _thin(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """Return means of points that follow one another, where there are too many."""
    together = -(-len(points) // MAX_POINTS)
    parts = [points[start : start + together] for start in range(0, len(points), together)]
    return [
        (sum(step for step, _ in part) / len(part), sum(value for _, value in part) / len(part))
        for part in parts
    ]
