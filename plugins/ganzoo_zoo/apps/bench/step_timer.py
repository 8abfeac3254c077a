"""Which part of a step takes how long, seen from outside the trainer."""

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
"""The data, both networks' updates, the average of the generator, and what is none of these."""
BETWEEN = "between"
"""What lies between two steps, and is no part of them."""

Spans = list[tuple[str, float]]
"""The parts of one step in the order in which they came, and their seconds."""


class StepTimer:
    """Marks where each part of a trainer's steps begins; see :func:`time_parts`."""

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
        """Mark that a part begins here, and that the one before ends."""
        self._parts.append(part)
        self._marks.append(self._clock.mark())

    def spans(self) -> list[Spans]:
        """Return what each step was spent on."""
        steps: list[Spans] = [[]]
        for part, span in zip(self._parts, self._clock.spans(self._marks), strict=False):
            if part == BETWEEN:
                steps.append([])
            else:
                steps[-1].append((part, span))
        return steps


@contextmanager
def time_parts(trainer: Trainer, clock: Clock) -> Iterator[StepTimer]:
    """Watch a trainer's steps while the block lasts; what they compute stays as it is.

    The discriminator's part lasts from its data to the constraint of its parameters, and the
    generator's from there to the update of its own.
    """
    watch, state, loss = StepTimer(trainer, clock), trainer.state, trainer.loss
    hook = state.generator_optimizer.register_step_post_hook(lambda *_: watch.begin("rest"))
    with (
        _mark_calls(trainer.loader, "batch", watch, "data", "discriminator"),
        _mark_calls(state.generator_ema, "update", watch, "ema", "rest"),
    ):
        trainer.loss = _TimedLoss(loss, watch)
        try:
            yield watch
        finally:
            trainer.loss = loss
            hook.remove()


@contextmanager
def _mark_calls(owner: Any, name: str, watch: StepTimer, part: str, after: str) -> Iterator[None]:
    """Mark a part around each call of one object's method, and what begins after it."""
    method: Callable[..., Any] = getattr(owner, name)

    @wraps(method)
    def marked(*given: Any, **named: Any) -> Any:
        watch.begin(part)
        found = method(*given, **named)
        watch.begin(after)
        return found

    setattr(owner, name, marked)
    try:
        yield
    finally:
        delattr(owner, name)


class _TimedLoss:
    """A loss that tells where the discriminator's update ends; losses themselves are frozen."""

    def __init__(self, loss: Loss, watch: StepTimer) -> None:
        self._loss = loss
        self._timer = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loss, name)

    def constrain(self, discriminator: Any) -> None:
        self._loss.constrain(discriminator)
        self._timer.begin("generator")
