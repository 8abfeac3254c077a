"""What the defaults give: two tables, of images and of points."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import DOCS, RECORDS, link, read_rows, relative, table

FOLDER = RECORDS / "defaults"
PICTURES = DOCS / "images"
LOSSES = (
    *("minimax", "non-saturating", "lsgan", "hinge", "wgan", "wgan-gp", "r3gan"),
    "unrolled",
)
POINT_LOSSES = ("non-saturating", "wgan-gp", "r3gan")
ONCE = (
    *(("progan", "wgan-gp", "digits"), ("stylegan2", "non-saturating", "digits")),
    *(("sagan", "hinge", "digits"), ("biggan", "hinge", "digits")),
    *(("acgan", "non-saturating", "digits"), ("infogan", "non-saturating", "digits")),
)
"""Trainings of the first seed alone, as they take long."""
LINES = (
    *(("dcgan", loss, "digits") for loss in LOSSES),
    *(("mlp", loss, "digits") for loss in LOSSES),
    ("sngan", "hinge", "digits"),
    ("r3gan", "r3gan", "digits"),
    *ONCE,
    *(("mlp", loss, data) for data in ("ring", "grid") for loss in POINT_LOSSES),
)
"""Architecture, loss and data of each training."""
FIRST = "0.1.0"
"""The defaults that the present ones are shown beside."""
MODES = {"ring": 8, "grid": 25}
IMAGES_HEADER = (
    *("command", "`fid[digits-cnn]`", "`is[digits-cnn]`", "steps", "processor seconds"),
    *(f"`fid` of {FIRST}'s defaults", "`is`", "picture"),
)
POINTS_HEADER = (
    *("command", "modes", "of high quality", "steps", "processor seconds"),
    *(f"modes of {FIRST}'s defaults", "of high quality", "picture"),
)


def record_path(names: Sequence[str]) -> Path:
    """Return the file of a training's records."""
    return FOLDER / f"{'-'.join(names)}.jsonl"


def picture_path(names: Sequence[str]) -> Path:
    """Return the picture of a training's first seed."""
    return PICTURES / f"default-{'-'.join(names)}.png"


def is_first(row: Mapping[str, Any]) -> bool:
    """Tell whether a record is of the defaults of the first version."""
    return row.get("defaults") == FIRST


def render(page: Path) -> str:
    """Return both tables, of images and of points."""
    images = [line for line in LINES if line[2] not in MODES]
    points = [line for line in LINES if line[2] in MODES]
    return "\n\n".join(
        (
            table(IMAGES_HEADER, _rows(page, images)),
            table(POINTS_HEADER, _rows(page, points)),
        )
    )


def _rows(page: Path, lines: Sequence[tuple[str, str, str]]) -> Iterator[list[str]]:
    for line in lines:
        now, first = _read(line)
        if not now:
            continue
        cells = [link(page, _command(line), record_path(line))]
        cells += [*_judged(now, line[2]), f"{now[0]['steps']:,}", _seconds(now)]
        cells += _judged(first, line[2])
        what = "1,000 points" if line[2] in MODES else "16 samples"
        yield [*cells, f"![{what}]({relative(page, picture_path(line))})"]


def _read(
    line: tuple[str, str, str],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return a line's records, now and of the first version, by seed."""
    mine = sorted(read_rows(record_path(line)), key=lambda row: row["seed"])
    return [row for row in mine if not is_first(row)], [row for row in mine if is_first(row)]


def _command(line: tuple[str, str, str]) -> str:
    architecture, loss, data = line
    words = ["ganzoo train", architecture, "--loss", loss]
    return f"`{' '.join(words if data == 'digits' else [*words, '--data', data])}`"


def _judged(rows: Sequence[Mapping[str, Any]], data: str) -> list[str]:
    """Return the two cells of the scores."""
    if data in MODES:
        return _modes(rows, data)
    return [_score(rows, "fid", 1), _score(rows, "is", 2)]


def _score(rows: Sequence[Mapping[str, Any]], metric: str, digits: int) -> str:
    """Return a score's mean and, behind it, that of each seed."""
    if any(row.get("failed") for row in rows):
        return "diverged"
    if not rows:
        return ""
    key = next(name for name in rows[0]["scores"] if name.partition("[")[0] == metric)
    values = [row["scores"][key] for row in rows]
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    return f"**{statistics.mean(values):.{digits}f}** ({each})"


def _modes(rows: Sequence[Mapping[str, Any]], data: str) -> list[str]:
    if not rows or any(row.get("failed") for row in rows):
        return ["diverged" if rows else "", ""]
    modes = ", ".join(f"{row['scores']['modes']:.0f}" for row in rows)
    shares = [100 * row["scores"]["high-quality"] for row in rows]
    each = ", ".join(f"{share:.1f}" for share in shares)
    return [f"{modes} of {MODES[data]}", f"**{statistics.mean(shares):.1f} %** ({each})"]


def _seconds(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"{statistics.mean(row.get('cpu_seconds', float('nan')) for row in rows):.0f}"
