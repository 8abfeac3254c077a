"""The Python functions behind ``ganzoo train``: train a run, resume one, and open a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ganzoo import distributed
from ganzoo.arguments import require_options
from ganzoo.compute.threads import choose_thread_count, use_threads
from ganzoo.config import RunConfig, TrainKeywords, name_keyword
from ganzoo.errors import InputError, escape_text, warn_caller
from ganzoo.progress import send_progress_to
from ganzoo.recipes import resolve_run
from ganzoo.registry import DATASET
from ganzoo.resolve import change_resumed_config, choose_data, hold_data
from ganzoo.runs.folder import SKIPPED_FILE, Run, check_place
from ganzoo.runs.shared import create_shared_run, open_shared_run
from ganzoo.storage.files import write_text
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from ganzoo.distributed import Processes
    from ganzoo.protocols.dataset import Data, Samples
    from ganzoo.training.fork import StartingState
    from ganzoo.training.observer import Observer
    from ganzoo.training.prepare import PreparedRun
    from ganzoo.training.warm_start import StartingWeights


def train(
    architecture: str | None = None,
    loss: str | None = None,
    data: str | Path | Data | None = None,
    *,
    init: str | Path | Run | None = None,
    fork: str | Path | Run | None = None,
    config: str | Path | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    trackers: Iterable[str] = (),
    observer: Observer | None = None,
    progress: bool | None = None,
    **train_options: Unpack[TrainKeywords],
) -> Run:
    """Train a GAN and return its finished run.

    ``ganzoo.train("dcgan", loss="wgan-gp", data="digits", steps=400)``

    Args:
        architecture: Name of an architecture; that of ``init``, or of a recipe of ``ganzoo list
            recipes`` that ``recipe`` names, if None.
        loss: Name of a loss; if None, that of ``init``, or the architecture's default.
        data: Name of a dataset, or a path; or data at hand: a tensor or an array of images or
            vectors, a pair of one and its labels, a dataset with a length whose items are images
            (PIL, arrays, tensors) with or without labels, or :class:`ganzoo.Samples`. Images as
            floats need ``value_range``. If None, the data of ``init``, or the architecture's
            default.
        init: A trained model to start from, in any form that :func:`ganzoo.load` takes. It fixes
            the networks; other options of its components are its own unless you give them.
        fork: A run, or the folder of one of its checkpoints, to continue as a new run from the
            whole state there. What you do not give is as in that run, its step count too.
        config: A file with a whole configuration, such as the ``config.json`` of a run; what you
            give beside it goes before.
        out: The run's folder; a new one under ``runs/`` if None.
        settings: Options by their full names, such as ``{"loss.gp_weight": 5}``.
        trackers: Names of trackers, which receive the metrics in addition to the run's files.
        observer: Is told what happens during the run, and may end it: see :class:`ganzoo.Observer`.
            Without one, warnings are Python's.
        progress: Whether to show a bar, losses and samples. If None, in a notebook, and where
            standard error is a terminal.
        train_options: Training options, such as ``steps=400`` or ``seed=1``; and of the data,
            ``image_size``, ``image_channels``, ``flip`` and ``value_range``, and ``source_of`` of
            architectures that make sources of the images themselves.

    Raises:
        InputError: a name, an option or the data are wrong, or the run does not fit ``init``.
        ganzoo.errors.Diverged: a loss or a weight is no longer finite.
        ganzoo.errors.Interrupted: a signal stopped the run, and its state was saved.
    """
    named = {name_keyword(name): value for name, value in train_options.items()}
    settings = {**require_options("settings", settings), **named}
    from ganzoo.display.choice import show_training

    with distributed.join_team(), show_training(progress, observer) as watcher:
        data, settings = _hold(data, settings, watcher)
        resolved, start_from = build_config(
            init, architecture, loss, data, settings, trackers, out, fork, config
        )
        return start(resolved, out, watcher, start_from)


def _hold(
    data: str | Path | Data | None,
    settings: Mapping[str, Any],
    observer: Observer | None,
    own: Mapping[str, Any] | None = None,
) -> tuple[str | Path | None, dict[str, Any]]:
    """Hold data at hand, and return the name and the options by which a configuration knows them.

    Args:
        data: The data, or their name or path, which stays as it is.
        settings: Options, of which those of the data count.
        observer: Is told how far the reading is, in the first process.
        own: Options of the data that the run has already.

    Raises:
        InputError: they have a wrong form.
    """
    if data is None or isinstance(data, (str, Path)):
        return data, dict(settings)
    given = {name[5:]: value for name, value in settings.items() if name.startswith("data.")}
    watched = observer if distributed.current().is_first else None
    with send_progress_to(getattr(watched, "on_progress", None)):
        name, options = hold_data(data, {**(own or {}), **given})
    return name, {**settings, **{f"data.{key}": value for key, value in options.items()}}


def build_config(
    init: str | Path | Run | None,
    architecture: str | None,
    loss: str | None,
    data: str | Path | None,
    settings: Mapping[str, Any],
    trackers: Iterable[str],
    out: str | Path | None = None,
    fork: str | Path | Run | None = None,
    config: str | Path | None = None,
) -> tuple[RunConfig, StartingWeights | StartingState | None]:
    """Return the configuration of a new run, and what it starts from; see :func:`train`.

    Of several processes, only the first one gets what it starts from. A folder ``out`` that is
    taken is refused here, before torch is loaded.
    """
    start: StartingWeights | StartingState | None = None

    def resolve_names() -> RunConfig:
        nonlocal start
        may_hold_start = init is not None or fork is not None
        check_place(None if out is None else user_path(out), may_hold_start=may_hold_start)
        if config is not None and may_hold_start:
            raise InputError(
                "a run starts from a file of a configuration, a model or a state: give one"
            )
        if fork is not None:
            if init is not None:
                raise InputError("a run starts from a model or from a state: drop --init or --fork")
            from ganzoo.training.fork import StartingState

            start, run = StartingState.find(fork)
            names = {"architecture": architecture, "loss": loss, "data": data}
            return start.resolve(run, names, settings, tuple(trackers) or None)
        if init is not None:
            from ganzoo.training.warm_start import StartingWeights

            start = StartingWeights.load(init)
            return start.resolve(architecture, loss, data, settings, trackers)
        return resolve_run(architecture, loss, data, settings, trackers, config)

    return _agree_on_config(resolve_names), start


def start(
    config: RunConfig,
    out: str | Path | None = None,
    observer: Observer | None = None,
    start_from: StartingWeights | StartingState | None = None,
) -> Run:
    """Train a new run from its configuration, and return it.

    Everything that can be refused is refused before the run's folder appears.

    Args:
        config: The configuration, with every option.
        out: The run's folder; a new one under ``runs/`` if None.
        observer: Is told what happens during the run.
        start_from: What the run starts from, if the configuration names a model or a fork.

    Raises:
        InputError: components, data and options do not fit together, or ``out`` is taken.
        ganzoo.errors.Diverged: a loss or a weight is no longer finite.
        ganzoo.errors.Interrupted: a signal stopped the run, and its state was saved.
    """
    with _join_observed(observer) as (team, watcher):
        from ganzoo.training.loop import run_training

        config = _choose_threads(config, watcher)
        with use_threads(config.threads):
            prepared = _prepare(config, start_from, watcher)
            watcher.on_ready(prepared.trainer)
            path = None if out is None else user_path(out)
            with create_shared_run(prepared.config, path, start_from) as run:
                if team.is_first:
                    _list_skipped(run, prepared.trainer.samples)
                run_training(run, prepared.config, prepared.trainer, watcher, prepared.snapshots)
    return run


def _choose_threads(config: RunConfig, watcher: Observer) -> RunConfig:
    """Return a new run's configuration with fewer threads than torch has, if fewer are faster."""
    import torch

    from ganzoo.compute.devices import resolve_device

    if config.threads or distributed.current().world > 1:
        return config
    if resolve_device(config.train.device).type != "cpu":
        return config
    wanted, count = torch.get_num_threads(), choose_thread_count()
    if count == wanted:
        return config
    watcher.on_warning(
        f"other programs or limits leave fewer than {wanted} cores, so the run has threads: "
        f"{count}; OMP_NUM_THREADS={wanted} keeps all of them"
    )
    return config.model_copy(update={"threads": count})


