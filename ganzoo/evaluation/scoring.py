"""Judging: one set of fakes, one of reals, each looked at once for all metrics."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ganzoo import distributed, registry
from ganzoo.component import parse_options
from ganzoo.compute.devices import resolve_device
from ganzoo.compute.seeding import make_rng, preserve_rng_state
from ganzoo.config import ComponentChoice, versions
from ganzoo.errors import InputError
from ganzoo.evaluation.features import Extractors
from ganzoo.models.model import Model, load
from ganzoo.progress import Listener, send_progress_to
from ganzoo.protocols.dataset import Dataset, DataSpec, Samples
from ganzoo.protocols.evaluator import Evaluator, SampleSet
from ganzoo.registry import DATASET, EVALUATOR
from ganzoo.resolve import choose_data
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import ScoreRow, log_scores

MAX_FAKES = 10_000
"""Fakes are as many as the reals, but no more than this unless asked for."""


class Judge:
    """Reals, and the metrics that judge fakes against them; the reals are looked at once.

    Args:
        reals: The reals that are judged by.
        data: Name and split of the data they come from.
        evaluators: Metrics by name.
        extractors: What they look through.
        lenient: Whether a metric that needs a classifier is passed over where there is none, in
            place of an error.
    """

    def __init__(
        self,
        reals: Samples,
        data: Mapping[str, str],
        evaluators: Mapping[str, Evaluator],
        extractors: Extractors,
        *,
        lenient: bool = False,
    ) -> None:
        self.reals = reals
        self.lenient = lenient
        self.data = {**data, "fingerprint": reals.fingerprint}
        self.evaluators = evaluators
        self.extractors = extractors
        self._real_sets: dict[str | None, SampleSet] = {
            name: extractors.prepare_set(reals, name, "reals", keep=True)
            for name in self._extractor_names()
        }

    def judge(self, fakes: Samples, *, seed: int, step: int | None) -> list[ScoreRow]:
        """Return a row for each number that the metrics find, in their order.

        Args:
            fakes: What is judged.
            seed: The seed they were drawn with.
            step: Generator updates of the model; None for reals in the place of fakes.
        """
        looked = {
            name: self.extractors.prepare_set(fakes, name, "fakes", keep=False)
            for name in self._extractor_names()
        }
        team = distributed.current()
        if not team.is_sharing:
            return self._score_rows(looked, fakes, seed, step)
        # Looked at by all processes, and judged by the first one.
        for name in sorted(filter(None, self._extractor_names())):
            _ = self._real_sets[name].features, looked[name].features
        rows = team.run_on_first(
            lambda: [
                row.model_dump(mode="json") for row in self._score_rows(looked, fakes, seed, step)
            ]
        )
        return [ScoreRow.model_validate(row) for row in rows]

    def _score_rows(
        self,
        looked: Mapping[str | None, SampleSet],
        fakes: Samples,
        seed: int,
        step: int | None,
    ) -> list[ScoreRow]:
        shared = {
            "data": self.data,
            "real_samples": len(self.reals),
            "fake_samples": len(fakes),
            "image_size": self.reals.spec.image_size,
            "seed": seed,
            "step": step,
            "versions": versions(),
        }
        rows: list[ScoreRow] = []
        for name, judge in self.evaluators.items():
            through = self.extractors.name_for(judge)
            if judge.needs_logits and looked[through].features.logits is None:
                if self.lenient:
                    continue
                raise InputError(f"{name} needs a classifier, and {through} is none")
            short = name.rpartition(":")[2]
            rows += [
                ScoreRow(
                    metric=(score.name or short) + self.extractors.metric_suffix(judge),
                    value=score.value,
                    std=score.std,
                    higher_is_better=(
                        judge.higher_is_better
                        if score.higher_is_better is None
                        else score.higher_is_better
                    ),
                    options=judge.model_dump(mode="json"),
                    features=self.extractors.describe(through) if through else None,
                    note=score.note,
                    **shared,
                )
                for score in judge.evaluate(looked[through], self._real_sets[through])
            ]
        if not rows:
            raise InputError("no installed metric can look through this feature extractor")
        return rows

    def _extractor_names(self) -> set[str | None]:
        return {self.extractors.name_for(judge) for judge in self.evaluators.values()}


def evaluate(
    model: Model | Run | str | Path | None = None,
    metrics: Sequence[str] | None = None,
    *,
    data: str | None = None,
    data_options: dict[str, Any] | None = None,
    metric_options: Mapping[str, Mapping[str, Any]] | None = None,
    floor: bool = False,
    samples: int | None = None,
    real_samples: int | None = None,
    features: str | None = None,
    features_weights: str | Path | None = None,
    seed: int = 0,
    repeats: int = 1,
    device: str = "auto",
    progress: Listener | None = None,
) -> list[ScoreRow]:
    """Judge a model, or real data against itself.

    Args:
        model: What to judge; the newest run if None.
        metrics: Names of evaluators; every installed one that fits the data if None, but for
            those that judge on request only.
        data: The reals; by default what the model was trained on.
        data_options: Options of ``data``.
        metric_options: Options of metrics, by metric and name.
        floor: Judge other reals in place of the model's fakes: the score that a perfect
            generator would have at these sample counts.
        samples: Number of fakes; as many as the reals, at most 10,000, if None.
        real_samples: Number of reals; all if None, or half of them for the floor.
        features: Name of a feature extractor, in place of the data's own or the metric's.
        features_weights: File of that extractor's weights.
        seed: Seed of the fakes.
        repeats: Sets of fakes to judge, of this seed and those that follow it. Of more than one,
            a score is the mean over them, and its deviation is that between them.
        device: auto, cpu, cuda or mps.
        progress: Called with what is done, how much of it, and how much there is.

    Returns:
        A row for each number, in the order of the metrics. They are also added to the run's
        ``scores.jsonl`` if the model belongs to a run.

    Raises:
        InputError: a name, a number or a combination is wrong.
        GanzooError: weights cannot be fetched, or a number is not finite.
    """
    if repeats < 1:
        raise InputError(f"--repeats must be at least 1, not {repeats}")
    if floor and repeats > 1:
        raise InputError("--floor judges reals, which have no seed to repeat: leave one away")
    with (
        distributed.join_team() as team,
        preserve_rng_state(),
        send_progress_to(progress if team.is_first else None),
        distributed.sharing(),
    ):
        place = resolve_device(device)
        team.connect(place)
        # The floor needs a model only where nothing else says which data are meant.
        known = None if floor and model is None and data else _load_model(model)
        judged = None if floor else known
        choice = _data_choice(known, data, data_options or {})
        dataset: Dataset = choice.build(DATASET)
        reals = dataset.read()
        team.require_same(reals.fingerprint, "the data")
        evaluators = choose_metrics(metrics, reals.spec, metric_options, features)
        extractors = Extractors(features, features_weights, reals.spec, place)
        extractors.check_used(evaluators)
        others, reals, wanted = _split_reals(judged, reals, samples, real_samples)
        named = describe_data(choice, dataset)
        judge = Judge(reals, named, evaluators, extractors, lenient=not metrics)
        if judged is None:
            return judge.judge(others, seed=seed, step=None)
        _check_shape(judged, reals.spec)
        # Missing weights are missed before the fakes are drawn.
        extractors.load_for(evaluators.values())
        found = []
        for each in range(seed, seed + repeats):
            fakes = _draw_fakes_on(judged, reals, wanted, each, place)
            found.append(judge.judge(fakes, seed=each, step=judged.config.step))
        rows = [_average_seeds(same) for same in zip(*found, strict=True)]
        if team.is_first:
            _log_to_run(judged, rows)
    return rows


def describe_data(choice: ComponentChoice, dataset: Dataset) -> dict[str, str]:
    """Return what a score row says of the data, but for their fingerprint."""
    return {"name": choice.name, "split": dataset.split_name}


def choose_metrics(
    names: Sequence[str] | None,
    spec: DataSpec,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    features: str | None = None,
) -> dict[str, Evaluator]:
    """Build metrics by name, or all that fit such samples if none are named.

    Args:
        names: Names of evaluators.
        spec: What they are to judge.
        options: Options of metrics, by metric and name.
        features: Name of an extractor that they must be able to look through, if none are named.

    Raises:
        InputError: a name or an option is wrong, a metric cannot judge such samples, or none can.
    """
    options = options or {}
    if names:
        chosen: dict[str, Evaluator] = {
            name: _build_metric(registry.get(EVALUATOR, name), name, options) for name in names
        }
        unfit = [name for name, judge in chosen.items() if not judge.fits(spec)]
        if unfit:
            raise InputError(
                f"metric '{unfit[0]}' cannot judge samples of {spec.size_in_words} here"
            )
    else:
        chosen = {
            name: judge
            for name, judge in _find_usable(spec, options).items()
            if not judge.on_request and _can_use_features(judge, features, spec)
        }
        if not chosen:
            raise InputError(f"no installed metric can judge samples of {spec.size_in_words}")
    if unused := options.keys() - chosen.keys():
        raise InputError(
            f"an option of metric '{min(unused)}' is set, which does not judge here; "
            f"those that do are {', '.join(chosen)}"
        )
    return chosen


def choose_ranking_metrics(names: Sequence[str], spec: DataSpec) -> dict[str, Evaluator]:
    """Build the metrics that rank a training's snapshots; the first decides which is best.

    Raises:
        InputError: a name is wrong, or no installed metric ranks such samples by itself.
    """
    if names:
        return choose_metrics(names, spec)
    found = {name: judge for name, judge in _find_usable(spec, {}).items() if judge.ranks(spec)}
    if not found:
        raise InputError(
            f"no installed metric ranks samples of {spec.size_in_words} by itself; "
            "name one with --set train.eval_metric=NAME"
        )
    return found


def draw_fakes(model: Model, reals: Samples, count: int, seed: int) -> Samples:
    """Draw fakes, of the classes of the reals where the model has classes.

    Raises:
        InputError: the model's samples are none that the reals can judge.
    """
    spec = model.config.spec
    _check_shape(model, reals.spec)
    if not model.conditional:
        return Samples(reals.spec, model.generate(model.inputs.draw(count, seed), stored=True))
    if reals.labels is None or reals.spec.classes != spec.classes:
        raise InputError(
            f"the model makes samples of {spec.classes} classes, and the data have "
            f"{reals.spec.classes or 'none'}; choose other --data"
        )
    order = torch.randperm(len(reals), generator=make_rng(seed, "labels"))
    chosen = order[torch.arange(count) % len(reals)]
    labels = reals.labels_of(chosen)
    if not model.architecture.takes_images:
        inputs = model.inputs.draw(count, seed, labels)
        return Samples(reals.spec, model.generate(inputs, stored=True), labels)
    # A source of one class becomes a fake of the next one.
    labels_after = (labels + 1) % spec.classes
    inputs = model.inputs.from_images(reals.batch(chosen), labels_after)
    return Samples(reals.spec, model.generate(inputs, stored=True), labels_after)


def _check_shape(model: Model, data: DataSpec) -> None:
    if model.config.spec.shape != data.shape:
        raise InputError(
            f"the model makes samples of {model.config.spec.size_in_words}, and the data have "
            f"{data.size_in_words}; choose other --data"
        )


def choose_reals(reals: Samples, count: int) -> Samples:
    """Choose reals to judge by; the choice depends on their number alone."""
    return reals if count == len(reals) else reals.subset(_shuffle_order(reals)[:count])


def _shuffle_order(reals: Samples) -> torch.Tensor:
    return torch.randperm(len(reals), generator=make_rng(0, "reals"))


def _load_model(model: Model | Run | str | Path | None) -> Model:
    return model if isinstance(model, Model) else load(model)


def _data_choice(model: Model | None, data: str | None, options: dict[str, Any]) -> ComponentChoice:
    """Choose the reals: what is asked for, as the model's images, or what it was trained on."""
    if data is None:
        trained = model.config.data
        if not options:
            return trained
        return choose_data(f"{trained.package}:{trained.name}", {**trained.options, **options})
    return choose_data(data, options, model.config.spec if model else None)


