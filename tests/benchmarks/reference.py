"""The trainer beside a plain loop in the manner of well-known scripts, on the same networks.

    python tests/benchmarks/reference.py dcgan --image-size 32 --rounds 20

The loop is written from the papers as their scripts are: a generator's pass for each update, a
discriminator that learns in vain in the generator's turn, torch's own layers and Adam, memory as it
comes, and each loss read as it is made. It is given its batches; the trainer fetches its own, and
averages the generator too. First both must be the same networks, with the same losses for the same
numbers. Then they take turns in one process, a few steps each, in changing order, and medians and
quartiles of the ratios of a round are printed, of wall time and of the process's time, which
other programs touch less. The arms are

- ``ganzoo``: the trainer as it is;
- ``reuse``: with ``train.reuse_fakes``, which is another algorithm;
- ``bf16``: with ``train.precision=bf16``;
- ``floor``: the trainer's networks in a loop by hand, with all that is not arithmetic left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganzoo.config import RunConfig, resolve
from ganzoo.dataset import DataSpec, Samples
from ganzoo.registry import ARCHITECTURE
from ganzoo.seeding import derived_seed, generator_for
from ganzoo.training import Trainer, frozen, prepared

ARMS = {
    "ganzoo": {},
    "reuse": {"train.reuse_fakes": True},
    "bf16": {"train.precision": "bf16"},
    "floor": {},
}
"""What each arm sets."""
WIDTHS = {"dcgan": 64, "resnet": 128, "sngan-resnet": 128}
"""Channels of the papers' networks, or of the scripts'."""
ROUNDING = (1e-5, 1e-3)
"""How far apart the losses of the first step may be, as a part of them or as a number.

The generator's is of a discriminator after an update, and Adam's first moves each weight by the
sign of its gradient, however small."""


# The networks of the papers ---------------------------------------------------------------------


def dcgan(width: int, size: int, z_dim: int) -> tuple[nn.Module, nn.Module]:
    """Radford et al. 2016, with kernels of 4 x 4 as the scripts have them."""
    widths = [3, *(width * 2**i for i in range((size // 4).bit_length() - 1))]
    generator: list[nn.Module] = [
        nn.Unflatten(1, (z_dim, 1, 1)),
        nn.ConvTranspose2d(z_dim, widths[-1], 4, 1, 0, bias=False),
    ]
    for before, after in itertools.pairwise(widths[::-1]):
        generator += [
            nn.BatchNorm2d(before),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=after == 3),
        ]
    discriminator: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        discriminator += [
            nn.Conv2d(before, after, 4, 2, 1, bias=before == 3),
            nn.Identity() if before == 3 else nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    discriminator += [nn.Conv2d(widths[-1], 1, 4, 1, 0), nn.Flatten(0)]
    return nn.Sequential(*generator, nn.Tanh()), nn.Sequential(*discriminator)


class Up(nn.Module):
    """A block that doubles pixels, in its branch and in its shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample, and convolve what was upsampled."""
        h = F.interpolate(F.relu(self.norm1(x)), scale_factor=2)
        h = self.conv2(F.relu(self.norm2(self.conv1(h))))
        return h + self.shortcut(F.interpolate(x, scale_factor=2))


class Down(nn.Module):
    """A block that convolves, and halves pixels or leaves them."""

    def __init__(self, before: int, after: int, halves: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.first, self.halves = before != after, halves
        if halves:
            self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, and pool what was convolved; the first block pools its shortcut first."""
        h = self.conv1(x if self.first else F.relu(x))
        h = self.conv2(F.relu(h))
        if self.first:
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        if self.halves:
            return F.avg_pool2d(h, 2) + F.avg_pool2d(self.shortcut(x), 2)
        return h + x


class Over(nn.Module):
    """The mean over all pixels, or their sum."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(N, C)``."""
        return x.mean((2, 3)) if self.mean else x.sum((2, 3))


