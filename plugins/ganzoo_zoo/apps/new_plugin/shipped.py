"""The files of a package that ships a model or a recipe under a name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.api.evaluation import evaluate
from ganzoo.cards.card import foreign_packages
from ganzoo.display.messages import note
from ganzoo.errors import InputError
from ganzoo.evaluation.metrics import choose_ranking_metrics
from ganzoo.models.find import find_model
from ganzoo.publishing.package import package_model
from ganzoo.recipes import make_recipe, read_recipe, write_recipe
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.models.folder import ModelFolder
    from ganzoo.models.model import Model
    from ganzoo.runs.scores import ScoreRow

ABOUT = ("title", "paper", "reported", "parameters", "results")
"""What a recipe says beside its configuration."""


@dataclass(frozen=True)
class Source:
    """What a package is to ship, as a person named it."""

    model: str | None
    """A run or a model; the newest run if None."""
    config: Path | None
    """A file with a configuration, in place of that of the model."""
    data: str | None
    """The data to judge the model by, or of a recipe that names none."""
    data_options: dict[str, Any]
    licence: str | None
    metrics: tuple[str, ...]
    """Metrics to judge the model by; those that suit the data if empty."""
    repeats: int
    """Sets of samples of each score; 0 for no scores."""
    permitted: bool

    @cached_property
    def folder(self) -> ModelFolder:
        """The model."""
        return find_model(self.model)

    def list_packages(self) -> list[str]:
        """Return the packages, beside ganzoo, that provide components of what is shipped."""
        config: RunConfig = self.folder.config() if self.config is None else self._resolve()
        parts = [config.architecture, config.loss, config.data]
        parts += [*config.penalties, *config.augmentations]
        return sorted({package for package, _ in foreign_packages(parts)})

    def write_recipe(self) -> str:
        """Return the text of the recipe.

        Raises:
            InputError: there is no such configuration, or its run started from another one.
        """
        if self.config is None:
            return write_recipe(make_recipe(self.folder.config()))
        made, own = make_recipe(self._resolve()), read_recipe(user_path(self.config))
        about = {name: value for name in ABOUT if (value := getattr(own, name))}
        return write_recipe(made.model_copy(update=about))

    def write_model(self, folder: Path, name: str, package: str) -> None:
        """Write the model's folder, and note in which precision its weights are."""
        done = package_model(
            self.model,
            folder,
            name,
            self._judge,
            licence=self.licence,
            package=package,
            permitted=self.permitted,
        )
        precision = "half" if done.in_half else "single"
        apart = (
            "" if done.difference is None else f"; half changes samples by {done.difference:.2f}"
        )
        note(f"weights in {precision} precision{apart and apart + ' grey levels at most'}")
        if self.licence is None:
            note("no licence is given: write one into the card, or begin again with --licence")

    def _judge(self, model: Model) -> list[ScoreRow]:
        """Score a model, with those scores first by which snapshots are ranked."""
        if not self.repeats:
            return []
        options = self.data_options
        if self.data is None and self.folder.run() is not None:  # whose paths are one's own
            options = {**self.folder.config().data.options, **options}
        rows = evaluate(
            model,
            self.metrics or None,
            data=self.data,
            data_options=options,
            repeats=self.repeats,
            warn=note,
        )
        if self.metrics:
            return rows
        paired = bool(model.architecture.takes_sources)
        try:
            ranking = choose_ranking_metrics((), model.config.spec, paired=paired)
        except InputError:  # none ranks such samples
            return rows
        return sorted(rows, key=lambda row: row.family not in ranking)

    def _resolve(self) -> RunConfig:
        assert self.config is not None
        settings = {f"data.{name}": value for name, value in self.data_options.items()}
        return read_recipe(user_path(self.config)).resolve(data=self.data, settings=settings)
