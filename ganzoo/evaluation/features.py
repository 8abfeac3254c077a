"""Extraction of features from samples: once for all metrics, and cached for reals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo import distributed, registry
from ganzoo.component import parse_options
from ganzoo.compute import memory
from ganzoo.config import versions
from ganzoo.errors import GanzooError, InputError
from ganzoo.progress import report_progress
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.protocols.evaluator import (
    Evaluator,
    FeatureExtractor,
    Features,
    LoadedExtractor,
    SampleSet,
)
from ganzoo.registry import FEATURE_EXTRACTOR
from ganzoo.storage.cache import get_or_make_tensors
from ganzoo.storage.paths import user_path

CACHE = "features"
"""Folder of the cache for the features of reals."""
FORMAT = 1
"""Version of the cached format; entries of other versions are not used."""
VALUES = "values"
"""What scores of the numbers themselves are marked with."""
PROBES = 4
"""Samples that are extracted again to check cached features."""


class Extractors:
    """The feature extractors of an evaluation, each loaded when it is first used.

    Args:
        requested: Name of an extractor to use instead of the data's own or the metric's.
        weights: File of its weights.
        spec: Shape of the samples.
        device: Where to compute.
    """

    def __init__(
        self,
        requested: str | None,
        weights: str | Path | None,
        spec: DataSpec,
        device: torch.device,
    ) -> None:
        self.requested = requested
        self.weights = None if weights is None else user_path(weights)
        self.spec = spec
        self.device = device
        self._loaded: dict[str, LoadedExtractor] = {}

    def name_for(self, metric: Evaluator) -> str | None:
        """Return the extractor of a metric: the requested one, the data's, or the metric's own."""
        own = metric.extractor(self.spec)
        if own is None and not metric.needs_logits and not self._may_extract(metric):
            return None
        return self.requested or own

    def _may_extract(self, metric: Evaluator) -> bool:
        """Tell whether a requested extractor may replace the numbers of the samples."""
        return metric.features is not None and self.spec.is_image

    def check_used(self, evaluators: dict[str, Evaluator]) -> None:
        """Refuse a requested extractor that is missing or broken, or that no metric would use."""
        if self.requested is not None:
            registry.get(FEATURE_EXTRACTOR, self.requested)
        unused = all(self.name_for(metric) is None for metric in evaluators.values())
        if unused and (self.requested or self.weights):
            raise InputError(f"no feature extractor is used by {', '.join(evaluators)}")

    def load_for(self, evaluators: Iterable[Evaluator]) -> None:
        """Load the extractors of some metrics, so that missing weights are noticed early.

        Raises:
            InputError: the requested one takes images of other channels.
            GanzooError: weights are missing.
        """
        for name in {self.name_for(metric) for metric in evaluators}:
            if name is not None:
                loaded = self._get_extractor(name)
                if name == self.requested and self.spec.is_image:
                    _check_channels(self.spec.shape[0], loaded, name)

    def prepare_set(
        self,
        samples: Samples,
        name: str | None,
        what: str,
        *,
        keep: bool,
        targets: Samples | None = None,
    ) -> SampleSet:
        """Prepare a set of samples; features are extracted when a metric first uses them.

        Args:
            samples: The samples.
            name: The extractor; None for metrics that need none.
            what: Name of the samples, for progress and messages.
            keep: Whether the features are cached, for sets that are used again.
            targets: The real sample that each one is to equal, if they are pairs.
        """

        def extract(found: Samples) -> Features:
            if name is None:
                return _take_values(found, what)
            if keep:
                return self._cached_features(name, found, what)
            return self._extract(name, found, what)

        return SampleSet(samples, extract, targets, self.device)

    def describe(self, name: str) -> dict[str, str]:
        """Return an extractor's entry in a score row."""
        return {"name": name, "sha256": self._get_extractor(name).weights_sha256}

    def metric_suffix(self, metric: Evaluator) -> str:
        """Return the suffix of a metric's name: empty if the extractor is its standard one."""
        name = self.name_for(metric)
        if name is None:
            return "" if metric.features is None else f"[{VALUES}]"
        loaded = self._get_extractor(name)
        if not loaded.published:
            return f"[{name}@{loaded.weights_sha256[:8]}]"
        return "" if name == metric.features else f"[{name}]"

    def _get_extractor(self, name: str) -> LoadedExtractor:
        if name not in self._loaded:
            extractor: FeatureExtractor = parse_options(registry.get(FEATURE_EXTRACTOR, name), {})
            self._loaded[name] = extractor.load(self.weights, self.device)
        return self._loaded[name]

    def _cached_features(self, name: str, samples: Samples, what: str) -> Features:
        """Return features from the cache; if they are not there, all processes extract them.

        The first process alone reads and writes the cache, and scores. The others wait to hear
        whether to help, and what they return then is of no use.
        """
        team = distributed.sharers()
        if not team.is_first:
            needed = team.run_on_first(bool)
            return self._extract(name, samples, what) if needed else Features(torch.empty(0))
        made: list[Features] = []

        def make() -> dict[str, Tensor]:
            team.run_on_first(lambda: True)
            made.append(self._extract(name, samples, what))
            return _tensors(made[0])

        def is_valid(kept: dict[str, Tensor]) -> bool:
            # The key does not cover the extractor's code; a few samples show whether it changed.
            few = next(self._read_batches(name, samples.subset(torch.arange(min(PROBES, count)))))
            return _begins_with(kept, self._extract_batch(name, few), count)

        count = len(samples)
        kept = get_or_make_tensors(CACHE, self._cache_key(name, samples), make, is_valid)
        if made:
            return made[0]
        team.run_on_first(lambda: False)
        return Features(**kept)

    def _cache_key(self, name: str, samples: Samples) -> dict[str, Any]:
        """Return everything that features depend on; devices of other kinds round differently."""
        entry = registry.find(FEATURE_EXTRACTOR, name)
        return {
            "format": FORMAT,
            "samples": samples.fingerprint,
            "count": len(samples),
            "shape": list(samples.spec.shape),
            "extractor": f"{entry.qualified} {entry.version}",
            "weights": self._get_extractor(name).weights_sha256,
            "device": self.device.type,
            "versions": versions(),
        }

    def _extract(self, name: str, samples: Samples, what: str) -> Features:
        """Extract the features of all samples; several processes split the batches."""
        team = distributed.sharers()
        whole: dict[str, Tensor] = {}
        seen = 0

        def extract(batch: Tensor) -> Tensor:
            nonlocal seen
            found = self._extract_batch(name, batch)
            if not all(torch.isfinite(part).all() for part in found.values()):
                raise GanzooError(f"{name} gives features of the {what} that are not finite")
            if not whole:
                _require_memory(name, found, samples, what)
                # Filled in place: joining the parts at the end would take the memory twice.
                for key, part in found.items():
                    whole[key] = part.new_empty(len(samples), *part.shape[1:])
            seen += len(batch)
            report_progress(f"{name}: {what}", min(team.world * seen, len(samples)), len(samples))
            return torch.cat(list(found.values()), dim=1)

        done = 0
        for part in team.map_items(self._read_batches(name, samples), extract):
            if not whole:  # there was no batch for this process, whose features are of no use
                return Features(part)
            columns = part.split([each.shape[1] for each in whole.values()], dim=1)
            for each, some in zip(whole.values(), columns, strict=True):
                each[done : done + len(part)] = some
            done += len(part)
        return Features(**whole)

    def _read_batches(self, name: str, samples: Samples) -> Iterator[Tensor]:
        size = self._get_extractor(name).batch_size
        for begin in range(0, len(samples), size):
            end = min(begin + size, len(samples))
            if samples.mapped_array is None:
                yield samples.stored[begin:end]
            else:
                yield samples.mapped_array.read(torch.arange(begin, end))

    def _extract_batch(self, name: str, batch: Tensor) -> dict[str, Tensor]:
        loaded = self._get_extractor(name)
        with torch.inference_mode():
            found = loaded.extract(_match_channels(batch, loaded, name).to(self.device))
        return _tensors(found)


