"""Evaluation: metrics score one set of fakes against one set of reals."""

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
from ganzoo.errors import InputError, name_errors
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
"""Most fakes by default; there are as many as reals up to this number."""


class Judge:
    """Reals, and the metrics that score fakes against them; features of reals are extracted once.

    Args:
        reals: The real samples.
        data: Name and split of the data they come from.
        evaluators: Metrics by name.
        extractors: The metrics' feature extractors.
        lenient: Whether a metric that needs a classifier is skipped if there is none, instead of
            raising an error.
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
        """Return the scores of all metrics, in their order.

        Args:
            fakes: The samples to score.
            seed: The seed they were drawn with.
            step: Generator updates of the model; None for reals in place of fakes.

        Raises:
            InputError: a metric cannot score these samples; the message begins with its name.
        """
        fake_sets = {
            name: self.extractors.prepare_set(fakes, name, "fakes", keep=False)
            for name in self._extractor_names()
        }
        team = distributed.sharers()
        if team.world > 1:  # the first process scores alone, from features that all have extracted
            for name in sorted(filter(None, self._extractor_names())):
                _ = self._real_sets[name].features, fake_sets[name].features
        rows = team.run_on_first(
            lambda: [
                row.model_dump(mode="json")
                for row in self._score_rows(fake_sets, fakes, seed, step)
            ]
        )
        return [ScoreRow.model_validate(row) for row in rows]

    def _score_rows(
        self,
        fake_sets: Mapping[str | None, SampleSet],
        fakes: Samples,
        seed: int,
        step: int | None,
    ) -> list[ScoreRow]:
        shared: dict[str, Any] = {
            "data": self.data,
            "real_samples": len(self.reals),
            "fake_samples": len(fakes),
            "image_size": self.reals.spec.image_size,
            "seed": seed,
            "step": step,
            "versions": versions(),
        }
        rows: list[ScoreRow] = []
        for name, metric in self.evaluators.items():
            extractor = self.extractors.name_for(metric)
            fake_set, real_set = fake_sets[extractor], self._real_sets[extractor]
            with name_errors(f"metric '{name}'"):
                if metric.needs_logits and fake_set.features.logits is None:
                    if self.lenient:
                        continue
                    raise InputError(f"needs a classifier, and {extractor} is not one")
                scores = metric.evaluate(fake_set, real_set)
            short = name.rpartition(":")[2]
            rows += [
                ScoreRow(
                    metric=(score.name or short) + self.extractors.metric_suffix(metric),
                    value=score.value,
                    std=score.std,
                    higher_is_better=(
                        metric.higher_is_better
                        if score.higher_is_better is None
                        else score.higher_is_better
                    ),
                    options=metric.model_dump(mode="json"),
                    features=self.extractors.describe(extractor) if extractor else None,
                    note=score.note,
                    **shared,
                )
                for score in scores
            ]
        if not rows:
            raise InputError("no installed metric can use this feature extractor")
        return rows

    def _extractor_names(self) -> set[str | None]:
        return {self.extractors.name_for(metric) for metric in self.evaluators.values()}


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
    """Evaluate a model, or real data against itself.

    Args:
        model: The model to evaluate; the newest run if None.
        metrics: Names of evaluators; if None, every installed one that fits the data, except those
            that run on request only.
        data: Name or path of the reals; by default the model's training data.
        data_options: Options of ``data``.
        metric_options: Options of metrics, by metric and name.
        floor: Score other reals instead of the model's fakes: the score that a perfect generator
            would have at these sample counts.
        samples: Number of fakes; as many as the reals, at most 10,000, if None.
        real_samples: Number of reals; all if None, or half of them for the floor.
        features: Name of a feature extractor to use instead of the data's own or the metric's.
        features_weights: File of that extractor's weights.
        seed: Seed of the fakes.
        repeats: Number of sets of fakes, of this seed and the following ones. With more than one,
            a score is the mean over the sets, and its deviation is that between them.
        device: auto, cpu, cuda or mps.
        progress: Called with the name of the work, how much is done, and the total.

    Returns:
        A row for each score, in the order of the metrics. They are also appended to the run's
        ``scores.jsonl`` if the model belongs to a run.

    Raises:
        InputError: a name, a number or a combination is wrong.
        GanzooError: weights cannot be downloaded, or a number is not finite.
    """
    if repeats < 1:
        raise InputError(f"--repeats must be at least 1, not {repeats}")
    if floor and repeats > 1:
        raise InputError(
            "--floor scores reals, which have no seed to repeat: drop --floor or --repeats"
        )
    with (
        distributed.join_team() as team,
        preserve_rng_state(),
        send_progress_to(progress if team.is_first else None),
        distributed.sharing(),
    ):
        place = resolve_device(device)
        team.connect(place)
        # The floor needs a model only if nothing else tells which data to use.
        known = None if floor and model is None and data else _load_model(model)
        choice = _data_choice(known, data, data_options or {})
        dataset: Dataset = choice.build(DATASET)
        reals = dataset.read()
        team.require_same(reals.fingerprint, "the data")
        evaluators = choose_metrics(metrics, reals.spec, metric_options, features)
        extractors = Extractors(features, features_weights, reals.spec, place)
        extractors.check_used(evaluators)
        others, reals, wanted = _split_reals(floor, reals, samples, real_samples)
        named = describe_data(choice, dataset)
        judge = Judge(reals, named, evaluators, extractors, lenient=not metrics)
        if others is not None:
            return judge.judge(others, seed=seed, step=None)
        assert known is not None  # only a floor does without a model
        _check_shape(known, reals.spec)
        # Missing weights are noticed before the fakes are drawn.
        extractors.load_for(evaluators.values())
        found = []
        for each in range(seed, seed + repeats):
            fakes = _draw_fakes_on(known, reals, wanted, each, place)
            found.append(judge.judge(fakes, seed=each, step=known.config.step))
        rows = [_average_seeds(same) for same in zip(*found, strict=True)]
        if team.is_first:
            _log_to_run(known, rows)
    return rows


def describe_data(choice: ComponentChoice, dataset: Dataset) -> dict[str, str]:
    """Return the data's entry in a score row, without the fingerprint."""
    return {"name": choice.name, "split": dataset.split_name}


