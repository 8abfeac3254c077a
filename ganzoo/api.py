"""The Python functions beneath the commands: from names to data, and to a finished run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import distributed
from ganzoo.config import RunConfig
from ganzoo.errors import InputError
from ganzoo.progress import send_progress_to
from ganzoo.registry import DATASET
from ganzoo.resolve import change_config, choose_data, resolve
from ganzoo.runs.folder import Run
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from ganzoo.distributed import Processes
    from ganzoo.protocols.dataset import Samples
    from ganzoo.training.observer import Observer
    from ganzoo.training.snapshots import Snapshots
    from ganzoo.training.trainer import Trainer
    from ganzoo.training.warm_start import StartingWeights

EXTENDABLE = {"train.steps", "train.device"}
"""What may change when a run goes on: neither changes a step that was done."""


def train(
    architecture: str | None = None,
    loss: str | None = None,
    data: str | None = None,
    *,
    init: str | Path | Run | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    trackers: Iterable[str] = (),
    observer: Observer | None = None,
    **train_options: Any,
) -> Run:
    """Train a GAN and return its finished run.

    ``ganzoo.train("dcgan", loss="wgan-gp", data="digits", steps=400)``

    Args:
        architecture: Name of an architecture; that of ``init`` if None.
        loss: Name of a loss; the architecture's own default, or that of ``init``, if None.
        data: Name of a dataset or a path; the architecture's own default, or the data of ``init``,
            if None.
        init: What the networks start from: a model as :func:`ganzoo.load` takes it. Options of
            components that are not given are its own; what its networks are cannot be changed.
        out: The run's folder; a new one under ``runs/`` if None.
        settings: Options by their full names, such as ``{"loss.gp_weight": 5}``.
        trackers: Names of what follows the run beside its own files.
        observer: What watches the run.
        train_options: Options of the training, such as ``steps=400`` or ``seed=1``.

    Raises:
        InputError: a name, an option or the data are wrong, or the run differs from ``init``.
        ganzoo.errors.Diverged: a loss is no longer finite.
        ganzoo.errors.Interrupted: it was asked to stop and has saved its state.
    """
    named = {f"train.{name}": value for name, value in train_options.items()}
    given = architecture, loss, data, {**(settings or {}), **named}, trackers
    with distributed.join_team():
        config, initial = build_config(init, *given)
        return start(config, out, observer, initial)


def build_config(
    init: str | Path | Run | None,
    architecture: str | None,
    loss: str | None,
    data: str | None,
    settings: Mapping[str, Any],
    trackers: Iterable[str],
) -> tuple[RunConfig, StartingWeights | None]:
    """Return the configuration of a new run, and what it starts from; see :func:`train`.

    Of several processes the first one alone has what it starts from.
    """
    initial: StartingWeights | None = None

    def chosen() -> RunConfig:
        nonlocal initial
        if init is not None:
            from ganzoo.training.warm_start import StartingWeights

            initial = StartingWeights.load(init)
            return initial.resolve(architecture, loss, data, settings, trackers)
        if architecture is None:
            raise InputError("name an architecture to train, such as those of 'ganzoo list'")
        return resolve(architecture, loss, data, settings, trackers)

    return _share_config(distributed.current(), chosen), initial


def _share_config(team: Processes, make: Callable[[], RunConfig]) -> RunConfig:
    if team.world == 1:
        return make()
    return RunConfig.model_validate(team.run_on_first(lambda: make().model_dump(mode="json")))


def open_dataset(name: str, **options: Any) -> Samples:
    """Read a dataset by name, or by the path of what it reads.

    Raises:
        InputError: there is no such dataset, or an option is wrong.
        GanzooError: it cannot be read or downloaded.
    """
    return choose_data(name, options).build(DATASET).read()


def start(
    config: RunConfig,
    out: str | Path | None = None,
    observer: Observer | None = None,
    initial: StartingWeights | None = None,
) -> Run:
    """Train a new run of a configuration, with what it starts from if that is a model."""
    with distributed.join_team() as team:
        observer = _choose_observer(observer, team)
        with send_progress_to(observer.on_progress):
            return _train_new_run(config, out, observer, initial, team)


def _choose_observer(observer: Observer | None, team: Processes) -> Observer:
    """Return what watches the run; of several processes the first one alone is watched."""
    from ganzoo.training.observer import Observer

    return observer if observer and team.is_first else Observer()


def _train_new_run(
    config: RunConfig,
    out: str | Path | None,
    observer: Observer,
    initial: StartingWeights | None,
    team: Processes,
) -> Run:
    from ganzoo.training.loop import run_training
    from ganzoo.training.prepare import build_trainer
    from ganzoo.training.sanity_checks import warnings_before_start

    if config.init is not None and initial is None and team.is_first:
        raise InputError(f"this configuration starts from the model {config.init.name}: give it")
    samples = _read_data(config, team)
    config = config.model_copy(update={"data_fingerprint": samples.fingerprint})
    # Whatever can be refused is refused before a folder appears.
    trainer = build_trainer(config, samples, initial)
    snapshots = _snapshots(config, trainer)
    for message in [
        *samples.describe_skipped(),
        *warnings_before_start(trainer),
        *trainer.describe_unsynced(),
    ]:
        observer.on_warning(message)
    observer.on_ready(trainer)
    with _create_run(config, out, initial, team) as run:
        run_training(run, config, trainer, observer, snapshots)
    return run


def _read_data(config: RunConfig, team: Processes) -> Samples:
    """Read the data; every process must find the same."""
    samples = config.data.build(DATASET).read()
    team.require_same(samples.fingerprint, "the data")
    return samples


@contextmanager
def _create_run(
    config: RunConfig, out: str | Path | None, initial: StartingWeights | None, team: Processes
) -> Iterator[Run]:
    """Make a run's folder, in the first process; the others learn where it is."""
    if not team.is_first:
        yield Run(Path(team.run_on_first(str)))
        return
    with Run.create(config, user_path(out) if out else None, initial) as run:
        team.run_on_first(lambda: str(run.path))
        yield run