def _split_reals(
    model: Model | None, reals: Samples, samples: int | None, real_samples: int | None
) -> tuple[Samples | None, Samples, int]:
    """Choose the reals, others in the place of fakes for a floor, and the number of fakes."""
    available = len(reals)
    count = real_samples or (available if model else available // 2)
    wanted = samples or (min(count, MAX_FAKES) if model else available - count)
    for name, number in (("--samples", wanted), ("--real-samples", count)):
        if number < 1:
            raise InputError(f"{name} must be at least 1, not {number}")
    if (needed := count if model else count + wanted) > available:
        asked = f"{needed} ({count} to judge by, {wanted} to judge)" if not model else needed
        raise InputError(f"there are {available} real samples, and {asked} are needed")
    others = None if model else reals.subset(_shuffle_order(reals)[count : count + wanted])
    return others, choose_reals(reals, count), wanted


def _draw_fakes_on(
    model: Model, reals: Samples, count: int, seed: int, device: torch.device
) -> Samples:
    home = next(model.generator.parameters()).device
    try:
        return draw_fakes(model.to(device), reals, count, seed)
    finally:
        model.to(home)


def _find_usable(spec: DataSpec, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Evaluator]:
    """Build every installed metric that fits; what is broken was not asked for."""
    usable: dict[str, Evaluator] = {}
    listed = registry.entries(EVALUATOR)
    claimed_twice = registry.conflicts(listed)
    for entry in listed:
        if entry.name in claimed_twice:
            continue
        try:
            judge = _build_metric(entry.load(), entry.name, options)
        except InputError:
            if entry.name in options:
                raise
            continue
        if judge.fits(spec):
            usable[entry.name] = judge
    return usable


def _can_use_features(judge: Evaluator, features: str | None, spec: DataSpec) -> bool:
    """Tell whether a metric may look through an extractor in place of the data's own."""
    own = judge.extractor(spec)
    # One that stands for no extractor, and has one all the same, can use the data's own alone.
    return features in (None, own) or own is None or judge.features is not None


def _build_metric(
    kind: type[Evaluator], name: str, options: Mapping[str, Mapping[str, Any]]
) -> Evaluator:
    return parse_options(kind, options.get(name, {}), f"metric.{name}.")


def _average_seeds(rows: Sequence[ScoreRow]) -> ScoreRow:
    """Join the rows of one number over several seeds."""
    if len(rows) == 1:
        return rows[0]
    values = [row.value for row in rows]
    update = {
        "value": statistics.fmean(values),
        "std": statistics.stdev(values),
        "repeats": len(rows),
    }
    return rows[0].model_copy(update=update)


def _log_to_run(model: Model, rows: list[ScoreRow]) -> None:
    """Add rows to the run that a model belongs to, if it belongs to one."""
    run = model.folder.run() if model.folder else None
    if run is not None:
        log_scores(run.scores, rows)
