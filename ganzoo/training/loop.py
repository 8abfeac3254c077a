"""The loop around the steps: metrics, pictures, checkpoints, signals, and the way back.

What is written is a function of the run's configuration alone, but for the images per second: a
run that was killed and resumed, however often, leaves the bytes of one that was not.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import RETRIES, ModelConfig, RunConfig, TrainOptions
from ganzoo.errors import Diverged, GanzooError, Interrupted, first_line
from ganzoo.media import images
from ganzoo.models.model import generate_stored
from ganzoo.models.write import write_model
from ganzoo.protocols.dataset import Samples
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.storage.files import flush, remove_leftovers
from ganzoo.storage.json_files import drop_lines_after
from ganzoo.training import checkpoint
from ganzoo.training.health import Health
from ganzoo.training.observer import Observer
from ganzoo.training.prepare import build_trackers
from ganzoo.training.tracking import TrackerGroup

if TYPE_CHECKING:
    from ganzoo.distributed import Processes
    from ganzoo.runs.folder import Run
    from ganzoo.training.checkpoint import TrainState
    from ganzoo.training.snapshots import Snapshots
    from ganzoo.training.trainer import StepTerms, Trainer


def run_training(
    run: Run,
    config: RunConfig,
    trainer: Trainer,
    observer: Observer,
    snapshots: Snapshots | None = None,
) -> None:
    """Train a run from where its checkpoints end, and leave its model folder.

    The run's folder must be locked. Snapshots are judged on the way if there is what judges them.
    Of several processes all do the steps, and the first alone reads and writes the folder.

    Raises:
        InputError: there are checkpoints, and none of them is whole.
        GanzooError: the disk is full, read-only or gone; what was written before is intact.
        Diverged: a loss or a weight is not finite, and going back did not help.
        Interrupted: SIGINT or SIGTERM asked to stop, and the state was saved.
    """
    try:
        _start_and_loop(run, config, trainer, observer, snapshots)
    except BrokenPipeError:
        raise  # whoever read the output has gone, which is no failure of a disk
    except OSError as error:
        where = error.filename or run.path
        raise GanzooError(
            f"{where}: {error.strerror or error}; what was written before is intact, {_resume_hint(run)}"
        ) from error


def _start_and_loop(
    run: Run,
    config: RunConfig,
    trainer: Trainer,
    observer: Observer,
    snapshots: Snapshots | None,
) -> None:
    team = trainer.team
    team.advice = _resume_hint(run)
    followers = TrackerGroup(observer.on_warning)
    with preserve_rng_state(), _stop_requests() as requests, closing(followers):
        team.set_stop_requests(requests)
        loop = _Loop(run, config, trainer, observer, followers, requests, snapshots)
        team.run_on_first(loop.restore)
        team.sync_state(trainer.state)
        observer.on_start(run, config, trainer.state.step)
        team.run_on_first(loop.start_trackers)
        while True:
            try:
                loop.run_steps()
                break
            except Diverged as error:
                loop.roll_back(error)
        team.run_on_first(loop.save_model)


class _Loop:
    def __init__(
        self,
        run: Run,
        config: RunConfig,
        trainer: Trainer,
        observer: Observer,
        followers: TrackerGroup,
        requests: list[int],
        snapshots: Snapshots | None,
    ) -> None:
        self.run = run
        self.config = config
        self.options = config.train
        self.trainer = trainer
        self.observer = observer
        self.trackers = followers
        self.requests = requests
        self.snapshots = snapshots
        self.health = Health(trainer)

    @property
    def state(self) -> TrainState:
        return self.trainer.state

    def restore(self) -> None:
        """Take over the newest checkpoint, if there is one, and drop what nobody needs."""
        for folder in (self.run.path, self.run.samples, self.run.checkpoints):
            remove_leftovers(folder)
        checkpoint.restore_newest(self.run.checkpoints, self.state, self.observer.on_warning)
        checkpoint.prune(self.run.checkpoints, self.options.checkpoint_every)

    def start_trackers(self) -> None:
        """Have every tracker go on behind the state's step."""
        drop_lines_after(self.run.scores, self.state.step)
        trackers, config = build_trackers(self.config), self.config.model_dump(mode="json")
        self.trackers.start(trackers, self.run.path, config, self.state.step)
        self.health.read_warnings(self.run.path / METRICS_FILE)

    def run_steps(self) -> None:
        """Do the steps that are left."""
        options, every = self.options, self.options.checkpoint_every
        team = self.trainer.team
        clock, clocked = time.perf_counter(), self.state.step
        if self.state.step == 0:
            team.run_on_first(self._save_picture)
        while (step := self.state.step) < options.steps:
            terms = self.trainer.step()
            step += 1
            self.observer.on_step(step)
            last, stops = step == options.steps, team.should_stop()
            row: dict[str, Any] = {}
            if last or step % options.log_every == 0:
                row = _read_back(terms, self.state, options, team)
                now = time.perf_counter()
                seen = (step - clocked) * options.n_critic * options.batch_size
                row["images_per_second"] = round(seen / (now - clock), 2)
                clock, clocked = now, step
                self._log(row)
            pictured = last or step % options.sample_every == 0
            judged = bool(self.snapshots and self.snapshots.is_due(step))
            saved = last or stops or step % every == 0
            if pictured or judged or saved:
                team.sync_buffers(self.state.modules().values())
            if pictured:
                team.run_on_first(self._save_picture)
            if judged:
                self._score_snapshot(self.snapshots)
            if saved:
                team.run_on_first(self._save_checkpoint)
            if stops and not last:
                raise Interrupted(
                    f"stopped after step {step} of {options.steps}, state saved; "
                    f"{_resume_hint(self.run)}",
                    next(iter(self.requests), signal.SIGTERM),
                )

    def roll_back(self, error: Diverged) -> None:
        """Go back to the last regular checkpoint, or to the start, with lower learning rates.

        One that an interruption left is passed over: where a run goes back to must not depend on
        when it was interrupted.

        Raises:
            Diverged: it was tried often enough; the model of that checkpoint is published.
        """
        retries, diverged = self.state.retries + 1, str(error)
        team = self.trainer.team
        self.trainer.reset()
        team.run_on_first(
            lambda: checkpoint.restore_newest(
                self.run.checkpoints,
                self.state,
                self.observer.on_warning,
                every=self.options.checkpoint_every,
            )
        )
        team.sync_state(self.state)
        step, factor = self.state.step, self.options.retry_lr
        if retries > RETRIES or not factor:
            final = Diverged(f"{diverged}{self._give_up(retries - 1)}")
            self.trackers.send_warning(step, str(final))
            raise final from error
        self.state.retries = retries
        self._send_warning(
            f"{diverged}; going back to step {step}, with learning rates times {factor**retries:g}"
        )
        team.run_on_first(self.start_trackers)

    def save_model(self) -> None:
        """Write the model folder of the state."""
        step = self.state.step
        self._ensure_picture()
        write_model(
            self.run.model,
            ModelConfig.of(self.config, self.trainer.samples.spec, step),
            self.state.generator_ema.module,
            self.state.discriminator,
            self.run.picture(step),
        )

    def _give_up(self, tries: int) -> str:
        tried = f", with learning rates lowered {tries} times" if tries else ""
        model = "there was no checkpoint before it"
        if self.state.step:
            self.trainer.team.run_on_first(self.save_model)
            model = f"the model of step {self.state.step} is in {self.run.model}"
        return (
            f"{tried}; {model}\ntry a lower train.generator_lr and train.discriminator_lr, "
            "or another --loss"
        )

    def _log(self, row: dict[str, Any]) -> None:
        if not self.trainer.team.is_first:
            return
        self.trackers.metrics(row)
        self.observer.on_log(row)
        self._record_warnings(row["step"], self.health.check_terms(row))

    def _record_warnings(self, step: int, found: dict[str, str]) -> None:
        for name, message in found.items():
            self.trackers.record_warning(step, name, message)
            self._send_warning(message)

    def _send_warning(self, message: str) -> None:
        self.observer.on_warning(message)
        self.trackers.send_warning(self.state.step, message)

    def _save_checkpoint(self) -> None:
        step = self.state.step
        if wrong := self.state.find_nonfinite():
            raise _divergence(step, wrong)
        for lines in (self.run.path / METRICS_FILE, self.run.scores):
            if lines.exists():
                flush(lines)  # a checkpoint must never outlive a line that was written before it
        flush(self.run.path)
        checkpoint.save(self.run.checkpoints, self.state)
        checkpoint.prune(self.run.checkpoints, self.options.checkpoint_every)

    def _score_snapshot(self, snapshots: Snapshots) -> None:
        self.trainer.team.run_on_first(self._ensure_picture)
        try:
            rows = snapshots.score(self.run)
        except (Diverged, OSError):
            raise
        except Exception as error:  # what watches a run must not end it
            self._send_warning(
                f"the snapshot of step {self.state.step} cannot be judged: {first_line(error)}"
            )
            return
        self.trackers.scores(self.state.step, {row.metric: row.value for row in rows})
        self.observer.on_scores(rows)

    def _ensure_picture(self) -> None:
        if not self.run.picture(self.state.step).is_file():
            self._save_picture()

    def _save_picture(self) -> None:
        state, spec = self.state, self.trainer.samples.spec
        inputs = self.trainer.picture_inputs()
        try:
            shown = generate_stored(state.generator_ema.module, inputs, spec)
        except GanzooError:
            raise _divergence(state.step, "samples are not finite") from None
        fake = Samples(spec, shown, inputs.labels)
        self._record_warnings(state.step, self.health.check_samples(shown, state.step))
        if self.trainer.architecture.takes_images:
            sources = images.to_uint8(inputs.given).cpu()
            # A row of sources, and below it what they became.
            rows = [part.unflatten(0, (-1, self.trainer.columns)) for part in (sources, shown)]
            shown = torch.stack(rows, dim=1).flatten(0, 2)
        texts = images.provenance(f"{self.config.title}, step {state.step}", self.options.seed)
        picture = images.render_samples(shown, spec.modes, self.trainer.columns)
        layout = images.describe_layout(shown, self.trainer.columns)
        self.run.save_picture(picture, state.step, {**texts, images.LAYOUT: layout})
        self.trackers.picture(state.step, picture)
        self.trackers.discriminator(state.step, state.discriminator, fake, self.trainer.samples)
        self.observer.on_picture(state.step, picture, layout)


