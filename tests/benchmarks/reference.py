"""The trainer beside a plain loop in the manner of well-known scripts, on the same networks.

    python tests/benchmarks/reference.py dcgan --image-size 32 --rounds 20

The loop (``plain/``) is given its batches; the trainer fetches its own, and averages the generator
too. First both must be the same networks, with the same losses for the same numbers. Then they take
turns in one process, a few steps each, in changing order, and medians and quartiles of the ratios
of a round are printed, of wall time and of the process's time, which other programs touch less.
The arms are

- ``ganzoo``: the trainer as it is;
- ``train``: the same in the loop of ``ganzoo train``, with its metrics, which are read and written
  in every turn, and at most each 10 steps;
- ``reuse``: with ``train.reuse_fakes``, which is another algorithm;
- ``bf16`` and ``fp16``: with that ``train.precision``;
- ``compile`` and ``graphs``: with ``train.compile``, and with ``train.cuda_graphs`` too, each also
  in bf16;
- ``floor``: the trainer's networks in a loop by hand with its arithmetic alone (``floor.py``).

What this version of ganzoo has no option for is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from floor import FLOORS, Floor, FloorAugmentation
from ganzoo.compute.devices import HALF_TYPES
from ganzoo.compute.seeding import derive_seed, make_rng
from ganzoo.config import RunConfig, TrainOptions
from ganzoo.nn import fuse
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, get
from ganzoo.resolve import parse_settings, resolve
from ganzoo.runs.folder import Run
from ganzoo.training.loop import run_training
from ganzoo.training.observer import Observer
from ganzoo.training.prepare import build_trainer
from ganzoo.training.trainer import Trainer
from ganzoo_zoo.apps.bench.clocks import clock_for
from ganzoo_zoo.apps.bench.machine import convolution_rates, count_flops
from measuring import Turns, column, conditions, in_words, ratio, spread, table
from plain.augmentations import AUGMENTATIONS
from plain.loops import Loop
from plain.losses import LOSSES
from plain.networks import LOOPS, NETWORKS
from plain.penalties import Penalty

ARMS: dict[str, dict[str, Any]] = {
    "ganzoo": {},
    "train": {},
    "reuse": {"train.reuse_fakes": True},
    "bf16": {"train.precision": "bf16"},
    "fp16": {"train.precision": "fp16"},
    "compile": {"train.compile": True},
    "compile-bf16": {"train.compile": True, "train.precision": "bf16"},
    "graphs": {"train.compile": True, "train.cuda_graphs": True},
    "graphs-bf16": {"train.compile": True, "train.cuda_graphs": True, "train.precision": "bf16"},
    "floor": {},
}
"""What each arm sets."""
USUAL = ("ganzoo", "train", "reuse", "bf16", "floor")
"""The arms where none are named."""
WIDTHS = {"dcgan": {"arch.base_channels": 64}}
"""Channels of the scripts' networks, where an architecture's own default is another."""
BATCHES = {"cyclegan": 2}
"""Samples in a batch, where it is not 64."""
ROUNDING = (1e-5, 1e-3)
"""How far apart the losses of the first step may be, as a part of them or as a number.

