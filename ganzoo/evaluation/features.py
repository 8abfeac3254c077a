"""Looking at samples through feature extractors: once for all metrics, and reals once for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from ganzoo.storage.cache import find_tensors, get_or_make_tensors
from ganzoo.storage.paths import user_path

CACHE = "features"
"""What the features of reals are kept as."""
FORMAT = 1
"""Of what is kept; another one is made anew."""
PROBES = 4
"""Samples that are looked at again before kept features are used."""


class Extractors:
    """The feature extractors that a judgement needs, each loaded when it is first used.

    Args:
        asked: Name of an extractor, in place of the data's own or the metric's.
        weights: File of its weights.
        spec: What is looked at.
        device: Where to compute.
    """

    def __init__(
        self,
        asked: str | None,
        weights: str | Path | None,
        spec: DataSpec,
        device: torch.device,
    ) -> None:
        self.asked = asked
        self.weights = user_path(weights) if weights else None
        self.spec = spec
        self.device = device
        self._loaded: dict[str, LoadedExtractor] = {}

    def name_for(self, judge: Evaluator) -> str | None:
        """Return the extractor that a metric is given: asked for, the data's, or its own."""
        own = judge.extractor(self.spec)
        return None if own is None else self.asked or own

    def check_used(self, evaluators: dict[str, Evaluator]) -> None:
        """Refuse an extractor, or weights, that no metric would look through."""
        unused = all(self.name_for(judge) is None for judge in evaluators.values())
        if unused and (self.asked or self.weights):
            raise InputError(f"{', '.join(evaluators)} look through no feature extractor")

    def load_for(self, evaluators: Iterable[Evaluator]) -> None:
        """Load what some metrics look through, so that what is missing is missed now."""
        for name in {self.name_for(judge) for judge in evaluators} - {None}:
            self._get_extractor(name)

    def prepare_set(
        self, samples: Samples, name: str | None, what: str, *, keep: bool
    ) -> SampleSet:
        """Prepare a set for an extractor; the pass is made when a metric first looks.

        Args:
            samples: What is looked at.
            name: The extractor; None for metrics that need none.
            what: What the samples are, for progress and messages.
            keep: Whether the features are kept in the cache, for sets that come again.
        """
        extract = self._cached_features if keep else self._extract
        return SampleSet(samples, lambda found: extract(name, found, what))

    def describe(self, name: str) -> dict[str, str]:
        """Return what a score row says of an extractor."""
        return {"name": name, "sha256": self._get_extractor(name).weights_sha256}

    def metric_suffix(self, judge: Evaluator) -> str:
        """Return what a metric's name carries: nothing if the extractor is its standard one."""
        name = self.name_for(judge)
        if name is None:
            return ""
        loaded = self._get_extractor(name)
        if not loaded.published:
            return f"[{name}@{loaded.weights_sha256[:8]}]"
        return "" if name == judge.features else f"[{name}]"

    def _get_extractor(self, name: str) -> LoadedExtractor:
        if name not in self._loaded:
            extractor: FeatureExtractor = parse_options(registry.get(FEATURE_EXTRACTOR, name), {})
            self._loaded[name] = extractor.load(self.weights, self.device)
        return self._loaded[name]

    def _cached_features(self, name: str | None, samples: Samples, what: str) -> Features:
        if name is None:
            return self._extract(name, samples, what)
        key, made = self._cache_key(name, samples), []

        def make() -> dict[str, Tensor]:
            made.append(self._extract(name, samples, what))
            return _tensors(made[0])

        def valid(kept: dict[str, Tensor]) -> bool:
            # The key cannot tell that the code of an extractor was changed; a few samples can.
            few = samples.subset(torch.arange(min(PROBES, len(samples))))
            return _begins_with(kept, _tensors(self._extract(name, few, what)), len(samples))

        if distributed.current().is_sharing:
            return self._share_cached_features(key, make, valid)
        kept = get_or_make_tensors(CACHE, key, make, valid)
        return made[0] if made else Features(**kept)

    def _share_cached_features(
        self,
        key: dict[str, Any],
        make: Callable[[], dict[str, Tensor]],
        valid: Callable[[dict[str, Tensor]], bool],
    ) -> Features:
        """Have the first process read what is kept, or all make it: never under the entry's lock.

        Only the first one's features are of use.
        """
        team = distributed.current()
        kept: dict[str, Tensor] = {}

        def there() -> bool:
            kept.update(find_tensors(CACHE, key, valid) or {})
            return bool(kept)

        if team.run_on_first(there):
            return Features(**kept) if team.is_first else Features(torch.empty(0))
        made = make()
        if team.is_first:
            get_or_make_tensors(CACHE, key, lambda: made)
        return Features(**made)

    def _cache_key(self, name: str, samples: Samples) -> dict[str, Any]:
        """Return all that features depend on; numbers of another machine's kind are not taken."""
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

    def _extract(self, name: str | None, samples: Samples, what: str) -> Features:
        if name is None:
            raise InputError("a metric that names no feature extractor has no features")
        if distributed.current().is_sharing:
            whole = self._extract_shared(name, samples, what)
        else:
            whole = self._extract_alone(name, samples, what)
        if not all(torch.isfinite(tensor).all() for tensor in whole.values()):
            raise GanzooError(f"{name} gives features of the {what} that are not finite")
        return Features(**whole)

    def _extract_alone(self, name: str, samples: Samples, what: str) -> dict[str, Tensor]:
        whole: dict[str, Tensor] = {}
        done = 0
        for batch in self._read_batches(name, samples):
            found = self._extract_batch(name, batch)
            if not whole:
                _require_memory(name, found, samples, what)
            for key, part in found.items():
                if key not in whole:
                    # Filled in place: joining parts at the end would take the memory twice.
                    whole[key] = part.new_empty(len(samples), *part.shape[1:])
                whole[key][done : done + len(batch)] = part
            done += len(batch)
            report_progress(f"{name}: {what}", done, len(samples))
        return whole

    def _extract_shared(self, name: str, samples: Samples, what: str) -> dict[str, Tensor]:
        """Look at the same batches, each process at its part of them."""
        widths: dict[str, int] = {}
        team, done = distributed.current(), 0

        def look(batch: Tensor) -> Tensor:
            nonlocal done
            found = self._extract_batch(name, batch)
            if not widths:
                _require_memory(name, found, samples, what)
            widths.update({key: part.shape[1] for key, part in found.items()})
            done += len(batch)
            report_progress(f"{name}: {what}", min(team.world * done, len(samples)), len(samples))
            return torch.cat(list(found.values()), dim=1)

        parts = team.map_items(self._read_batches(name, samples), look)
        whole = torch.cat(parts)
        widths = widths or {"pooled": whole.shape[1]}  # nothing was left for this process
        columns = whole.split(list(widths.values()), dim=1)
        return {key: part.contiguous() for key, part in zip(widths, columns, strict=True)}

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


def _require_memory(name: str, found: dict[str, Tensor], samples: Samples, what: str) -> None:
    size = sum(part[0].nbytes for part in found.values()) * len(samples)
    memory.require(size, f"what {name} sees in {len(samples):,} {what}")


def _tensors(features: Features) -> dict[str, Tensor]:
    return {name: value for name, value in vars(features).items() if value is not None}


def _begins_with(kept: dict[str, Tensor], few: dict[str, Tensor], count: int) -> bool:
    """Tell whether kept features are of ``count`` samples, of which ``few`` are the first."""
    return kept.keys() == few.keys() and all(
        len(kept[name]) == count
        and kept[name].shape[1:] == found.shape[1:]
        and torch.allclose(kept[name][: len(found)], found, rtol=1e-3, atol=1e-4)
        for name, found in few.items()
    )


def _match_channels(images: Tensor, loaded: LoadedExtractor, name: str) -> Tensor:
    if images.shape[1] == 1:
        return images.expand(-1, loaded.image_channels, -1, -1)
    if images.shape[1] != loaded.image_channels:
        raise InputError(
            f"{name} looks at images of {loaded.image_channels} channels, "
            f"and these have {images.shape[1]}; choose other --features"
        )
    return images
