"""What a run may start from: the networks of a model, of which the run keeps a copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.config import InitialModel, ModelConfig, RunConfig, read_config
from ganzoo.errors import InputError
from ganzoo.models.model import load
from ganzoo.models.size_check import build_on_meta
from ganzoo.registry import ARCHITECTURE, DATASET, LOSS
from ganzoo.resolve import resolve
from ganzoo.runs.file_names import CONFIG_FILE, DISCRIMINATOR_FILE, GENERATOR_FILE
from ganzoo.storage.files import atomic_folder, atomic_path, regular_size, sha256
from ganzoo.storage.json_files import flatten
from ganzoo.storage.paths import is_absolute
from ganzoo.storage.tensors import load_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.config import ComponentChoice
    from ganzoo.models.folder import ModelFolder
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.runs.folder import Run

COPIED_FILES = (CONFIG_FILE, GENERATOR_FILE, DISCRIMINATOR_FILE)
"""Files of a model that a run keeps."""
MAX_NAMED = 3
"""Tensors, at most, that are named of those that do not fit."""


@dataclass(frozen=True)
class StartingWeights:
    """The networks that a run starts from: a model's averaged generator and its discriminator."""

    origin: InitialModel
    """What the run's configuration says of it."""
    config: ModelConfig
    generator: Mapping[str, Tensor]
    discriminator: Mapping[str, Tensor]
    source: ModelFolder | None = None
    """The model's own files; None where the run has its copy of them."""

    @classmethod
    def load(cls, model: str | Path | Run, revision: str | None = None) -> StartingWeights:
        """Read the networks of what :func:`ganzoo.load` takes.

        Raises:
            InputError: there is no model there, or its files do not fit each other.
            ganzoo.errors.PluginError: a package that gave one of its components is not installed.
            GanzooError: the Hub cannot be reached, or refuses.
        """
        found = load(model, revision)
        folder = found.folder
        about = InitialModel(
            name=folder.short_name,
            revision=folder.revision,
            step=found.config.step,
            generator_sha256=folder.records[GENERATOR_FILE].sha256,
            discriminator_sha256=folder.records[DISCRIMINATOR_FILE].sha256,
        )
        networks = found.generator.state_dict(), found.discriminator.state_dict()
        return cls(about, found.config, *networks, folder)

    @classmethod
    def load_copy(cls, folder: Path, about: InitialModel) -> StartingWeights:
        """Read the copy that a run has of the networks it started from.

        Raises:
            InputError: it is missing, or another one.
        """
        networks = []
        for name, known in (
            (GENERATOR_FILE, about.generator_sha256),
            (DISCRIMINATOR_FILE, about.discriminator_sha256),
        ):
            path = folder / name
            regular_size(path)
            if sha256(path) != known:
                raise InputError(
                    f"{path} is not what the run started from: it was changed or damaged; put it "
                    "back, or train a new run"
                )
            networks.append(load_tensors(path))
        return cls(about, read_config(folder / CONFIG_FILE, ModelConfig), *networks)

    def save_copy(self, folder: Path) -> None:
        """Copy the model's files to a run, whole or not at all.

        Raises:
            InputError: they are not what they were when they were read.
        """
        with atomic_folder(folder) as beside:
            for name in COPIED_FILES:
                with atomic_path(beside / name) as path:
                    shutil.copyfile(self.source.file(name), path)
                    if sha256(path) != self.source.records[name].sha256:
                        raise InputError(
                            f"{self.origin.name} was changed in that moment: try again"
                        )

    @staticmethod
    def is_copy(folder: Path) -> bool:
        """Tell whether a folder holds nothing but what :meth:`save_copy` puts there."""
        return folder.is_dir() and {path.name for path in folder.iterdir()} == set(COPIED_FILES)

    def resolve(
        self,
        architecture: str | None = None,
        loss: str | None = None,
        data: str | None = None,
        settings: Mapping[str, Any] | None = None,
        trackers: Iterable[str] = (),
    ) -> RunConfig:
        """Turn names and overrides into the configuration of a run that starts from the model.

        The arguments are those of :func:`ganzoo.resolve.resolve`. Components that are not given are
        the model's, options of components that are the model's are its own, and images get its
        size and channels. How it is trained is the loss's recipe and the defaults.

        Raises:
            InputError: a name, an option or a value is wrong, or the model's data are not here.
        """
        names: list[str] = []
        settings = dict(settings or {})
        for given, prefix, kind, mine in (
            (architecture, "arch", ARCHITECTURE, self.config.architecture),
            (loss, "loss", LOSS, self.config.loss),
            (data, "data", DATASET, self.config.data),
        ):
            names.append(given or f"{mine.package}:{mine.name}")
            if _is_same_component(given, kind, mine):
                own = {f"{prefix}.{name}": value for name, value in mine.options.items()}
                settings = {**own, **settings}
        if data is None:
            _refuse_paths(settings)
        config = resolve(*names, settings, trackers, like=self.config.spec)
        return config.model_copy(update={"init": self.origin})

    def require_fit(self, config: RunConfig, data: DataSpec | None = None) -> None:
        """Refuse a run whose networks are not the model's.

        Args:
            config: The run.
            data: What its samples are; if they were not read, the rest is compared alone.

        Raises:
            InputError: they differ; the message lists in what.
        """
        architecture = config.architecture.build(ARCHITECTURE)
        found = [*self._option_changes(config, architecture), *self._sample_changes(config, data)]
        if data is not None and not found:
            found = self._tensor_changes(config, architecture, data)
        if found:
            raise InputError(
                f"{self.origin.name} does not fit this run: {'; '.join(found)}\n"
                "leave out what the model decides, or train without --init"
            )

    def _option_changes(self, config: RunConfig, architecture: Architecture) -> list[str]:
        ours, theirs = self.config.architecture, config.architecture
        if (ours.package, ours.name) != (theirs.package, theirs.name):
            return [f"architecture: {ours.name} -> {theirs.name}"]
        # As they are set in the installed version, which may have options that were not there.
        before = flatten(ours.build(ARCHITECTURE).model_dump(mode="json"), "arch")
        after = flatten(architecture.model_dump(mode="json"), "arch")
        return _list_changes(before, after)

    def _sample_changes(self, config: RunConfig, data: DataSpec | None) -> list[str]:
        if data is None:
            return []
        ours = self.config.spec
        before, after = {"samples": ours.size_in_words}, {"samples": data.size_in_words}
        if self.config.architecture.build(ARCHITECTURE).takes_labels(ours):
            before, after = {**before, "classes": ours.classes}, {**after, "classes": data.classes}
        return _list_changes(before, after)

    def _tensor_changes(
        self, config: RunConfig, architecture: Architecture, data: DataSpec
    ) -> list[str]:
        independent = config.loss.build(LOSS).independent_samples
        built = {
            "generator": lambda: architecture.generator(data),
            "discriminator": lambda: architecture.discriminator(
                data, independent_samples=independent
            ),
        }
        found: list[str] = []
        for word, build in built.items():
            outline = build_on_meta(build)
            network: nn.Module = build() if outline is None else outline
            found += _list_changes(
                _describe_tensors(word, getattr(self, word)),
                _describe_tensors(word, network.state_dict()),
            )
        if len(found) > MAX_NAMED:
            found = [*found[:MAX_NAMED], f"and {len(found) - MAX_NAMED} more tensors"]
        if found and self.config.loss.name != config.loss.name:  # which may be why
            found = [f"loss: {self.config.loss.name} -> {config.loss.name}", *found]
        return found


def _is_same_component(given: str | None, kind: registry.Kind, mine: ComponentChoice) -> bool:
    """Tell whether a component is the model's, and so gets its options."""
    if given is None:
        registry.find_in_package(kind, mine.name, mine.package, mine.version)
        return True
    if kind is DATASET:  # whose data may lie elsewhere, and are asked for by more than a name
        return False
    entry = registry.find(kind, given)
    return (entry.package, entry.name) == (mine.package, mine.name)


def _refuse_paths(settings: Mapping[str, Any]) -> None:
    """Refuse the data of a model that were somebody else's files."""
    for key, value in settings.items():
        if not key.startswith("data.") or not isinstance(value, str):
            continue
        if is_absolute(value) and not os.path.exists(value):
            raise InputError(f"the model was trained on {value}, which is not here: give --data")


def _list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say what differs, one ``key: this -> that`` an item."""
    return [
        f"{key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]


def _describe_tensors(word: str, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        f"{word}.{name}": f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
        for name, tensor in tensors.items()
    }
