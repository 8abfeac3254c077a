"""The scores of a run, grouped by protocol."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganzoo.runs.metrics import Curve
from ganzoo.runs.reproduce import format_argument
from ganzoo.runs.scores import TAKEN, ScoreRow
from ganzoo_zoo.apps.report import reading
from ganzoo_zoo.apps.report.charts import Axis, Chart, Source, draw_curves

MOST_ROWS = 2000
"""The most scores on the page; older ones are omitted."""
MOST_CHARTS = 8
OWN_FIELDS = {
    "metric",
    "value",
    "std",
    "higher_is_better",
    "options",
    "seed",
    "repeats",
    "step",
    "note",
    *TAKEN,
}
"""Fields that may differ within a group of scores."""


STEPS = "steps"
AXES = {STEPS: "", **{name.replace("_", " "): name for name in TAKEN}}
"""What scores can be drawn over, with the field of a score; steps need none."""


@dataclass(frozen=True)
class Metric:
    """A metric of a group, with its values at the steps that the page compares."""

    name: str
    better: str
    options: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Scores of one protocol, for any metric."""

    metrics: tuple[Metric, ...]
    protocol: tuple[tuple[str, str], ...]
    """The protocol: names and values."""
    rows: tuple[ScoreRow, ...]

    @property
    def about(self) -> str:
        """A short description of what was evaluated."""
        return describe_group(self.rows[0])


@dataclass(frozen=True)
class Scores:
    """All scores of a run."""

    groups: tuple[Group, ...]
    columns: tuple[str, ...]
    """Titles of the compared steps."""
    charts: tuple[Chart, ...]
    """Plots of the metrics, each over the steps and then over what else is known."""
    left_out: int
    reading: tuple[str, ...] = ()
    """Where a reader of all scores may go wrong."""

    @property
    def axes(self) -> tuple[str, ...]:
        """What the plots are drawn over."""
        return tuple(dict.fromkeys(chart.axis for chart in self.charts))

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the plots, each once."""
        return tuple(chart.title for chart in self.charts if chart.axis == STEPS)


def gather_scores(
    rows: Sequence[ScoreRow], best: int | None, last: int | None, run: str = ""
) -> Scores:
    """Group scores by protocol, and draw those with several steps.

    Args:
        rows: Scores in order of evaluation.
        run: Name of the run.
        best: Step of the best snapshot, if there is one.
        last: Step of the last model, if there is one.
    """
    shown = rows[-MOST_ROWS:]
    groups: dict[str, list[ScoreRow]] = {}
    for row in shown:
        groups.setdefault(protocol_key(row), []).append(row)
    titles: dict[int, list[str]] = {}
    for step, word in ((best, "best"), (last, "last")):
        if step is not None:
            titles.setdefault(step, []).append(word)
    columns = tuple(f"{' and '.join(words)}, step {step:,}" for step, words in titles.items())
    found = tuple(_build_group(rows, tuple(titles)) for rows in groups.values())
    drawn = tuple(_draw_charts(shown, best, run))
    hints = tuple(reading.about_extractors(shown))
    return Scores(found, columns, drawn, len(rows) - len(shown), hints)


def _build_group(rows: Sequence[ScoreRow], steps: Sequence[int]) -> Group:
    metrics = []
    for same in group_comparable(rows):
        first, newest = same[0], {row.step: row for row in same}
        values = tuple(format_score(newest.get(step)) for step in steps)
        options = describe_options(first)
        metrics.append(Metric(first.metric, better_word(first), options, values))
    return Group(tuple(metrics), list_protocol(rows[0]), tuple(rows))


def protocol_key(row: ScoreRow) -> str:
    """Return what a score has in common with others of its protocol, of any metric, as a text."""
    return row.model_dump_json(exclude=OWN_FIELDS)


def describe_group(row: ScoreRow) -> str:
    """Return a short description of what was evaluated."""
    fakes, reals = f"{row.fake_samples:,} fakes", f"{row.real_samples:,} reals"
    through = f" through {row.features.get('name', '')}" if row.features else ""
    return f"{fakes} against {reals} of {row.data.get('name', '')}{through}"


def describe_options(row: ScoreRow) -> str:
    """Return the options of a score's metric."""
    return ", ".join(f"{name}={format_argument(value)}" for name, value in row.options.items())


