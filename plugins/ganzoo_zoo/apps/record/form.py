"""The form of a record: one configuration, and what each of its runs gave."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ganzoo.component import explain_error
from ganzoo.errors import InputError
from ganzoo.runs.machines import MachineRow
from ganzoo.runs.scores import INCIDENTAL, ScoreRow
from ganzoo.storage.files import write_text
from ganzoo.storage.json_files import read_json, to_json

FINISHED, STOPPED, DIVERGED = "finished", "stopped", "diverged"
"""States of a run in a record."""


class Part(BaseModel):
    """Base of what a record consists of."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Part):
    """The data of the trainings."""

    name: str
    split: str | None
    fingerprint: str | None
    samples: int | None
    """Number of samples; None if the data are not here."""
    shape: tuple[int, ...] | None
    """Shape of a sample; None if there is no model that says it."""
    classes: int | None


class Parameters(Part):
    """Numbers of parameters of the networks."""

    generator: int
    discriminator: int | None


class Picture(Part):
    """The picture of a model, in a file beside the record."""

    file: str
    sha256: str
    seed: int


class Failure(Part):
    """The divergence with which a run ended."""

    step: int
    message: str


class WarningSpan(Part):
    """A warning of a run, and the steps at which it began and ended."""

    name: str
    began: int
    ended: int | None


class Memorised(Part):
    """Share of a sample picture's samples that repeat a training image."""

    last: float
    highest: float


class SeedRun(Part):
    """A run: the training of one seed."""

    seed: int
    state: Literal["finished", "stopped", "diverged"]
    step: int
    """Steps done."""
    steps: int
    """Steps of the whole training."""
    images_seen: int
    """Real images that the discriminator was shown."""
    seconds: float | None
    """Time by the clock, without scoring; None if it is unknown."""
    processor_seconds: float | None
    retries: int | None
    """How often it diverged and went back to a checkpoint; None if it has no checkpoint left."""
    failure: Failure | None
    warnings: tuple[WarningSpan, ...]
    versions: dict[str, str]
    machine: tuple[MachineRow, ...] | None
    """A row for each start and resume; None for a run that did not note them."""
    best_step: int | None
    """The step of the best snapshot's model, if one was kept."""
    memorised: Memorised | None
    """None if it was not watched."""
    scores: tuple[ScoreRow, ...] = Field(exclude=True)
    """All scores, by step; files refer to their protocols by number."""

    @property
    def is_judged(self) -> bool:
        """Whether anything was judged."""
        return bool(self.scores)


class Record(Part):
    """What the runs of one configuration gave."""

    format: Literal[1] = 1
    title: str
    recipe: str | None
    """The installed recipe of the same configuration, if there is one."""
    hash: str
    """:func:`ganzoo.recipes.hash_recipe` of the runs."""
    nearest: str | None
    """The installed recipe of the same architecture and loss that differs least."""
    differences: dict[str, tuple[Any, Any]]
    """Options by their full names that differ from the nearest recipe: its value and the runs'."""
    config: dict[str, Any] | None
    """The whole configuration, if no recipe has it."""
    command: str
    """The command that trains the first seed."""
    data: Data
    parameters: Parameters | None
    picture: Picture | None
    seeds: tuple[SeedRun, ...]

    @property
    def key(self) -> tuple[str, str | None]:
        """What the runs of one record have in common: their configuration, and their data."""
        return self.hash, self.data.fingerprint

    @property
    def name(self) -> str:
        """A name for its file, without a suffix."""
        if self.recipe is not None:
            return self.recipe.rpartition(":")[2]
        words = self.title.replace(" trained with ", "-").replace(" on ", "-")
        return f"{words}-{self.hash}"

    def merge(self, newer: Record) -> Record:
        """Return the record with the runs of another one, which replace those of the same seeds.

        Whichever has the lowest seed says what is not of a seed; what it does not know, the other
        one says.

        Raises:
            InputError: it is of another configuration, or of other data.
        """
        if self.key != newer.key:
            what = "configuration" if self.hash != newer.hash else "data"
            raise InputError(
                f"the runs of {newer.title} ({newer.hash}) are of another {what} than those of "
                f"{self.title} ({self.hash})"
            )
        seeds = {each.seed: each for each in (*self.seeds, *newer.seeds)}
        first, second = (newer, self) if seeds[min(seeds)] in newer.seeds else (self, newer)
        known = {name: value for name, value in first.data if value is not None}
        update = {
            "data": second.data.model_copy(update=known),
            "parameters": first.parameters or second.parameters,
            "picture": first.picture or second.picture,
            "seeds": tuple(seeds[seed] for seed in sorted(seeds)),
        }
        return first.model_copy(update=update)

    def to_tree(self) -> dict[str, Any]:
        """Return the record as JSON values; each protocol stands there once."""
        tree = self.model_dump(mode="json")
        protocols: dict[str, dict[str, Any]] = {}
        for row in sorted(
            (row for run in self.seeds for row in run.scores), key=lambda row: row.key
        ):
            protocols.setdefault(row.key, row.model_dump(mode="json", exclude=set(INCIDENTAL)))
        numbers = {key: number for number, key in enumerate(protocols)}
        for run, written in zip(self.seeds, tree["seeds"], strict=True):
            written["judged"] = run.is_judged
            written["scores"] = [
                {"protocol": numbers[row.key], **row.model_dump(mode="json", include={*INCIDENTAL})}
                for row in run.scores
            ]
        seeds = tree.pop("seeds")
        return {**tree, "protocols": [*protocols.values()], "seeds": seeds}

    @classmethod
    def from_tree(cls, tree: Any) -> Record:
        """Read what :meth:`to_tree` returned.

        Raises:
            ValueError, LookupError, TypeError or AttributeError: it is not a record.
        """
        protocols = tree["protocols"]
        seeds = [
            {
                **{name: value for name, value in run.items() if name != "judged"},
                "scores": [_unpack(row, protocols) for row in run["scores"]],
            }
            for run in tree["seeds"]
        ]
        about = {name: value for name, value in tree.items() if name != "protocols"}
        return cls.model_validate({**about, "seeds": seeds})

    def write(self, path: Path) -> None:
        """Write the record to a file."""
        write_text(path, to_json(self.to_tree()))


def _unpack(row: Mapping[str, Any], protocols: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a score of a file with its protocol."""
    number = row["protocol"]
    if not 0 <= number < len(protocols):
        raise LookupError(f"there is no protocol {number}")
    return {**protocols[number], **{key: row[key] for key in row if key != "protocol"}}


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        InputError: the file is missing, damaged, or not a record.
    """
    tree = read_json(path)
    try:
        return Record.from_tree(tree)
    except ValidationError as error:
        raise InputError(f"{path} is not a record: {explain_error(error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise InputError(f"{path} is not a record of ganzoo record") from None


def sort_scores(rows: Iterable[ScoreRow]) -> tuple[ScoreRow, ...]:
    """Return scores by step; of those that were taken again in the same way, the last one."""
    found: dict[str, ScoreRow] = {}
    for row in rows:
        found[json.dumps([row.key, row.step, row.seed, row.repeats])] = row
    return tuple(sorted(found.values(), key=lambda row: (row.step or 0, row.key, row.seed)))
