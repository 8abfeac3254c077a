"""The protocols of evaluation: metrics, and the feature extractors that they use."""

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
    """Features of N samples, float32 on the CPU."""

    pooled: Tensor
    """Features ``(N, d)``, for distances between distributions."""
    logits: Tensor | None = None
    """Class logits ``(N, k)``, if the extractor is a classifier."""


@dataclass(frozen=True)
class LoadedExtractor:
    """A feature extractor with its weights."""

    extract: Callable[[Tensor], Features]
    """Maps a uint8 batch ``(N, C, H, W)`` on the extractor's device to its features."""
    image_channels: int
    """Channels of the images it takes, C. ganzoo repeats a grey channel if C is more than one."""
    weights_sha256: str
    """SHA-256 of the weights, hexadecimal."""
    published: bool = True
    """Whether these are the published weights that the extractor's name stands for."""
    batch_size: int = 64
    """Images in a batch."""


class FeatureExtractor(Component, ABC):
    """Base of feature extractors, which map images to features for metrics to compare."""

    @abstractmethod
    def load(self, weights: Path | None, device: torch.device) -> LoadedExtractor:
        """Build the network and load its weights.

        Args:
            weights: A file of weights; None for the published ones, from wherever they are kept.
            device: Where the network runs.

        Raises:
            ganzoo.errors.GanzooError: the weights are missing; the message says how to get them.
        """


class SampleSet:
    """Samples to judge, and their features, which are extracted once for all evaluators.

    Args:
        samples: The samples.
        extract: Extracts the features of all of them.
        targets: The real sample that each fake is to equal, as many and in the same order; None if
            they are no pairs.
        device: Where a metric may compute what is slow on a CPU.
    """

    def __init__(
        self,
        samples: Samples,
        extract: Callable[[Samples], Features],
        targets: Samples | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.samples = samples
        self.targets = targets
        self.device = device
        self._extract = extract
        self._derived: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def features(self) -> Features:
        """Features of every sample, in order, extracted when they are first used."""
        return self._extract(self.samples)

    def derive(self, key: Hashable, make: Callable[[], Derived]) -> Derived:
        """Compute a value that depends on this set alone, or return it if it was computed before.

        The same reals may judge many sets of fakes, for several seeds or snapshots.

        Args:
            key: Identifies the value: the name of the calling module, what is computed, and every
                option that it depends on.
            make: Computes the value.
        """
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]


@dataclass(frozen=True)
class Score:
    """One number from an evaluator."""

    value: float
    std: float | None = None
    """Standard deviation of the value, if the metric estimates it."""
    name: str | None = None
    """Name of the number, if an evaluator returns several; None for the evaluator's own name."""
    note: str | None = None
    """A caveat to print beside the table."""
    higher_is_better: bool | None = None
    """Which direction is better, if not the evaluator's own."""


class Evaluator(Component, ABC):
    """Base of evaluators, which compare fakes with reals and return scores."""

    higher_is_better: ClassVar[bool]
    """Which direction is better, for scores that do not declare it themselves."""
    copies_score_best: ClassVar[bool] = True
    """Whether copies of the reals get the best score; False for a metric that detects copies."""
    features: ClassVar[str | None] = None
    """Name of the feature extractor that the metric is defined with; None if it needs none.

    A score that was computed with another extractor, or other weights, carries that one's name.
    """
    takes_values: ClassVar[bool] = False
    """Whether it compares the numbers of samples themselves where no feature extractor knows such
    samples: vectors, signals, and images of other channels than 1, 3 or 4. A score of this kind
    carries the name ``values``."""
    needs_logits: ClassVar[bool] = False
    """Whether the feature extractor must be a classifier."""
    needs_pairs: ClassVar[bool] = False
    """Whether it compares each fake with a real sample of its own, ``fake.targets``: the one whose
    source the fake was made from. Only models that take sources have such pairs."""
    on_request: ClassVar[bool] = False
    """Whether the metric is computed only if the user names it."""
    score_names: ClassVar[tuple[str, ...]] = ()
    """The names of its scores, if it gives them names: a model card finds the evaluator of a score
    by them."""

    def extractor(self, data: DataSpec) -> str | None:
        """Return the name of the default feature extractor for such data.

        By default the one that the dataset declares, or else :attr:`features`; None if the metric
        needs none, or compares the numbers of samples.
        """
        if self.features is None or data.features:
            return self.features and data.features
        return self.features if data.is_plain_image else None

    def ranks(self, data: DataSpec) -> bool:
        """Tell whether the metric ranks a run's snapshots if the user names no metric."""
        return False

    def fits(self, data: DataSpec) -> bool:
        """Tell whether the metric can judge such samples.

        By default it judges plain images, and others by their numbers if it :attr:`takes_values`,
        but for toy data, whose modes are known.
        """
        if data.is_plain_image or (data.is_image and data.features):
            return True
        return self.takes_values and data.modes is None

    @abstractmethod
    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Judge the fakes against the reals.

        Scores must not depend on the order of either set, nor on torch's global generator.

        Raises:
            ganzoo.errors.InputError: there are too few samples for the metric, or it cannot judge
                them. Unless a person named the metric, it is then left out.
        """
