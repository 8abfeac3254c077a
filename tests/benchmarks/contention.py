"""How fast a training is beside other work, as shares of its speed on a quiet machine.

    python tests/benchmarks/contention.py --rounds 3

starts trainings by the command, each in a process of its own: alone; beside one busy process, which
was there before or comes later; two at once; and beside four busy processes of a low priority. What
counts is the images a second in their own metrics, once all have begun. Options after ``--`` are
those of ``ganzoo train``. With ``GOMP_SPINCOUNT=300000 OMP_NUM_THREADS=2`` before the command (as
many threads as there are cores) it shows what torch does by itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from measuring import in_words, spread

TRAIN = ("dcgan", "--loss", "wgan-gp")
"""What is trained unless something else is asked for."""
ENDLESS = ("--steps", "9999999", "--sample-every", "9999999", "--device", "cpu")
BUSY = (sys.executable, "-c", "while True: pass")
LOW = ("nice", "-n", "19", *BUSY)
PATIENCE = 120.0
"""Seconds until a training that shows no numbers has failed."""
FEWEST = 3
"""Rows of metrics that a rate is the median of, at least."""


@dataclass(frozen=True)
class Case:
    """What works at the same time."""

    trainings: int = 1
    before: tuple[tuple[str, ...], ...] = ()
    """Commands that begin before the trainings."""
    later: tuple[tuple[str, ...], ...] = ()
    """Commands that begin once all trainings have."""


CASES = {
    "quiet": Case(),
    "beside one busy process": Case(before=(BUSY,)),
    "beside one that came later": Case(later=(BUSY,)),
    "two at once, each": Case(trainings=2),
    "beside four niced processes": Case(before=(LOW,) * 4),
}


def main() -> None:
    """Measure each case in each round, and print its share of the quiet rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each case")
    parser.add_argument("--log-every", type=int, default=2, help="steps between rows of metrics")
    parser.add_argument("train", nargs="*", default=TRAIN, help="options of ganzoo train")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing goes on
    command = [*options.train, *ENDLESS, "--set", f"train.log_every={options.log_every}"]
    found: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(options.rounds):
        for name, case in CASES.items():
            found[name].append(measure(case, command, options.seconds))
            print(f"{name}: {found[name][-1]:,.0f}", file=sys.stderr, flush=True)
    quiet = statistics.median(found["quiet"])
    cores = len(os.sched_getaffinity(0))
    print(f"ganzoo train {' '.join(options.train)}; {cores} cores, {options.rounds} rounds\n")
    print("| | images/s | share of the quiet rate |\n| --- | --- | --- |")
    for name, rates in found.items():
        share = in_words(spread(rate / quiet for rate in rates))
        print(f"| {name} | {statistics.median(rates):,.0f} | {share} |")


def measure(case: Case, command: list[str], seconds: float) -> float:
    """Return the images a second of a case; of several trainings, those of the slowest."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for other in case.before:
            stack.enter_context(running(other))
        files = []
        for number in range(case.trainings):
            out = Path(folder) / str(number)
            ours = (sys.executable, "-m", "ganzoo", "train", *command, "--out", str(out))
            stack.enter_context(running(ours))
            files.append(out / "metrics.jsonl")
        wait_for_rows(files, [FEWEST] * len(files))
        for other in case.later:
            stack.enter_context(running(other))
        begun = [1 + len(read_rates(file)) for file in files]  # a row may be of both times
        time.sleep(seconds)
        wait_for_rows(files, [FEWEST + count for count in begun])
        rates = [read_rates(file)[count:] for file, count in zip(files, begun, strict=True)]
    return min(map(statistics.median, rates))


@contextmanager
def running(command: tuple[str, ...]) -> Iterator[None]:
    """Run a program within the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def wait_for_rows(files: list[Path], counts: list[int]) -> None:
    """Wait until each file has so many rows.

    Raises:
        TimeoutError: one of them has fewer after :data:`PATIENCE` seconds.
    """
    until = time.monotonic() + PATIENCE
    for file, count in zip(files, counts, strict=True):
        while len(read_rates(file)) < count:
            if time.monotonic() > until:
                raise TimeoutError(f"{file.parent}: no numbers after {PATIENCE:.0f} seconds")
            time.sleep(0.1)


def read_rates(file: Path) -> list[float]:
    """Return the images a second of all whole rows of a file of metrics."""
    if not file.exists():
        return []
    lines = itertools.takewhile(lambda line: line.endswith("\n"), file.open(encoding="utf-8"))
    rows = map(json.loads, lines)
    return [row["images_per_second"] for row in rows if "images_per_second" in row]


if __name__ == "__main__":
    main()
