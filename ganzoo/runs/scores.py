"""Scores as they are kept: with all that decides whether one compares with another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ganzoo.errors import InputError
from ganzoo.storage.files import regular_size, write_text
from ganzoo.storage.json_files import append_line, flatten, read_json, to_json

SCORES_FILE = "scores.json"
"""The scores of a model folder, beside its weights."""
SCORE_LOG_FILE = "scores.jsonl"
"""The scores of a run, a line each."""
INCIDENTAL = ("value", "std", "seed", "repeats", "step", "note")
"""What may differ between scores that compare."""
LONGEST_FILE = 64 << 20


class ScoreRow(BaseModel):
    """A score with all that decides whether it compares with another.

    Rows are comparable when all but :data:`INCIDENTAL` agree.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: str
    """The metric's name, with the extractor's in brackets where it is not the standard one."""
    value: float
    std: float | None
    """Standard deviation: over the sampling seeds, or the metric's own if there was one seed."""
    higher_is_better: bool
    options: dict[str, Any] = {}
    """Options of the metric."""
    features: dict[str, str] | None
    """Name and SHA-256 of the weights of the feature extractor."""
    data: dict[str, str]
    """Name, split and fingerprint of the reals."""
    real_samples: int
    fake_samples: int
    image_size: tuple[int, int] | None
    seed: int
    """Seed of the fakes, the first of several."""
    repeats: int = 1
    """Seeds that the value is the mean of."""
    step: int | None
    """Generator updates of the model; None where no model was judged."""
    note: str | None
    versions: dict[str, str]

    def protocol(self) -> dict[str, Any]:
        """Return what must agree with another score for the two to compare, flat, by name."""
        return flatten(self.model_dump(mode="json", exclude=set(INCIDENTAL)))

    @property
    def key(self) -> str:
        """The protocol as one text, equal for two scores that compare."""
        return json.dumps(self.protocol(), sort_keys=True)

    @property
    def family(self) -> str:
        """Name of the metric, whatever it looked through."""
        return self.metric.partition("[")[0]

    @property
    def sign(self) -> int:
        """1 if higher is better, or else -1."""
        return 1 if self.higher_is_better else -1

    def format_value(self) -> str:
        """Return the value as tables show it."""
        return f"{self.value:.4f}" + ("" if self.std is None else f" +- {self.std:.4f}")


_ROWS = TypeAdapter(list[ScoreRow])


def write_scores(folder: Path, rows: Iterable[ScoreRow]) -> None:
    """Write the scores of a model folder."""
    write_text(folder / SCORES_FILE, to_json([row.model_dump(mode="json") for row in rows]))


def log_scores(path: Path, rows: Iterable[ScoreRow]) -> None:
    """Add scores to those of a run."""
    for row in rows:
        append_line(path, row.model_dump(mode="json"))


def read_scores(folder: Path) -> list[ScoreRow]:
    """Read the scores of a model folder; none if it has no file of them.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / SCORES_FILE
    if not path.exists():
        return []
    rows = read_json(path)
    try:
        return _ROWS.validate_python(rows)
    except ValidationError:
        raise InputError(f"{path} holds no scores; judge the model anew") from None


def read_logged_scores(path: Path) -> list[ScoreRow]:
    """Read the scores of a run, in the order they were found; none if it was never judged.

    Lines that another version wrote, or that a killed process tore, are passed over.
    """
    if not path.exists():
        return []
    if regular_size(path) > LONGEST_FILE:
        raise InputError(f"{path} is larger than any list of scores")
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(ScoreRow.model_validate(json.loads(line)))
        except (ValueError, RecursionError):
            continue
    return rows
