"""What checkpoints, and watching over a run, cost: their stall, and their share of the time.

    python tests/benchmarks/guarantees.py dcgan --steps 400

trains once at the default intervals and times, within the run, all that is there for safety alone:
saving and pruning checkpoints, flushing the metrics, looking for numbers that are not finite, and
for a collapse.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from ganzoo.api.training import start
from ganzoo.resolve import resolve
from ganzoo.training import checkpoint, loop
from ganzoo.training.checkpoint import TrainState
from ganzoo.training.health import Health

spent: dict[str, list[float]] = {}


def timed(owner: Any, name: str, what: str) -> None:
    """Time each call of a function."""
    function = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent.setdefault(what, []).append(time.perf_counter() - began)

    setattr(owner, name, wrapped)


class Clock(loop.Observer):
    """Remembers when the first step was done and the last."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step(self, step: int) -> None:
        """Take the time."""
        self.times.append(time.perf_counter())


def main() -> None:
    """Train, and print what was spent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architecture", default="dcgan", nargs="?")
    parser.add_argument("--loss")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    timed(checkpoint, "save", "writing checkpoints")
    timed(checkpoint, "prune", "pruning checkpoints")
    timed(loop, "flush", "flushing metrics")
    timed(TrainState, "find_nonfinite", "looking for numbers that are not finite")
    timed(Health, "check_samples", "looking for a collapse")
    timed(Health, "check_terms", "looking for saturation")
    settings = {"train.steps": options.steps, "train.device": options.device}
    config, clock = resolve(options.architecture, options.loss, None, settings), Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = start(config, Path(folder) / "run", clock)
        size = sum(file.stat().st_size for file in next(run.checkpoints.iterdir()).iterdir())
    whole = clock.times[-1] - clock.times[0]
    for what, seconds in spent.items():
        mean = 1000 * sum(seconds) / len(seconds)
        print(f"{what}: {len(seconds)} x {mean:.1f} ms, {sum(seconds) / whole:.2%} of the time")
    total = sum(map(sum, spent.values()))
    print(
        f"{config.title}: {1000 * whole / (options.steps - 1):.1f} ms a step, checkpoints of "
        f"{size / 1e6:.1f} MB, {total / whole:.2%} of the time in all"
    )


if __name__ == "__main__":
    main()
