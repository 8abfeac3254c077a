"""The models of the box: what each scores, what real samples score, and whether it copies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tables import DOCS, link, table

FOLDER = DOCS.parent / "plugins" / "ganzoo_zoo" / "models"
HEADER = ("model", "score", "of the model", "of real samples", "generated / real samples", "of")
COPIES = ("nearest-distance", "authenticity")
"""Scores that tell whether samples are near copies of reals."""
SHOWN = ("fid", "is", "precision", "recall", "modes", "high-quality", "psnr", "ssim", *COPIES)
"""Scores that stand in the table, without the names of networks."""


def names() -> list[str]:
    """Return the names of all models."""
    return sorted(path.parent.name for path in FOLDER.glob("*/scores.json"))


def render(page: Path) -> str:
    """Return a table with a row for each score of each model."""
    return table(HEADER, (row for name in names() for row in _rows(page, name)))


def _rows(page: Path, name: str) -> Iterator[list[str]]:
    path = FOLDER / name / "scores.json"
    scores = json.loads(path.read_text(encoding="utf-8"))
    reals = _place_reals(scores)
    first = link(page, name, path)
    for place, row in enumerate(scores):
        if row["step"] is None or row["metric"].partition("[")[0] not in SHOWN:
            continue
        other = _find_source(row, scores) or reals.get(place)
        data = f"`{row['data']['name']}` ({row['data'].get('split', 'all')})"
        counts = f"{row['fake_samples']:,} / {row['real_samples']:,}"
        yield [first, f"`{row['metric']}`", _format(row), _format_other(row, other), counts, data]
        first = ""


def _place_reals(scores: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the scores of real samples, by the places of the model's scores most like them."""
    found = {}
    for real in (row for row in scores if row["step"] is None):
        alike = [
            place
            for place, row in enumerate(scores)
            if row["step"] is not None and row["metric"] == real["metric"]
        ]
        if alike:
            found[min(alike, key=lambda place: _difference(scores[place], real))] = real
    return found


def _difference(row: Mapping[str, Any], real: Mapping[str, Any]) -> int:
    return abs(row["real_samples"] - real["real_samples"])


def _find_source(row: Mapping[str, Any], scores: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    """Return the score of a translator's sources, which stands in for that of real samples."""
    wanted = f"source-{row['metric']}"
    return next((other for other in scores if other["metric"] == wanted), None)


def _format(row: Mapping[str, Any]) -> str:
    spread = "" if row["std"] is None else f" ± {row['std']:.3g}"
    return f"{row['value']:.4g}{spread}"


def _format_other(row: Mapping[str, Any], other: Mapping[str, Any] | None) -> str:
    if other is None:
        return ""
    if other["metric"] != row["metric"]:
        return f"{other['value']:.4g} (its sources)"
    counts = f"{other['fake_samples']:,} / {other['real_samples']:,}"
    return f"{other['value']:.4g} ({counts})"