The generator's is of a discriminator after an update, and Adam's first moves each weight by the
sign of its gradient, however small."""
COARSE = (1e-2, 1e-1)
"""The same, where a GPU computes in TF32."""
LOG_EVERY = 10
"""Steps between two lines of the metrics, or a turn where that is shorter."""
ENDLESS = 10**9
COMPILED = {arm for arm, sets in ARMS.items() if "train.compile" in sets}
WARM_UP = 3
"""Steps after which all is compiled that will be."""


def main(arguments: list[str] | None = None) -> None:
    """Let all arms take turns, and print how they compare."""
    options = parsed(arguments)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.tf32
    found = report([measured(options)])
    print(json.dumps(found, indent=1)) if options.json else print(show(found))


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architecture", choices=NETWORKS)
    parser.add_argument("--image-size", type=int, choices=(16, 32, 64, 128), default=32)
    parser.add_argument("--base-channels", type=int, help="By default the paper's or script's.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--batch-size", type=int, help="By default 64, and 2 for cyclegan.")
    parser.add_argument("--n-critic", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2, help="Steps of a turn.")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(USUAL))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tf32", action="store_true", help="For all arms; of GPUs.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    options.batch_size = options.batch_size or BATCHES.get(options.architecture, 64)
    options.arms = [arm for arm in options.arms if available(arm)]
    return options


def available(arm: str) -> bool:
    """Tell whether this version of ganzoo has the options of an arm."""
    given = {name.removeprefix("train."): value for name, value in ARMS[arm].items()}
    try:
        TrainOptions(**given)
    except ValueError:
        return False
    return True


CONSTANT: dict[str, dict[str, Any]] = {
    "r3gan": {
        "train.augment": [],
        "loss.gamma": 1,
        "train.generator_lr": 2e-4,
        "train.discriminator_lr": 2e-4,
        "train.betas": [0.0, 0.99],
        "train.ema_half_life": 10_000,
    },
    "progan": {"arch.phase_images": 0},
    "srgan": {"arch.pretrain_images": 0},
    "esrgan": {"arch.pretrain_images": 0},
    "stylegan2": {"train.recipe": "tiny"},
    "fastgan": {"train.augment": [], "train.reuse_fakes": False, "loss.jitter": 0.0},
    "acgan": {"arch.dropout": 0},  # whose random numbers depend on the memory format
    "pix2pix": {"arch.dropout": 0, "arch.source_of": "grey"},
}
"""Settings of architectures: what the plain loops hold constant where a paper's recipe has
schedules, growth or draws, and what they are small by."""


def settings_of(options: argparse.Namespace, own: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an arm."""
    width = {"arch.base_channels": options.base_channels} if options.base_channels else {}
    fields = get(ARCHITECTURE, options.architecture).model_fields
    prior = {"arch.prior": "normal"} if "prior" in fields else {}
    return {
        **WIDTHS.get(options.architecture, {}),
        **width,
        **prior,
        "train.recipe": "paper",
        **CONSTANT.get(options.architecture, {}),
        **parse_settings(options.set),
        "train.batch_size": options.batch_size,
        "train.n_critic": options.n_critic,
        "train.lr_decay": "none",
        "train.steps": ENDLESS,
        "train.log_every": min(LOG_EVERY, options.steps),
        "train.sample_every": ENDLESS,
        "train.checkpoint_every": ENDLESS,
        "train.device": options.device,
        "train.tf32": options.tf32,
        **own,
    }


def made(count: int, size: int) -> Samples:
    """Make a set of random images in colour, of two classes in turn."""
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (count, 3, size, size), generator=rng, dtype=torch.uint8)
    return Samples(DataSpec(shape=(3, size, size), classes=2), stored, torch.arange(count) % 2)


# The arms ---------------------------------------------------------------------------------------


@dataclass
class Arms:
    """What takes turns."""

    config: RunConfig
    apart: list[float]
    """How far apart the first losses of the trainer and of the plain loop are, of each network."""
    steps: dict[str, Callable[[], object] | None]
    """By arm; the ``train`` arm's are done by the loop around its trainer."""
    hosted: tuple[RunConfig, Trainer] | None
    """That trainer."""


def built(options: argparse.Namespace, arms: Iterable[str]) -> Arms:
    """Build all that takes turns, and compare the trainer with the plain loop."""
    samples = made(options.batch_size * 16, options.image_size)
    configs = {
        arm: resolve(options.architecture, None, "digits", settings_of(options, ARMS[arm]))
        for arm in ["ganzoo", *arms]
    }
    config = configs["ganzoo"]
    trainers = {
        arm: build_trainer(each, samples) for arm, each in configs.items() if arm != "floor"
    }
    reference = plain_loop(config, trainers["ganzoo"])
    apart = check(config, trainers["ganzoo"], reference)
    steps: dict[str, Callable[[], object] | None] = {"reference": reference.step}
    for arm in arms:
        if arm == "floor":
            steps[arm] = tuned_loop(config, trainers["ganzoo"]).step
        else:
            steps[arm] = None if arm == "train" else trainers[arm].step
    hosted = (configs["train"], trainers["train"]) if "train" in arms else None
    return Arms(config, apart, steps, hosted)


def plain_loop(config: RunConfig, trainer: Trainer) -> Loop:
    """Return the plain loop of a trainer's networks, with its weights and batches."""
    name, data, options = config.architecture.name, trainer.setup.data, config.architecture.options
    classes = {"classes": data.classes} if trainer.conditional else {}
    pair = NETWORKS[name](data.shape, **options, **classes)
    theirs = trainer.state.generator, trainer.state.discriminator
    for network, other in zip(pair, theirs, strict=True):
        take_over(network, other)
        network.to(trainer.device)
    loaded = [trainer.loader.batch(i, trainer.order) for i in range(8)]
    return LOOPS.get(name, Loop)(
        pair,
        LOSSES[config.loss.name],
        [(real.contiguous(), labels) for real, labels, _ in loaded],
        augmentations=[
            AUGMENTATIONS[each.name](**each.options, batch_size=config.train.batch_size)
            for each in config.augmentations
        ],
        **_for_both(config, trainer),
    )


