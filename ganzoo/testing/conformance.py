"""One pytest test of every component that a package announces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ganzoo import registry
from ganzoo.component import parse_options
from ganzoo.errors import InputError, did_you_mean
from ganzoo.models.named import NamedFolder
from ganzoo.registry import Entry, Kind
from ganzoo.testing.architecture import architecture_checks
from ganzoo.testing.augmentation import augmentation_checks
from ganzoo.testing.command import command_checks
from ganzoo.testing.common import check_options
from ganzoo.testing.converter import converter_checks
from ganzoo.testing.dataset import dataset_checks, hold_example
from ganzoo.testing.evaluator import evaluator_checks, feature_extractor_checks
from ganzoo.testing.loss import loss_checks
from ganzoo.testing.model import check_scores, model_checks
from ganzoo.testing.penalty import penalty_checks
from ganzoo.testing.recipe import recipe_checks
from ganzoo.testing.space import space_checks
from ganzoo.testing.tracker import tracker_checks

Check = Callable[[Any], None]

CHECKS: dict[Kind, list[Check]] = {
    registry.ARCHITECTURE: architecture_checks,
    registry.LOSS: loss_checks,
    registry.DATASET: dataset_checks,
    registry.PENALTY: penalty_checks,
    registry.AUGMENTATION: augmentation_checks,
    registry.EVALUATOR: evaluator_checks,
    registry.FEATURE_EXTRACTOR: [check_options, *feature_extractor_checks],
    registry.TRACKER: tracker_checks,
    registry.CONVERTER: converter_checks,
    registry.SPACE: space_checks,
    registry.COMMAND: command_checks,
    registry.MODEL: model_checks,
    registry.RECIPE: recipe_checks,
}


def conformance_tests(
    package: str,
    options: Mapping[str, Mapping[str, Any] | None] | None = None,
    *,
    scores: bool = True,
) -> Callable[..., None]:
    """Make a test of everything that a package announces, one case per component and check.

    In a test module: ``test_conformance = conformance_tests("ganzoo-my-loss")``.

    Args:
        package: Name of the installed distribution.
        options: Options by a component's name, such as ``{"my-data": {"path": "tests/images"}}``;
            None skips a component, such as one that downloads. If two kinds share a name, put the
            kind before it: ``"loss same"``. Models and recipes have no options.
        scores: Whether to evaluate models again, which is slow.

    Raises:
        ganzoo.errors.InputError: the package announces no component, or none of a name in
            ``options``.
    """
    import pytest

    options = dict(options or {})
    announced = [
        entry
        for kind in registry.ALL_KINDS
        for entry in registry.entries(kind)
        if entry in registry.find_all(kind, f"{package}:{entry.name}")
    ]
    if not announced:
        raise InputError(
            f"no installed package called {package} announces a component; run pip install -e . in "
            "its folder, and again whenever its entry points change"
        )
    known = {name for entry in announced for name in _names(entry)}
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known) or f"; it announces {', '.join(sorted(known))}"
            raise InputError(f"{package} announces no '{name}' that could take options{hint}")
    cases = [
        pytest.param(entry, check, id=f"{entry.kind.word} {entry.name}: {check.__name__}")
        for entry in announced
        if _find_options(entry, options) is not None
        for check in CHECKS[entry.kind]
        if scores or check is not check_scores
    ]

    @pytest.mark.parametrize(("entry", "check"), cases)
    def test_conformance(entry: Entry, check: Check) -> None:
        check(_build_subject(entry, check, _find_options(entry, options) or {}))

    return test_conformance


def _names(entry: Entry) -> tuple[str, str]:
    return f"{entry.kind.word} {entry.name}", entry.name


def _find_options(
    entry: Entry, options: Mapping[str, Mapping[str, Any] | None]
) -> Mapping[str, Any] | None:
    return next((options[name] for name in _names(entry) if name in options), {})


def _build_subject(entry: Entry, check: Check, options: Mapping[str, Any]) -> Any:
    """Build the argument of a check: a component, a loaded extractor, an app, or a file's place."""
    if entry.kind == registry.MODEL:
        return NamedFolder(entry)
    if entry.kind == registry.RECIPE:
        return entry.locate(registry.RECIPE_SUFFIX)
    loaded = entry.load()
    if entry.kind.instances:
        return loaded
    if entry.kind == registry.DATASET and loaded.is_given and (held := hold_example(loaded)):
        return held
    component = parse_options(loaded, options, f"{entry.name}.")
    if check in feature_extractor_checks:
        return component.load(None, torch.device("cpu"))
    return component
