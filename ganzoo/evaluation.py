"""Judging: one set of fakes, one of reals, each looked at once for all metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ganzoo import registry
from ganzoo.component import validated
from ganzoo.config import ComponentChoice, choose_data, versions
from ganzoo.dataset import Dataset, DataSpec, Samples
from ganzoo.devices import resolve_device
from ganzoo.errors import GanzooError, InputError
from ganzoo.evaluator import Evaluator, FeatureExtractor, Features, LoadedExtractor, SampleSet
from ganzoo.files import append_line, user_path
from ganzoo.model import Model, load
from ganzoo.registry import DATASET, EVALUATOR, FEATURE_EXTRACTOR
from ganzoo.run import Run
from ganzoo.seeding import generator_for, kept_randomness

FAKES = 10_000
"""Fakes are as many as the reals, but no more than this unless asked for."""

Progress = Callable[[str, int, int], None]


class ScoreRow(BaseModel):
    """A score with all that decides whether it compares with another.

    Rows are comparable when all but ``value``, ``std``, ``seed`` and ``step`` agree.
    """

    model_config = ConfigDict(frozen=True)

    metric: str
    """The metric's name, with the extractor's in brackets where it is not the standard one."""
    value: float
    std: float | None
    higher_is_better: bool
    features: dict[str, str] | None
    """Name and SHA-256 of the weights of the feature extractor."""
    data: dict[str, str]
    """Name, split and fingerprint of the reals."""
    real_samples: int
    fake_samples: int
    image_size: tuple[int, int] | None
    seed: int
    step: int | None
    """Generator updates of the model; None where no model was judged."""
    note: str | None
    versions: dict[str, str]


def evaluate(
    model: Model | Run | str | Path | None = None,
    metrics: Sequence[str] | None = None,
    *,
    data: str | None = None,
    data_options: dict[str, Any] | None = None,
    floor: bool = False,
    samples: int | None = None,
    real_samples: int | None = None,
    features: str | None = None,
    features_weights: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[ScoreRow]:
    """Judge a model, or real data against itself.

    Args:
        model: What to judge; the newest run if None.
        metrics: Names of evaluators; every installed one that fits the data if None.
        data: The reals; by default what the model was trained on.
        data_options: Options of ``data``.
        floor: Judge other reals in place of the model's fakes: the score that a perfect
            generator would have at these sample counts.
        samples: Number of fakes; as many as the reals, at most 10,000, if None.
        real_samples: Number of reals; all if None, or half of them for the floor.
        features: Name of a feature extractor, in place of the data's own or the metric's.
        features_weights: File of that extractor's weights.
        seed: Seed of the fakes.
        device: auto, cpu, cuda or mps.
        progress: Called with what is done, how much of it, and how much there is.

    Returns:
        A row for each number, in the order of the metrics. They are also added to the run's
        ``scores.jsonl`` if the model belongs to a run.

    Raises:
        InputError: a name, a number or a combination is wrong.
        GanzooError: weights cannot be fetched, or a number is not finite.
    """
    with kept_randomness():
        place = resolve_device(device)
        # The floor needs a model only where nothing else says which data are meant.
        known = None if floor and model is None and data else _loaded(model)
        judged = None if floor else known
        choice = _data_choice(known, data, data_options or {})
        dataset: Dataset = choice.build(DATASET)
        reals = dataset.read()
        evaluators = _evaluators(metrics, reals.spec)
        fakes, reals = _drawn(judged, reals, samples, real_samples, seed, place)
        extractors = _Extractors(features, features_weights, reals.spec, place, progress)
        extractors.check_used(evaluators)
        shared = {
            "data": {
                "name": choice.name,
                "split": dataset.split_name,
                "fingerprint": reals.fingerprint,
            },
            "real_samples": len(reals),
            "fake_samples": len(fakes),
            "image_size": reals.spec.image_size,
            "seed": seed,
            "step": judged.config.step if judged else None,
            "versions": versions(),
        }
        sets = extractors.look_at(fakes, reals, evaluators)
        rows = [
            row
            for name, judge in evaluators.items()
            for row in _rows(name, judge, extractors, sets[extractors.name_for(judge)], shared)
        ]
    if judged is not None:
        _remember(judged, rows)
    return rows


def _loaded(model: Model | Run | str | Path | None) -> Model:
    return model if isinstance(model, Model) else load(model)


def _data_choice(model: Model | None, data: str | None, options: dict[str, Any]) -> ComponentChoice:
    """Choose the reals: what is asked for, as the model's images, or what it was trained on."""
    if data is None:
        trained = model.config.data
        if not options:
            return trained
        return choose_data(f"{trained.package}:{trained.name}", {**trained.options, **options})
    return choose_data(data, options, model.config.spec if model else None)


