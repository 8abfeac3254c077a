"""What it costs to read a set from the disk: steps from memory and from a file, in turns.

    python tests/benchmarks/batches.py dcgan --rounds 20

writes a made set of images to a file, trains one network from memory and its twin from the file,
a few steps each in turn, and prints the median and the spread of the ratio of their times.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.registry import ARCHITECTURE, LOSS
from ganzoo.resolve import resolve
from ganzoo.storage.mapped_array import MappedArray
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.trainer import Trainer


def main() -> None:
    """Train both in turns, and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architecture", default="dcgan", nargs="?")
    parser.add_argument("--loss", default="non-saturating")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="Steps of a round.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    config = resolve(
        options.architecture,
        options.loss,
        settings={"train.batch_size": options.batch_size, "train.device": options.device},
    )
    with tempfile.TemporaryDirectory() as folder:
        samples = made(options.images, options.size)
        np.save(Path(folder) / "images.npy", samples.stored.numpy())
        rows = MappedArray(Path(folder) / "images.npy")
        both = [
            samples,
            dataclasses.replace(samples, stored=rows.tensor, streamed=True, mapped_array=rows),
        ]
        trainers = [
            assemble_trainer(
                config.architecture.build(ARCHITECTURE), config.loss.build(LOSS), each, config.train
            )
            for each in both
        ]
        ratios, seconds = [], []
        for i in range(options.rounds + 1):
            memory, disk = (timed(trainer, options.steps) for trainer in trainers)
            if i:  # the first round warms up
                ratios.append(disk / memory)
                seconds.append(memory)
    spread = statistics.quantiles(ratios, n=4)
    print(
        f"{config.title}, {options.size} x {options.size}, batch {options.batch_size}: "
        f"{1000 * statistics.median(seconds) / options.steps:.1f} ms a step from memory; "
        f"from a file {statistics.median(ratios):.3f} times that "
        f"(quartiles {spread[0]:.3f} and {spread[2]:.3f}, {options.rounds} rounds)"
    )


def made(count: int, size: int) -> Samples:
    """Make a set of random images in colour."""
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (count, 3, size, size), generator=rng, dtype=torch.uint8)
    return Samples(DataSpec(shape=(3, size, size)), stored)


def timed(trainer: Trainer, steps: int) -> float:
    """Return the seconds that some steps take."""
    began = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
