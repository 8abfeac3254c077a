"""The results of a sweep: scores of each combination over its seeds, ranked if comparable."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.evaluation.compare import Place, ScoreGroup, differences
from ganzoo.media import html
from ganzoo.runs.scores import ScoreRow
from ganzoo.storage.files import write_text
from ganzoo_zoo.apps.sweep.grid import Cell, describe_combination, short_names

TABLE_FILE = "table.csv"
RUNS_FILE = "runs.csv"
PICTURE_FILE = "sweep.png"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a run: its scores, an error, or the step at which a search ended it."""

    scores: list[ScoreRow]
    error: str | None = None
    pruned_at: int | None = None
    """The step at which a search ended it."""


@dataclass(frozen=True)
class Mean:
    """The mean of a score over seeds."""

    metric: str
    value: float
    std: float | None
    """The sample standard deviation over the seeds; None for one seed."""
    higher_is_better: bool

    @classmethod
    def of(cls, rows: Sequence[ScoreRow]) -> Mean:
        """Compute the mean of comparable rows."""
        values = [row.value for row in rows]
        std = statistics.stdev(values) if len(values) > 1 else None
        first = rows[0]
        return cls(first.metric, statistics.fmean(values), std, first.higher_is_better)

    @property
    def rank(self) -> float:
        """Sort key that puts the best score first."""
        return -self.value if self.higher_is_better else self.value

    def as_text(self) -> str:
        """Format the mean and its deviation for a table."""
        return f"{self.value:.4f}" + ("" if self.std is None else f" +- {self.std:.4f}")


@dataclass(frozen=True)
class Line:
    """A combination in the table, within a group of comparable scores."""

    group: int | None
    """Number from 1 of the group; lines of different groups are not comparable. None without
    scores."""
    combination: Mapping[str, str]
    judged: tuple[Cell, ...]
    failed: tuple[Cell, ...]
    pruned: tuple[Cell, ...]
    """Those that a search ended early."""
    means: Mapping[str, Mean]
    """Means by metric, in order of the metrics."""


