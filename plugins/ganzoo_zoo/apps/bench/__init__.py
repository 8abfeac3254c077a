"""How fast a training is on this machine: its speed, the parts of a step, and its arithmetic."""

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
"""Steps that are not timed, at least: the first makes the optimisers' state, as well."""
WARM_UP_SECONDS = 1.0
"""How long the steps after the first go on untimed, at least."""
MIN_STEPS = 5
"""Steps that are timed, at least, where their number is not given."""
SECONDS = 10.0
"""How long steps are timed where it is not given."""
SHORTEST_BLOCK = 0.01
"""Seconds of the blocks of steps that quartiles are over; a single short step says little."""
ENDLESS = 10**12
"""Steps of the training that is timed, so that its learning rates do not fall to nothing."""


@dataclass(frozen=True)
class Spread:
    """What was found in the middle half of blocks of steps, or of repetitions."""

    median: float
    lower_quartile: float
    upper_quartile: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one value or more."""
        lower, median, upper = (
            statistics.quantiles(values, n=4, method="inclusive")
            if len(values) > 1
            else [*values] * 3
        )
        return cls(median, lower, upper)


@dataclass(frozen=True)
class Part:
    """What one part of a step takes."""

    ms: Spread
    share: float
    """Of all the time; those of all parts are 1 together."""


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of convolutions and matrix products, a multiply-add being two."""

    step: int
    """Of one step, the first: forward, backward, and through gradients where a loss asks it."""
    per_second: float
    convolution_per_second: Spread
    """What one convolution that suits the machine reaches.

    Its shape is :data:`ganzoo_zoo.apps.bench.machine.SHAPE`.
    """
    share: float
    """Of the convolution's that the steps reach."""


@dataclass(frozen=True)
class Bench:
    """What was measured."""

    config: RunConfig
    """What was trained, with every option; ``train.steps`` are those that were done."""
    shape: tuple[int, ...]
    """Of a sample."""
    warm_up: int
    """Steps before those that were timed."""
    steps: int
    """Steps that were timed."""
    steps_per_block: int
    """Steps in each of the blocks that medians and quartiles are over."""
    steps_per_second: Spread
    images_per_second: Spread
    """Real samples that the discriminator saw, as ``metrics.jsonl`` counts them."""
    step_ms: Spread
    parts: dict[str, Part]
    """By name: data, discriminator, generator, ema, and the rest."""
    flops: Flops
    memory: Memory
    machine: Machine


def bench(
    architecture: str,
    loss: str | None = None,
    data: str | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    steps: int | None = None,
    seconds: float | None = None,
) -> Bench:
    """Time the training of a GAN on this machine. No run is made, and no file is written.

    Steps go through the same trainer as those of a run, without its metrics, pictures and
    checkpoints.

    Args:
        architecture: Name of an architecture.
        loss: Name of a loss; the architecture's own default if None.
        data: Name of a dataset or a path; the architecture's own default if None.
        settings: Options by their full names, such as ``{"train.batch_size": 64}``.
        steps: Steps to time.
        seconds: How long to time steps, in place of their number; by default :data:`SECONDS`.

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
            "train.steps is of a run, and none is made: give the number of steps to time"
        )
    from ganzoo.compute.seeding import preserve_rng_state
    from ganzoo.registry import DATASET
    from ganzoo.resolve import resolve
    from ganzoo.training.prepare import build_trainer
    from ganzoo_zoo.apps.bench.clocks import use_device

    config = resolve(architecture, loss, data, {**(settings or {}), "train.steps": ENDLESS})
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
    # The machine may be slower or faster later on: it is measured before and after.
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
    seen = config.train.batch_size * config.train.n_critic
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
    """Return the operations of a step, the steps that were done, and the seconds of one."""
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

    with time_parts(trainer, clock) as watch:
        for done in range(steps):
            watch.step()
            report_progress(what, done + 1, steps)
    return watch.spans()


def _block_size(step_seconds: Sequence[float]) -> int:
    """Return how many steps make a block that is long enough to be timed."""
    wanted = math.ceil(SHORTEST_BLOCK / statistics.median(step_seconds))
    return min(wanted, len(step_seconds))


def _blocks(spans: Sequence[Spans], size: int) -> Iterator[Sequence[Spans]]:
    """Yield blocks of ``size`` steps; the last one takes what is left over."""
    starts = range(0, len(spans) - size + 1, size)
    for start, end in zip(starts, [*starts[1:], len(spans)], strict=True):
        yield spans[start:end]


def _average_parts(block: Sequence[Spans], names: Sequence[str]) -> dict[str, float]:
    """Return the seconds of each part in a step of the block, on average."""
    found = dict.fromkeys(names, 0.0)
    for name, span in itertools.chain.from_iterable(block):
        found[name] += span
    return {name: seconds / len(block) for name, seconds in found.items()}


def _in_ms(seconds: Sequence[float]) -> Spread:
    return Spread.of([1000 * each for each in seconds])