def rehearse(
    config: RunConfig,
    observer: Observer | None = None,
    start_from: StartingWeights | StartingState | None = None,
) -> None:
    """Do what :func:`start` does before anything is written, and stop there.

    Reads the data, builds the networks, and refuses and warns as the training would. Downloads
    nothing: a warning says what is not checked then. The arguments and errors are those of
    :func:`start`.
    """
    with _join_observed(observer) as (_, watcher):
        if config.data.build(DATASET).needs_download():
            watcher.on_warning(
                f"'{config.data.name}' is not here yet, and the training will download it first; "
                "so the data, and whether they fit, are not checked"
            )
        else:
            _prepare(config, start_from, watcher)


def _prepare(
    config: RunConfig, start_from: StartingWeights | StartingState | None, watcher: Observer
) -> PreparedRun:
    """Prepare a new run, and warn about what is questionable."""
    from ganzoo.training.prepare import prepare_run
    from ganzoo.training.sanity_checks import warnings_before_start
    from ganzoo.training.warm_start import StartingWeights

    if start_from is None and distributed.current().is_first:
        for what, origin in (("run", config.fork), ("model", config.init)):
            if origin is not None:
                raise InputError(
                    f"this configuration starts from the {what} {origin.name}: give it"
                )
    prepared = prepare_run(config, start_from)
    trainer = prepared.trainer
    warnings = [*trainer.samples.describe_skipped(), *warnings_before_start(trainer)]
    if isinstance(start_from, StartingWeights):
        warnings += start_from.describe_unfit(trainer.state.discriminator)
    for message in warnings:
        watcher.on_warning(message)
    return prepared


