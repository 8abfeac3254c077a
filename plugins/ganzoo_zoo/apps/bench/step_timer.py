"""Timing the parts of a training step from outside the trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganzoo import Loss
    from ganzoo.training.trainer import Trainer
    from ganzoo_zoo.apps.bench.clocks import Clock

PARTS = ("data", "discriminator", "generator", "ema", "rest")
"""Loading data, the updates of both networks, the generator's average, and the rest."""
BETWEEN = "between"
"""The time between two steps, which counts to no part."""

Spans = list[tuple[str, float]]
"""The parts of one step in order, with their seconds."""


class StepTimer:
    """Marks the beginning of each part of a trainer's steps; see :func:`time_parts`."""

    def __init__(self, trainer: Trainer, clock: Clock) -> None:
        self._trainer = trainer
        self._clock = clock
        self._parts: list[str] = []
        self._marks: list[Any] = []

    def step(self) -> None:
        """Do a step of the trainer."""
        self.begin("rest")
        self._trainer.step()
        self.begin(BETWEEN)

    def begin(self, part: str) -> None:
        """Mark the beginning of a part, and the end of the previous one."""
        self._parts.append(part)
        self._marks.append(self._clock.mark())

    def spans(self) -> list[Spans]:
        """Return the parts of each step with their durations."""
        steps: list[Spans] = [[]]
        for part, span in zip(self._parts, self._clock.spans(self._marks), strict=False):
            if part == BETWEEN:
                steps.append([])
            else:
                steps[-1].append((part, span))
        return steps


@contextmanager
def time_parts(trainer: Trainer, clock: Clock) -> Iterator[StepTimer]:
    """Time a trainer's steps within the block, without changing their results.

    The discriminator's part lasts from its data to the constraint on its parameters, and the
    generator's from there to the update of its parameters.
    """
    timer, state, loss = StepTimer(trainer, clock), trainer.state, trainer.loss
    hook = state.generator_optimizer.register_step_post_hook(lambda *_: timer.begin("rest"))
    timed: Any = _TimedLoss(loss, timer)
    with (
        _mark_calls(trainer.loader, "batch", timer, "data", "discriminator"),
        _mark_calls(state.generator_ema, "update", timer, "ema", "rest"),
    ):
        trainer.loss = timed
        try:
            yield timer
        finally:
            trainer.loss = loss
            hook.remove()


@contextmanager
def _mark_calls(owner: Any, name: str, timer: StepTimer, part: str, after: str) -> Iterator[None]:
    """Mark one part at each call of an object's method, and another part after the call."""
    method: Callable[..., Any] = getattr(owner, name)

    @wraps(method)
    def marked(*given: Any, **named: Any) -> Any:
        timer.begin(part)
        found = method(*given, **named)
        timer.begin(after)
        return found

    setattr(owner, name, marked)
    try:
        yield
    finally:
        delattr(owner, name)


class _TimedLoss:
    """A wrapper that marks the end of the discriminator's update; losses themselves are frozen."""

    def __init__(self, loss: Loss, timer: StepTimer) -> None:
        self._loss = loss
        self._timer = timer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loss, name)

    def constrain(self, discriminator: Any) -> None:
        self._loss.constrain(discriminator)
        self._timer.begin("generator")
