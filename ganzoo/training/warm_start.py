"""Warm starts: a run may start from a trained model, and keeps a copy of its weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.component import place_options
from ganzoo.config import InitialModel, ModelConfig, RunConfig, read_config
from ganzoo.errors import InputError
from ganzoo.models.training_data import complete_training_data
from ganzoo.registry import ARCHITECTURE, DATASET, LOSS
from ganzoo.resolve import group_settings, resolve
from ganzoo.runs.file_names import CONFIG_FILE, DISCRIMINATOR_FILE, GENERATOR_FILE
from ganzoo.storage.files import atomic_folder, atomic_path, regular_size, sha256
from ganzoo.storage.json_files import flatten

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.config import ComponentChoice
    from ganzoo.models.folder import ModelFolder
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.runs.folder import Run

COPIED_FILES = (CONFIG_FILE, GENERATOR_FILE, DISCRIMINATOR_FILE)
"""Files of a model that a run copies."""
MAX_NAMED = 3
"""The most tensors that a message names."""


@dataclass(frozen=True)
class StartingWeights:
    """The weights that a run starts from: a model's averaged generator and its discriminator."""

    origin: InitialModel
    """The model, as the run's configuration describes it."""
    config: ModelConfig
    generator: Mapping[str, Tensor]
    discriminator: Mapping[str, Tensor]
    """Empty if the model has none."""
    source: ModelFolder | None = None
    """The model's own files; None if the weights come from the run's copy."""
    is_own: bool = False
    """Whether the model is of your own run, so that its paths are used."""

    @classmethod
    def load(cls, model: str | Path | Run, revision: str | None = None) -> StartingWeights:
        """Load the weights of a trained model.

        Args:
            model: A model in any form that :func:`ganzoo.load` takes.
            revision: Revision on the Hub.

        Raises:
            InputError: there is no such model, or its files do not fit each other.
            ganzoo.errors.PluginError: a package that gave one of its components is not installed.
            GanzooError: the Hub cannot be reached, or refuses.
        """
        from ganzoo.models.model import load

        loaded = load(model, revision)
        folder = loaded.folder
        assert folder is not None, "a loaded model has a folder"
        origin = _describe_origin(folder, loaded.config.step)
        generator = loaded.generator.state_dict()
        discriminator = {} if folder.lacks_discriminator else loaded.discriminator.state_dict()
        return cls(origin, loaded.config, generator, discriminator, folder, loaded.is_own)

    @classmethod
    def describe(cls, folder: ModelFolder) -> StartingWeights:
        """Read what a model is, without its weights and without torch: enough to resolve a run.

        Its paths are not used.

        Raises:
            InputError: its files do not fit each other.
        """
        config = folder.config()
        origin = _describe_origin(folder, config.step)
        return cls(origin, config.without_places(), {}, {}, folder)

    @classmethod
    def load_copy(cls, folder: Path, origin: InitialModel) -> StartingWeights:
        """Load a run's own copy of the weights that it started from.

        Args:
            folder: Folder of the copy.
            origin: The model, as the run's configuration describes it.

        Raises:
            InputError: the copy is missing, or was changed.
        """
        generator = _load_unchanged(folder / GENERATOR_FILE, origin.generator_sha256)
        known = origin.discriminator_sha256
        discriminator = _load_unchanged(folder / DISCRIMINATOR_FILE, known) if known else {}
        config = read_config(folder / CONFIG_FILE, ModelConfig).without_places()
        return cls(origin, config, generator, discriminator)

    def save_copy(self, folder: Path) -> None:
        """Copy the model's files to a folder of a run, all or none.

        Raises:
            InputError: they have changed since they were loaded.
        """
        assert self.source is not None, "a run's own copy is not copied again"
        with atomic_folder(folder) as beside:
            for name in COPIED_FILES:
                if name == DISCRIMINATOR_FILE and not self.discriminator:
                    continue
                with atomic_path(beside / name) as path:
                    shutil.copyfile(self.source.file(name), path)
                    if sha256(path) != self.source.records[name].sha256:
                        raise InputError(
                            f"{self.origin.name} was changed while it was copied: try again"
                        )

    @staticmethod
    def is_copy(folder: Path) -> bool:
        """Tell whether a folder holds exactly what :meth:`save_copy` writes."""
        found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        return found | {DISCRIMINATOR_FILE} == set(COPIED_FILES)

    def resolve(
        self,
        architecture: str | None = None,
        loss: str | None = None,
        data: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        trackers: Iterable[str] = (),
    ) -> RunConfig:
        """Resolve names and overrides to the configuration of a run that starts from the model.

        The arguments are those of :func:`ganzoo.resolve.resolve`. Components that you do not name
        are the model's, with its options and their schedules, and images get its size and
        channels. Training options and penalties are not inherited: the recipe applies.

        Raises:
            InputError: a name, an option or a value is wrong, or the model's data are not here.
        """
        own = self.config
        settings = dict(settings or {})
        if data is None:
            complete_training_data(own.data, group_settings(settings)["data"], is_own=self.is_own)
        for name, prefix, kind, choice in (
            (architecture, "arch", ARCHITECTURE, own.architecture),
            (loss, "loss", LOSS, own.loss),
            (data, "data", DATASET, own.data),
        ):
            if _is_same_component(name, kind, choice):
                # Built, because options that the model does not know have defaults of their own.
                built = {} if kind is DATASET else choice.build(kind).model_dump(mode="json")
                options = own.write_schedules(prefix, {**built, **choice.options})
                inherited = {f"{prefix}.{key}": value for key, value in options.items()}
                settings = {**inherited, **settings}
        config = resolve(
            own.architecture.qualified if architecture is None else architecture,
            own.loss.qualified if loss is None else loss,
            own.data.qualified if data is None else data,
            settings,
            trackers,
            like=own.spec,
        )
        return config.model_copy(update={"init": self.origin})

    def require_fit(self, config: RunConfig, data: DataSpec | None = None) -> None:
        """Refuse a run whose networks differ from the model's.

        Args:
            config: The run's configuration.
            data: The kind of its samples; None if they were not read, and are not compared.

        Raises:
            InputError: the networks differ; the message lists the differences.
        """
        architecture = config.architecture.build(ARCHITECTURE)
        changes = [*self._option_changes(config, architecture), *self._sample_changes(data)]
        if data is not None and not changes:
            complete = architecture.complete(data)
            sources = [each.source_in_words or "none" for each in (self.config.spec, complete)]
            changes = _list_changes({"sources": sources[0]}, {"sources": sources[1]})
            changes += self._tensor_changes(config, architecture, complete)
        if changes:
            raise InputError(
                f"{self.origin.name} does not fit this run: {'; '.join(changes)}",
                "drop what the model decides, or train without --init",
            )

    def fill(self, discriminator: nn.Module) -> None:
        """Load those of the model's tensors that a discriminator has too; others stay as drawn.

        All are the model's, unless the run needs another discriminator than the model did.
        """
        own = discriminator.state_dict()
        discriminator.load_state_dict({**own, **_find_fitting(self.discriminator, own)})

    def describe_unfit(self, discriminator: nn.Module) -> Iterator[str]:
        """Yield a warning if a discriminator is another one than the model's."""
        own = discriminator.state_dict()
        if not self.discriminator:
            yield f"{self.origin.name} has no discriminator: a new one begins with random weights"
            return
        if _describe_tensors("", own) != _describe_tensors("", self.discriminator):
            taken = len(_find_fitting(self.discriminator, own))
            yield (
                f"the loss or a penalty needs another discriminator than that of "
                f"{self.origin.name}: {taken} of its {len(own)} tensors are taken from there, and "
                "the others begin anew"
            )

    def _option_changes(self, config: RunConfig, architecture: Architecture) -> list[str]:
        ours, theirs = self.config.architecture, config.architecture
        if (ours.package, ours.name) != (theirs.package, theirs.name):
            return [f"architecture: {ours.name} -> {theirs.name}"]
        # Built by the installed version, which may have options that the model does not know.
        places = place_options(type(architecture))
        built = (ours.build(ARCHITECTURE), architecture)
        before, after = (
            flatten(each.model_dump(mode="json", exclude=set(places)), "arch") for each in built
        )
        return _list_changes(before, after)

    def _sample_changes(self, data: DataSpec | None) -> list[str]:
        if data is None:
            return []
        ours = self.config.spec
        before: dict[str, Any] = {"samples": ours.size_in_words}
        after: dict[str, Any] = {"samples": data.size_in_words}
        if self.config.architecture.build(ARCHITECTURE).takes_labels(ours):
            before, after = {**before, "classes": ours.classes}, {**after, "classes": data.classes}
        return _list_changes(before, after)

    def _tensor_changes(
        self, config: RunConfig, architecture: Architecture, data: DataSpec
    ) -> list[str]:
        from ganzoo.models.size_check import build_on_meta

        independent = config.needs_independent_samples()
        built = {
            "generator": lambda: architecture.generator(data),
            "discriminator": lambda: architecture.discriminator(
                data, independent_samples=independent
            ),
        }
        found: list[str] = []
        for word, build in built.items():
            if not getattr(self, word):
                continue  # the model has none
            outline = build_on_meta(build)
            network: nn.Module = build() if outline is None else outline
            changes = _list_changes(
                _describe_tensors(word, getattr(self, word)),
                _describe_tensors(word, network.state_dict()),
            )
            if (
                word == "discriminator"
                and changes
                and independent != self.config.needs_independent_samples()
            ):
                continue  # the run's objectives need another one, which gets what fits
            found += changes
        if len(found) > MAX_NAMED:
            found = [*found[:MAX_NAMED], f"and {len(found) - MAX_NAMED} more tensors"]
        return found


