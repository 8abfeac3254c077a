"""The report of several runs: what differs between them, and what came of it, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.runs.reproduce import format_argument
from ganzoo.storage.files import write_text
from ganzoo_zoo.apps.report import charts, pictures, plots, reading, scores, text, training
from ganzoo_zoo.apps.report.charts import Chart, Source
from ganzoo_zoo.apps.report.collect import ReportData, gather_run
from ganzoo_zoo.apps.report.history import SPEED_TITLE, metric_name
from ganzoo_zoo.apps.report.names import name_runs
from ganzoo_zoo.apps.report.nearest_and_logits import find_reals
from ganzoo_zoo.apps.report.numbers import PREFIX
from ganzoo_zoo.apps.report.page import Frame, build_frames, render_page
from ganzoo_zoo.apps.report.summary import Reports

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run
    from ganzoo.runs.metrics import Curve
    from ganzoo.runs.scores import ScoreRow
    from ganzoo_zoo.apps.report.reals import Reals

MOST_CHARTS = 40
"""The most plots of one page."""
BESIDE = "trackers"
"""An option that does not change what is trained."""


@dataclass(frozen=True)
class Shown:
    """A run on the page."""

    name: str
    """Its folder, with as many folders above as tell it from the others."""
    colour: int
    found: ReportData
    frames: tuple[Frame, ...]
    columns: tuple[str, ...]
    status: str
    command: str
    """The command that trains it again; empty if it is not known here."""


@dataclass(frozen=True)
class Difference:
    """An option in which the runs differ, with its value in each."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A metric, with what each run scored."""

    metric: str
    better: str
    options: str
    values: tuple[tuple[str, ...], ...]
    """For each run its scores, each with where it was taken."""


@dataclass(frozen=True)
class Table:
    """Scores of one protocol."""

    about: str
    rows: tuple[Row, ...]
    protocol: tuple[tuple[str, str], ...]


