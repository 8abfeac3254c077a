"""``ganzoo bench``: what it measures agrees with itself, and it leaves nothing behind."""

import itertools
import json
import math
import os
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

import ganzoo_zoo.apps.bench
from ganzoo import registry
from ganzoo.compute import devices
from ganzoo.errors import InputError
from ganzoo.resolve import resolve
from ganzoo.training.prepare import build_trainer
from ganzoo_zoo.apps.bench import Bench, Spread, bench, clocks, machine
from ganzoo_zoo.apps.bench.step_timer import PARTS, time_parts
from tiny import TINY

SMALL = {
    "arch.hidden": (32, 16),
    "arch.z_dim": 8,
    "data.image_size": 8,
    "train.device": "cpu",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(ganzoo_zoo.apps.bench, "WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(ganzoo_zoo.apps.bench, "SECONDS", 0.05)
    monkeypatch.setattr(machine, "SECONDS", 0.0)
    monkeypatch.setattr(machine, "SHAPE", (8, 8, 8))


def measured(loss="wgan", steps=8, **settings) -> Bench:
    return bench("mlp", loss, settings={**SMALL, **settings}, steps=steps)


def keys(value, before=""):
    """Name every number of a document, with a dot between levels."""
    if not isinstance(value, dict):
        return {before}
    return set().union(
        *(keys(each, f"{before}.{key}" if before else key) for key, each in value.items())
    )


def spread(name):
    return {f"{name}.{part}" for part in ("median", "lower_quartile", "upper_quartile")}


def test_json_is_one_document_of_fixed_keys(ganzoo_cli):
    settings = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    settings[1] = "arch.hidden=32,16"
    result = ganzoo_cli("bench", "mlp", "--steps", 6, "--batch-size", 4, *settings, "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    config = document.pop("config")
    assert config["train"]["batch_size"] == 4
    assert config["loss"]["name"] == "r3gan", "the architecture's own"
    assert config["train"]["steps"] == 6 + document["warm_up"], "what was done"
    parts = {f"parts.{name}.{key}" for name in PARTS for key in ("share", *spread("ms"))}
    assert keys(document) == {
        "shape", "warm_up", "steps", "steps_per_block",
        *spread("steps_per_second"), *spread("images_per_second"), *spread("step_ms"),
        *parts,
        "flops.step", "flops.per_second", "flops.share", *spread("flops.convolution_per_second"),
        "memory.peak_bytes", "memory.of",
        *(f"machine.{name}" for name in (
            "device", "device_name", "processor", "cores", "threads", "cores_used", "clock",
            "tf32", "system", "python", "torch",
        )),
    }  # fmt: skip
    assert document["shape"] == [1, 8, 8]
    assert document["machine"]["threads"] == torch.get_num_threads()
    assert document["machine"]["torch"] == torch.__version__


def test_numbers_agree_with_each_other(monkeypatch):
    monkeypatch.setattr(ganzoo_zoo.apps.bench, "SHORTEST_BLOCK", 1e-9)
    found = measured(steps=9, **{"train.n_critic": 3, "train.batch_size": 5})
    assert (found.steps, found.steps_per_block) == (9, 1)
    for spread in (found.steps_per_second, found.images_per_second, found.step_ms):
        assert 0 < spread.lower_quartile <= spread.median <= spread.upper_quartile
    images, steps, ms = (
        asdict(spread)
        for spread in (found.images_per_second, found.steps_per_second, found.step_ms)
    )
    for name, value in steps.items():
        assert images[name] == pytest.approx(value * 3 * 5)
    assert 1000 / ms["median"] == pytest.approx(steps["median"])
    assert list(found.parts) == list(PARTS)
    assert sum(part.share for part in found.parts.values()) == pytest.approx(1)
    assert all(0 < part.ms.median < ms["upper_quartile"] for part in found.parts.values())
    flops = found.flops
    assert flops.per_second == pytest.approx(flops.step * steps["median"])
    assert flops.share == pytest.approx(flops.per_second / flops.convolution_per_second.median)
    assert found.memory.of == "process"
    assert found.memory.peak_bytes > 50 * 2**20


def test_short_steps_are_timed_in_blocks_and_none_is_left_out(monkeypatch):
    monkeypatch.setattr(ganzoo_zoo.apps.bench, "SHORTEST_BLOCK", 3600.0)
    found = measured(steps=7)
    assert (found.steps, found.steps_per_block) == (7, 7)
    speed = found.steps_per_second
    assert speed.lower_quartile == speed.median == speed.upper_quartile
    total = sum(part.ms.median for part in found.parts.values())
    assert total == pytest.approx(found.step_ms.median)


def test_what_is_timed_is_a_number_of_steps_or_a_time():
    assert measured(steps=1).steps == 1
    found = bench("mlp", settings=SMALL, seconds=1e-9)
    assert found.steps == ganzoo_zoo.apps.bench.MIN_STEPS
    assert found.warm_up == ganzoo_zoo.apps.bench.WARM_UP_STEPS


def test_quartiles_are_those_of_the_values():
    assert Spread.of([4.0]) == Spread(4.0, 4.0, 4.0)
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0)


# Operations --------------------------------------------------------------------------------------


def test_operations_of_a_step_are_those_that_a_pencil_finds():
    batch, z_dim, hidden, pixels = 4, 8, (32, 16), 64
    generator = [z_dim * hidden[0], hidden[0] * hidden[1], hidden[1] * pixels]
    discriminator = [pixels * hidden[1], hidden[1] * hidden[0], hidden[0]]
    weights = sum(generator), sum(discriminator)
    # A pass, then a gradient for each weight, and one for what each layer but the first is given.
    update = 2 * (3 * weights[1] - discriminator[0])  # of reals and of fakes
    made = weights[0]
    # The generator's own: the discriminator has no gradient of weights, but one of samples.
    own = weights[0] + 2 * weights[1] + 2 * weights[0] - generator[0]
    for n_critic in (1, 3):
        found = measured(
            "hinge", steps=1, **{"train.batch_size": batch, "train.n_critic": n_critic}
        )
        assert found.flops.step == 2 * batch * (n_critic * (made + update) + own)


def test_operations_of_a_penalty_on_gradients_are_counted():
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    samples = torch.randn(2, 3, 8, 8, requires_grad=True)

    def penalty():
        logits = convolution(samples).square().sum()
        (gradient,) = torch.autograd.grad(logits, samples, create_graph=True)
        gradient.square().sum().backward()

    # A pass and the gradient; then what they were made of: each its two factors.
    assert machine.count_flops(penalty) == 6 * 2 * 2 * (3 * 4 * 9) * 8 * 8


def test_a_convolution_is_repeated_and_counted_by_its_formula():
    class Seconds(clocks.HostClock):
        def spans(self, marks):
            return [2.0] * (len(marks) - 1)

    rates = machine.convolution_rates(torch.device("cpu"), None, Seconds())
    assert len(rates) == machine.MIN_REPEATS
    assert set(rates) == {16 * 8 * 8 * (8 * 8 * 9) * 2 / 2.0}


# Parts of a step ---------------------------------------------------------------------------------


class Moments:
    """A clock that the parts themselves move on, so that what is found is exact."""

    time = 0

    def mark(self):
        return self.time

    def spans(self, marks):
        return [after - before for before, after in itertools.pairwise(marks)]

    def slowed(self, function, seconds):
        def slow(*given, **named):
            self.time += seconds
            return function(*given, **named)

        return slow


class Slow:
    def __init__(self, loss, clock):
        self.second_order = loss.second_order
        self.discriminator_loss = clock.slowed(loss.discriminator_loss, 10)
        self.constrain = clock.slowed(loss.constrain, 100)
        self.generator_loss = clock.slowed(loss.generator_loss, 1000)


def trainer_of(loss="wgan", **options):
    options = {f"train.{name}": value for name, value in {**TINY, **options}.items()}
    config = resolve("mlp", loss, "digits", {**SMALL, **options})
    return build_trainer(config, config.data.build(registry.DATASET).read())


def test_each_part_has_the_time_that_was_spent_on_it(monkeypatch):
    clock, trainer = Moments(), trainer_of(n_critic=2)
    trainer.loss = Slow(trainer.loss, clock)
    state, feed = trainer.state, trainer.loader
    feed.batch = clock.slowed(feed.batch, 1)
    average, optimizer = state.generator_ema, state.generator_optimizer
    optimizer.register_step_pre_hook(clock.slowed(lambda *_: None, 2000))
    state.discriminator_optimizer.register_step_pre_hook(clock.slowed(lambda *_: None, 20))
    slow = clock.slowed(type(average).update, 10_000)
    monkeypatch.setattr(type(average), "update", slow)
    with time_parts(trainer, clock) as watch:
        for _ in range(2):
            watch.step()
            clock.time += 100_000  # between steps
    assert len(watch.spans()) == 2
    for step in watch.spans():
        found = dict.fromkeys(PARTS, 0)
        for name, seconds in step:
            found[name] += seconds
        assert found == {
            "data": 2, "discriminator": 260, "generator": 3000, "ema": 10_000, "rest": 0
        }  # fmt: skip


def test_what_is_watched_computes_the_same_and_is_left_as_it_was():
    plain, seen = trainer_of(), trainer_of()
    loss, feed = seen.loss, dict(vars(seen.loader))
    with time_parts(seen, clocks.HostClock()) as watch:
        for _ in range(3):
            plain.step()
            watch.step()
    assert seen.loss is loss
    assert vars(seen.loader).keys() == feed.keys()
    assert "update" not in vars(seen.state.generator_ema)
    count = len(watch.spans())
    assert torch.equal(plain.step().generator["adversarial"], seen.step().generator["adversarial"])
    assert len(watch.spans()) == count, "nothing is marked any more"
    for name in ("generator", "discriminator", "generator_ema"):
        one, other = (getattr(trainer.state, name).state_dict() for trainer in (plain, seen))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_it_is_left_as_it_was_when_a_step_fails():
    trainer = trainer_of()
    loss = trainer.loss

    def broken(*_):
        raise RuntimeError("no data")

    trainer.loader.select = broken
    with pytest.raises(RuntimeError), time_parts(trainer, clocks.HostClock()) as watch:
        watch.step()
    assert trainer.loss is loss
    assert "batch" not in vars(trainer.loader)


# What it leaves ----------------------------------------------------------------------------------


def test_nothing_is_written_and_randomness_is_the_callers(tmp_path):
    before = torch.get_rng_state()
    measured()
    assert list(tmp_path.rglob("*")) == []
    assert torch.equal(torch.get_rng_state(), before)


def test_rates_that_fall_do_not_fall_to_nothing_while_steps_are_timed():
    found = measured(steps=20, **{"train.lr_decay": "linear"})
    assert found.config.train.lr_decay == "linear"
    assert found.config.train.steps == 20 + found.warm_up


# The command -------------------------------------------------------------------------------------


def test_the_table_says_what_was_measured_and_where(ganzoo_cli):
    result = ganzoo_cli(
        "bench", "mlp", "--data", "ring", "--steps", 6, "--device", "cpu", "--set", "arch.hidden=8"
    )
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].split() == ["what", "median", "middle", "half", "share"]
    named = [line.split("  ")[0] for line in lines]
    for what in ("steps/s", "images/s", "step, ms", "step, GFLOP", "GFLOP/s", "memory"):
        assert what in named
    indented = [line.split()[0] for line in lines if line.startswith("  ")]
    assert indented[: len(PARTS) + 1] == [*PARTS, "convolution"]
    assert "mlp trained with r3gan on ring, 2" in result.out
    assert f"torch {torch.__version__}" in result.out
    assert "6 steps after 3" in result.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("nope", "no architecture is called 'nope'"),
        ("mlp --steps 0", "--steps"),
        ("mlp --seconds 0", "the seconds must be a number above 0, not 0.0"),
        ("mlp --seconds nan", "above 0, not nan"),
        ("mlp --seconds 1 --steps 2", "either a number of steps or of seconds"),
        ("mlp --set train.steps=3", "train.steps"),
        ("mlp --precision fp7", "train.precision"),
        ("mlp --device gpu", "no device is called 'gpu'"),
        ("mlp --batch-size 2 --set train.batch_size=2", "train.batch_size is given twice"),
        ("mlp --data nowhere", "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_refused(refused, arguments, said):
    assert said in refused("bench", *arguments.split())


def test_a_number_of_steps_is_one_or_more():
    with pytest.raises(InputError, match="at least one step"):
        bench("mlp", steps=0)


# Machines ----------------------------------------------------------------------------------------


def test_the_peak_of_a_process_is_what_the_system_says(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n")
    monkeypatch.setattr(machine, "STATUS", status)
    cpu = torch.device("cpu")
    assert machine.peak_memory(cpu) == machine.Memory(2048 * 1024, "process")
    monkeypatch.setattr(machine, "STATUS", Path("nowhere"))
    assert machine.peak_memory(cpu).peak_bytes > 50 * 2**20, "as getrusage says"


def test_a_processor_is_called_what_the_system_calls_it(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n\nprocessor\t: 1\n")
    monkeypatch.setattr(devices, "CPU_INFO_FILE", cpuinfo)
    found = machine.describe_machine(torch.device("cpu"), clocks.HostClock(), 0.987)
    assert found.processor == found.device_name == "Some CPU @ 2 GHz"
    assert (found.cores_used, found.clock, found.tf32) == (0.99, "host", False)
    assert 1 <= found.cores <= os.cpu_count()
    monkeypatch.setattr(devices, "CPU_INFO_FILE", Path("nowhere"))
    assert machine.describe_machine(torch.device("cpu"), clocks.HostClock(), 1.0).processor


class Queue:
    """What torch.cuda offers a clock, with a device that is behind: events have no time yet."""

    def __init__(self):
        self.said = []
        self.made = 0
        queue = self

        class Event:
            def __init__(self, *, enable_timing):
                assert enable_timing
                self.number = None

            def record(self):
                queue.made += 1
                self.number = queue.made
                queue.said.append("record")

            def elapsed_time(self, other):
                assert queue.said[-1] == "synchronize", "an event is read once it has come"
                return 250.0 * (other.number - self.number)

        self.Event = Event

    def synchronize(self):
        self.said.append("synchronize")


def test_a_devices_clock_reads_events_once_all_have_come():
    queue = Queue()
    clock = clocks.DeviceClock(queue)
    marks = [clock.mark() for _ in range(4)]
    assert queue.said == ["record"] * 4, "marking waits for nothing"
    assert clock.spans(marks) == [0.25, 0.25, 0.25]
    assert queue.said.count("synchronize") == 1
    clock.now()
    assert queue.said.count("synchronize") == 2


def test_each_device_has_its_clock():
    assert clocks.clock_for(torch.device("cpu")).name == "host"
    for kind, module in (("cuda", torch.cuda), ("mps", torch.mps)):
        clock = clocks.clock_for(torch.device(kind))
        assert (clock.name, clock.module) == ("events", module)
        assert callable(module.Event)
        assert callable(module.synchronize)


@pytest.mark.gpu
def test_a_gpu_is_timed_by_its_events():
    found = measured(steps=20, **{"train.device": "cuda"})
    assert (found.machine.clock, found.memory.of) == ("events", "device")
    assert found.machine.device_name == torch.cuda.get_device_name()
    assert 0 < found.memory.peak_bytes < torch.cuda.mem_get_info()[1]
    assert sum(part.share for part in found.parts.values()) == pytest.approx(1)
    assert math.isfinite(found.flops.share)