def _drawn(
    model: Model | None,
    reals: Samples,
    samples: int | None,
    real_samples: int | None,
    seed: int,
    device: torch.device,
) -> tuple[Samples, Samples]:
    """Draw the fakes and choose the reals; the choice depends on their number alone."""
    available = len(reals)
    count = real_samples or (available if model else available // 2)
    wanted = samples or (min(count, FAKES) if model else available - count)
    for name, number in (("--samples", wanted), ("--real-samples", count)):
        if number < 1:
            raise InputError(f"{name} must be at least 1, not {number}")
    if (needed := count if model else count + wanted) > available:
        asked = f"{needed} ({count} to judge by, {wanted} to judge)" if not model else needed
        raise InputError(f"there are {available} real samples, and {asked} are needed")
    order = torch.randperm(available, generator=generator_for(0, "reals"))
    chosen = reals if count == available else reals.subset(order[:count])
    if model is None:
        return reals.subset(order[count : count + wanted]), chosen
    if model.config.spec.shape != reals.spec.shape:
        raise InputError(
            f"the model makes samples of {model.config.spec.size_in_words}, and the data have "
            f"{reals.spec.size_in_words}; choose other --data"
        )
    home = next(model.generator.parameters()).device
    try:
        fakes = _fakes(model.to(device), reals, wanted, seed)
    finally:
        model.to(home)
    return fakes, chosen


def _fakes(model: Model, reals: Samples, count: int, seed: int) -> Samples:
    """Draw fakes, of the classes of the reals where the model has classes."""
    spec = model.config.spec
    if not model.conditional:
        return Samples(reals.spec, model.sample_stored(count, seed))
    if reals.labels is None or reals.spec.classes != spec.classes:
        raise InputError(
            f"the model makes samples of {spec.classes} classes, and the data have "
            f"{reals.spec.classes or 'none'}; choose other --data"
        )
    order = torch.randperm(len(reals), generator=generator_for(seed, "labels"))
    chosen = order[torch.arange(count) % len(reals)]
    labels = reals.labels[chosen]
    if not model.architecture.takes_images:
        return Samples(reals.spec, model.sample_stored(count, seed, label=labels), labels)
    # A source of one class becomes a fake of the next one.
    labels = (labels + 1) % spec.classes
    return Samples(reals.spec, model.translate_stored(reals.batch(chosen), labels), labels)


def _evaluators(metrics: Sequence[str] | None, spec: DataSpec) -> dict[str, Evaluator]:
    if metrics:
        chosen: dict[str, Evaluator] = {
            name: validated(registry.get(EVALUATOR, name), {}) for name in metrics
        }
        unfit = [name for name, judge in chosen.items() if not judge.fits(spec)]
        if unfit:
            raise InputError(
                f"metric '{unfit[0]}' cannot judge samples of {spec.size_in_words} here"
            )
        return chosen
    usable: dict[str, Evaluator] = {}
    listed = registry.entries(EVALUATOR)
    claimed_twice = registry.conflicts(listed)
    for entry in listed:
        if entry.name in claimed_twice:
            continue
        try:
            judge = validated(entry.load(), {})
        except InputError:
            continue  # what is broken was not asked for
        if judge.fits(spec) and not judge.on_request:
            usable[entry.name] = judge
    if not usable:
        raise InputError(f"no installed metric can judge samples of {spec.size_in_words}")
    return usable


class _Extractors:
    """The feature extractors that a judgement needs, each loaded when it is first used."""

    def __init__(
        self,
        asked: str | None,
        weights: str | Path | None,
        spec: DataSpec,
        device: torch.device,
        progress: Progress | None,
    ) -> None:
        self.asked = asked
        self.weights = user_path(weights) if weights else None
        self.spec = spec
        self.device = device
        self.progress = progress or (lambda what, done, total: None)
        self.loaded: dict[str, LoadedExtractor] = {}

    def name_for(self, judge: Evaluator) -> str | None:
        """Return the extractor that a metric is given: asked for, the data's, or its own."""
        own = judge.extractor(self.spec)
        return None if own is None else self.asked or own

    def check_used(self, evaluators: dict[str, Evaluator]) -> None:
        """Refuse an extractor, or weights, that no metric would look through."""
        unused = all(self.name_for(judge) is None for judge in evaluators.values())
        if unused and (self.asked or self.weights):
            raise InputError(f"{', '.join(evaluators)} look through no feature extractor")

    def look_at(
        self, fakes: Samples, reals: Samples, evaluators: dict[str, Evaluator]
    ) -> dict[str | None, tuple[SampleSet, SampleSet]]:
        """Prepare both sets for each extractor; the pass is made when a metric first looks."""
        return {
            name: (
                SampleSet(fakes, lambda found, n=name: self._features(n, found, "fakes")),
                SampleSet(reals, lambda found, n=name: self._features(n, found, "reals")),
            )
            for name in {self.name_for(judge) for judge in evaluators.values()}
        }

    def describe(self, name: str) -> dict[str, str]:
        """Return what a score row says of an extractor."""
        return {"name": name, "sha256": self._load(name).weights_sha256}

    def label(self, judge: Evaluator) -> str:
        """Return what a metric's name carries: nothing if the extractor is its standard one."""
        name = self.name_for(judge)
        if name is None:
            return ""
        loaded = self._load(name)
        if not loaded.published:
            return f"[{name}@{loaded.weights_sha256[:8]}]"
        return "" if name == judge.features else f"[{name}]"

    def _load(self, name: str) -> LoadedExtractor:
        if name not in self.loaded:
            extractor: FeatureExtractor = validated(registry.get(FEATURE_EXTRACTOR, name), {})
            self.loaded[name] = extractor.load(self.weights, self.device)
        return self.loaded[name]

    def _features(self, name: str | None, samples: Samples, what: str) -> Features:
        if name is None:
            raise InputError("a metric that names no feature extractor has no features")
        loaded = self._load(name)
        parts: list[Features] = []
        done = 0
        for batch in samples.stored.split(loaded.batch_size):
            with torch.inference_mode():
                parts.append(loaded.extract(_with_channels(batch, loaded, name).to(self.device)))
            done += len(batch)
            self.progress(f"{name}: {what}", done, len(samples))
        logits = [part.logits for part in parts if part.logits is not None]
        found = Features(
            torch.cat([part.pooled for part in parts]), torch.cat(logits) if logits else None
        )
        if not all(torch.isfinite(t).all() for t in (found.pooled, found.logits) if t is not None):
            raise GanzooError(f"{name} gives features of the {what} that are not finite")
        return found


def _with_channels(images: Tensor, loaded: LoadedExtractor, name: str) -> Tensor:
    if images.shape[1] == 1:
        return images.expand(-1, loaded.image_channels, -1, -1)
    if images.shape[1] != loaded.image_channels:
        raise InputError(
            f"{name} looks at images of {loaded.image_channels} channels, "
            f"and these have {images.shape[1]}; choose other --features"
        )
    return images


def _rows(
    name: str,
    judge: Evaluator,
    extractors: _Extractors,
    sets: tuple[SampleSet, SampleSet],
    shared: dict[str, Any],
) -> list[ScoreRow]:
    fake, real = sets
    extractor = extractors.name_for(judge)
    if judge.needs_logits and fake.features.logits is None:
        raise InputError(f"{name} needs a classifier, and {extractor} is none")
    return [
        ScoreRow(
            metric=(score.name or name.rpartition(":")[2]) + extractors.label(judge),
            value=score.value,
            std=score.std,
            higher_is_better=judge.higher_is_better,
            features=extractors.describe(extractor) if extractor else None,
            note=score.note,
            **shared,
        )
        for score in judge.evaluate(fake, real)
    ]


def _remember(model: Model, rows: list[ScoreRow]) -> None:
    """Add rows to the run that a model belongs to, if it belongs to one."""
    run = Run(model.folder.parent)
    if run.model == model.folder and run.is_run():
        for row in rows:
            append_line(run.scores, row.model_dump(mode="json"))