def resume(
    path: str | Path | Run,
    changes: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    trackers: Iterable[str] | None = None,
    data: str | Path | Data | None = None,
    progress: bool | None = None,
) -> Run:
    """Resume a run from its newest checkpoint, with the options it was started with.

    Args:
        path: The run, or its folder.
        changes: Names and options, such as ``{"train.steps": 800}``. Only what affects no finished
            step may differ from the run's own: ``train.steps``, ``train.device``, the intervals of
            metrics, pictures, checkpoints and scores, what is scored, and where the data are, such
            as ``{"data": "/new/place"}``.
        observer: Is told what happens during the run.
        trackers: Names of trackers in place of the run's own; None keeps these.
        data: The run's data, if they are elsewhere now, or were at hand in another program.
        progress: As for :func:`train`.

    Raises:
        InputError: the folder is not a run, an option or the data differ, or all checkpoints are
            damaged.
        ganzoo.errors.Diverged: a loss or a weight is no longer finite.
        ganzoo.errors.Interrupted: a signal stopped the run, and its state was saved.
    """
    from ganzoo.display.choice import show_training

    changes = require_options("changes", changes)
    with show_training(progress, observer) as watcher:
        return continue_run(path, changes, watcher, trackers, data)


def continue_run(
    path: str | Path | Run,
    changes: Mapping[str, Any],
    observer: Observer,
    trackers: Iterable[str] | None,
    data: str | Path | Data | None = None,
) -> Run:
    """Continue a run, as :func:`resume` does, and show nothing."""
    folder = path.path if isinstance(path, Run) else user_path(path)
    with _join_observed(observer) as (team, watcher), open_shared_run(folder) as run:
        if data is not None:
            own = team.run_on_first(lambda: run.config().data.options)
            name, changes = _hold(data, changes, observer, own)
            changes = {**changes, "data": name}
        from ganzoo.training.loop import run_training
        from ganzoo.training.prepare import prepare_run
        from ganzoo.training.sanity_checks import describe_unsynced_batch_norm

        config = _agree_on_config(lambda: _resumed_config(run, changes, trackers, watcher))
        start_from = _load_start(run, config) if team.is_first else None
        with use_threads(config.threads):
            prepared = prepare_run(config, start_from, resumed=run)
            samples = prepared.trainer.samples
            warnings = describe_unsynced_batch_norm(prepared.trainer)
            for message in (*samples.describe_skipped(), *warnings):
                watcher.on_warning(message)
            watcher.on_ready(prepared.trainer)
            if team.is_first:
                run.write_config(prepared.config)
                _list_skipped(run, samples)
            run_training(run, prepared.config, prepared.trainer, watcher, prepared.snapshots)
    return run