def residual(
    width: int, size: int, z_dim: int, *, of_generator: int, normalised: bool
) -> tuple[nn.Module, nn.Module]:
    """Gulrajani et al. 2017 for CIFAR-10, or with spectral normalisation Miyato et al. 2018."""
    ups = (size // 4).bit_length() - 1
    generator = nn.Sequential(
        nn.Linear(z_dim, of_generator * 16),
        nn.Unflatten(1, (of_generator, 4, 4)),
        *(Up(of_generator) for _ in range(ups)),
        nn.BatchNorm2d(of_generator),
        nn.ReLU(),
        nn.Conv2d(of_generator, 3, 3, padding=1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        Down(3, width, halves=True),
        *(Down(width, width, halves=True) for _ in range(ups - 2)),
        Down(width, width),
        Down(width, width),
        nn.ReLU(),
        Over(mean=not normalised),
        nn.Linear(width, 1),
        nn.Flatten(0),
    )
    if normalised:
        discriminator.apply(
            lambda layer: spectral_norm(layer) if isinstance(layer, (nn.Conv2d, nn.Linear)) else 0
        )
    return generator, discriminator


def networks(name: str, width: int, size: int, z_dim: int) -> tuple[nn.Module, nn.Module]:
    """Build the networks of an architecture by hand."""
    if name == "dcgan":
        return dcgan(width, size, z_dim)
    normalised = name == "sngan-resnet"
    of_generator = 2 * width if normalised else width
    return residual(width, size, z_dim, of_generator=of_generator, normalised=normalised)


# The losses of the papers -----------------------------------------------------------------------


def cross_entropy(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014."""
    judged, ones = F.binary_cross_entropy_with_logits, torch.ones(len(real))
    return judged(D(real), ones) + judged(D(fake), 0 * ones)


def hinge(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Lim and Ye 2017."""
    return F.relu(1 - D(real)).mean() + F.relu(1 + D(fake)).mean()


def wgan_gp(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Gulrajani et al. 2017."""
    wasserstein = D(fake).mean() - D(real).mean()
    share = torch.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
    return wasserstein + 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()


LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor], Tensor]]] = {
    "non-saturating": (
        cross_entropy,
        lambda logits: F.binary_cross_entropy_with_logits(logits, torch.ones(len(logits))),
    ),
    "hinge": (hinge, lambda logits: -logits.mean()),
    "wgan-gp": (wgan_gp, lambda logits: -logits.mean()),
}
"""That of the discriminator, and that of the generator."""


# The loops --------------------------------------------------------------------------------------


class Loop:
    """A step of a plain loop; of a tuned one, if asked for.

    Args:
        config: What is trained, and how.
        pair: The generator and the discriminator.
        batches: Reals as networks take them, over and over.
        tuned: Whether nothing is computed that is not needed.
    """

    def __init__(
        self,
        config: RunConfig,
        pair: Iterable[nn.Module],
        batches: Iterable[Tensor],
        tuned: bool = False,
    ) -> None:
        self.G, self.D = pair
        self.batches = itertools.cycle(batches)
        self.tuned, train = tuned, config.train
        self.z_dim, self.n_critic = config.architecture.options["z_dim"], train.n_critic
        self.losses = LOSSES[config.loss.name]
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=lr, betas=train.betas)
            for network, lr in ((self.G, train.generator_lr), (self.D, train.discriminator_lr))
        ]
        self.read: list[float] = []

    def step(self, draws: torch.Generator | None = None) -> None:
        """Update the discriminator, once or more often, and then the generator."""
        for_discriminator, for_generator = self.losses
        for _ in range(self.n_critic):
            real = next(self.batches)
            with torch.set_grad_enabled(not self.tuned):
                fake = self.G(torch.randn(len(real), self.z_dim, generator=draws))
            self.descend(for_discriminator(self.D, real, fake.detach()), self.optimizers[1])
        latents = torch.randn(len(real), self.z_dim, generator=draws)
        if not self.tuned:
            self.descend(for_generator(self.D(self.G(latents))), self.optimizers[0])
            return
        with frozen(self.D):
            self.descend(for_generator(self.D(self.G(latents))), self.optimizers[0])

    def descend(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take a step down a loss."""
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not self.tuned:
            self.read.append(loss.item())


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
    seed = config.train.seed
    terms = trainer.step()
    torch.manual_seed(derived_seed(seed, "step", 0))
    reference.step(generator_for(seed, "latents", 0))
    found = [
        sum(value.item() for value in each.values())
        for each in (terms.discriminator, terms.generator)
    ]
    apart = [
        abs(mine - theirs) / max(1.0, abs(theirs))
        for mine, theirs in zip(found, reference.read[-2:], strict=True)
    ]
    assert all(each < most for each, most in zip(apart, ROUNDING, strict=True)), (
        f"other losses: {found}, and by the plain loop {reference.read[-2:]}"
    )
    return apart


# The measurement --------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Let all arms take turns, and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architecture", choices=WIDTHS)
    parser.add_argument("--image-size", type=int, choices=(16, 32, 64, 128), default=32)
    parser.add_argument("--base-channels", type=int, help="By default the paper's or script's.")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--n-critic", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2, help="Steps of a turn.")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    configs = {
        arm: resolve(options.architecture, None, "digits", settings_of(options, ARMS[arm]))
        for arm in ["ganzoo", *options.arms]
    }
    samples = made(options.batch_size * 16, options.image_size)
    apart, loops = built(options, configs, samples)
    found = measured(options, loops)
    found = {"title": configs["ganzoo"].title, **vars(options), "losses_apart": apart, **found}
    print(json.dumps(found, indent=1)) if options.json else show(found)


def settings_of(options: argparse.Namespace, own: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an arm."""
    width = options.base_channels or WIDTHS[options.architecture]
    return {
        "arch.base_channels": width,
        "train.batch_size": options.batch_size,
        "train.n_critic": options.n_critic,
        "train.lr_decay": "none",
        "train.device": "cpu",
        **own,
    }


def made(count: int, size: int) -> Samples:
    """Make a set of random images in colour."""
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (count, 3, size, size), generator=rng, dtype=torch.uint8)
    return Samples(DataSpec(shape=(3, size, size)), stored)


def built(
    options: argparse.Namespace, configs: dict[str, RunConfig], samples: Samples
) -> tuple[list[float], dict[str, Callable[[], Any]]]:
    """Return how far apart the losses are, and a step of each loop by the name of its arm."""
    config = configs["ganzoo"]
    width = config.architecture.options["base_channels"]
    z_dim = config.architecture.options["z_dim"]
    trainers = {arm: prepared(config, samples) for arm, config in configs.items() if arm != "floor"}
    plain = trainers["ganzoo"]
    batches = [plain.feed.batch(i, plain.order)[0] for i in range(8)]
    torch.manual_seed(0)
    pair = networks(options.architecture, width, options.image_size, z_dim)
    for mine, theirs in zip(pair, (plain.state.generator, plain.state.discriminator), strict=True):
        take_over(mine, theirs)
    reference = Loop(config, pair, [batch.contiguous() for batch in batches])
    loops = {"reference": reference.step}
    if "floor" in options.arms:
        architecture = config.architecture.build(ARCHITECTURE)
        theirs = architecture.generator(samples.spec), architecture.discriminator(samples.spec)
        last = [network.to(memory_format=torch.channels_last).train() for network in theirs]
        loops["floor"] = Loop(config, last, batches, tuned=True).step
    apart = check(config, plain, reference)
    return apart, {**loops, **{arm: trainers[arm].step for arm in options.arms if arm in trainers}}


def measured(options: argparse.Namespace, loops: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Let the loops take turns."""
    work = {arm: operations(step) for arm, step in loops.items()}
    for step in [*loops.values(), rate]:  # and one to warm up
        step()
    walls: dict[str, list[float]] = {arm: [] for arm in loops}
    owns: dict[str, list[float]] = {arm: [] for arm in loops}
    rates, others = [], []
    for round_ in range(options.rounds):
        before = busy(), time.process_time(), time.perf_counter()
        rates.append(rate())
        for arm in rotated(list(loops), round_):
            wall, own = time.perf_counter(), time.process_time()
            for _ in range(options.steps):
                loops[arm]()
            walls[arm].append((time.perf_counter() - wall) / options.steps)
            owns[arm].append((time.process_time() - own) / options.steps)
        foreign = busy() - before[0] - (time.process_time() - before[1])
        others.append(foreign / (time.perf_counter() - before[2]))
    arms = {}
    for arm in loops:
        speeds = [work[arm] / wall for wall in walls[arm]]
        arms[arm] = {
            "ms": spread(1000 * wall for wall in walls[arm]),
            "process_ms": spread(1000 * own for own in owns[arm]),
            "gflop": work[arm] / 1e9,
            "share_of_rate": spread(each / top for each, top in zip(speeds, rates, strict=True)),
            "times_as_fast": ratio(walls["reference"], walls[arm]),
            "times_as_fast_by_process_time": ratio(owns["reference"], owns[arm]),
        }
    return {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": os.getloadavg(),
        "cores_of_others": spread(others),
        "conv_gflops_per_second": spread(each / 1e9 for each in rates),
        "results": arms,
    }


class Counter(TorchDispatchMode):
    """Counts operations; torch's own counter cannot look into a gradient of a gradient."""

    operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Call a function, and add what it takes."""
        out = function(*args, **(kwargs or {}))
        if count := flop_registry.get(function._overloadpacket):
            self.operations += count(*args, **(kwargs or {}), out_val=out)
        return out


def operations(step: Callable[[], Any]) -> int:
    """Count the floating-point operations of a step's convolutions and products."""
    with Counter() as counter:
        step()
    return counter.operations


def rate() -> float:
    """Return the machine's operations per second in a 3 x 3 convolution, now."""
    last = torch.channels_last
    features = torch.ones(8, 256, 32, 32).contiguous(memory_format=last)
    weight = torch.ones(256, 256, 3, 3).contiguous(memory_format=last)
    with torch.no_grad():
        began = time.perf_counter()
        F.conv2d(features, weight, padding=1)
        return 2 * features.numel() * 256 * 9 / (time.perf_counter() - began)


def busy() -> float:
    """Return the seconds that all cores together have worked, as far as the machine tells."""
    try:
        with open("/proc/stat") as file:
            user, nice, system = map(int, file.readline().split()[1:4])
    except OSError:
        return 0.0
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def rotated(names: list[str], by: int) -> Iterator[str]:
    """Yield names from another one on each time, and backwards in every second round."""
    turned = names[by % len(names) :] + names[: by % len(names)]
    yield from turned if by % 2 else reversed(turned)


def spread(numbers: Iterable[float]) -> dict[str, float]:
    """Return the median of numbers, and what they lie between."""
    numbers = sorted(numbers)
    quarter, three = (
        statistics.quantiles(numbers, n=4)[::2] if len(numbers) > 1 else 2 * numbers[:1]
    )
    names = ("median", "quartile_1", "quartile_3", "min", "max")
    values = statistics.median(numbers), quarter, three, numbers[0], numbers[-1]
    return {name: float(f"{value:.4g}") for name, value in zip(names, values, strict=True)}


def ratio(theirs: list[float], mine: list[float]) -> dict[str, float]:
    """Return the spread of the ratios of each round."""
    return spread(their / my for their, my in zip(theirs, mine, strict=True))


def show(found: dict[str, Any]) -> None:
    """Print a table."""
    print(
        f"{found['title']}, {found['image_size']} x {found['image_size']}, batches of "
        f"{found['batch_size']}, {found['n_critic']} discriminator updates; {found['threads']} "
        f"threads, torch {found['torch']}, load {found['load'][0]:.1f}, "
        f"{found['cores_of_others']['median']:.1f} cores busy with others; 3 x 3 convolutions "
        f"{found['conv_gflops_per_second']['median']:.0f} GFLOP/s; losses "
        f"{max(found['losses_apart']):.0e} apart; {found['rounds']} rounds"
    )
    print("| arm | ms a step | GFLOP | share of the rate | times as fast | by process time |")
    print("| --- " * 6 + "|")
    for arm, each in found["results"].items():
        cells = [f"{each['ms']['median']:.0f}", f"{each['gflop']:.1f}"]
        cells.append(f"{each['share_of_rate']['median']:.0%}")
        for name in ("times_as_fast", "times_as_fast_by_process_time"):
            ratios = each[name]
            cells.append(
                f"{ratios['median']:.2f} ({ratios['quartile_1']:.2f} to {ratios['quartile_3']:.2f})"
            )
        print(f"| {arm} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
