"""Comparison of models by their scores, among those that were measured alike."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.arguments import require_names
from ganzoo.errors import InputError, did_you_mean, escape_text, warn_caller
from ganzoo.media import html
from ganzoo.models.find import find_model
from ganzoo.models.folder import ModelFolder
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import ScoreRow


@dataclass(frozen=True)
class ModelScores:
    """A model and its scores."""

    name: str
    """The name it was given, and which of a run's models it is if there are two."""
    rows: tuple[ScoreRow, ...]
    """The newest score of each protocol."""
    reference: str
    """What ``ganzoo eval`` takes for it."""


@dataclass(frozen=True)
class Place:
    """A model's place among those that were measured alike."""

    rank: int
    """From 1; equal values share a rank."""
    model: str
    row: ScoreRow


@dataclass(frozen=True)
class ScoreGroup:
    """Comparable scores of one metric, the best first."""

    metric: str
    protocol: dict[str, Any]
    """Everything that they have in common, flat, by name."""
    places: tuple[Place, ...]

    @property
    def title(self) -> str:
        """The metric and what was measured, in a line."""
        best = self.places[0].row
        size = "" if best.image_size is None else f", {best.image_size[0]} x {best.image_size[1]}"
        better = "higher" if best.higher_is_better else "lower"
        return (
            f"{self.metric}, {better} is better: {best.fake_samples} fakes against "
            f"{best.real_samples} reals of {best.data['name']} ({best.data['split']}){size}"
        )

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the header and the rows of the ranking, as texts."""
        rows: list[tuple[str, ...]] = [
            (
                str(place.rank),
                place.model,
                place.row.format_value(),
                _format_seeds(place.row.seed, place.row.repeats),
                "" if place.row.step is None else str(place.row.step),
            )
            for place in self.places
        ]
        return ("rank", "model", "value", "seeds", "step"), rows


class Comparison(list[ScoreGroup]):
    """Rankings of models, a group for each protocol; a notebook shows them as tables."""

    @property
    def differences(self) -> list[str]:
        """Why scores of one metric are in several groups, a line for each metric."""
        return differences(self)

    def __repr__(self) -> str:
        lines = []
        for group in self:
            ranking = (
                f"{place.rank}. {escape_text(place.model)} {place.row.format_value()}"
                for place in group.places
            )
            lines.append(f"{group.metric}: {', '.join(ranking)}")
        return f"<Comparison by {'; by '.join(lines)}>"

    def _repr_html_(self) -> str:
        parts = [f"{html.heading(group.title)}{html.table(*group.table())}" for group in self]
        return "\n".join([*parts, *map(html.text, self.differences)])


def compare(
    models: Sequence[str | Path | Run],
    metrics: Sequence[str] = (),
    warn: Callable[[str], None] = warn_caller,
) -> Comparison:
    """Rank models by their recorded scores; nothing is evaluated again.

    A run that kept a best snapshot beside its last model enters with both.

    Args:
        models: Runs, model folders or models of the Hub that ``ganzoo eval`` or
            ``train --eval-every`` has evaluated.
        metrics: Metrics to compare by, with or without their extractor in brackets; all if empty.
        warn: Called with each model that has no such score; by default, it is a Python warning.

    Returns:
        A group for each protocol, those of one metric next to each other. Scores of different
        groups are not comparable; ``differences`` explains why.

    Raises:
        InputError: there is no such model, or none has a score of these metrics.
    """
    if isinstance(models, str | Path | Run):
        raise InputError(f"give models as a list, not {models}")
    metrics = require_names("metrics", metrics)
    judged = [entry for model in models for entry in _read_scores(model)]
    missing = []
    groups: dict[str, list[tuple[str, ScoreRow]]] = {}
    for entry in judged:
        found = [r for r in entry.rows if not metrics or {r.metric, r.family} & set(metrics)]
        for row in found:
            groups.setdefault(row.key, []).append((entry.name, row))
        if not found:
            missing.append(entry)
    if not groups:
        known = sorted({row.metric for entry in judged for row in entry.rows})
        asked = f" by {', '.join(metrics)}" if metrics else ""
        hint = did_you_mean(metrics[0], known) if metrics else ""
        raise InputError(
            f"none of these models has scores{asked}{hint}; evaluate each with: ganzoo eval MODEL"
        )
    for entry in missing:
        warn(_describe_missing(entry, metrics))
    ranked = [_rank_rows(rows) for rows in groups.values()]
    return Comparison(sorted(ranked, key=lambda group: (group.metric, -len(group.places))))


def differences(groups: Iterable[ScoreGroup]) -> list[str]:
    """Explain why scores of one metric are in several groups, one line per metric."""
    families: dict[str, list[ScoreGroup]] = {}
    for group in groups:
        families.setdefault(group.places[0].row.family, []).append(group)
    lines = []
    for family, alike in families.items():
        if len(alike) < 2:
            continue
        names = sorted({name for group in alike for name in group.protocol})
        told = [
            f"{name} ({' / '.join(values)})"
            for name in names
            if len(values := _distinct_values(alike, name)) > 1 and name != "metric"
        ]
        lines.append(
            f"{family}: {len(alike)} groups are not ranked together, as they differ in "
            f"{', '.join(told)}"
        )
    return lines


def _distinct_values(groups: Iterable[ScoreGroup], name: str) -> list[str]:
    """Return the different values of a part of the protocol as text, hashes shortened."""
    found = [group.protocol.get(name, "none") for group in groups]
    words = [
        " x ".join(map(str, value)) if isinstance(value, list) else str(value) for value in found
    ]
    short = [word[:8] if len(word) == 64 else word for word in words]
    return list(dict.fromkeys(short))


def _read_scores(model: str | Path | Run) -> list[ModelScores]:
    folder = find_model(model)
    name = str(model.path if isinstance(model, Run) else model)
    chosen = [(name, name, folder)]
    run = folder.run()
    if run is not None and folder.path == run.model and run.best.is_dir():
        best = ModelFolder(run.best, name)
        if best.config().step != folder.config().step:
            chosen = [(f"{name} (last)", name, folder), (f"{name} (best)", str(run.best), best)]
    return [ModelScores(called, tuple(each.scores()), path) for called, path, each in chosen]


def _describe_missing(entry: ModelScores, metrics: Sequence[str]) -> str:
    asked = f" by {' or '.join(metrics)}" if metrics else ""
    options = "".join(f" --metric {metric.partition('[')[0]}" for metric in metrics)
    return (
        f"{entry.name} has no scores{asked}; get them with: "
        f"ganzoo eval {shlex.quote(entry.reference)}{options}"
    )


def _format_seeds(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first} to {first + count - 1}"


def _rank_rows(rows: list[tuple[str, ScoreRow]]) -> ScoreGroup:
    ordered = sorted(rows, key=lambda named: -named[1].sign * named[1].value)
    values = [row.value for _, row in ordered]
    places = tuple(Place(values.index(row.value) + 1, name, row) for name, row in ordered)
    return ScoreGroup(ordered[0][1].metric, ordered[0][1].protocol(), places)