def open_dataset(name: str | Path, **options: Any) -> Samples:
    """Read a dataset by its name or by a path.

    Args:
        name: Name of a dataset, or the path of a folder or file.
        options: The dataset's own options.

    Raises:
        InputError: there is no such dataset, or an option is wrong.
        GanzooError: it cannot be read or downloaded.
    """
    samples: Samples = choose_data(name, options).build(DATASET).read()
    for message in samples.describe_skipped():
        warn_caller(message)
    return samples


def _list_skipped(run: Run, samples: Samples) -> None:
    """Write a file with the images that could not be read and the reasons, if there are any."""
    if samples.skipped:
        lines = [f"{escape_text(line)}\n" for line in samples.skipped]
        write_text(run.path / SKIPPED_FILE, "".join(lines))


@contextmanager
def _join_observed(observer: Observer | None) -> Iterator[tuple[Processes, Observer]]:
    """Join the other processes; only the first one is observed, and reports its progress."""
    from ganzoo.training.observer import Observer, SilentObserver

    with distributed.join_team() as team:
        watcher = (observer or Observer()) if team.is_first else SilentObserver()
        with send_progress_to(watcher.on_progress):
            yield team, watcher


def _agree_on_config(make: Callable[[], RunConfig]) -> RunConfig:
    """Return the configuration that the first process makes, in every process."""
    team = distributed.current()
    if team.world == 1:
        return make()
    return RunConfig.model_validate(team.run_on_first(lambda: make().model_dump(mode="json")))


def _resumed_config(
    run: Run, changes: Mapping[str, Any], trackers: Iterable[str] | None, observer: Observer
) -> RunConfig:
    """Return a run's configuration with the changes under which it may continue.

    Raises:
        InputError: the changes would undo steps, or make it another run.
    """
    from ganzoo.training import checkpoint

    started = run.config()
    config = change_resumed_config(started, changes, trackers, run.path)
    begun = 0 if config.fork is None else config.fork.step
    done = max(checkpoint.steps(run.checkpoints), default=begun)
    if config.train.steps < min(done, started.train.steps):
        raise InputError(
            f"{run.path} has done {done} steps already, and train.steps is {config.train.steps}"
        )
    for line in started.differences(config):
        if line.partition(":")[0].endswith(".version"):
            observer.on_warning(f"{line}: the run may not end in the bytes it would have ended in")
    if config.train.checkpoint_every != started.train.checkpoint_every:
        # Otherwise a run that diverges would pass over them, back to its start.
        return config.model_copy(update={"regular_until": done})
    return config


def _load_start(run: Run, config: RunConfig) -> StartingWeights | StartingState | None:
    """Load the run's copy of what it started from, if it started from a model or another run."""
    if config.fork is not None:
        from ganzoo.training.fork import StartingState

        return StartingState.load_copy(run.init, config.fork)
    if config.init is None:
        return None
    from ganzoo.training.warm_start import StartingWeights

    return StartingWeights.load_copy(run.init, config.init)