def choose_metrics(
    names: Sequence[str] | None,
    spec: DataSpec,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    features: str | None = None,
) -> dict[str, Evaluator]:
    """Build metrics by name, or all that fit such samples if no name is given.

    Args:
        names: Names of evaluators.
        spec: The samples to score.
        options: Options of metrics, by metric and name.
        features: Name of an extractor that unnamed metrics must be able to use.

    Raises:
        InputError: a name or an option is wrong, a metric cannot score such samples, or none can.
    """
    options = options or {}
    if names:
        chosen: dict[str, Evaluator] = {
            name: _build_metric(registry.get(EVALUATOR, name), name, options) for name in names
        }
        unfit = [name for name, metric in chosen.items() if not metric.fits(spec)]
        if unfit:
            raise InputError(
                f"metric '{unfit[0]}' cannot judge samples of {spec.size_in_words} here"
            )
    else:
        chosen = {
            name: metric
            for name, metric in _find_usable(spec, options).items()
            if not metric.on_request and _can_use_features(metric, features, spec)
        }
        if not chosen:
            raise InputError(f"no installed metric can judge samples of {spec.size_in_words}")
    if unused := options.keys() - chosen.keys():
        raise InputError(
            f"an option of metric '{min(unused)}' is set, which is not used here; "
            f"the metrics are {', '.join(chosen)}"
        )
    return chosen


def choose_ranking_metrics(names: Sequence[str], spec: DataSpec) -> dict[str, Evaluator]:
    """Build the metrics that rank a run's snapshots; the first one decides which is best.

    Raises:
        InputError: a name is wrong, or no installed metric ranks such samples by itself.
    """
    if names:
        return choose_metrics(names, spec)
    found = {name: metric for name, metric in _find_usable(spec, {}).items() if metric.ranks(spec)}
    if not found:
        raise InputError(
            f"no installed metric ranks samples of {spec.size_in_words} by itself; "
            "name one with --set train.eval_metric=NAME"
        )
    return found