def tuned_loop(config: RunConfig, trainer: Trainer) -> Floor:
    """Return the loop by hand of networks that are built as a trainer's."""
    architecture = config.architecture.build(ARCHITECTURE)
    data, samples = trainer.setup.data, trainer.samples
    needs_independent = trainer.setup.independent_samples
    discriminator = architecture.discriminator(data, independent_samples=needs_independent)
    pair = fuse(architecture.generator(data)), fuse(discriminator)
    return FLOORS.get(config.architecture.name, Floor)(
        tuple(network.to(trainer.device) for network in pair),
        LOSSES[config.loss.name],
        samples,
        architecture,
        config.train,
        augmentations=[
            FloorAugmentation(each.build(AUGMENTATION), samples, config.train)
            for each in config.augmentations
        ],
        **_for_both(config, trainer),
    )


def _for_both(config: RunConfig, trainer: Trainer) -> dict[str, Any]:
    """Return what both loops are given alike."""
    train = config.train
    assert train.optimizer == "adam"
    assert train.weight_decay == train.clip_norm == 0
    assert not config.schedules
    state = trainer.state
    for network in (state.generator, state.discriminator):
        assert not trainer.architecture.learning_rates(network)
    return {
        "adams": tuple(
            {
                "lr": getattr(train, f"{network}_lr"),
                "betas": getattr(train, f"{network}_betas") or train.betas,
                "eps": train.eps,
            }
            for network in ("generator", "discriminator")
        ),
        "options": config.architecture.options,
        "n_critic": train.n_critic,
        "penalties": [Penalty.of(each.name, each.options) for each in config.penalties],
    }


def take_over(mine: nn.Module, theirs: nn.Module) -> None:
    """Copy all numbers of a network into one that has them in the same order."""
    mine_by_name, found = mine.state_dict(), theirs.state_dict()
    shapes = [[value.shape for value in each.values()] for each in (mine_by_name, found)]
    assert shapes[0] == shapes[1], "another network"
    mine.load_state_dict(dict(zip(mine_by_name, found.values(), strict=True)))


def check(config: RunConfig, trainer: Trainer, reference: Loop) -> list[float]:
    """Check that both loops have the same losses in their first step, for the same numbers.

    Returns:
        How far apart those of the discriminator are, and those of the generator.
    """
    found, theirs = losses_of_both(config, trainer, reference)
    apart = [
        abs(mine - their) / max(1.0, abs(their)) for mine, their in zip(found, theirs, strict=True)
    ]
    rounding = COARSE if config.train.tf32 else ROUNDING
    assert all(each < most for each, most in zip(apart, rounding, strict=True)), (
        f"other losses: {found}, and by the plain loop {theirs}"
    )
    return apart


def losses_of_both(
    config: RunConfig, trainer: Trainer, reference: Loop
) -> tuple[list[float], list[float]]:
    """Do the trainer's next step by both, and return the losses of each network by each."""
    seed, step = config.train.seed, trainer.state.step
    terms = trainer.step()
    torch.manual_seed(derive_seed(seed, "step", step))
    reference.step(make_rng(seed, "latents", step, device=trainer.device))
    found = [
        sum(value.item() for value in each.values())
        for each in (terms.discriminator, terms.generator)
    ]
    return found, [sum(terms.values()) for terms in reference.read.values()]


# The measurement --------------------------------------------------------------------------------


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Let the arms take turns in this process."""
    arms = built(options, options.arms)
    # In so many steps each lazy penalty is due equally often, whichever is the first.
    period = math.lcm(*(each.options["interval"] for each in arms.config.penalties))
    options.steps = period * math.ceil(options.steps / period)
    device = torch.device(options.device)
    clock = clock_for(device)
    gflop: dict[str, float] = {}
    for arm, step in arms.steps.items():
        if step is None or arm in COMPILED:  # what is compiled cannot be looked into
            gflop[arm] = gflop["ganzoo"]
        else:
            gflop[arm] = sum(count_flops(step) for _ in range(period)) / period / 1e9
    kinds = sorted({precision_of(arm) for arm in arms.steps})

    def rates() -> dict[str, float]:
        return {
            kind: statistics.median(convolution_rates(device, HALF_TYPES[kind], clock, seconds=0.1))
            for kind in kinds
        }

    turns = Turns(
        arms.steps,
        steps=options.steps,
        rounds=options.rounds,
        clock=clock,
        aside=rates,
        warm_up=WARM_UP if COMPILED & arms.steps.keys() else 1,
        settling=int(options.steps > 1),  # of longer steps what is left by another is little
    )
    if arms.hosted is None:
        turns.play()
    else:
        host(turns, *arms.hosted)
    return {
        **vars(options),
        **turns.told(device),
        "title": f"{arms.config.architecture.name} trained with {arms.config.loss.name}",
        "losses_apart": arms.apart,
        "gflop": gflop,
    }


def precision_of(arm: str) -> str:
    """Return the precision that an arm computes in."""
    return ARMS.get(arm, {}).get("train.precision", "fp32")


class _Over(Exception):
    """All is measured."""


class _Host(Observer):
    """Lets the others take their turns between two steps of a run."""

    def __init__(self, turns: Turns) -> None:
        self.turns = iter(turns)
        self.left = 1

    def on_step(self, step: int) -> None:
        """Count the steps of the run's own turn."""
        self.left -= 1
        if not self.left:
            self.left = next(self.turns, 0)
            if not self.left:
                raise _Over


