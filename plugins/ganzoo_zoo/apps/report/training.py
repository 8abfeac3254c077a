"""The configuration of a run, its progress, and the commands that reproduce it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.config import TrainOptions
from ganzoo.errors import GanzooError, InputError
from ganzoo.models.folder import ModelFolder
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, PENALTY, TRACKER, Kind
from ganzoo.runs.reproduce import Reproduction, build_reproduction, format_argument, train_command
from ganzoo.storage.json_files import read_json, to_json
from ganzoo.training import checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from ganzoo.component import Component
    from ganzoo.config import ComponentChoice, RunConfig
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.runs.folder import Run


@dataclass(frozen=True)
class Option:
    """An option with its value and its description."""

    name: str
    value: str
    about: str


@dataclass(frozen=True)
class Part:
    """A component of a run with all its options."""

    title: str
    name: str
    origin: str
    summary: str
    paper: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Progress:
    """The progress of a run."""

    step: int
    """The last step of anything in the run's folder."""
    steps: int
    model: int | None
    """Step of the model, if there is one."""
    best: int | None
    """Step of the best snapshot, if there is one."""
    spec: DataSpec | None
    """Shape and kind of the samples, known from the model."""
    retries: int
    """Number of returns to a checkpoint after divergence, from the newest checkpoint."""

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done and the model was written."""
        return self.model == self.steps


def find_progress(run: Run, config: RunConfig, logged: int, pictured: int) -> Progress:
    """Determine the progress of a run.

    Args:
        run: The run.
        config: Its configuration.
        logged: Its last logged step.
        pictured: The step of its last picture.
    """
    model, best = _model(run.model), _model(run.best)
    saved = checkpoint.steps(run.checkpoints)
    known = [logged, pictured, *saved[-1:], *([] if model is None else [model.step])]
    return Progress(
        step=max(known),
        steps=config.train.steps,
        model=None if model is None else model.step,
        best=None if best is None else best.step,
        spec=None if model is None else model.spec,
        retries=_count_retries(run.checkpoints, saved),
    )


def parts(config: RunConfig) -> Iterator[Part]:
    """Describe the components of a run, less fully if their packages are not installed."""
    for title, kind, prefix, choices in (
        ("Architecture", ARCHITECTURE, "arch", [config.architecture]),
        ("Loss", LOSS, "loss", [config.loss]),
        ("Penalty", PENALTY, "penalty.{}", config.penalties),
        ("Data", DATASET, "data", [config.data]),
        ("Augmentation", AUGMENTATION, "augment.{}", config.augmentations),
        ("Tracker", TRACKER, "tracker.{}", config.trackers),
    ):
        for choice in choices:
            options = config.write_schedules(prefix.format(choice.name), choice.options)
            yield _describe_part(title, kind, choice.model_copy(update={"options": options}))
    train = config.write_schedules("train", config.train.model_dump(mode="json"))
    yield Part("Training", "", "", "", "", _describe_options(train, TrainOptions))


def versions(config: RunConfig) -> list[tuple[str, str]]:
    """Return the packages of the run with their versions."""
    chosen = [config.architecture, config.loss, config.data]
    chosen += [*config.penalties, *config.augmentations, *config.trackers]
    packages = {(each.package, each.version) for each in chosen}
    return sorted({*packages, *config.versions.items()})


def commands(config: RunConfig) -> tuple[str, str] | None:
    """Return the command line and the Python code that reproduce a run; None if unknown here."""
    try:
        return train_command(config, whole=True), _python_code(build_reproduction(config))
    except GanzooError:
        return None


def _python_code(found: Reproduction) -> str:
    given: dict[str, Any] = {"loss": found.loss, "data": found.data}
    if found.init is not None:
        given["init"] = found.init
    if found.fork is not None:
        given["fork"] = found.fork
    given |= {"steps": found.steps, "seed": found.seed}
    if found.trackers:
        given["trackers"] = list(found.trackers)
    calls = [f"    {_format_literal(found.architecture)},"]
    calls += [f"    {key}={_format_literal(value)}," for key, value in given.items()]
    if found.settings:
        items = found.settings.items()
        settings = [
            f"        {_format_literal(key)}: {_format_literal(value)}," for key, value in items
        ]
        calls += ["    settings={", *settings, "    },"]
    return "\n".join(("import ganzoo", "", "run = ganzoo.train(", *calls, ")"))


def _format_literal(value: Any) -> str:
    """Format a value as Python code with double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_format_literal, value))}]"
    if isinstance(value, dict):
        items = (f"{_format_literal(key)}: {_format_literal(each)}" for key, each in value.items())
        return f"{{{', '.join(items)}}}"
    return repr(value)


def dump_config(config: RunConfig) -> str:
    """Return the configuration as in ``config.json``."""
    return to_json(config.model_dump(mode="json"))


def _describe_part(title: str, kind: Kind, choice: ComponentChoice) -> Part:
    try:
        entry = registry.find_in_package(kind, choice.name, choice.package, choice.version)
        found: type[Component] | None = entry.load()
    except InputError:
        found = None
    return Part(
        title,
        choice.name,
        f"{choice.package} {choice.version}",
        found.summary() if found else "",
        (found.paper or "") if found else "",
        _describe_options(choice.options, found),
    )


def _describe_options(options: dict[str, Any], found: Any) -> tuple[Option, ...]:
    fields = found.model_fields if found else {}
    return tuple(
        Option(name, format_argument(value), getattr(fields.get(name), "description", None) or "")
        for name, value in options.items()
    )


def _model(path: Path) -> Any:
    try:
        return ModelFolder(path, str(path)).config()
    except (InputError, OSError):
        return None


def _count_retries(folder: Path, saved: list[int]) -> int:
    if not saved:
        return 0
    try:
        state = read_json(folder / f"{saved[-1]:08d}" / checkpoint.STATE_FILE)
    except InputError:
        return 0
    retries = state.get("retries") if isinstance(state, dict) else 0
    return retries if isinstance(retries, int) else 0
