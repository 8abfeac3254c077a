"""Evaluation: metrics score one set of fakes against one set of reals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganzoo import distributed
from ganzoo.arguments import require_int, require_options
from ganzoo.compute.devices import resolve_device
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import ComponentChoice
from ganzoo.display.choice import show_work
from ganzoo.errors import GanzooError, InputError, first_line, warn_caller
from ganzoo.evaluation.features import Extractors
from ganzoo.evaluation.judge import Judge
from ganzoo.evaluation.metrics import choose_metrics
from ganzoo.evaluation.sample_sets import (
    check_shape,
    choose_targets,
    describe_data,
    draw_fakes_on,
    split_reals,
)
from ganzoo.models.model import Model, load
from ganzoo.models.training_data import choose_training_data
from ganzoo.progress import Listener, send_progress_to
from ganzoo.protocols.dataset import Data, Dataset
from ganzoo.registry import DATASET
from ganzoo.resolve import choose_data, hold_data
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import ScoreRow, ScoreTable, log_scores


class ScoresNotKept(GanzooError):
    """A model was judged, but its scores could not be written to its run.

    Args:
        rows: The scores, as :func:`evaluate` returns them.
        error: Why they could not be written.
    """

    def __init__(self, rows: list[ScoreRow], error: OSError | InputError) -> None:
        why = str(error)
        if isinstance(error, OSError):
            why = f"{error.filename}: {error.strerror or first_line(error)}"
        super().__init__(f"the scores are complete but could not be kept: {why}")
        self.rows = rows


def evaluate(
    model: Model | Run | str | Path | None = None,
    metrics: Sequence[str] | None = None,
    *,
    data: str | Path | Data | None = None,
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
    progress: bool | Listener | None = None,
    warn: Callable[[str], None] = warn_caller,
) -> ScoreTable:
    """Evaluate a model, or real data against itself.

    Args:
        model: The model to evaluate; the newest run if None.
        metrics: Names of evaluators; if None, every installed one that can judge the data, except
            those that run on request only.
        data: The reals, in any form that :func:`ganzoo.train` takes data; by default the model's
            training data, if they are here.
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
        progress: Whether to show what is done. If None, in a notebook, and where standard error is
            a terminal. Or what to call instead, with the name of the work, how much of it is done,
            and the total.
        warn: Called with each image that could not be read, and each metric that was left out; by
            default, it is a Python warning.

    Returns:
        A row for each score, in the order of the metrics; a prompt and a notebook show the list as
        a table. They are also appended to the run's
        ``scores.jsonl`` if the model belongs to a run.

    Raises:
        InputError: a name, a number or a combination is wrong.
        GanzooError: weights cannot be downloaded, or a number is not finite.
        ScoresNotKept: the run's ``scores.jsonl`` cannot be written; the error has the rows.
    """
    seed, repeats = require_int("--seed", seed), require_int("--repeats", repeats, 1)
    if floor and repeats > 1:
        raise InputError(
            "--floor scores reals, which have no seed to repeat: drop --floor or --repeats"
        )
    with (
        distributed.join_team() as team,
        preserve_rng_state(),
        show_work(progress) as listener,
        send_progress_to(listener if team.is_first else None),
        distributed.sharing(),
    ):
        place = resolve_device(device)
        team.connect(place)
        # The floor needs a model only if nothing else tells which data to use.
        known = None if floor and model is None and data is not None else _load_model(model)
        options = require_options("data_options", data_options)
        if data is not None and not isinstance(data, (str, Path)):
            size = known.config.spec.image_size if known else None
            resized = {"image_size": size} if size else {}
            data, held = hold_data(data, {**resized, **options})
            options = {**options, **held}
        choice = _data_choice(known, data, options)
        dataset: Dataset = choice.build(DATASET)
        reals = dataset.read()
        if team.is_first:
            for message in reals.describe_skipped():
                warn(message)
        team.require_same(reals.fingerprint, "the data")
        paired = known is not None and not floor and bool(known.architecture.takes_sources)
        evaluators = choose_metrics(metrics, reals.spec, metric_options, features, paired=paired)
        extractors = Extractors(features, features_weights, reals.spec, place)
        extractors.check_used(evaluators)
        others, reals, wanted = split_reals(floor, reals, samples, real_samples)
        named = describe_data(choice, dataset, reals)
        judge = Judge(reals, named, evaluators, extractors, lenient=not metrics)
        if others is not None:
            rows = judge.judge(others, seed=seed, step=None)
            _warn_of_left_out(judge, warn)
            return ScoreTable(rows)
        assert known is not None  # only a floor does without a model
        check_shape(known, reals.spec)
        # Missing weights are noticed before the fakes are drawn.
        extractors.load_for(evaluators.values())
        found = []
        for each in range(seed, seed + repeats):
            fakes = draw_fakes_on(known, reals, wanted, each, place)
            targets = choose_targets(known, reals, wanted, each)
            rows = judge.judge(fakes, seed=each, step=known.config.step, targets=targets)
            found.append(rows)
        _warn_of_left_out(judge, warn)
        rows = _join_seeds(found)
    if team.is_first:
        _log_to_run(known, rows)
    return ScoreTable(rows)


def _load_model(model: Model | Run | str | Path | None) -> Model:
    return model if isinstance(model, Model) else load(model)


def _data_choice(
    model: Model | None, data: str | Path | None, options: dict[str, Any]
) -> ComponentChoice:
    """Choose the reals: the requested data at the model's size, or its training data."""
    if data is None:
        assert model is not None  # evaluate loads one if no data are given
        return choose_training_data(model, options)
    return choose_data(data, options, model.config.spec if model else None)


def _warn_of_left_out(judge: Judge, warn: Callable[[str], None]) -> None:
    for reason in judge.left_out.values():
        warn(f"left out {reason}")


def _join_seeds(found: Sequence[Sequence[ScoreRow]]) -> list[ScoreRow]:
    """Join the rows of several seeds; a metric must have a score for each."""
    shared = set.intersection(*({row.metric for row in rows} for rows in found))
    kept = [[row for row in rows if row.metric in shared] for rows in found]
    return [_average_seeds(same) for same in zip(*kept, strict=True)]


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
    """Append rows to the scores of the model's run, if it belongs to one.

    Raises:
        ScoresNotKept: its file of scores cannot be written.
    """
    run = model.folder.run() if model.folder else None
    if run is not None:
        try:
            log_scores(run.score_log, rows)
        except (OSError, InputError) as error:
            raise ScoresNotKept(rows, error) from error