class Results:
    """The runs of a sweep and their outcomes.

    Args:
        folder: The sweep's folder.
        cells: The runs.
        verdicts: The outcome of each run, by its name.
    """

    def __init__(
        self, folder: Path, cells: Sequence[Cell], verdicts: Mapping[str, Verdict]
    ) -> None:
        self.folder = folder
        self.cells = cells
        self.verdicts = verdicts
        self.lines = self._rank()

    def __repr__(self) -> str:
        first = next(iter(self.lines[0].means.values()), None) if self.lines else None
        best = f", best {first.metric} {first.as_text()}" if first else ""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"<Results {self.folder}: {len(self.cells)} runs{failed}{best}>"

    def _repr_html_(self) -> str:
        parts = [html.heading(repr(self).strip("<>")), html.table(*self.table())]
        if (picture := self.folder / PICTURE_FILE).is_file():
            parts.append(html.picture(picture.read_bytes(), "Scores and samples of the best runs"))
        return "\n".join([*parts, *map(html.text, self.differences())])

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics; the first one ranks."""
        return list(dict.fromkeys(metric for line in self.lines for metric in line.means))

    @property
    def failed(self) -> list[Cell]:
        """The runs that failed."""
        return [cell for cell in self.cells if self.verdicts[cell.name].error is not None]

    def files(self) -> list[str]:
        """Return the names of the sweep's own files."""
        return [TABLE_FILE, RUNS_FILE, *([PICTURE_FILE] if self.metrics else [])]

    def describe_best(self) -> str:
        """Compare the best run of a search with the median of its runs."""
        if not self.metrics:
            return f"no run of {len(self.cells)} was judged"
        judged = [line for line in self.lines if line.group == 1]
        mean = next(iter(judged[0].means.values()))
        median = statistics.median(line.means[mean.metric].value for line in judged)
        pruned = sum(len(line.pruned) for line in self.lines)
        others = f" ({pruned} pruned, {len(self.failed)} failed)"
        return (
            f"best of {len(self.cells)} trials{others}: "
            f"{describe_combination(judged[0].combination)}: {mean.metric} {mean.as_text()}; "
            f"the median of {len(judged)} judged trials is {median:.4f}"
        )

    def differences(self) -> list[str]:
        """Describe why lines are in different groups."""
        groups: dict[str, list[Place]] = {}
        for cell in self.cells:
            for row in self.verdicts[cell.name].scores:
                groups.setdefault(row.key, []).append(Place(1, cell.name, row))
        return differences(
            ScoreGroup(places[0].row.metric, places[0].row.protocol(), tuple(places))
            for places in groups.values()
        )

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows of the printed table."""
        axes, metrics = self._axes(), self.metrics
        several = len({line.group for line in self.lines} - {None}) > 1
        header = [*(["group"] if several else []), *short_names(axes).values(), "seeds", *metrics]
        rows = [
            [
                *([str(line.group or "")] if several else []),
                *(line.combination[axis] for axis in axes),
                _format_count(line),
                *(_format_mean(line, metric) for metric in metrics),
            ]
            for line in self.lines
        ]
        return header, rows

    def as_json(self) -> dict[str, Any]:
        """Return all results as one JSON document."""
        return {
            "sweep": str(self.folder),
            "table": [
                {
                    "group": line.group,
                    "combination": dict(line.combination),
                    "seeds": [cell.seed for cell in line.judged],
                    "failed_seeds": [cell.seed for cell in line.failed],
                    "scores": {
                        metric: {
                            "value": mean.value,
                            "std": mean.std,
                            "higher_is_better": mean.higher_is_better,
                        }
                        for metric, mean in line.means.items()
                    },
                }
                for line in self.lines
            ],
            "differences": self.differences(),
            "runs": [
                {
                    "run": str(self.folder / cell.name),
                    "combination": dict(cell.combination),
                    "seed": cell.seed,
                    "error": self.verdicts[cell.name].error,
                    **self._describe_pruning(cell),
                    "scores": [
                        row.model_dump(mode="json") for row in self.verdicts[cell.name].scores
                    ],
                }
                for cell in self.cells
            ],
        }

    def write(self) -> None:
        """Write the table, and a table of the single runs, as CSV in full precision."""
        axes, metrics = self._axes(), self.metrics
        spread = [name for metric in metrics for name in (metric, f"{metric} std")]
        table: list[list[Any]] = [["group", *axes, "judged", "failed", *spread]]
        for line in self.lines:
            means = [line.means.get(metric) for metric in metrics]
            numbers = [n for mean in means for n in ((mean.value, mean.std) if mean else ("", ""))]
            chosen = [line.combination[axis] for axis in axes]
            table.append([line.group, *chosen, len(line.judged), len(line.failed), *numbers])
        write_text(self.folder / TABLE_FILE, _to_csv(table))
        runs: list[list[Any]] = [["run", *axes, "seed", *metrics, "error"]]
        for cell in self.cells:
            verdict = self.verdicts[cell.name]
            values = {row.metric: row.value for row in verdict.scores}
            chosen = [cell.combination[axis] for axis in axes]
            found = [values.get(metric) for metric in metrics]
            why = verdict.error
            if verdict.pruned_at is not None:
                why = f"pruned at step {verdict.pruned_at}"
            runs.append([cell.name, *chosen, cell.seed, *found, why])
        write_text(self.folder / RUNS_FILE, _to_csv(runs))

    def _rank(self) -> list[Line]:
        """Return a line for each combination and each protocol of its scores."""
        judged: dict[str, dict[str, list[Cell]]] = {}
        failed: dict[str, list[Cell]] = {}
        for cell in self.cells:
            combination, verdict = _to_key(cell.combination), self.verdicts[cell.name]
            failed.setdefault(combination, [])
            if not verdict.scores:
                failed[combination].append(cell)
                continue
            protocol = _to_key(sorted(row.key for row in verdict.scores))
            judged.setdefault(protocol, {}).setdefault(combination, []).append(cell)
        groups = sorted(judged.values(), key=lambda group: -sum(map(len, group.values())))
        lines = []
        for number, group in enumerate(groups, start=1):
            found = [
                self._make_line(number, cells, failed[combination])
                for combination, cells in group.items()
            ]
            lines += sorted(found, key=lambda line: next(iter(line.means.values())).rank)
        without = failed.keys() - {combination for group in groups for combination in group}
        lost = [cells for combination, cells in failed.items() if combination in without]
        return [*lines, *(self._make_line(None, [], cells) for cells in lost)]

    def _make_line(self, group: int | None, judged: list[Cell], failed: list[Cell]) -> Line:
        rows: dict[str, list[ScoreRow]] = {}
        for cell in judged:
            for row in self.verdicts[cell.name].scores:
                rows.setdefault(row.metric, []).append(row)
        means = {metric: Mean.of(found) for metric, found in rows.items()}
        combination = (judged or failed)[0].combination
        lost = [cell for cell in failed if self.verdicts[cell.name].pruned_at is None]
        pruned = [cell for cell in failed if cell not in lost]
        return Line(group, combination, tuple(judged), tuple(lost), tuple(pruned), means)

    def _describe_pruning(self, cell: Cell) -> dict[str, int]:
        step = self.verdicts[cell.name].pruned_at
        return {} if step is None else {"pruned_at": step}

    def _axes(self) -> list[str]:
        return list(self.cells[0].combination)


def _to_key(value: Any) -> str:
    return json.dumps(value if isinstance(value, list) else dict(value))


def _format_count(line: Line) -> str:
    count = len(line.judged)
    return f"{count} of {count + len(line.failed)}" if line.failed else str(count)


def _format_mean(line: Line, metric: str) -> str:
    if mean := line.means.get(metric):
        return mean.as_text()
    return "" if line.judged else "pruned" if line.pruned else "failed"


def _to_csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
