"""The dataset that a model was trained on, for use by those who name no data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ganzoo import registry
from ganzoo.component import parse_options, place_options
from ganzoo.config import ComponentChoice
from ganzoo.errors import InputError
from ganzoo.registry import DATASET
from ganzoo.storage.paths import is_absolute

if TYPE_CHECKING:
    from ganzoo.config import ModelConfig
    from ganzoo.protocols.dataset import Dataset


class TrainedModel(Protocol):
    """What is read of a :class:`ganzoo.Model`."""

    config: ModelConfig

    @property
    def is_own(self) -> bool:
        """Whether it is of a run on this machine."""


def choose_training_data(model: TrainedModel, options: Mapping[str, Any]) -> ComponentChoice:
    """Return the dataset that a model was trained on; see :func:`complete_training_data`.

    Args:
        model: The model.
        options: Options that were given, which override the model's.
    """
    return complete_training_data(model.config.data, options, is_own=model.is_own)


def complete_training_data(
    trained: ComponentChoice, options: Mapping[str, Any], *, is_own: bool
) -> ComponentChoice:
    """Complete a model's dataset, and refuse one that nobody asked to fetch.

    Nothing is downloaded for a model unless you name the data. The paths of a model that is not of
    your own run are not used, and its dataset must declare that it downloads nothing.

    Args:
        trained: The model's dataset, without paths unless the model is of your own run.
        options: Options that were given, which override the model's.
        is_own: Whether the model is of your own run.

    Raises:
        InputError: the data are not here, or would be downloaded; the message says what to do.
        ganzoo.errors.PluginError: the package that gave the dataset is not installed.
    """
    name = trained.name
    entry = registry.find_in_package(DATASET, name, trained.package, trained.version)
    component: type[Dataset] = entry.load()
    values, fields = {**trained.options, **options}, component.model_fields
    if any(field.is_required() and key not in values for key, field in fields.items()):
        raise InputError(
            f"the model was trained on files that are not here ('{name}'): give --data"
        )
    for key in place_options(component) - options.keys():
        _require_path(values.get(key))
    dataset = parse_options(component, values, "data.")
    downloads = dataset.needs_download()
    if downloads:
        raise InputError(
            f"the model was trained on '{name}', which is not here; to download it, "
            f"give --data {name}"
        )
    if downloads is None and not is_own:
        raise InputError(
            f"the model was trained on '{name}', which may be downloaded; to allow that, "
            f"give --data {name}"
        )
    return ComponentChoice.of(entry, dataset) if options else trained


def _require_path(value: Any) -> None:
    if isinstance(value, str) and is_absolute(value) and not os.path.exists(value):
        raise InputError(f"the model was trained on {value}, which is not here: give --data")
