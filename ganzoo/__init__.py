"""ganzoo: a plugin-based model zoo for generative adversarial networks.

Public names are imported when they are first used, so that ``import ganzoo`` costs nothing. They
stand here twice: for type checkers and for the lazy import. Packages add functions, such as those
of the box, by entry points in the group ``ganzoo.functions``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as that of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from ganzoo.api.components import create as create
    from ganzoo.api.components import list as list
    from ganzoo.api.evaluation import evaluate as evaluate
    from ganzoo.api.model import Model as Model
    from ganzoo.api.model import load as load
    from ganzoo.api.training import open_dataset as open_dataset
    from ganzoo.api.training import resume as resume
    from ganzoo.api.training import train as train
    from ganzoo.component import Component as Component
    from ganzoo.errors import GanzooError as GanzooError
    from ganzoo.errors import GanzooWarning as GanzooWarning
    from ganzoo.evaluation.compare import compare as compare
    from ganzoo.protocols.architecture import Architecture as Architecture
    from ganzoo.protocols.architecture import GeneratorInput as GeneratorInput
    from ganzoo.protocols.augmentation import AdaptiveAugmentation as AdaptiveAugmentation
    from ganzoo.protocols.augmentation import Augmentation as Augmentation
    from ganzoo.protocols.converter import Converted as Converted
    from ganzoo.protocols.converter import Converter as Converter
    from ganzoo.protocols.converter import ForeignWeights as ForeignWeights
    from ganzoo.protocols.dataset import Dataset as Dataset
    from ganzoo.protocols.dataset import DataSpec as DataSpec
    from ganzoo.protocols.dataset import ImageDataset as ImageDataset
    from ganzoo.protocols.dataset import Samples as Samples
    from ganzoo.protocols.discriminator import Discriminator as Discriminator
    from ganzoo.protocols.evaluator import Evaluator as Evaluator
    from ganzoo.protocols.evaluator import FeatureExtractor as FeatureExtractor
    from ganzoo.protocols.evaluator import Features as Features
    from ganzoo.protocols.evaluator import LoadedExtractor as LoadedExtractor
    from ganzoo.protocols.evaluator import SampleSet as SampleSet
    from ganzoo.protocols.evaluator import Score as Score
    from ganzoo.protocols.latent_parts import LatentPart as LatentPart
    from ganzoo.protocols.loss import Loss as Loss
    from ganzoo.protocols.penalty import Penalty as Penalty
    from ganzoo.protocols.progress import Progress as Progress
    from ganzoo.protocols.recipe import Recipe as Recipe
    from ganzoo.protocols.space import Space as Space
    from ganzoo.protocols.styles import Styles as Styles
    from ganzoo.protocols.tracker import Networks as Networks
    from ganzoo.protocols.tracker import TrackedRun as TrackedRun
    from ganzoo.protocols.tracker import Tracker as Tracker
    from ganzoo.publishing.publish import publish as publish
    from ganzoo.runs.folder import Run as Run
    from ganzoo.training.observer import Observer as Observer

    # Entry points say nothing to a checker, so it is shown what the box adds by them.
    from ganzoo_zoo.functions import *  # noqa: F403

    __version__: str

_HOMES = {
    "api.components": ("create", "list"),
    "api.evaluation": ("evaluate",),
    "api.model": ("Model", "load"),
    "api.training": ("open_dataset", "resume", "train"),
    "component": ("Component",),
    "errors": ("GanzooError", "GanzooWarning"),
    "evaluation.compare": ("compare",),
    "protocols.architecture": ("Architecture", "GeneratorInput"),
    "protocols.augmentation": ("AdaptiveAugmentation", "Augmentation"),
    "protocols.converter": ("Converted", "Converter", "ForeignWeights"),
    "protocols.dataset": ("DataSpec", "Dataset", "ImageDataset", "Samples"),
    "protocols.discriminator": ("Discriminator",),
    "protocols.evaluator": (
        "Evaluator",
        "FeatureExtractor",
        "Features",
        "LoadedExtractor",
        "SampleSet",
        "Score",
    ),
    "protocols.latent_parts": ("LatentPart",),
    "protocols.loss": ("Loss",),
    "protocols.penalty": ("Penalty",),
    "protocols.progress": ("Progress",),
    "protocols.recipe": ("Recipe",),
    "protocols.space": ("Space",),
    "protocols.styles": ("Styles",),
    "protocols.tracker": ("Networks", "TrackedRun", "Tracker"),
    "publishing.publish": ("publish",),
    "runs.folder": ("Run",),
    "training.observer": ("Observer",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # or a checker would take every name for a public one
    __all__ = sorted([*_HOME_OF, "__version__"])

    def __getattr__(name):
        if name == "__version__":
            from importlib.metadata import version

            return version("ganzoo")
        if name in _HOME_OF:
            import importlib

            return getattr(importlib.import_module(f"ganzoo.{_HOME_OF[name]}"), name)
        if not name.startswith("_"):
            from ganzoo.api.functions import find_function

            if (found := find_function(name)) is not None:
                return found
        raise AttributeError(f"module 'ganzoo' has no attribute '{name}'")

    def __dir__():
        from ganzoo.api.functions import list_functions

        return sorted({*__all__, *list_functions()})
