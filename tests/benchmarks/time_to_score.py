"""A plain loop's time to a score, by the judge that scores the trainings of ganzoo.

    python tests/benchmarks/time_to_score.py dcgan --until "fid<=30" --seeds 0,1,2 > plain.json
    ganzoo bench dcgan --until "fid<=30" --seeds 0,1,2 --json > ganzoo.json

The loop (``plain/``) is as the well-known scripts have it: batches of 64, Adam with rates of 2e-4
and betas of 0.5 and 0.999, no average. Its networks are the architecture's, with the same weights
at the start. Its samples are the raw generator's, with batch statistics, as those scripts draw
them; ``--statistics running`` takes the running ones. Scoring is not counted.

``--images 128000`` scores once, after so many images, instead of training to a score. With
``--arm ganzoo`` it does the same to the defaults of ganzoo, whose learning rates are then those of
a training of so many images.

Prints a document such as that of ``ganzoo bench --until --json``, which ``records.py`` takes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo import registry
from ganzoo.config import RunConfig
from ganzoo.distributed import ALONE
from ganzoo.errors import GanzooError
from ganzoo.evaluation.features import Extractors
from ganzoo.evaluation.judge import Judge
from ganzoo.evaluation.metrics import choose_metrics
from ganzoo.evaluation.sample_sets import choose_reals, describe_data
from ganzoo.media.images import to_uint8
from ganzoo.protocols.dataset import Samples
from ganzoo.registry import DATASET, EVALUATOR
from ganzoo.resolve import parse_settings, resolve
from ganzoo.runs.scores import ScoreRow
from ganzoo.storage.paths import strip_folders
from ganzoo.training.prepare import build_trainer
from ganzoo.training.stopwatch import NO_TIME, Stopwatch
from ganzoo_zoo.apps.bench.clocks import clock_for
from ganzoo_zoo.apps.bench.machine import describe_machine
from ganzoo_zoo.apps.bench.until import Mean, Outcome, Target, choose_interval, time_to_score
from ganzoo_zoo.apps.shared.seeds import read_seeds
from plain.loops import Loop
from plain.losses import LOSSES
from plain.networks import NETWORKS
from reference import take_over

BATCH = 64
RATE = 2e-4
BETAS = (0.5, 0.999)
"""As in the DCGAN of PyTorch's examples, and in the scripts of PyTorch-GAN."""
CRITIC_STEPS = {"wgan-gp": 5}
"""Updates of the discriminator in a step, where it is not one."""
TAKEN = ("images", "steps", "seconds", "processor_seconds")
MOST_STEPS = 20_000
"""Steps after which a training towards a score ends by default."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with each seed, and print what it took."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parsed(given)
    measure = measure_ganzoo if options.arm == "ganzoo" else measure_plain
    found = measure(options)
    print(json.dumps({**found, "command": command(given)}, indent=1))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architecture", choices=NETWORKS)
    parser.add_argument("--loss", choices=LOSSES, help="By default non-saturating.")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--until", help="A score, such as 'fid<=30'.")
    goal.add_argument("--images", type=int, help="Images after which to score once.")
    parser.add_argument("--metric", default="fid", help="With --images.")
    parser.add_argument("--arm", choices=("plain", "ganzoo"), default="plain")
    parser.add_argument("--seeds", type=read_seeds, default=(0,))
    parser.add_argument("--eval-every", type=int, help="Steps between scores.")
    parser.add_argument("--max-steps", type=int, default=MOST_STEPS)
    parser.add_argument("--statistics", choices=("batch", "running"), default="batch")
    options = parser.parse_args(arguments)
    if options.arm == "ganzoo" and options.until:
        parser.error("use ganzoo bench --until for --arm ganzoo")
    return options


def command(arguments: Sequence[str]) -> str:
    """Return the command that measures this again, without folders of this machine."""
    words = []
    for word in arguments:
        key, sign, value = word.partition("=")
        words.append(f"{key}={strip_folders(value)}" if sign and "/" in value else word)
    return shlex.join(["python", "tests/benchmarks/time_to_score.py", *words])


def document(
    options: argparse.Namespace, outcomes: Sequence[Outcome], judge: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """Return what was measured, in the form of ``ganzoo bench --until --json``."""
    reached = all(each.reached for each in outcomes)
    return {
        "what": "ganzoo"
        if options.arm == "ganzoo"
        else f"plain loop, {options.statistics} statistics",
        "until": options.until and str(Target.parse(options.until)),
        "images": options.images,
        "judge": judge,
        "seeds": [asdict(each) for each in outcomes],
        "reached": reached,
        "mean": {
            name: asdict(Mean.of([getattr(each, name) for each in outcomes])) for name in TAKEN
        }
        if reached
        else None,
        **more,
    }


# The trainings of ganzoo --------------------------------------------------------------------------


def measure_ganzoo(options: argparse.Namespace) -> dict[str, Any]:
    """Train with ganzoo's own settings for so many images, and score the end."""
    settings = parse_settings(options.set)
    train = resolve(options.architecture, options.loss, options.data, settings).train
    steps = -(-options.images // (train.batch_size * train.n_critic))
    better = registry.get(EVALUATOR, options.metric).higher_is_better
    found = time_to_score(
        options.architecture,
        options.loss,
        options.data,
        until=f"{options.metric}{'>=inf' if better else '<=-inf'}",
        settings={**settings, "train.steps": steps, "train.eval_every": steps},
        seeds=options.seeds,
        tell=_tell,
    )
    outcomes = [replace(each, reached=each.failed is None) for each in found.seeds]
    return document(
        options,
        outcomes,
        found.judge or {},
        metric=found.metric,
        trained=found.config.title,
        eval_every=steps,
        max_steps=steps,
        machine=asdict(found.machine),
    )


# The plain loop -----------------------------------------------------------------------------------


def measure_plain(options: argparse.Namespace) -> dict[str, Any]:
    """Train the plain loop with each seed."""
    loss = options.loss or "non-saturating"
    config = resolve(options.architecture, loss, options.data, parse_settings(options.set))
    samples = config.data.build(DATASET).read()
    critic_steps = CRITIC_STEPS.get(loss, 1)
    most = options.max_steps
    if options.images:
        most = -(-options.images // (BATCH * critic_steps))
    every = options.eval_every or (most if options.images else choose_interval(most))
    target = Target.parse(options.until) if options.until else None
    scorer = Scorer(config, samples, target.evaluator if target else options.metric, options)
    began, worked = time.perf_counter(), time.process_time()
    outcomes = [
        train_plain(config, samples, scorer, Goal(target, every, most), seed)
        for seed in options.seeds
    ]
    used = (time.process_time() - worked) / (time.perf_counter() - began)
    device = torch.device("cpu")
    return document(
        options,
        outcomes,
        scorer.row.protocol() if scorer.row else {},
        metric=scorer.row.metric if scorer.row else None,
        trained=config.title,
        eval_every=every,
        max_steps=most,
        machine=asdict(describe_machine(device, clock_for(device), used)),
    )


@dataclass(frozen=True)
class Goal:
    """What a training runs for."""

    target: Target | None
    every: int
    most: int

    def best(self, values: Iterable[float]) -> float | None:
        """Return the best of some scores."""
        better = max if self.target and self.target.sign == ">=" else min
        return better(values, default=None)


class Batches:
    """Batches of all images in random order, over and over, as scripts read them."""

    def __init__(self, samples: Samples, seed: int) -> None:
        self.samples = samples
        self.rng = torch.Generator().manual_seed(seed)
        self.seen = 0

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            order = torch.randperm(len(self.samples), generator=self.rng)
            for chosen in order.split(BATCH):
                self.seen += len(chosen)
                yield self.samples.batch(chosen)


class Scorer:
    """Judges the generator of a loop as the snapshots of a run are judged."""

    row: ScoreRow | None = None
    """The newest score."""

    def __init__(
        self, config: RunConfig, samples: Samples, metric: str, options: argparse.Namespace
    ) -> None:
        self.takes_batch_statistics = options.statistics == "batch"
        self.spec = samples.spec
        self.count = min(config.train.eval_samples, len(samples))
        metrics = choose_metrics([metric], samples.spec)
        extractors = Extractors(None, None, samples.spec, torch.device("cpu"))
        extractors.load_for(metrics.values())
        data = describe_data(config.data, config.data.build(DATASET), samples)
        self.judge = Judge(choose_reals(samples, self.count), data, metrics, extractors)

    @torch.no_grad()
    def score(self, loop: Loop, step: int, target: Target | None) -> ScoreRow:
        """Score the generator as it is.

        Raises:
            GanzooError: a sample is not finite.
        """
        rng = torch.Generator().manual_seed(0)
        latents = torch.randn(self.count, loop.options["z_dim"], generator=rng)
        loop.G.train(self.takes_batch_statistics)
        images = torch.cat([to_uint8(loop.G(part)) for part in latents.split(BATCH)])
        loop.G.train()
        rows = self.judge.judge(Samples(self.spec, images), seed=0, step=step)
        self.row = target.find(rows) if target else rows[0]
        return self.row


def train_plain(
    config: RunConfig, samples: Samples, scorer: Scorer, goal: Goal, seed: int
) -> Outcome:
    """Train the plain loop until its goal, and return what that took."""
    batches = Batches(samples, seed)
    loop = build_loop(config, samples, seed)
    loop.batches = zip(batches, itertools.repeat(None))
    torch.manual_seed(seed)
    stopwatch, began = Stopwatch(torch.device("cpu"), ALONE), time.perf_counter()
    stopwatch.start(NO_TIME)
    scores: dict[int, float] = {}
    failed = None
    for step in range(1, goal.most + 1):
        loop.step()
        if step % goal.every and step != goal.most:
            continue
        with stopwatch.paused() as taken:
            try:
                row = scorer.score(loop, step, goal.target)
            except GanzooError as error:
                failed = f"step {step}: {error}"
                break
        scores[step] = row.value
        _tell(
            f"seed {seed}: step {step:,}, {row.metric} {row.format_value()}, "
            f"after {taken.seconds:.1f} s of training"
        )
        if goal.target is not None and goal.target.is_reached(row):
            break
    reached = failed is None and (goal.target is None or goal.target.is_reached(row))
    return Outcome(
        seed=seed,
        reached=reached,
        steps=step,
        images=batches.seen,
        seconds=taken.seconds,
        processor_seconds=taken.processor_seconds,
        scoring_seconds=round(time.perf_counter() - began - taken.seconds, 3),
        score=row.value if scores else None,
        best=goal.best(scores.values()),
        curve=tuple(scores.items()),
        failed=failed,
        run=None,
    )


def build_loop(config: RunConfig, samples: Samples, seed: int) -> Loop:
    """Return the plain loop of an architecture's networks, with its weights of a seed."""
    train = config.train.model_copy(update={"seed": seed, "device": "cpu"})
    state = build_trainer(config.model_copy(update={"train": train}), samples).state
    pair = NETWORKS[config.architecture.name](samples.spec.shape, **config.architecture.options)
    if config.loss.name == "wgan-gp":
        pair = pair[0], judge_alone(pair[1])
    for network, other in zip(pair, (state.generator, state.discriminator), strict=True):
        take_over(network, other)
    return Loop(
        pair,
        LOSSES[config.loss.name],
        [],
        adams=({"lr": RATE, "betas": BETAS},) * 2,
        options=config.architecture.options,
        n_critic=CRITIC_STEPS.get(config.loss.name, 1),
    )


def judge_alone(network: nn.Module) -> nn.Module:
    """Exchange batch normalisation, which mixes samples (Gulrajani et al. 2017, section 4)."""
    return nn.Sequential(
        *(
            nn.GroupNorm(1, layer.num_features) if isinstance(layer, nn.BatchNorm2d) else layer
            for layer in network
        )
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
