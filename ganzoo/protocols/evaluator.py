"""The protocols of judging: evaluators, and the feature extractors that they look through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ganzoo.component import Component

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganzoo.protocols.dataset import DataSpec, Samples

Derived = TypeVar("Derived")


@dataclass(frozen=True)
class Features:
    """What a feature extractor gives for N samples, float32 on the CPU."""

    pooled: Tensor
    """Features ``(N, d)``, for distances between distributions."""
    logits: Tensor | None = None
    """Class logits ``(N, k)``, where the extractor is a classifier."""


@dataclass(frozen=True)
class LoadedExtractor:
    """A feature extractor with its weights."""

    extract: Callable[[Tensor], Features]
    """From a uint8 batch ``(N, C, H, W)`` on the extractor's device to its features."""
    image_channels: int
    """Channels that it takes; greyscale is repeated where it takes more than one."""
    weights_sha256: str
    """Hash of the weights, hexadecimal."""
    published: bool = True
    """Whether these are the weights that give the extractor its name."""
    batch_size: int = 64
    """Images to give at a time."""


class FeatureExtractor(Component, ABC):
    """Base of feature extractors."""

    @abstractmethod
    def load(self, weights: Path | None, device: torch.device) -> LoadedExtractor:
        """Build the network and load its weights, from ``weights`` or from where they are kept.

        Raises:
            ganzoo.errors.GanzooError: the weights cannot be had; the message says how to get them.
        """


class SampleSet:
    """Samples that are judged, and their features, extracted once for all evaluators."""

    def __init__(self, samples: Samples, extract: Callable[[Samples], Features]) -> None:
        self.samples = samples
        self._extract = extract
        self._derived: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def features(self) -> Features:
        """Features of every sample, in order; the first use makes the pass."""
        return self._extract(self.samples)

    def derive(self, key: Hashable, make: Callable[[], Derived]) -> Derived:
        """Return what follows from this set alone, computed once.

        The same reals judge many sets of fakes: of several seeds, or of a training's snapshots.

        Args:
            key: What it is: with the name of the asking module, and every option it depends on.
            make: Computes it.
        """
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]


@dataclass(frozen=True)
class Score:
    """One number that an evaluator found."""

    value: float
    std: float | None = None
    name: str | None = None
    """Name of the number, where an evaluator gives several; else its own name."""
    note: str | None = None
    """What a reader must know to trust it, said beside the table."""
    higher_is_better: bool | None = None
    """Which direction is better, where it is not the metric's own."""


class Evaluator(Component, ABC):
    """Base of evaluators: from fakes and reals to scores."""

    higher_is_better: ClassVar[bool]
    """Which direction is better, for scores that do not say so themselves."""
    copies_score_best: ClassVar[bool] = True
    """Whether fakes that are the very reals score best; False where copies are what it finds."""
    features: ClassVar[str | None] = None
    """Name of the feature extractor that the metric's name stands for; None if it needs none.

    A score from any other extractor, or from other weights, carries that extractor's name.
    """
    needs_logits: ClassVar[bool] = False
    """Whether the extractor must be a classifier."""
    on_request: ClassVar[bool] = False
    """Whether it judges only when it is asked for by name."""

    def extractor(self, data: DataSpec) -> str | None:
        """Name the feature extractor it looks through for such data, unless another is asked for.

        By default the one that the data bring with them, or else :attr:`features`; None for a
        metric that needs none.
        """
        return None if self.features is None else data.features or self.features

    def ranks(self, data: DataSpec) -> bool:
        """Tell whether snapshots of a training are ranked by it where nothing else is asked for."""
        return False

    def fits(self, data: DataSpec) -> bool:
        """Tell whether the metric can judge samples of this kind; images by default."""
        return data.is_image

    @abstractmethod
    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Judge the fakes against the reals; the same for any order of either set.

        Raises:
            ganzoo.errors.GanzooError: there are too few samples for the metric.
        """
