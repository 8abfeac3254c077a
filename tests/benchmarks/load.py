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
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import ganzoo
from ganzoo.runs.folder import Run
from measuring import in_words
from processes import CLOCKS, Pair, Program, compared, in_turns

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
        model = trained(Path(folder) / "run").model
        programs = [
            Program([sys.executable, "-c", program + ENDING, model]) for program in (OURS, BY_HAND)
        ]
        pairs = in_turns(*programs, options.pairs)
    print(f"{options.pairs} pairs; load of the machine {os.getloadavg()[0]:.1f}")
    found = compared(pairs)
    for name in CLOCKS:
        ours, theirs, ratio = (in_words(found[name][of]) for of in ("ganzoo", "bare", "ratio"))
        print(f"{name}: {ours} s, by hand {theirs} s, ratio {ratio}")
    for name, (ours, theirs) in parts(pairs).items():
        print(f"{name}: {1000 * ours:.0f} ms, by hand {1000 * theirs:.0f} ms")


def trained(out: Path, steps: int = 2) -> Run:
    """Return a run of a DCGAN of 32 x 32, whose networks :data:`BY_HAND` writes down."""
    size = {"data.image_size": 32}
    return ganzoo.train("dcgan", "wgan-gp", "digits", out=out, steps=steps, settings=size)


def parts(pairs: Sequence[Pair]) -> dict[str, list[float]]:
    """Return the median seconds of each part of both programs, as they told them."""
    sides = [
        [[float(number) for number in took.printed.split()] for took in side]
        for side in zip(*pairs, strict=True)
    ]
    return {
        name: [statistics.median(numbers[i] for numbers in side) for side in sides]
        for i, name in enumerate(PARTS)
    }


if __name__ == "__main__":
    main()
