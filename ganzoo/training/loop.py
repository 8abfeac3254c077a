"""The training loop: steps, and around them metrics, pictures, checkpoints, scores and signals.

What a run writes depends on its configuration alone, except for what is measured
(:data:`ganzoo.runs.scores.MEASURED` and the time of a checkpoint), and for its list of machines. A
run that was killed and resumed, however often, leaves the same bytes as one that never stopped.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganzoo.compute.machine import describe_machine
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import RETRIES, ModelConfig, RunConfig
from ganzoo.errors import Diverged, GanzooError, InputError, Interrupted, first_line
from ganzoo.media import images
from ganzoo.models.write import change_schedules, write_model
from ganzoo.protocols.dataset import Samples
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.resolve import change_from_step
from ganzoo.runs.machines import MACHINES_FILE, log_machine
from ganzoo.runs.metrics import AUGMENTATION, GRADIENT_NORM, MEMORISED
from ganzoo.runs.state import DIVERGED
from ganzoo.signals import answer_stop_signals, interrupt
from ganzoo.storage.files import flush, remove_leftovers
from ganzoo.storage.json_files import drop_lines_after
from ganzoo.training import checkpoint
from ganzoo.training.changes import ChangeQueue
from ganzoo.training.health import Change, Health
from ganzoo.training.inputs import count_columns, draw_picture_inputs
from ganzoo.training.inspection import look_into
from ganzoo.training.observer import Observer
from ganzoo.training.pictures import EARLY_PICTURES, Drawn, draw_samples
from ganzoo.training.preconditions import check_options
from ganzoo.training.prepare import build_trackers
from ganzoo.training.stopwatch import Stopwatch, TrainingTime
from ganzoo.training.tracking import TrackerGroup

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.runs.folder import Run
    from ganzoo.training.checkpoint import TrainState
    from ganzoo.training.snapshots import Snapshots
    from ganzoo.training.trainer import StepTerms, Trainer


BY_OBSERVER = 0
"""Stands for the observer among the signals that ask a training to stop."""
HINT_AFTER_DIVERGENCE = (
    "try a lower train.generator_lr and train.discriminator_lr, or another --loss"
)


def run_training(
    run: Run,
    config: RunConfig,
    trainer: Trainer,
    observer: Observer,
    snapshots: Snapshots | None = None,
) -> None:
    """Train a run from its newest checkpoint to its last step, and write its model folder.

    All processes do the steps; only the first one reads and writes the run's folder.

    Args:
        run: The run's folder, which must be locked.
        config: Its configuration.
        trainer: Does the steps.
        observer: Is told what happens.
        snapshots: Scores the run while it trains; None for no scores.

    Raises:
        InputError: there are checkpoints, and all of them are damaged.
        GanzooError: the disk is full, read-only or gone, or the folder is no longer the run's own;
            what was written before is intact.
        Diverged: a loss or a weight is not finite, and going back did not help.
        Interrupted: SIGINT, SIGTERM or SIGHUP asked to stop, and the state was saved.
    """
    trainer.team.advice = _resume_hint(run)
    with (
        _explain_disk_errors(run),
        preserve_rng_state(),
        _collect_stop_signals() as signals,
        closing(TrackerGroup(observer.on_warning)) as trackers,
    ):
        trainer.team.set_stop_requests(signals)
        loop = _TrainingLoop(run, config, trainer, observer, trackers, signals, snapshots)
        with loop.accept_changes():
            loop.restore_newest_checkpoint()
            loop.train_to_the_end()
        loop.write_model()


class _TrainingLoop:
    """The loop around a trainer's steps; see :func:`run_training`."""

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        trainer: Trainer,
        observer: Observer,
        trackers: TrackerGroup,
        signals: list[int],
        snapshots: Snapshots | None,
    ) -> None:
        self.run = run
        self.config = config
        self.options = config.train
        self.trainer = trainer
        self.team = trainer.team
        self.observer = observer
        self.trackers = trackers
        self.signals = signals
        self.snapshots = snapshots
        self.health = Health(trainer)
        self.stopwatch = Stopwatch(trainer.device, trainer.team)
        self.changes = ChangeQueue(self._check_change, self._change)
        self._furthest = 0
        """The last step of those that were done before the run went back."""

    @property
    def state(self) -> TrainState:
        return self.trainer.state

    @contextmanager
    def accept_changes(self) -> Iterator[None]:
        """Let the observer change options within the block."""
        self.observer.accept_changes(self.changes)
        try:
            yield
        finally:
            self.observer.accept_changes(None)

    def restore_newest_checkpoint(self) -> None:
        """Restore the newest checkpoint, if there is one, and start the trackers behind it."""
        self.team.run_on_first(self._restore)
        self.team.sync_state(self.state)
        self.trainer.advance()
        self.observer.on_start(self.run, self.config, self.state.step)
        self.team.run_on_first(self._rewind_files)
        self.team.run_on_first(self._log_machine)
        self.stopwatch.start(self.state.time)

    def train_to_the_end(self) -> None:
        """Do the remaining steps, going back to a checkpoint whenever the run diverges."""
        while True:
            try:
                return self._do_remaining_steps()
            except Diverged as error:
                self._go_back(error)

    def write_model(self) -> None:
        """Write the model folder of the present state."""
        self.team.run_on_first(self._write_model)

    # Start

    def _restore(self) -> None:
        for folder in (self.run.path, self.run.samples, self.run.checkpoints):
            remove_leftovers(folder)
        checkpoint.restore_newest(self.run.checkpoints, self.state, self.observer.on_warning)
        checkpoint.prune(self.run.checkpoints, self.config.is_regular, self.state.step)

    def _rewind_files(self) -> None:
        """Drop what the files hold of steps after the state's, and start every tracker at it."""
        self.run.drop_pictures_after(self.state.step)
        drop_lines_after(self.run.score_log, self.state.step)
        change_schedules(self.run.best, self.config)  # if the run died before it could
        config = self.config.model_dump(mode="json")
        self.trackers.start(build_trackers(self.config), self.run.path, config, self.state.step)
        self.health.read_warnings(self.run.path / METRICS_FILE)

    def _log_machine(self) -> None:
        """Note the machine of this start, unless no step is left."""
        if self.state.step < self.options.steps:
            machine = describe_machine(self.trainer.device)
            path = self.run.path / MACHINES_FILE
            log_machine(path, machine, self.state.step, self.team.world)

    # Steps

    def _do_remaining_steps(self) -> None:
        throughput = _Throughput(self._images_seen())
        if self.state.step == 0:
            self.team.run_on_first(self._take_picture)
        self.changes.take_up()
        while self.state.step < self.options.steps:
            terms = self.trainer.step()
            self.observer.on_step(self.state.step)
            if self._is_due(self.options.log_every):
                row = self._read_metrics(terms)
                row["images_per_second"] = throughput.measure(self._images_seen())
                self._log(row)
            self._save_what_is_due()
            self.changes.take_up()
            if self.observer.is_stopping and not self.signals:
                self.signals.append(BY_OBSERVER)
            if self.team.should_stop() and self.state.step < self.options.steps:
                return self._stop()

    def _stop(self) -> None:
        """Save the state before all steps are done, because an observer or a signal asked for it.

        Raises:
            Interrupted: it was a signal, or the state has diverged.
        """
        self._settle_state()
        is_saved = self.team.run_on_first(self._save_before_stop)
        if is_saved and self.team.run_on_first(lambda: self.signals == [BY_OBSERVER]):
            return
        what = "state saved" if is_saved else "whose state has diverged and is not saved"
        raise Interrupted(
            f"stopped after step {self.state.step} of {self.options.steps}, {what}; "
            f"{_resume_hint(self.run)}",
            next(filter(None, self.signals), signal.SIGTERM),
        )

    def _check_change(self, options: Mapping[str, Any]) -> None:
        if self.team.world > 1:
            raise InputError(
                f"options change only in a run of one process, and {self.team.world} train this one"
            )
        if self.state.step >= self.options.steps:
            raise InputError("options cannot change any more: the last step is done")
        changed = change_from_step(self.config, options, self.state.step)
        setup = self.trainer.setup
        check_options(replace(setup, options=changed.train, schedules=changed.schedules))

    def _change(self, options: Mapping[str, Any]) -> bool:
        """Change options from the present step on, and tell whether that was possible now.

        A run that went back must diverge again when it is resumed or repeated, so its options stay
        until it is past the step where it diverged.
        """
        step = self.state.step
        if not self._furthest <= step < self.options.steps:
            return False
        config = change_from_step(self.config, options, step)
        if config != self.config:
            self._require_folder()
            self.run.write_config(config)
            flush(self.run.path)
            change_schedules(self.run.best, config)
            self.config, self.options = config, config.train
            self.trainer.change(config.train, config.schedules)
            if self.snapshots is not None:
                self.snapshots.config = config
        self.observer.on_change(step, dict(options))
        return True

    def _images_seen(self) -> int:
        return self.trainer.setup.progress_at(self.state.step).images

    def _is_due(self, every: int) -> bool:
        """Tell whether something that happens every so many steps, and at the end, is due."""
        return self.state.step == self.options.steps or self.state.step % every == 0

    def _save_what_is_due(self) -> None:
        """Write the picture, the scores and the checkpoint of this step, where they are due."""
        options, snapshots = self.options, self.snapshots
        is_early = self.state.step in EARLY_PICTURES and self.state.step < options.sample_every
        has_picture = is_early or self._is_due(options.sample_every)
        if has_picture:
            self.team.run_on_first(self._take_picture)
        if snapshots is not None and snapshots.is_due(self.state.step):
            with self.stopwatch.paused() as time_taken:
                if not has_picture:  # the model of a snapshot shows its picture
                    self.team.run_on_first(self._take_picture)
                self._score_snapshot(snapshots, time_taken)
        if self._is_due(options.checkpoint_every):
            self._settle_state()
            self.team.run_on_first(self._save_checkpoint)

    def _settle_state(self) -> None:
        """Complete the state before it is saved."""
        self.state.time = self.stopwatch.read()
        self.trainer.settle_terms()

    def _go_back(self, error: Diverged) -> None:
        """Go back to the last regular checkpoint, or to the start, and lower the learning rates.

        A checkpoint that an interruption left is passed over: where a run goes back to must not
        depend on when it was interrupted.

        Raises:
            Diverged: the run went back too often; the model of the checkpoint is written.
        """
        retries, diverged, at = self.state.retries + 1, str(error), self.state.step
        self._furthest = max(self._furthest, at)
        self.trainer.reset()
        self.team.run_on_first(self._restore_regular)
        self.team.sync_state(self.state)
        self.trainer.advance()
        step, factor = self.state.step, self.options.retry_lr
        if retries > RETRIES or not factor:
            final = Diverged(f"{diverged}{self._give_up(retries - 1)}", HINT_AFTER_DIVERGENCE)
            self.trackers.record_warning({"step": at, "warning": DIVERGED, "message": diverged})
            self.trackers.send_warning(step, str(final))
            raise final from error
        self.state.retries = retries
        self._send_warning(
            f"{diverged}; going back to step {step}, with learning rates times {factor**retries:g}"
        )
        self.team.run_on_first(self._rewind_files)

    def _restore_regular(self) -> None:
        """Restore the newest regular checkpoint, if there is one, and drop later ones."""
        folder, warn = self.run.checkpoints, self.observer.on_warning
        checkpoint.restore_newest(folder, self.state, warn, self.config.is_regular)
        checkpoint.drop_after(folder, self.state.step)

    def _give_up(self, tries: int) -> str:
        """Write the model of the last checkpoint, and return the end of the error's message."""
        tried = f", with learning rates lowered {tries} times" if tries else ""
        model = "there was no checkpoint before it"
        if self.state.step:
            self.write_model()
            model = f"the model of step {self.state.step} is in {self.run.model}"
        return f"{tried}; {model}"

    # Metrics

    def _read_metrics(self, terms: StepTerms) -> dict[str, Any]:
        """Fetch a step's numbers from the device, in one transfer, as a line of metrics.

        Raises:
            Diverged: one of them is not finite.
        """
        state, options = self.state, self.options
        fresh, settled = self.trainer.take_terms()
        # A discriminator that was not updated has no terms, and no gradient.
        networks = {network: by_name for network, by_name in vars(terms).items() if by_name}
        for network in networks:
            gradients = [p.grad for p in getattr(state, network).parameters() if p.grad is not None]
            fresh[f"{network}/{GRADIENT_NORM}"] = torch.nn.utils.get_total_norm(gradients)
        means = self.team.mean(torch.stack([each.float() for each in fresh.values()]))
        values = dict(zip(fresh, means, strict=True))
        named = {**settled, **values}
        found = dict(zip(named, torch.stack(list(named.values())).tolist(), strict=True))
        row: dict[str, Any] = {
            "step": state.step,
            "images_seen": self._images_seen(),
        }
        for network, by_name in networks.items():
            now = [f"{network}/{name}" for name in by_name]
            norm = f"{network}/{GRADIENT_NORM}"
            # Of earlier steps, in an order that does not depend on where a run was resumed.
            past = sorted(name for name in named if name.startswith(f"{network}/"))
            for name in dict.fromkeys([*now, *(each for each in past if each != norm), norm]):
                value = found[name]
                if name == norm and options.precision == "fp16" and not math.isfinite(value):
                    continue  # this update was skipped because its scaled gradients overflowed
                if not math.isfinite(value):
                    word = name.partition("/")[2]
                    raise _divergence(state.step, f"{word} of the {network} is {value}")
                row[name] = value
        for name in sorted(name for name in settled if name.startswith(f"{AUGMENTATION}/")):
            if not math.isfinite(found[name]):
                raise _divergence(state.step, f"{name} is {found[name]}")
            row[name] = found[name]
        return row

    def _log(self, row: dict[str, Any]) -> None:
        if not self.team.is_first:
            return
        self._require_folder()
        self.trackers.metrics(row)
        self.observer.on_log(row)
        self._record_warnings(self.health.check_terms(row))

    def _record_warnings(self, changes: Iterable[Change]) -> None:
        """Write warnings that begin or end to the file of metrics, and send them on."""
        for change in changes:
            self.trackers.record_warning(change.as_row())
            if change.is_end:
                self.observer.on_warning_end(change.warning.message, change.message)
                self.trackers.send_warning_end(
                    self.state.step, change.warning.message, change.message
                )
            else:
                self._send_warning(change.message)

    def _send_warning(self, message: str) -> None:
        self.observer.on_warning(message)
        self.trackers.send_warning(self.state.step, message)

    # Files

    def _require_folder(self) -> None:
        """Check that the run's folder is still its own; if not, trackers write nothing more."""
        try:
            self.run.require_lock()
        except GanzooError:
            self.trackers.abandon()
            raise

    def _save_before_stop(self) -> bool:
        """Save a checkpoint unless this step's is due, and tell whether the state could be saved.

        A state that has diverged is not saved: at which step this is found must not depend on when
        the run was stopped.
        """
        if self._is_due(self.options.checkpoint_every):
            return True
        if self.state.find_nonfinite():
            return False
        self._save_checkpoint()
        return True

    def _save_checkpoint(self) -> None:
        self._require_folder()
        step = self.state.step
        if wrong := self.state.find_nonfinite():
            raise _divergence(step, wrong)
        # A checkpoint must never outlive what was written before it.
        self.trackers.flush()
        if self.run.score_log.exists():
            flush(self.run.score_log)
        flush(self.run.path)
        checkpoint.save(self.run.checkpoints, self.state)
        checkpoint.prune(self.run.checkpoints, self.config.is_regular, self.state.step)

    def _score_snapshot(self, snapshots: Snapshots, time_taken: TrainingTime | None) -> None:
        try:
            rows = snapshots.score(self.run, time_taken)
        except (Diverged, OSError):
            raise
        except Exception as error:  # a metric that fails must not end the run
            self._send_warning(
                f"the snapshot of step {self.state.step} cannot be judged: {first_line(error)}"
            )
            return
        self.trackers.scores(self.state.step, {row.metric: row.value for row in rows})
        self.observer.on_scores(rows)

    def _write_model(self) -> None:
        step = self.state.step
        if step < self.options.steps or not self.run.picture(step).is_file():
            self._write_picture(of_model=True)
        write_model(
            self.run.model,
            ModelConfig.of(self.config, self.trainer.setup.data, step),
            self.state.generator_ema.module,
            self.state.discriminator,
            self.run.picture(step),
        )

    def _take_picture(self) -> None:
        """Write the sample picture of this step, and show it to trackers and the observer."""
        state, snapshots = self.state, self.snapshots
        is_saved = snapshots is not None and snapshots.is_due(state.step)
        of_model = is_saved or state.step == self.options.steps
        inputs, drawn, shown, picture, layout = self._write_picture(of_model=of_model)
        self._record_warnings(self.health.check_samples(drawn, state.step))
        self._log_memorised(shown.stored)
        self.trackers.picture(state.step, picture)
        if not self.trainer.architecture.judges_source:  # a tracker has no sources for it
            networks = look_into(
                self.trainer,
                inputs,
                shows_average=of_model or drawn.shows_average,
                as_saved=of_model,
            )
            real = self.trainer.samples
            self.trackers.discriminator(state.step, networks.discriminator, shown, real)
            self.trackers.networks(state.step, networks, shown, real)
        self.observer.on_picture(state.step, picture, layout)

    def _log_memorised(self, samples: Tensor) -> None:
        """Log how many samples of a picture repeat a training image, if that is watched."""
        step = self.state.step
        share = self.health.measure_memorised(samples, step)
        if share is not None:
            self.trackers.metrics({"step": step, MEMORISED: share})
            self._record_warnings(self.health.check_memorised(share, step))

    def _write_picture(
        self, *, of_model: bool
    ) -> tuple[GeneratorInput, Drawn, Samples, Tensor, str]:
        """Write the sample picture of this step.

        Args:
            of_model: Whether a model of this step is written, which the picture belongs to.

        Returns:
            The generator's inputs, what was drawn, what of it the picture shows, the picture and
            its layout.

        Raises:
            Diverged: a sample is not finite.
        """
        self._require_folder()
        state, setup = self.state, self.trainer.setup
        inputs, columns = draw_picture_inputs(setup, self.trainer.loader), count_columns(setup)
        try:
            drawn = draw_samples(self.trainer, inputs, as_saved=of_model)
        except GanzooError:
            raise _divergence(state.step, "samples are not finite") from None
        tiles = fakes = drawn.average if of_model else drawn.shown
        if not setup.architecture.takes_latents and inputs.given.dim() == fakes.dim() == 4:
            sources = images.to_uint8(inputs.given).cpu()
            tiles = _place_below(*images.match_images(sources, fakes), columns)
        picture = images.render_samples(tiles, setup.data.modes, columns)
        layout = images.describe_layout(tiles, columns)
        texts = images.provenance(f"{self.config.title}, step {state.step}", self.options.seed)
        self.run.save_picture(picture, state.step, {**texts, images.LAYOUT: layout})
        return inputs, drawn, Samples(setup.data, fakes, inputs.labels), picture, layout