def write_reports(runs: Sequence[Run], path: Path, neighbours: int) -> Reports:
    """Write the report of several runs to a file; see :func:`ganzoo_zoo.apps.report.report`."""
    names = name_runs(runs)
    budget = pictures.BUDGET // len(runs)
    shown = [
        _show(name, colour, gather_run(run, 0, budget, name))
        for colour, (name, run) in enumerate(zip(names, runs, strict=True))
    ]
    missing = [f"{run.name}: {reason}" for run in shown for reason in run.found.missing]
    reals: Reals | None = None
    fingerprints = {run.found.config.data_fingerprint for run in shown}
    if neighbours and len(fingerprints) == 1 and None not in fingerprints:
        analysis = find_reals(runs[0], shown[0].found.layout)
        reals = analysis.reals
        missing += [f"{names[0]}: {reason}" for reason in analysis.missing]
    curves = list(_draw_curves(shown))[:MOST_CHARTS]
    scored = list(_draw_scores(shown))[: MOST_CHARTS - len(curves) // 2]
    page = _render(shown, curves, scored, reals, missing)
    write_text(path, page)
    return Reports(
        file=path,
        bytes=len(page.encode()),
        runs=tuple(run.path for run in runs),
        curves=tuple(chart.title for chart in (*curves, *scored)),
        pictures=sum(len(run.frames) for run in shown),
        missing=tuple(missing),
    )


def _show(name: str, colour: int, found: ReportData) -> Shown:
    commands = training.commands(found.config)
    return Shown(
        name,
        colour,
        found,
        tuple(build_frames(found)),
        found.columns,
        text.status(found),
        commands[0] if commands else "",
    )


def list_differences(shown: Sequence[Shown]) -> list[Difference]:
    """Return the options in which the configurations differ, by name."""
    first, *others = (run.found.config for run in shown)
    changes = [first.changes(other) for other in others]
    own: dict[str, Any] = {}
    for change in changes:
        own |= {key: mine for key, (mine, _) in change.items() if key != BESIDE}
    return [
        Difference(
            key,
            tuple(
                "–" if value is None else format_argument(value)
                for value in (
                    own[key],
                    *(change[key][1] if key in change else own[key] for change in changes),
                )
            ),
        )
        for key in sorted(own)
    ]


def _draw_curves(shown: Sequence[Shown]) -> Iterator[Chart]:
    """Draw each curve of the logs in a plot of its own, with a line for each run."""
    found: dict[tuple[str, str], dict[str, Curve]] = {}
    for run in shown:
        for title, curves in run.found.history.curves.items():
            for label, curve in curves.items():
                found.setdefault((title, label), {})[run.name] = curve
    numbers: dict[str, dict[str, Curve]] = {}
    for run in shown:
        for name, curve in run.found.numbers.curves.items():
            numbers.setdefault(name, {})[run.name] = curve
    most = plots.points_each(sum(map(len, (*found.values(), *numbers.values()))))
    order = {title: None for title, _ in found}
    for title, label in sorted(found, key=lambda each: list(order).index(each[0])):
        yield _draw(
            shown,
            title if title == SPEED_TITLE else f"{title}: {label}",
            found[title, label],
            metric_name(title, label),
            most=most,
            reading=[hint for hint in reading.about_curves(title) if hint != reading.LOSS],
        )
    modes = {run.found.numbers.modes for run in shown} - {None}
    for name, curves in numbers.items():
        title = plots.NUMBERS[name]
        yield _draw(
            shown,
            f"{title}: {name}" if title == plots.DIVERGENCE else title,
            curves,
            f"{PREFIX}/{name}",
            total=plots.number_total(title, modes.pop() if len(modes) == 1 else None),
            most=most,
        )


def _draw_scores(shown: Sequence[Shown]) -> Iterator[Chart]:
    """Draw comparable scores of all runs, of which one has two at least."""
    names = scores.name_metrics(row for run in shown for row in run.found.rows)
    found: dict[str, dict[str, list[ScoreRow]]] = {}
    for run in shown:
        for rows in scores.group_comparable(run.found.rows):
            found.setdefault(rows[0].key, {})[run.name] = rows
    for number, (key, by_run) in enumerate(found.items()):
        curves = {name: scores.score_curve(rows) for name, rows in by_run.items()}
        curves = {name: curve for name, curve in curves.items() if curve}
        if max(map(len, curves.values()), default=0) < 2:
            continue
        every = [row for rows in by_run.values() for row in rows]
        yield _draw(
            shown,
            scores.describe_metric(every[0]),
            curves,
            names[key],
            marked={
                run.name: best
                for run in shown
                if (best := run.found.progress.best) in curves.get(run.name, {})
                and best is not None
            },
            salt=f" {number}",
            total=scores.find_total(every[0]),
            reading=tuple(reading.about_score(every, is_best_marked=True)),
        )


def _draw(
    shown: Sequence[Shown], title: str, curves: Mapping[str, Curve], metric: str, **given: Any
) -> Chart:
    sources = {run.name: Source(run.name, metric, run.colour) for run in shown}
    return charts.draw_curves(title, curves, sources=sources, **given)


def _tabulate(shown: Sequence[Shown]) -> list[Table]:
    groups: dict[str, dict[str, dict[str, list[ScoreRow]]]] = {}
    for run in shown:
        for rows in scores.group_comparable(run.found.rows):
            protocol = scores.protocol_key(rows[0])
            groups.setdefault(protocol, {}).setdefault(rows[0].key, {})[run.name] = rows
    tables = []
    for metrics in groups.values():
        firsts = [next(iter(by_run.values()))[0] for by_run in metrics.values()]
        tables.append(
            Table(
                scores.describe_group(firsts[0]),
                tuple(
                    Row(
                        first.metric,
                        scores.better_word(first),
                        scores.describe_options(first),
                        tuple(tuple(_cells(run, by_run.get(run.name, ()))) for run in shown),
                    )
                    for first, by_run in zip(firsts, metrics.values(), strict=True)
                ),
                scores.list_protocol(firsts[0]),
            )
        )
    return tables


def _cells(run: Shown, rows: Iterable[ScoreRow]) -> Iterator[str]:
    """Yield the scores of the best and of the last model; the newest one if there are neither."""
    newest = {row.step: row for row in rows}
    steps: dict[int | None, list[str]] = {}
    for step, word in ((run.found.progress.best, "best"), (run.found.progress.model, "last")):
        if step in newest and step is not None:
            steps.setdefault(step, []).append(word)
    if newest and not steps:
        steps[list(newest)[-1]] = []
    for step, words in steps.items():
        where = ", ".join([*words, *([] if step is None else [f"step {step:,}"])])
        yield f"{scores.format_score(newest[step])} ({where})"


def _hints(shown: Sequence[Shown], tables: Sequence[Table]) -> Iterator[str]:
    yield from reading.about_extractors(row for run in shown for row in run.found.rows)
    if len(tables) > 1:
        yield reading.PROTOCOLS


def _render(
    shown: Sequence[Shown],
    curves: Sequence[Chart],
    scored: Sequence[Chart],
    reals: Reals | None,
    missing: Sequence[str],
) -> str:
    tables = _tabulate(shown)
    warned = [f"{run.name}: {each}" for run in shown for each in text.warnings(run.found)]
    differences = list_differences(shown)
    configs = [run.found.config for run in shown]
    sections = [("runs", "Runs"), ("differences", "Differences"), ("samples", "Samples")]
    sections += [("curves", "Curves"), ("scores", "Scores"), ("again", "Reproduce")]
    sections += [("missing", "Not shown")] if missing else []
    return render_page(
        "several.html",
        title=f"{len(shown)} runs side by side",
        name=", ".join(run.name for run in shown),
        sections=sections,
        runs=shown,
        facts=[dict((word, value) for word, value, _ in text.facts(run.found)) for run in shown],
        warnings=warned,
        differences=differences,
        playable=len({frame.picture.step for run in shown for frame in run.frames}) > 1,
        with_surface=any(run.found.surfaces for run in shown),
        reals=reals,
        about_reals=text.about_reals(reals) if reals else "",
        plots=curves,
        curve_hints=list(reading.about_runs(configs, [each.name for each in differences])),
        score_plots=scored,
        score_hints=list(_hints(shown, tables)),
        tables=tables,
        missing=missing,
        data=[dict(plot.data) for plot in (*curves, *scored)],
    )
