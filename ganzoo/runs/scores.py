"""Scores as they are stored, with everything that decides whether two are comparable."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

from ganzoo.errors import InputError, escape_text
from ganzoo.media import html
from ganzoo.runs.file_names import SCORES_FILE
from ganzoo.storage.files import regular_size, write_text
from ganzoo.storage.json_files import (
    append_line,
    flatten,
    read_json,
    read_lines,
    to_json,
    warn_of_damaged_lines,
)

SCORE_LOG_FILE = "scores.jsonl"
"""The scores of a run, one in each line."""
TAKEN = ("images_seen", "seconds", "processor_seconds")
"""Fields that say what the training took until a score, beside its step."""
INCIDENTAL = ("value", "std", "seed", "repeats", "step", "note", *TAKEN)
"""Fields in which comparable scores may differ."""
MEASURED = ("images_per_second", "seconds", "processor_seconds")
"""Fields of a run's lines of metrics and scores that differ each time that it is trained.

All else that a run writes is the same each time, except for the time in its checkpoints, which no
manifest lists, and what trackers make of these fields."""
LONGEST_TIME = 1e12
"""Seconds that no training takes, even by many processors."""
LONGEST_FILE = 64 << 20
"""Bytes of a run's scores, at most."""


class ScoreRow(BaseModel):
    """A score with everything that decides whether it is comparable with another.

    Two scores are comparable if all of their fields agree, except those in :data:`INCIDENTAL`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: str
    """The metric's name, and the feature extractor's in brackets if it is not the standard one."""
    value: float
    std: float | None
    """Standard deviation over the seeds of samples, or the metric's own if there was one seed."""
    higher_is_better: bool
    options: dict[str, Any] = {}
    """Options of the metric."""
    features: dict[str, str] | None
    """Name and SHA-256 of the weights of the feature extractor."""
    data: dict[str, str]
    """Name, split and fingerprint of the dataset of the real samples."""
    real_samples: int
    fake_samples: int
    image_size: tuple[int, int] | None
    seed: int
    """Seed of the generated samples; the first one if there are several."""
    repeats: int = 1
    """Number of seeds; the value is the mean over them."""
    step: int | None
    """Generator updates of the model; None if real samples were scored instead of a model."""
    note: str | None
    versions: dict[str, str]
    images_seen: int | None = Field(default=None, ge=0, lt=2**63)
    """Real images that the discriminator was shown. Only scores of a training have this and the
    next fields, and only in the run's list; rows omit None."""
    seconds: float | None = Field(default=None, ge=0, lt=LONGEST_TIME)
    """Time of the training until this step by the clock, without its scoring."""
    processor_seconds: float | None = Field(default=None, ge=0, lt=LONGEST_TIME)
    """The same of processors, summed over cores and processes."""

    @model_serializer(mode="wrap")
    def _omit_unknown(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree = serialize(self)
        return {name: each for name, each in tree.items() if name not in TAKEN or each is not None}

    def without_time(self) -> ScoreRow:
        """Return the score as one of a model, which does not say what the training took."""
        return self.model_copy(update=dict.fromkeys(TAKEN))

    def protocol(self) -> dict[str, Any]:
        """Return the fields that must agree between comparable scores, flat, by dotted name."""
        return flatten(self.model_dump(mode="json", exclude=set(INCIDENTAL)))

    @property
    def key(self) -> str:
        """The protocol as one text, which is equal for comparable scores."""
        return json.dumps(self.protocol(), sort_keys=True)

    @property
    def family(self) -> str:
        """Name of the metric without its feature extractor."""
        return self.metric.partition("[")[0]

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1."""
        return 1 if self.higher_is_better else -1

    def format_value(self) -> str:
        """Format the value and its deviation for tables."""
        return f"{self.value:.4f}" + ("" if self.std is None else f" +- {self.std:.4f}")


class ScoreTable(list[ScoreRow]):
    """Scores that show themselves as a table, at a prompt and in a notebook."""

    HEADER = ("metric", "value", "better", "step", "fakes", "reals", "data")

    def __repr__(self) -> str:
        if not self:
            return "no scores"
        rows = [self.HEADER, *self.cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        return html.table(self.HEADER, self.cells()) if self else html.text("no scores")

    def cells(self) -> list[tuple[str, ...]]:
        """Return the cells of the table, a row for each score."""
        return [
            (
                escape_text(row.metric),
                row.format_value().replace("+-", "±"),
                "higher" if row.higher_is_better else "lower",
                "" if row.step is None else f"{row.step:,}",
                f"{row.fake_samples:,}",
                f"{row.real_samples:,}",
                escape_text(row.data.get("name", "")),
            )
            for row in self
        ]


_ROWS = TypeAdapter(list[ScoreRow])


def write_scores(folder: Path, rows: Iterable[ScoreRow]) -> None:
    """Write the scores of a model to its folder."""
    write_text(folder / SCORES_FILE, to_json([row.model_dump(mode="json") for row in rows]))


def log_scores(path: Path, rows: Iterable[ScoreRow]) -> None:
    """Append scores to those of a run."""
    for row in rows:
        append_line(path, row.model_dump(mode="json"))


def read_scores(folder: Path) -> list[ScoreRow]:
    """Read the scores of a model from its folder; an empty list if there are none.

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
        raise InputError(f"{path} contains no scores; evaluate the model again") from None


def read_logged_scores(path: Path) -> ScoreTable:
    """Read the scores of a run in their order; an empty list if it was never evaluated.

    Lines that another version wrote or that are damaged are skipped with a warning.

    Raises:
        InputError: the file is far too large.
        OSError: it cannot be read; the error names it.
    """
    rows, skipped = ScoreTable(), 0
    if not path.exists():
        return rows
    if regular_size(path) > LONGEST_FILE:
        raise InputError(f"{path} is larger than any list of scores")
    for line in read_lines(path):
        try:
            rows.append(ScoreRow.model_validate(json.loads(line)))
        except (ValueError, RecursionError):
            skipped += 1
    warn_of_damaged_lines(path, skipped)
    return rows