class _Throughput:
    """Measures the images per second since the last measurement."""

    def __init__(self, images: int) -> None:
        self._images, self._time = images, time.perf_counter()

    def measure(self, images: int) -> float:
        """Return the real images that the discriminator saw per second.

        Args:
            images: All that it has seen.
        """
        now = time.perf_counter()
        rate = (images - self._images) / (now - self._time)
        self._images, self._time = images, now
        return round(rate, 2)


def _place_below(sources: Tensor, fakes: Tensor, columns: int) -> Tensor:
    """Interleave rows of source images with rows of what they became, both ``(N, C, H, W)``."""
    rows = [part.unflatten(0, (-1, columns)) for part in (sources, fakes)]
    return torch.stack(rows, dim=1).flatten(0, 2)


def _resume_hint(run: Run) -> str:
    return f"continue with: ganzoo train --resume {run.path}"


def _divergence(step: int, what: str) -> Diverged:
    return Diverged(f"training diverged by step {step}: {what}")


@contextmanager
def _explain_disk_errors(run: Run) -> Iterator[None]:
    """Turn an error of the disk into a message that says how to continue the run."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of the output is gone, and the disk is fine
    except OSError as error:
        where, why = error.filename or run.path, error.strerror or error
        raise GanzooError(
            f"{where}: {why}; what was written before is intact, {_resume_hint(run)}"
        ) from error


@contextmanager
def _collect_stop_signals() -> Iterator[list[int]]:
    """Collect a request to stop, to be obeyed after the step; a second one ends at once."""
    requests: list[int] = []
    with answer_stop_signals(requests.append, interrupt):
        yield requests