def _take_values(samples: Samples, what: str) -> Features:
    """Return the numbers of samples as their features."""
    memory.require(4 * samples.spec.size * len(samples), f"the numbers of {len(samples):,} {what}")
    return Features(samples.select(torch.arange(len(samples))).flatten(1).float())


def _require_memory(name: str, found: dict[str, Tensor], samples: Samples, what: str) -> None:
    size = sum(part[0].nbytes for part in found.values()) * len(samples)
    memory.require(size, f"the {name} features of {len(samples):,} {what}")


def _tensors(features: Features) -> dict[str, Tensor]:
    return {name: value for name, value in vars(features).items() if value is not None}


def _begins_with(kept: dict[str, Tensor], few: dict[str, Tensor], count: int) -> bool:
    """Tell whether features are those of ``count`` samples that begin with ``few``."""
    return kept.keys() == few.keys() and all(
        len(kept[name]) == count
        and kept[name].shape[1:] == found.shape[1:]
        and torch.allclose(kept[name][: len(found)], found, rtol=1e-3, atol=1e-4)
        for name, found in few.items()
    )


def _match_channels(images: Tensor, loaded: LoadedExtractor, name: str) -> Tensor:
    _check_channels(images.shape[1], loaded, name)
    return images.expand(-1, loaded.image_channels, -1, -1)


def _check_channels(channels: int, loaded: LoadedExtractor, name: str) -> None:
    if channels not in (1, loaded.image_channels):
        takes = loaded.image_channels
        raise InputError(
            f"{name} takes images of {takes} channel{'s' if takes > 1 else ''}, and these have "
            f"{channels}; choose another feature extractor"
        )
