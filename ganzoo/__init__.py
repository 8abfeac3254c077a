"""ganzoo: a plugin-based model zoo for generative adversarial networks.

Public names are imported when they are first used, so that ``import ganzoo`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganzoo.api import open_dataset as open_dataset
    from ganzoo.api import train as train
    from ganzoo.architecture import Architecture as Architecture
    from ganzoo.architecture import GeneratorInput as GeneratorInput
    from ganzoo.augmentation import Augmentation as Augmentation
    from ganzoo.component import Component as Component
    from ganzoo.dataset import Dataset as Dataset
    from ganzoo.dataset import DataSpec as DataSpec
    from ganzoo.dataset import ImageDataset as ImageDataset
    from ganzoo.dataset import Samples as Samples
    from ganzoo.errors import GanzooError as GanzooError
    from ganzoo.evaluation import evaluate as evaluate
    from ganzoo.evaluator import Evaluator as Evaluator
    from ganzoo.evaluator import FeatureExtractor as FeatureExtractor
    from ganzoo.evaluator import Features as Features
    from ganzoo.evaluator import LoadedExtractor as LoadedExtractor
    from ganzoo.evaluator import SampleSet as SampleSet
    from ganzoo.evaluator import Score as Score
    from ganzoo.loss import Discriminator as Discriminator
    from ganzoo.loss import Loss as Loss
    from ganzoo.loss import Recipe as Recipe
    from ganzoo.model import Model as Model
    from ganzoo.model import load as load
    from ganzoo.publishing import publish as publish
    from ganzoo.space import Space as Space
    from ganzoo.tracker import TrackedRun as TrackedRun
    from ganzoo.tracker import Tracker as Tracker

_HOMES = {
    "api": ("open_dataset", "train"),
    "architecture": ("Architecture", "GeneratorInput"),
    "augmentation": ("Augmentation",),
    "component": ("Component",),
    "dataset": ("DataSpec", "Dataset", "ImageDataset", "Samples"),
    "errors": ("GanzooError",),
    "evaluation": ("evaluate",),
    "evaluator": (
        "Evaluator",
        "FeatureExtractor",
        "Features",
        "LoadedExtractor",
        "SampleSet",
        "Score",
    ),
    "loss": ("Discriminator", "Loss", "Recipe"),
    "model": ("Model", "load"),
    "publishing": ("publish",),
    "space": ("Space",),
    "tracker": ("TrackedRun", "Tracker"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ganzoo")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ganzoo' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ganzoo.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
