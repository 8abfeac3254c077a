"""The observer of a run: callbacks that watch training without changing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganzoo.config import RunConfig
from ganzoo.errors import InputError, warn_caller

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.runs.folder import Run
    from ganzoo.runs.scores import ScoreRow
    from ganzoo.training.changes import ChangeQueue
    from ganzoo.training.trainer import Trainer


class Observer:
    """Base of observers of a training: override the callbacks that you need.

    By default, none does anything, except :meth:`on_warning`. Only the first of several processes
    has an observer. An observer may end a training by :meth:`stop` and change some of its options
    by :meth:`change`, and nothing else.
    """

    _is_stopping = False
    _changes: ChangeQueue | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._is_stopping

    def stop(self) -> None:
        """End the training after this step: its state and its model are written, and it returns.

        The run can be resumed.
        """
        self._is_stopping = True

    def change(self, options: Mapping[str, Any]) -> None:
        """Change training options from the next step on, while the run trains.

        Before the next step the run's ``config.json`` has the change, as a schedule that jumps at
        this step: a run that is resumed, or repeated from this file, gives the same bytes. It may
        be called from any thread, from :meth:`on_start` on. A run that has gone back after it
        diverged takes the change up once it is past the step where it diverged.

        Args:
            options: New values by full names: of ``train.generator_lr``,
                ``train.discriminator_lr``, ``train.n_critic`` and the other options of ``train.``
                that may follow a schedule. If learning rates fall by ``train.lr_decay``, the new
                rate is the one that falls.

        Raises:
            InputError: an option may not change, a value is not allowed, no step is left, no run
                trains, or several processes train it.
        """
        if self._changes is None:
            raise InputError("options change while a run trains, and none does")
        self._changes.ask(options)

    def accept_changes(self, changes: ChangeQueue | None) -> None:
        """Let :meth:`change` ask for changes of a training; None at its end. ganzoo calls this."""
        self._changes = changes

    def on_ready(self, trainer: Trainer) -> None:
        """The run is ready, and nothing is written yet. Do not change the networks."""

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Training is about to continue after ``step``, which is 0 for a new run."""

    def on_step(self, step: int) -> None:
        """A step was handed to the device. Do not read from the device here: it would wait."""

    def on_change(self, step: int, options: dict[str, Any]) -> None:
        """Options have changed by :meth:`change`.

        Args:
            step: Finished steps; later ones are done with the new values.
            options: The new values by full names.
        """

    def on_log(self, row: dict[str, Any]) -> None:
        """A line was written to ``metrics.jsonl``."""

    def on_picture(self, step: int, picture: Tensor, layout: str) -> None:
        """The sample picture of a step was written.

        Args:
            step: The step.
            picture: uint8 ``(C, H, W)`` of 1, 3 or 4 channels, on the CPU.
            layout: Its layout, for :func:`ganzoo.media.images.split_picture`.
        """

    def on_scores(self, rows: list[ScoreRow]) -> None:
        """The snapshot of a step was scored; the rows are also in ``scores.jsonl``."""

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Long work other than steps, such as reading the data, has done ``done`` of ``total``."""

    def on_warning(self, message: str) -> None:
        """Something deserves a person's attention: by default, a Python warning says it."""
        warn_caller(message)

    def on_warning_end(self, warning: str, message: str) -> None:
        """What a warning warned of has ended.

        Args:
            warning: The message of the warning, as :meth:`on_warning` received it.
            message: What to tell a person, in one line.
        """


class ObserverGroup(Observer):
    """Observers as one: each is told everything, and each may end the training."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    @property
    def is_stopping(self) -> bool:
        """Whether one of them was asked to stop, or asked by itself."""
        return any(each.is_stopping for each in self.observers)

    def stop(self) -> None:
        """Ask by the first of them."""
        self.observers[0].stop()

    def accept_changes(self, changes: ChangeQueue | None) -> None:
        """Let each ask for changes."""
        super().accept_changes(changes)
        for each in self.observers:
            each.accept_changes(changes)

    def on_ready(self, trainer: Trainer) -> None:
        """Tell each."""
        for each in self.observers:
            each.on_ready(trainer)

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Tell each."""
        for each in self.observers:
            each.on_start(run, config, step)

    def on_step(self, step: int) -> None:
        """Tell each."""
        for each in self.observers:
            each.on_step(step)

    def on_change(self, step: int, options: dict[str, Any]) -> None:
        """Tell each."""
        for each in self.observers:
            each.on_change(step, dict(options))

    def on_log(self, row: dict[str, Any]) -> None:
        """Give each a copy."""
        for each in self.observers:
            each.on_log(dict(row))

    def on_picture(self, step: int, picture: Tensor, layout: str) -> None:
        """Show it to each."""
        for each in self.observers:
            each.on_picture(step, picture, layout)

    def on_scores(self, rows: list[ScoreRow]) -> None:
        """Tell each."""
        for each in self.observers:
            each.on_scores(rows)

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Tell each."""
        for each in self.observers:
            each.on_progress(what, done, total)

    def on_warning(self, message: str) -> None:
        """Warn each."""
        for each in self.observers:
            each.on_warning(message)

    def on_warning_end(self, warning: str, message: str) -> None:
        """Tell each."""
        for each in self.observers:
            each.on_warning_end(warning, message)


class SilentObserver(Observer):
    """The observer of every process but the first, which alone reports anything."""

    def on_warning(self, message: str) -> None:
        """Do nothing."""
