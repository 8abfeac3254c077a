"""Checks of a sweep before its first run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ganzoo import registry
from ganzoo.compute.devices import resolve_device
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import ComponentChoice, RunConfig
from ganzoo.errors import InputError
from ganzoo.evaluation.features import Extractors
from ganzoo.evaluation.metrics import choose_metrics, choose_ranking_metrics
from ganzoo.protocols.dataset import Samples
from ganzoo.registry import ARCHITECTURE, DATASET, EVALUATOR
from ganzoo.training.prepare import build_trainer
from ganzoo.training.sanity_checks import warnings_before_start
from ganzoo_zoo.apps.sweep.folder import Plan
from ganzoo_zoo.apps.sweep.grid import Cell, describe_combination


def check_cells(cells: Iterable[Cell], plan: Plan, warned: Callable[[str], None]) -> None:
    """Build the components of each combination once, and warn about possible problems.

    Networks are built on the CPU, so that this process occupies no GPU.

    Args:
        cells: The runs to train.
        plan: How they are evaluated.
        warned: Called with each warning.

    Raises:
        InputError: parts of a combination do not fit together; the message names the combination.
        ganzoo.errors.GanzooError: the data or the weights of an extractor are not available.
    """
    for data, combinations in _group_by_data(cells):
        samples = data.build(DATASET).read()
        for message in samples.describe_skipped():
            warned(message)
        _check_metrics(plan, samples, combinations)
        for cell in combinations:
            words = describe_combination(cell.combination)
            try:
                found = _find_warnings(cell.config, samples)
            except InputError as error:
                raise type(error)(f"{words}: {error}") from None
            for message in found:
                warned(f"{words}: {message}")


def is_higher_better(plan: Plan, config: RunConfig) -> bool:
    """Tell the direction of the metric that ranks the runs."""
    if plan.metrics:
        return bool(registry.get(EVALUATOR, plan.metrics[0]).higher_is_better)
    paired = bool(config.architecture.build(ARCHITECTURE).takes_sources)
    spec = config.data.build(DATASET).read().spec
    return next(iter(choose_ranking_metrics((), spec, paired=paired).values())).higher_is_better


def _group_by_data(cells: Iterable[Cell]) -> list[tuple[ComponentChoice, list[Cell]]]:
    """Return one cell of each combination, grouped by its data."""
    first: dict[tuple[tuple[str, str], ...], Cell] = {}
    for cell in cells:
        first.setdefault(tuple(cell.combination.items()), cell)
    found: dict[str, tuple[ComponentChoice, list[Cell]]] = {}
    for cell in first.values():
        data = cell.config.data
        found.setdefault(data.model_dump_json(), (data, []))[1].append(cell)
    return list(found.values())


def _check_metrics(plan: Plan, samples: Samples, cells: Iterable[Cell]) -> None:
    """Check that evaluation will find its metrics and feature extractors."""
    architectures = [cell.config.architecture.build(ARCHITECTURE) for cell in cells]
    paired = all(each.takes_sources for each in architectures)
    evaluators = choose_metrics(plan.metrics or None, samples.spec, paired=paired)
    extractors = Extractors(None, None, samples.spec, resolve_device("cpu"))
    with preserve_rng_state():
        extractors.load_for(evaluators.values())


def _find_warnings(config: RunConfig, samples: Samples) -> list[str]:
    resolve_device(config.train.device)
    if config.train.eval_every:
        paired = bool(config.architecture.build(ARCHITECTURE).takes_sources)
        features, spec = config.train.eval_features, samples.spec
        found = choose_ranking_metrics(config.train.eval_metric, spec, features, paired=paired)
        Extractors(features, None, spec, resolve_device("cpu")).check_used(found)
    train = config.train.model_copy(update={"device": "cpu"})
    return list(
        warnings_before_start(build_trainer(config.model_copy(update={"train": train}), samples))
    )
