"""The scores of a run, grouped by protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganzoo.runs.reproduce import format_argument
from ganzoo.runs.scores import TAKEN, ScoreRow
from ganzoo_zoo.apps.report.charts import Axis, Chart, draw_curves

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
        row = self.rows[0]
        fakes, reals = f"{row.fake_samples:,} fakes", f"{row.real_samples:,} reals"
        through = f" through {row.features.get('name', '')}" if row.features else ""
        return f"{fakes} against {reals} of {row.data.get('name', '')}{through}"


@dataclass(frozen=True)
class Scores:
    """All scores of a run."""

    groups: tuple[Group, ...]
    columns: tuple[str, ...]
    """Titles of the compared steps."""
    charts: tuple[Chart, ...]
    """Plots of the metrics, each over the steps and then over what else is known."""
    left_out: int

    @property
    def axes(self) -> tuple[str, ...]:
        """What the plots are drawn over."""
        return tuple(dict.fromkeys(chart.axis for chart in self.charts))

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the plots, each once."""
        return tuple(chart.title for chart in self.charts if chart.axis == STEPS)


def gather_scores(rows: Sequence[ScoreRow], best: int | None, last: int | None) -> Scores:
    """Group scores by protocol, and draw those with several steps.

    Args:
        rows: Scores in order of evaluation.
        best: Step of the best snapshot, if there is one.
        last: Step of the last model, if there is one.
    """
    shown = rows[-MOST_ROWS:]
    groups: dict[str, list[ScoreRow]] = {}
    for row in shown:
        groups.setdefault(row.model_dump_json(exclude=OWN_FIELDS), []).append(row)
    titles: dict[int, list[str]] = {}
    for step, word in ((best, "best"), (last, "last")):
        if step is not None:
            titles.setdefault(step, []).append(word)
    columns = tuple(f"{' and '.join(words)}, step {step:,}" for step, words in titles.items())
    found = tuple(_build_group(rows, tuple(titles)) for rows in groups.values())
    return Scores(found, columns, tuple(_draw_charts(shown, best)), len(rows) - len(shown))


def _build_group(rows: Sequence[ScoreRow], steps: Sequence[int]) -> Group:
    metrics = []
    for same in _group_comparable(rows):
        first, newest = same[0], {row.step: row for row in same}
        options = ", ".join(
            f"{name}={format_argument(value)}" for name, value in first.options.items()
        )
        values = tuple(_format_score(newest.get(step)) for step in steps)
        metrics.append(Metric(first.metric, _better_word(first), options, values))
    return Group(tuple(metrics), _protocol(rows[0]), tuple(rows))


def _draw_charts(rows: Sequence[ScoreRow], best: int | None) -> Iterator[Chart]:
    """Draw comparable scores at several steps."""
    several = [
        same for same in _group_comparable(rows) if len({row.step for row in same} - {None}) > 1
    ]
    for number, same in enumerate(several[:MOST_CHARTS]):
        for axis, field in AXES.items():
            if chart := _draw_chart(same, best, axis, field, f" {number} {axis}"):
                yield chart


def _draw_chart(
    rows: Sequence[ScoreRow], best: int | None, name: str, field: str, salt: str
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
    title = f"{metric}, {_better_word(rows[0])} is better"
    axis = Axis(name, places) if field else None
    return replace(draw_curves(title, {metric: curve}, marked, salt, axis), axis=name)


def _group_comparable(rows: Iterable[ScoreRow]) -> list[list[ScoreRow]]:
    """Group rows that are comparable."""
    found: dict[str, list[ScoreRow]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    return list(found.values())


def _better_word(row: ScoreRow) -> str:
    return "higher" if row.higher_is_better else "lower"


def _format_score(row: ScoreRow | None) -> str:
    return "" if row is None else row.format_value().replace("+-", "±")


def _protocol(row: ScoreRow) -> tuple[tuple[str, str], ...]:
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