def _read_back(
    terms: StepTerms, state: TrainState, options: TrainOptions, team: Processes
) -> dict[str, Any]:
    """Fetch a step's numbers from the device, in one transfer, as a line of ``metrics.jsonl``."""
    named: dict[tuple[str, str], Tensor] = {}
    for network, found in vars(terms).items():
        named |= {(network, name): value.detach().float() for name, value in found.items()}
        gradients = [p.grad for p in getattr(state, network).parameters() if p.grad is not None]
        named[network, "gradient_norm"] = torch.nn.utils.get_total_norm(gradients).float()
    values = team.mean(torch.stack(list(named.values()))).tolist()
    row: dict[str, Any] = {
        "step": state.step,
        "images_seen": state.step * options.n_critic * options.batch_size,
    }
    for (network, name), value in zip(named, values, strict=True):
        if name == "gradient_norm" and options.precision == "fp16" and not math.isfinite(value):
            continue  # an update that was left out, as its scaled gradients overflowed
        if not math.isfinite(value):
            raise _divergence(state.step, f"{name} of the {network} is {value}")
        row[f"{network}/{name}"] = value
    return row


def _resume_hint(run: Run) -> str:
    return f"go on with: ganzoo train --resume {run.path}"


def _divergence(step: int, what: str) -> Diverged:
    return Diverged(f"training diverged by step {step}: {what}")


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM to be met after the step; a second one ends at once."""
    requests: list[int] = []

    def request(signum: int, frame: object) -> None:
        if requests:
            raise KeyboardInterrupt(signum)
        requests.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield requests  # only the main thread may handle signals
        return
    before = {s: signal.signal(s, request) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
