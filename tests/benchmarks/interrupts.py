"""Stop a command at random moments of its start, and look at how it ends.

    python tests/benchmarks/interrupts.py --times 110

starts a training as often, each time in a process of its own, and sends a signal after a random
time: Ctrl-C, a request to terminate, or that of a closed terminal. Each must end with the exit code
of the signal, or by the signal, in one line at most and without a traceback. The first signal is
sent when Python begins to run ganzoo: what Python does before cannot be helped.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = ("train", "mlp", "--data", "ring", "--steps", "9999999", "--device", "cpu", "--out", "r")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LATEST = 3.0
"""Seconds until the training runs."""
PATIENCE = 60.0
"""Seconds until a process that does not end has failed."""
STARTED = """
import sys
from ganzoo.cli import main

print(flush=True)
sys.exit(main())
"""
"""What the console script does; the line tells that it has come to ganzoo."""


def interrupt(folder: Path, signum: int, seconds: float) -> str | None:
    """Start the command, send it a signal, and return what is wrong with its end, or None.

    Args:
        folder: An empty folder to work in.
        signum: The signal.
        seconds: When to send it, after the command has begun.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, *COMMAND],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signum)
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return f"it goes on: {process.communicate()}"
    ending = [line for line in err.splitlines() if not line.startswith(("mlp trained", "step "))]
    if process.returncode in (128 + signum, -signum) and not out and len(ending) <= 1:
        return None
    return f"exit code {process.returncode}: {out}{err}"


def main() -> int:
    """Stop the command many times, print what went wrong, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=110)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latest", type=float, default=LATEST, help="seconds")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    wrong = 0
    for number in range(options.times):
        signum, seconds = SIGNALS[number % len(SIGNALS)], rng.uniform(0, options.latest)
        with tempfile.TemporaryDirectory() as folder:
            if found := interrupt(Path(folder), signum, seconds):
                print(f"{signum.name} after {seconds:.2f} s: {found}", flush=True)
                wrong += 1
    print(f"{wrong} of {options.times} ended otherwise than they should")
    return min(1, wrong)


if __name__ == "__main__":
    sys.exit(main())
