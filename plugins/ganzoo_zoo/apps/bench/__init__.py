"""Measuring the speed of training on this machine: steps, parts of a step, and FLOPs."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.training.trainer import Trainer
    from ganzoo_zoo.apps.bench.clocks import Clock
    from ganzoo_zoo.apps.bench.machine import Machine, Memory
    from ganzoo_zoo.apps.bench.step_timer import Spans

WARM_UP_STEPS = 3
"""The fewest untimed steps at the start; the first one also creates the optimisers' state."""
WARM_UP_SECONDS = 1.0
"""The shortest duration of the untimed steps after the first one."""
MIN_STEPS = 5
"""The fewest timed steps, unless their number is given."""
SECONDS = 10.0
"""Default duration of the timed steps."""
SHORTEST_BLOCK = 0.01
"""The shortest block of steps for medians and quartiles, in seconds."""
ENDLESS = 10**12
"""Configured number of steps, so large that learning rates do not decay."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of blocks of steps, or of repetitions."""

    median: float
    lower_quartile: float
    upper_quartile: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute the spread of at least one value."""
        lower, median, upper = (
            statistics.quantiles(values, n=4, method="inclusive")
            if len(values) > 1
            else [*values] * 3
        )
        return cls(median, lower, upper)


@dataclass(frozen=True)
class Part:
    """The duration of one part of a step."""

    ms: Spread
    share: float
    """Share of the total time; the shares of all parts sum to 1."""


@dataclass(frozen=True)
class Flops:
    """FLOPs of convolutions and matrix products; a multiply-add counts as two."""

    step: int
    """FLOPs of the first step: forward, backward, and double backward for gradient penalties."""
    per_second: float
    convolution_per_second: Spread
    """FLOP/s of a convolution that suits the machine.

    Its shape is :data:`ganzoo_zoo.apps.bench.machine.SHAPE`.
    """
    share: float
    """FLOP/s of the steps relative to the convolution's."""


@dataclass(frozen=True)
class Bench:
    """The result of a benchmark."""

    config: RunConfig
    """The configuration; ``train.steps`` is the number of steps that were done."""
    shape: tuple[int, ...]
    """Shape of a sample."""
    warm_up: int
    """Number of untimed steps before the timed ones."""
    steps: int
    """Number of timed steps."""
    steps_per_block: int
    """Number of steps in each block, over which medians and quartiles are computed."""
    steps_per_second: Spread
    images_per_second: Spread
    """Real samples seen by the discriminator per second, as in ``metrics.jsonl``."""
    step_ms: Spread
    parts: dict[str, Part]
    """Parts by name: data, discriminator, generator, ema, and the rest."""
    flops: Flops
    memory: Memory
    machine: Machine


def bench(
    architecture: str | None,
    loss: str | None = None,
    data: str | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    steps: int | None = None,
    seconds: float | None = None,
) -> Bench:
    """Time the training of a GAN on this machine, without a run and without writing files.

    Steps use the trainer of a run, but no metrics, pictures and checkpoints.

    Args:
        architecture: Name of an architecture; None if the settings name a whole recipe.
        loss: Name of a loss; the architecture's own default if None.
        data: Name of a dataset or a path; the architecture's own default if None.
        settings: Options by their full names, such as ``{"train.batch_size": 64}``.
        steps: Number of steps to time.
        seconds: Duration of the timed steps, instead of their number; by default :data:`SECONDS`.

    Raises:
        InputError: a name, an option or the data are wrong, or do not fit together.
    """
    if steps is not None and seconds is not None:
        raise InputError("give either a number of steps or of seconds, not both")
    if steps is not None and steps < 1:
        raise InputError(f"at least one step must be timed, not {steps}")
    if seconds is not None and not 0 < seconds < math.inf:
        raise InputError(f"the seconds must be a number above 0, not {seconds}")
    if "train.steps" in (settings or {}):
        raise InputError(
            "train.steps does not apply here: give the number of steps to time with --steps"
        )
    from ganzoo.compute.seeding import preserve_rng_state
    from ganzoo.recipes import resolve_run
    from ganzoo.registry import DATASET
    from ganzoo.training.prepare import build_trainer
    from ganzoo_zoo.apps.bench.clocks import use_device

    config = resolve_run(architecture, loss, data, {**(settings or {}), "train.steps": ENDLESS})
    trainer = build_trainer(config, config.data.build(DATASET).read())
    with preserve_rng_state(), use_device(trainer.device), trainer.arithmetic():
        return _measure(config, trainer, steps, seconds or SECONDS)