def _describe_origin(folder: ModelFolder, step: int) -> InitialModel:
    """Return a model as the configuration of a run that starts from it describes it."""
    records = folder.records
    return InitialModel(
        name=folder.short_name,
        revision=folder.revision,
        step=step,
        generator_sha256=records[GENERATOR_FILE].sha256,
        discriminator_sha256=None
        if folder.lacks_discriminator
        else records[DISCRIMINATOR_FILE].sha256,
        origin=folder.origin(),
    )


def _is_same_component(
    given: str | Path | None, kind: registry.Kind, mine: ComponentChoice
) -> bool:
    """Tell whether a component is the model's own, whose options the run inherits.

    Raises:
        ganzoo.errors.PluginError: the model's own is not installed, and no other is named.
    """
    if given is None:
        registry.find_in_package(kind, mine.name, mine.package, mine.version)
        return True
    if kind is DATASET:  # the same name may stand for other data, such as another folder
        return False
    entry = registry.find(kind, str(given))
    return (entry.package, entry.name) == (mine.package, mine.name)


def _load_unchanged(path: Path, known_sha256: str) -> dict[str, Tensor]:
    """Load the tensors of a file.

    Raises:
        InputError: it is missing, or its SHA-256 is another one.
    """
    from ganzoo.storage.tensors import load_tensors, widen

    regular_size(path)
    if sha256(path) != known_sha256:
        raise InputError(
            f"{path} is not what the run started from: it was changed or damaged; put it back, or "
            "train a new run"
        )
    return {name: widen(tensor) for name, tensor in load_tensors(path).items()}


def _find_fitting(
    tensors: Mapping[str, Tensor], network: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors that a network has too, by name, type and shape."""
    wanted = _describe_tensors("", network)
    return {
        name: tensor
        for name, tensor in tensors.items()
        if wanted.get(f".{name}") == _describe_tensors("", {name: tensor})[f".{name}"]
    }


def _list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """List the differences, as ``key: this -> that``."""
    return [
        f"{key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]


def _describe_tensors(word: str, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the type and shape of each tensor, by its name behind that of the network."""
    return {
        f"{word}.{name}": f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
        for name, tensor in tensors.items()
    }
