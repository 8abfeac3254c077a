"""What it costs to load a model and draw from it, beside torch and the same network by hand.

    python tests/benchmarks/load.py --pairs 15

trains a DCGAN of the usual size for a moment, then starts two programs in turns, each a process of
its own: one line of ganzoo, and a program that imports torch, writes the same layers down, reads
the weights and draws as many samples. The ratio is taken pair by pair, of the time that passed and
of the processor's. Both tell where inside of them it went.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ganzoo

OURS = """
import sys, time
began = time.perf_counter()
import ganzoo
imported = time.perf_counter()
model = ganzoo.load(sys.argv[1])
loaded = time.perf_counter()
samples = model.sample(64)
"""
BY_HAND = """
import sys, time
began = time.perf_counter()
import torch
from safetensors.torch import load_file
from torch import nn
imported = time.perf_counter()
def up(before, after):
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
generator = nn.Sequential(
    nn.Unflatten(1, (100, 1, 1)),
    nn.ConvTranspose2d(100, 128, 4, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
    up(128, 64), nn.BatchNorm2d(64), nn.ReLU(),
    up(64, 32), nn.BatchNorm2d(32), nn.ReLU(),
    nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1), nn.Tanh(),
)
generator.load_state_dict(load_file(sys.argv[1] + "/model.safetensors"))
generator.eval()
loaded = time.perf_counter()
with torch.inference_mode():
    samples = generator(torch.randn(64, 100))
"""
ENDING = """
assert samples.shape == (64, 1, 32, 32), samples.shape
ended = time.perf_counter()
print(imported - began, loaded - imported, ended - loaded)
"""
PARTS = ("import", "load", "sample")


def main() -> None:
    """Time both in turns, and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=21)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = ganzoo.train("dcgan", "wgan-gp", "digits", out=Path(folder) / "run", steps=2)
        pairs = []
        for number in range(options.pairs + 1):
            order = (OURS, BY_HAND) if number % 2 else (BY_HAND, OURS)
            found = {program: measured(program, run.model) for program in order}
            if number:  # the first fills the disk's cache
                pairs.append((found[OURS], found[BY_HAND]))
    print(f"{options.pairs} pairs; load of the machine {os.getloadavg()[0]:.1f}")
    for name in ("wall", "cpu"):
        ratios = [ours[name] / theirs[name] for ours, theirs in pairs]
        print(f"{name}: {spread([ours[name] for ours, _ in pairs])} s, ", end="")
        print(f"by hand {spread([theirs[name] for _, theirs in pairs])} s, ", end="")
        print(f"ratio {spread(ratios)}")
    for name in PARTS:
        ours, theirs = (statistics.median(each[i][name] for each in pairs) for i in (0, 1))
        print(f"{name}: {1000 * ours:.0f} ms, by hand {1000 * theirs:.0f} ms")


def measured(program: str, model: Path) -> dict[str, float]:
    """Run a program as a process of its own, and return its seconds, and those of its parts."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program + ENDING, str(model)],
        check=True,
        capture_output=True,
        text=True,
    )
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.children_user - before.children_user
    parts = dict(zip(PARTS, map(float, done.stdout.split()), strict=True))
    return {"wall": wall, "cpu": cpu, **parts}


def spread(numbers: list[float]) -> str:
    """Return the median of numbers, with both quartiles in brackets."""
    low, middle, high = statistics.quantiles(numbers, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