def _measure(config: RunConfig, trainer: Trainer, steps: int | None, seconds: float) -> Bench:
    from ganzoo_zoo.apps.bench import machine
    from ganzoo_zoo.apps.bench.clocks import clock_for
    from ganzoo_zoo.apps.bench.step_timer import PARTS

    clock, device = clock_for(trainer.device), trainer.device
    flops, warm_up, step_time = _warm_up(trainer, clock)
    steps = steps or max(MIN_STEPS, math.ceil(seconds / step_time))
    # The speed of the machine may drift, so it is measured before and after.
    rates = machine.convolution_rates(device, trainer.half, clock)
    machine.reset_peak_memory(device)
    busy, began = time.process_time(), time.perf_counter()
    spans = _time_steps(trainer, clock, steps, "timing steps")
    wall = time.perf_counter() - began
    busy = time.process_time() - busy
    memory = machine.peak_memory(device)
    rates += machine.convolution_rates(device, trainer.half, clock)

    size = _block_size([sum(span for _, span in step) for step in spans])
    blocks = [_average_parts(block, PARTS) for block in _blocks(spans, size)]
    step_seconds = [sum(block.values()) for block in blocks]
    whole = sum(sum(span for _, span in step) for step in spans)
    by_part = _average_parts(spans, PARTS)
    speed = Spread.of([1 / each for each in step_seconds])
    done, setup = trainer.state.step, trainer.setup
    seen = (setup.progress_at(done).images - setup.progress_at(done - steps).images) / steps
    rate = Spread.of(rates)
    options = config.train.model_copy(update={"steps": trainer.state.step})
    return Bench(
        config=config.model_copy(update={"train": options}),
        shape=tuple(trainer.samples.spec.shape),
        warm_up=warm_up,
        steps=steps,
        steps_per_block=size,
        steps_per_second=speed,
        images_per_second=Spread.of([seen / each for each in step_seconds]),
        step_ms=_in_ms(step_seconds),
        parts={
            name: Part(
                _in_ms([block[name] for block in blocks]), by_part[name] * len(spans) / whole
            )
            for name in PARTS
        },
        flops=Flops(flops, flops * speed.median, rate, flops * speed.median / rate.median),
        memory=memory,
        machine=machine.describe_machine(device, clock, busy / wall),
    )


def _warm_up(trainer: Trainer, clock: Clock) -> tuple[int, int, float]:
    """Do untimed steps; return the FLOPs of a step, the number of steps, and seconds per step."""
    from ganzoo.progress import report_progress
    from ganzoo_zoo.apps.bench.machine import count_flops

    flops = count_flops(trainer.step)
    done = 1
    report_progress("warming up", done, WARM_UP_STEPS)
    began = clock.now()
    while done < WARM_UP_STEPS or clock.now() - began < WARM_UP_SECONDS:
        trainer.step()
        done += 1
        report_progress("warming up", min(done, WARM_UP_STEPS), WARM_UP_STEPS)
    return flops, done, (clock.now() - began) / (done - 1)


def _time_steps(trainer: Trainer, clock: Clock, steps: int, what: str) -> list[Spans]:
    from ganzoo.progress import report_progress
    from ganzoo_zoo.apps.bench.step_timer import time_parts

    with time_parts(trainer, clock) as timer:
        for done in range(steps):
            timer.step()
            report_progress(what, done + 1, steps)
    return timer.spans()


def _block_size(step_seconds: Sequence[float]) -> int:
    """Return the number of steps in a block that is long enough to be timed."""
    wanted = math.ceil(SHORTEST_BLOCK / statistics.median(step_seconds))
    return min(wanted, len(step_seconds))


def _blocks(spans: Sequence[Spans], size: int) -> Iterator[Sequence[Spans]]:
    """Yield blocks of ``size`` steps; the last one includes the remainder."""
    starts = range(0, len(spans) - size + 1, size)
    for start, end in zip(starts, [*starts[1:], len(spans)], strict=True):
        yield spans[start:end]


def _average_parts(block: Sequence[Spans], names: Sequence[str]) -> dict[str, float]:
    """Return the mean seconds per step of each part of a block."""
    found = dict.fromkeys(names, 0.0)
    for name, span in itertools.chain.from_iterable(block):
        found[name] += span
    return {name: seconds / len(block) for name, seconds in found.items()}


def _in_ms(seconds: Sequence[float]) -> Spread:
    return Spread.of([1000 * each for each in seconds])
