"""The choice of metrics, by name or by what suits the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganzoo import registry
from ganzoo.arguments import require_names, require_options
from ganzoo.component import parse_options
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.evaluator import Evaluator
from ganzoo.registry import EVALUATOR


def choose_metrics(
    names: Sequence[str] | None,
    spec: DataSpec,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    features: str | None = None,
    *,
    paired: bool = False,
) -> dict[str, Evaluator]:
    """Build metrics by name, or all that fit such samples if no name is given.

    Args:
        names: Names of evaluators.
        spec: The samples to score.
        options: Options of metrics, by metric and name.
        features: Name of an extractor, which unnamed metrics must be able to use, and which stands
            in for the classifier of the data in named ones.
        paired: Whether each fake has a real sample that it is to equal.

    Raises:
        InputError: a name or an option is wrong, a metric cannot score such samples, or none can.
    """
    options = require_options("options of metrics", options)
    if names:
        names = require_names("metrics", names)
        chosen: dict[str, Evaluator] = {
            name: _build_metric(registry.get(EVALUATOR, name), name, options) for name in names
        }
        for name, metric in chosen.items():
            if metric.needs_pairs and not paired:
                raise InputError(
                    f"metric '{name}' compares each fake with the real sample whose source it was "
                    "made from, and there are no such pairs here: judge a model that takes sources"
                )
        unfit = [name for name, metric in chosen.items() if not _fits(metric, features, spec)]
        if unfit:
            others = ", ".join(_find_usable(spec, {}, paired))
            raise InputError(
                f"metric '{unfit[0]}' cannot judge samples of {spec.size_in_words} here"
                + (f"; those that can: {others}" if others else "")
            )
    else:
        chosen = {
            name: metric
            for name, metric in _find_usable(spec, options, paired).items()
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


def choose_ranking_metrics(
    names: Sequence[str], spec: DataSpec, features: str | None = None, *, paired: bool = False
) -> dict[str, Evaluator]:
    """Build the metrics that rank a run's snapshots; the first one decides which is best.

    The arguments are those of :func:`choose_metrics`.

    Raises:
        InputError: a name is wrong, or no installed metric ranks such samples by itself.
    """
    if names:
        return choose_metrics(names, spec, features=features, paired=paired)
    usable = _find_usable(spec, {}, paired)
    found = {name: metric for name, metric in usable.items() if metric.ranks(spec)}
    if not found:
        raise InputError(
            f"no installed metric ranks samples of {spec.size_in_words} by itself; "
            "name one with --set train.eval_metric=NAME"
        )
    return found


def _find_usable(
    spec: DataSpec, options: Mapping[str, Mapping[str, Any]], paired: bool
) -> dict[str, Evaluator]:
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
        if metric.fits(spec) and (paired or not metric.needs_pairs):
            usable[entry.name] = metric
    return usable


def _fits(metric: Evaluator, features: str | None, spec: DataSpec) -> bool:
    """Tell whether a metric fits; a requested extractor may be the classifier that it needs."""
    if features is not None and metric.needs_logits:
        spec = spec.model_copy(update={"features": features})
    return metric.fits(spec)


def _can_use_features(metric: Evaluator, features: str | None, spec: DataSpec) -> bool:
    """Tell whether a metric may use an extractor instead of the data's own."""
    own = metric.extractor(spec)
    # A metric without a standard extractor that uses one all the same needs the data's own.
    return features in (None, own) or own is None or metric.features is not None


def _build_metric(
    kind: type[Evaluator], name: str, options: Mapping[str, Mapping[str, Any]]
) -> Evaluator:
    return parse_options(kind, options.get(name, {}), f"metric.{name}.")