def _draw_charts(rows: Sequence[ScoreRow], best: int | None, run: str) -> Iterator[Chart]:
    """Draw comparable scores at several steps."""
    several = [
        same for same in group_comparable(rows) if len({row.step for row in same} - {None}) > 1
    ]
    names = name_metrics(same[0] for same in several)
    for number, same in enumerate(several[:MOST_CHARTS]):
        source = Source(run, names[same[0].key])
        for axis, field in AXES.items():
            if chart := _draw_chart(same, best, axis, field, source, f" {number} {axis}"):
                yield chart


def _draw_chart(
    rows: Sequence[ScoreRow], best: int | None, name: str, field: str, source: Source, salt: str
) -> Chart | None:
    """Draw comparable scores over an axis; None if there are not two that have a place on it."""
    curve: dict[int, float] = {}
    places: dict[int, float] = {}
    for row in rows:
        place = getattr(row, field) if field else row.step
        if row.step is not None and place is not None:
            curve[row.step], places[row.step] = row.value, place
    if len(curve) < 2:
        return None
    metric = rows[0].metric
    marked = {} if best is None or best not in curve else {metric: best}
    axis = Axis(name, places) if field else None
    chart = draw_curves(
        describe_metric(rows[0]),
        {metric: curve},
        marked,
        salt,
        axis,
        sources={metric: source},
        total=find_total(rows[0]),
        reading=tuple(reading.about_score(rows, is_best_marked=bool(marked))),
    )
    return replace(chart, axis=name)


def score_curve(rows: Iterable[ScoreRow]) -> Curve:
    """Return comparable scores by step; of several at a step, the newest."""
    return {row.step: row.value for row in rows if row.step is not None}


def describe_metric(row: ScoreRow) -> str:
    """Return the title of a metric's plot."""
    name = row.metric
    if row.family == "modes" and (total := find_total(row)) is not None:
        what = "Classes" if "class" in (row.note or "") else "Modes"
        name = f"{what} held of {total:,.0f}{row.metric.removeprefix(row.family)}"
    elif row.family == "high-quality":
        name = "Share of samples near a mode"
    return f"{name}, {better_word(row)} is better"


def find_total(row: ScoreRow) -> float | None:
    """Return the value of a score that would be all; None if there is none."""
    if row.family == "modes" and (found := re.match(r"of (\d{1,9})\b", row.note or "")):
        return float(found[1])
    return 1.0 if row.family == "high-quality" else None


def name_metrics(rows: Iterable[ScoreRow]) -> dict[str, str]:
    """Return a name for each protocol by its key: the metric, numbered if it has several."""
    names: dict[str, str] = {}
    seen: dict[str, int] = {}
    for row in rows:
        if row.key not in names:
            seen[row.metric] = number = seen.get(row.metric, 0) + 1
            names[row.key] = row.metric if number == 1 else f"{row.metric} ({number})"
    return names


def group_comparable(rows: Iterable[ScoreRow]) -> list[list[ScoreRow]]:
    """Group rows that are comparable."""
    found: dict[str, list[ScoreRow]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    return list(found.values())


def better_word(row: ScoreRow) -> str:
    """Return whether higher or lower is better."""
    return "higher" if row.higher_is_better else "lower"


def format_score(row: ScoreRow | None) -> str:
    """Format a score with its deviation; empty if there is none."""
    return "" if row is None else row.format_value().replace("+-", "±")


def list_protocol(row: ScoreRow) -> tuple[tuple[str, str], ...]:
    """Return the fields that a protocol consists of, each with its value."""
    fields: Mapping[str, Any] = row.model_dump(mode="json", exclude=OWN_FIELDS)
    found: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, dict):
            found += [(f"{name}.{part}", str(each)) for part, each in value.items()]
        elif name == "image_size" and value:
            found.append((name, " x ".join(map(str, value))))
        else:
            found.append((name, "none" if value is None else format_argument(value)))
    return tuple(found)
