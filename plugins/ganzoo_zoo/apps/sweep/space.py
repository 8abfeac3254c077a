"""The space of a search: what its trials choose from, as a grid says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError
from ganzoo_zoo.apps.sweep.arguments import is_integer, option_models
from ganzoo_zoo.apps.sweep.grid import Cell, Grid
from ganzoo_zoo.apps.sweep.ranges import Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 4
"""Significant digits of the numbers that trials get, so that people can read them."""


class Space:
    """The space of a search.

    Args:
        grid: Ranges, and lists of values to choose from; a single value is given to all trials.

    Raises:
        InputError: a range is wrong, nothing is to be chosen, or there are several seeds.
    """

    def __init__(self, grid: Grid) -> None:
        if len(grid.seeds) > 1:
            raise InputError("a search has one seed; train its best again with several")
        self.grid = grid
        self.choices = {
            name: values
            for name, values in (
                ("architecture", grid.architectures),
                ("loss", grid.losses),
                *grid.settings.items(),
            )
            if len(values) > 1
        }
        self.ranges: dict[str, Range] = {}
        for key, values in grid.settings.items():
            if any(map(Range.is_written, values)):
                if len(values) > 1:
                    raise InputError(f"{key}: write one range, or a list of values")
                self.ranges[key] = Range.parse(values[0])
        if not self.choices and not self.ranges:
            raise InputError(
                "nothing is to be searched: write a range such as "
                "--set 'train.generator_lr=log(1e-5,1e-2)', or several values"
            )
        self.integers = {key for key in self.ranges if self._is_integer(key)}

    def describe(self) -> str:
        """Name what the trials choose."""
        return ", ".join([*self.choices, *self.ranges])

    def corners(self) -> list[Cell]:
        """Return runs at both ends of all ranges, with every choice.

        Raises:
            InputError: a name, an option or a value is wrong.
        """
        cells = []
        for end in ("low", "high"):
            ends = {key: self._format(key, getattr(each, end)) for key, each in self.ranges.items()}
            settings = {
                key: (ends[key],) if key in ends else values
                for key, values in self.grid.settings.items()
            }
            cells += self.grid.model_copy(update={"settings": settings}).cells()
        return cells

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the space in Optuna's words."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        found: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(values) for name, values in self.choices.items()
        }
        for key, each in self.ranges.items():
            if key in self.integers:
                found[key] = IntDistribution(int(each.low), int(each.high), log=each.is_log)
            else:
                found[key] = FloatDistribution(each.low, each.high, log=each.is_log)
        return found

    def cell(self, number: int, chosen: Mapping[str, Any]) -> Cell:
        """Return the run of a trial.

        Args:
            number: Number of the trial, from 0.
            chosen: The values that it got, by the names of :meth:`distributions`.

        Raises:
            InputError: they do not fit together.
        """
        texts = {name: self._format(name, value) for name, value in chosen.items()}
        named = {
            word: (texts[name],)
            for word, name in (("architectures", "architecture"), ("losses", "loss"))
            if name in texts
        }
        settings = {key: (texts.get(key, values[0]),) for key, values in self.grid.settings.items()}
        (cell,) = self.grid.model_copy(update={**named, "settings": settings}).cells()
        name = f"trial-{number:03}"
        varied = {key: cell.settings[key] for key in self.grid.settings if key in texts}
        return Cell(
            **{
                **vars(cell),
                "name": name,
                "combination": {"trial": name, **cell.combination, **varied},
            }
        )

    def _format(self, name: str, value: Any) -> str:
        if name not in self.ranges:
            return str(value)
        return str(int(value)) if name in self.integers else f"{value:.{DIGITS}g}"

    def _is_integer(self, key: str) -> bool:
        models = option_models(key, self.grid.architectures, self.grid.losses, self.grid.data)
        name = key.rpartition(".")[2]
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        return bool(fields) and all(is_integer(field.annotation) for field in fields)
