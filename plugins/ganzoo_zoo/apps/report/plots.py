"""The plots of a run's curves, of its log and of what trackers kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganzoo_zoo.apps.report import charts, reading
from ganzoo_zoo.apps.report.charts import Chart, Source
from ganzoo_zoo.apps.report.history import metric_name
from ganzoo_zoo.apps.report.names import name_runs
from ganzoo_zoo.apps.report.numbers import PREFIX

if TYPE_CHECKING:
    from ganzoo_zoo.apps.report.collect import ReportData

MOST_POINTS, FEWEST_POINTS = 60_000, 200
"""Points of all curves that the page's script gets, and of each curve at least."""
HELD, NEAR, DIVERGENCE = "Modes held", "Share of points near a mode", "Divergence from the reals"
"""Titles of what a tracker measured of points."""
NUMBERS = {"modes": HELD, "high_quality": NEAR, "kl": DIVERGENCE, "js": DIVERGENCE}


def points_each(curves: int) -> int:
    """Return how many points of each of so many curves the page's script gets."""
    return max(FEWEST_POINTS, min(charts.MOST_KEPT, MOST_POINTS // max(1, curves)))


def draw_run(found: ReportData) -> Iterator[Chart]:
    """Draw the curves of a run."""
    (run,) = name_runs([found.run])
    most = points_each(sum(map(len, found.history.curves.values())))
    for title, curves in found.history.curves.items():
        yield charts.draw_curves(
            title,
            curves,
            sources={name: Source(run, metric_name(title, name)) for name in curves},
            most=most,
            reading=tuple(reading.about_curves(title)),
        )
    for title in dict.fromkeys(NUMBERS.values()):
        known = {
            name: curve for name, curve in found.numbers.curves.items() if NUMBERS[name] == title
        }
        if known:
            yield charts.draw_curves(
                title,
                known,
                sources={name: Source(run, f"{PREFIX}/{name}") for name in known},
                total=number_total(title, found.numbers.modes),
                most=most,
            )
    if found.analysis.logits:
        yield found.analysis.logits


def number_total(title: str, modes: int | None) -> float | None:
    """Return the value of such a number that would be all; None if there is none."""
    if title == HELD and modes is not None:
        return float(modes)
    return 1.0 if title == NEAR else None