def resume(
    path: str | Path,
    changes: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
) -> Run:
    """Go on with a run from its newest checkpoint, under the options it was started with.

    Args:
        path: The run's folder.
        changes: Names and options, such as ``{"train.steps": 800}``; only ``train.steps`` and
            ``train.device`` may differ from what the run was started with, and no step that was
            done is undone.
        observer: What watches the run.

    Raises:
        InputError: the folder is no run, an option differs, or all checkpoints are damaged.
    """
    with distributed.join_team() as team:
        observer = _choose_observer(observer, team)
        with _open_run(path, team) as run, send_progress_to(observer.on_progress):
            _continue_run(run, changes or {}, observer, team)
    return run


@contextmanager
def _open_run(path: str | Path, team: Processes) -> Iterator[Run]:
    """Open a run and lock it, in the first process; the others learn where it is."""
    run = Run(Path(team.run_on_first(lambda: str(Run.open(user_path(path)).path))))
    if not team.is_first:
        yield run
        return
    with run.lock():
        yield run


def _continue_run(
    run: Run, changes: Mapping[str, Any], observer: Observer, team: Processes
) -> None:
    from ganzoo.training.loop import run_training
    from ganzoo.training.prepare import build_trainer

    config = _share_config(team, lambda: _config_for_resume(run, changes, observer))
    samples = _read_data(config, team)
    if samples.fingerprint != config.data_fingerprint:
        raise InputError(f"the data of {run.path} have changed since it was started")
    trainer = build_trainer(
        config, samples, _load_starting_weights(run, config) if team.is_first else None
    )
    for message in trainer.describe_unsynced():
        observer.on_warning(message)
    snapshots = _snapshots(config, trainer)
    observer.on_ready(trainer)
    if team.is_first:
        run.write_config(config)
    run_training(run, config, trainer, observer, snapshots)


def _load_starting_weights(run: Run, config: RunConfig) -> StartingWeights | None:
    if config.init is None:
        return None
    from ganzoo.training.warm_start import StartingWeights

    return StartingWeights.load_copy(run.init, config.init)


def _snapshots(config: RunConfig, trainer: Trainer) -> Snapshots | None:
    if not config.train.eval_every:
        return None
    from ganzoo.training.snapshots import Snapshots

    return Snapshots(config, trainer)


def _config_for_resume(run: Run, changes: Mapping[str, Any], observer: Observer) -> RunConfig:
    """Return a run's configuration with changes, if they leave what was done as it is."""
    from ganzoo.training import checkpoint

    started = run.config()
    config = _apply_allowed_changes(started, changes)
    done = max(checkpoint.steps(run.checkpoints), default=0)
    if config.train.steps < min(done, started.train.steps):
        raise InputError(
            f"{run.path} has done {done} steps already, and train.steps is {config.train.steps}"
        )
    for line in started.differences(config):
        if line.partition(":")[0].endswith(".version"):
            observer.on_warning(f"{line}: the run may not end in the bytes it would have ended in")
    return config


def _apply_allowed_changes(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """Apply changes to a run's configuration, and refuse those that would make it another run."""
    names = {word: changes[word] for word in ("architecture", "loss", "data") if word in changes}
    settings = {key: value for key, value in changes.items() if key not in names}
    again = change_config(config, names, settings)
    extendable = EXTENDABLE
    if config.train.lr_decay != "none":
        extendable = EXTENDABLE - {"train.steps"}  # which each step's learning rate depends on
    refused = [
        line
        for line in config.differences(again)
        if (key := line.partition(":")[0]) not in extendable and not key.endswith(".version")
    ]
    if refused:
        raise InputError(
            f"the run was started under other options: {'; '.join(refused)}; train a new run"
        )
    return again