def draw_fakes(model: Model, reals: Samples, count: int, seed: int) -> Samples:
    """Draw fakes, of the same classes as the reals if the model has classes.

    Raises:
        InputError: the model's samples cannot be compared with the reals.
    """
    classes = model.config.spec.classes
    _check_shape(model, reals.spec)
    if not model.conditional:
        return Samples(reals.spec, model.generate(model.inputs.draw(count, seed), stored=True))
    if reals.labels is None or classes is None or reals.spec.classes != classes:
        raise InputError(
            f"the model makes samples of {classes} classes, and the data have "
            f"{reals.spec.classes or 'none'}; choose other --data"
        )
    order = torch.randperm(len(reals), generator=make_rng(seed, "labels"))
    chosen = order[torch.arange(count) % len(reals)]
    labels = reals.labels[chosen].long()
    if not model.architecture.takes_images:
        inputs = model.inputs.draw(count, seed, labels)
        return Samples(reals.spec, model.generate(inputs, stored=True), labels)
    # A source of one class becomes a fake of the next one.
    labels_after = (labels + 1) % classes
    inputs = model.inputs.from_images(reals.batch(chosen), labels_after)
    return Samples(reals.spec, model.generate(inputs, stored=True), labels_after)


def _check_shape(model: Model, data: DataSpec) -> None:
    if model.config.spec.shape != data.shape:
        raise InputError(
            f"the model makes samples of {model.config.spec.size_in_words}, and the data have "
            f"{data.size_in_words}; choose other --data"
        )


def choose_reals(reals: Samples, count: int) -> Samples:
    """Choose some of the reals; the choice depends on their number alone."""
    return reals if count == len(reals) else reals.subset(_shuffle_order(reals)[:count])


def _shuffle_order(reals: Samples) -> torch.Tensor:
    return torch.randperm(len(reals), generator=make_rng(0, "reals"))


def _load_model(model: Model | Run | str | Path | None) -> Model:
    return model if isinstance(model, Model) else load(model)


def _data_choice(model: Model | None, data: str | None, options: dict[str, Any]) -> ComponentChoice:
    """Choose the reals: the requested data at the model's size, or its training data."""
    if data is None:
        assert model is not None  # evaluate loads one if no data are given
        trained = model.config.data
        if not options:
            return trained
        return choose_data(f"{trained.package}:{trained.name}", {**trained.options, **options})
    return choose_data(data, options, model.config.spec if model else None)


def _split_reals(
    floor: bool, reals: Samples, samples: int | None, real_samples: int | None
) -> tuple[Samples | None, Samples, int]:
    """Return the reals, other reals in place of fakes for a floor, and the number of fakes."""
    available = len(reals)
    count = real_samples or (available // 2 if floor else available)
    wanted = samples or (available - count if floor else min(count, MAX_FAKES))
    for name, number in (("--samples", wanted), ("--real-samples", count)):
        if number < 1:
            raise InputError(f"{name} must be at least 1, not {number}")
    if (needed := count + wanted if floor else count) > available:
        parts = f" ({count} as reals, {wanted} in place of fakes)" if floor else ""
        raise InputError(f"there are {available} real samples, and {needed}{parts} are needed")
    others = reals.subset(_shuffle_order(reals)[count : count + wanted]) if floor else None
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
    """Build every installed metric that fits; broken ones are skipped, as nobody named them."""
    usable: dict[str, Evaluator] = {}
    listed = registry.entries(EVALUATOR)
    claimed_twice = registry.conflicts(listed)
    for entry in listed:
        if entry.name in claimed_twice:
            continue
        try:
            metric = _build_metric(entry.load(), entry.name, options)
        except InputError:
            if entry.name in options:
                raise
            continue
        if metric.fits(spec):
            usable[entry.name] = metric
    return usable


def _can_use_features(metric: Evaluator, features: str | None, spec: DataSpec) -> bool:
    """Tell whether a metric may use an extractor instead of the data's own."""
    own = metric.extractor(spec)
    # A metric without a standard extractor that uses one all the same needs the data's own.
    return features in (None, own) or own is None or metric.features is not None


def _build_metric(
    kind: type[Evaluator], name: str, options: Mapping[str, Mapping[str, Any]]
) -> Evaluator:
    return parse_options(kind, options.get(name, {}), f"metric.{name}.")


def _average_seeds(rows: Sequence[ScoreRow]) -> ScoreRow:
    """Join the rows of one score over several seeds."""
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
    """Append rows to the scores of the model's run, if it belongs to one."""
    run = model.folder.run() if model.folder else None
    if run is not None:
        log_scores(run.scores, rows)