def host(turns: Turns, config: RunConfig, trainer: Trainer) -> None:
    """Let arms take turns with a run that trains as ``ganzoo train`` does."""
    with (
        tempfile.TemporaryDirectory() as folder,
        suppress(_Over),
        Run.create(config, Path(folder) / "run") as run,
    ):
        run_training(run, config, trainer, _Host(turns))


# What is said of it -----------------------------------------------------------------------------


def report(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return all that the rounds say of one process or more, each as :func:`measured` found it."""
    rounds = [each for part in parts for each in part["raw"]]
    gflop = parts[0]["gflop"]
    return {
        **parts[0],
        "processes": len(parts),
        "raw": rounds,
        "losses_apart": [
            max(each) for each in zip(*(part["losses_apart"] for part in parts), strict=True)
        ],
        "dropped_rounds": sum(part["dropped_rounds"] for part in parts),
        "unquiet_rounds": sum(part["unquiet_rounds"] for part in parts),
        "cores_of_others": spread(column(rounds, "others")),
        "conv_gflops_per_second": {
            kind: spread(rate / 1e9 for rate in column(rounds, "aside", kind))
            for kind in rounds[0]["aside"]
        },
        "results": {arm: _result(arm, work, rounds) for arm, work in gflop.items()},
    }


def _result(arm: str, gflop: float, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    walls, owns = column(rounds, "wall", arm), column(rounds, "process", arm)
    tops = column(rounds, "aside", precision_of(arm))
    found = {
        "ms": spread(1000 * wall for wall in walls),
        "process_ms": spread(1000 * own for own in owns),
        "gflop": gflop,
        "share_of_rate": spread(
            1e9 * gflop / wall / top for wall, top in zip(walls, tops, strict=True)
        ),
        "times_as_fast": ratio(column(rounds, "wall", "reference"), walls),
        "times_as_fast_by_process_time": ratio(column(rounds, "process", "reference"), owns),
    }
    if "floor" not in rounds[0]["wall"]:
        return found
    floors = column(rounds, "wall", "floor")
    over = [1000 * (wall - floor) for wall, floor in zip(walls, floors, strict=True)]
    return {**found, "times_the_floor": ratio(walls, floors), "ms_over_the_floor": spread(over)}


def show(found: dict[str, Any]) -> str:
    """Return a table, and a line of what it is about."""
    rates = ", ".join(
        f"{rate['median']:.0f} in {kind}" for kind, rate in found["conv_gflops_per_second"].items()
    )
    about = (
        f"{found['title']}, {found['image_size']} x {found['image_size']}, batches of "
        f"{found['batch_size']}, {found['n_critic']} discriminator updates, turns of "
        f"{found['steps']} steps; {conditions(found)}; GFLOP/s of 3 x 3 convolutions {rates}; "
        f"losses {max(found['losses_apart']):.0e} apart"
    )
    rows = [
        [
            arm,
            f"{each['ms']['median']:.3g}",
            f"{each['gflop']:.3g}",
            f"{each['share_of_rate']['median']:.0%}",
            in_words(each["times_as_fast"]),
            in_words(each["times_as_fast_by_process_time"]),
            in_words(each["times_the_floor"], ".3f") if "times_the_floor" in each else "",
        ]
        for arm, each in found["results"].items()
    ]
    header = ("arm", "ms a step", "GFLOP", "share of the rate", "times as fast")
    return f"{about}\n\n{table([*header, 'by process time', 'times the floor'], rows)}"


if __name__ == "__main__":
    main()
