"""The grid of a sweep: all combinations of components, options and seeds."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganzoo.component import Options
from ganzoo.config import RunConfig
from ganzoo.errors import InputError
from ganzoo.resolve import resolve
from ganzoo_zoo.apps.sweep.ranges import Range

MOST = 1000
"""The most runs of a sweep."""
LONGEST_VALUE = 40
"""The most characters of a value in a run's name, the last ones, because paths start alike."""
LONGEST_NAME = 200
"""The most characters of a run's name, which is also its folder's."""
SEED = "train.seed"


class Grid(Options):
    """The values to combine: each run has one of every list.

    Names and values are texts, as for ``ganzoo train``.
    """

    architectures: tuple[str, ...]
    losses: tuple[str, ...] = ()
    """If empty, each architecture's default."""
    data: str | None = None
    """If None, each architecture's default."""
    settings: dict[str, tuple[str, ...]] = {}
    """Values of options by their full names, such as ``{"arch.base_channels": ("32", "64")}``."""
    seeds: tuple[int, ...] = (0,)

    def size(self) -> int:
        """Return the number of runs."""
        return math.prod(len(values) for _, values in self._axes())

    def describe(self) -> str:
        """Describe the number of runs and how it comes about."""
        parts = [f"{len(values)} {what}" for what, values in self._axes() if len(values) > 1]
        size = self.size()
        runs = "1 run" if size == 1 else f"{size} runs"
        return f"{runs}: {' x '.join(parts)}" if len(parts) > 1 else runs

    def cells(self) -> list[Cell]:
        """Resolve all runs of the grid, in order of their seeds.

        Raises:
            InputError: a name, an option or a value is wrong (the message names the run), a value
                is given twice, or there are too many runs.
        """
        if self.size() > MOST:
            raise InputError(f"{self.describe()}; a sweep has at most {MOST:,}, so make several")
        for what, values in self._axes():
            if twice := [value for value in values if values.count(value) > 1]:
                raise InputError(f"{what}: {twice[0]} is given twice")
        for key, values in self.settings.items():
            if ranges := [value for value in values if Range.is_written(value)]:
                raise InputError(f"{key}: {ranges[0]} is a range; search it with --sampler optuna")
        if SEED in self.settings:
            raise InputError(f"{SEED} is set by --seeds")
        cells: dict[str, Cell] = {}
        runs: dict[str, str] = {}
        for cell in self._combine():
            number = 2
            name = cell.name
            while cell.name in cells:
                cell = cell.with_name(f"{name}-{number}")
                number += 1
            cells[cell.name] = cell
            first = runs.setdefault(cell.config.model_dump_json(), cell.name)
            if first != cell.name:
                raise InputError(f"{first} and {cell.name} are the same run")
        return list(cells.values())

    def _axes(self) -> Iterator[tuple[str, Sequence[str | int]]]:
        yield "architectures", self.architectures
        yield "losses", self.losses or ("",)
        yield from self.settings.items()
        yield "seeds", self.seeds

    def _combine(self) -> Iterator[Cell]:
        varied = [key for key, values in self.settings.items() if len(values) > 1]
        losses: tuple[str | None, ...] = self.losses or (None,)
        for (seed, architecture, loss), values in itertools.product(
            itertools.product(self.seeds, self.architectures, losses),
            itertools.product(*self.settings.values()),
        ):
            settings = dict(zip(self.settings, values, strict=True))
            chosen = {key: settings[key] for key in varied}
            settings[SEED] = str(seed)
            try:
                config = resolve(architecture, loss, self.data, settings)
            except InputError as error:
                given = [architecture, *([loss] if loss else []), *_format_settings(chosen)]
                raise type(error)(f"{', '.join(given)}, seed {seed}: {error}") from None
            names = {"architecture": config.architecture.name, "loss": config.loss.name}
            words = [*names.values(), *_format_settings(chosen), f"seed{seed}"]
            yield Cell(
                name="-".join(map(_safe_word, words))[:LONGEST_NAME],
                architecture=architecture,
                loss=loss,
                data=self.data,
                settings=settings,
                seed=seed,
                combination={**names, **chosen},
                config=config,
            )


@dataclass(frozen=True)
class Cell:
    """One run of a grid."""

    name: str
    """Name of the run and of its folder."""
    architecture: str
    loss: str | None
    data: str | None
    settings: Mapping[str, str]
    """All options that are set, including the seed."""
    seed: int
    combination: Mapping[str, str]
    """The architecture, the loss, and the settings with several values in the grid: all that the
    run shares with runs of other seeds."""
    config: RunConfig

    @property
    def label(self) -> str:
        """Name of the run in messages."""
        return f"{describe_combination(self.combination)}, seed {self.seed}"

    def with_name(self, name: str) -> Cell:
        """Return the same run under another name."""
        return Cell(**{**vars(self), "name": name})

    def is_same_run(self, other: Cell) -> bool:
        """Tell whether another cell has the same names and values."""
        return {**vars(self), "config": None} == {**vars(other), "config": None}

    def command(self, folder: Path) -> str:
        """Return the shell command that trains the run in its folder."""
        words = ["ganzoo", "train", self.architecture]
        for option, value in (("--loss", self.loss), ("--data", self.data)):
            words += [] if value is None else [option, value]
        for key, value in self.settings.items():
            words += ["--set", f"{key}={value}"]
        return shlex.join([*words, "--out", str(folder / self.name)])


def describe_combination(combination: Mapping[str, str]) -> str:
    """Describe a combination, such as ``dcgan, hinge, base_channels=32``."""
    settings = {key: value for key, value in combination.items() if "." in key}
    names = [value for key, value in combination.items() if "." not in key]
    return ", ".join([*names, *_format_settings(settings)])


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the short name of each option, or its full name if short names collide."""
    own = [key.rpartition(".")[2] for key in keys]
    return {key: name if own.count(name) == 1 else key for key, name in zip(keys, own, strict=True)}


def _format_settings(settings: Mapping[str, str]) -> list[str]:
    names = short_names(list(settings))
    return [f"{names[key]}={value}" for key, value in settings.items()]


def _safe_word(word: str) -> str:
    """Return a word with characters that are safe in file names and in a shell."""
    key, equals, value = word.partition("=")
    return re.sub(r"[^\w.,=+-]+", "_", f"{key}{equals}{value[-LONGEST_VALUE:]}", flags=re.ASCII)
