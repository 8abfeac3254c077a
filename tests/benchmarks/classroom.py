"""How soon the page of a class answers, with many pupils at once while runs train.

    python tests/benchmarks/classroom.py 30 --seconds 20

starts ``ganzoo watch --web --class`` in an empty folder. Each pupil, a thread with a connection of
its own, opens the page, enters, starts a run, and asks for the state, the frames and the curves as
often as the server tells it to. It prints the times of all answers, and of those to ``/state``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from watch_client import Client, attend, teaching

ASKED = {"architecture": "mlp", "data": "ring", "settings": {"train.steps": "20000"}}
"""What each pupil trains."""


def main() -> None:
    """Be a class for a while, and print how soon it was answered."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pupils", type=int, nargs="?", default=30)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--training", type=int, default=2, help="Runs that train at once.")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        teaching(folder, "--training", str(options.training)) as (port, key, code),
    ):
        first = Client(port)
        first.enter(code, "first")
        first.start(ASKED)  # once this is answered, all is imported
        began = time.monotonic()
        with ThreadPoolExecutor(options.pupils) as pool:
            pupils = [
                pool.submit(attend, port, code, f"P{i}", ASKED, began + options.seconds)
                for i in range(options.pupils)
            ]
            found = [each.result() for each in pupils]
        teacher = Client(port, key)
        state = teacher.see("/state")
    seconds = [each for client, _ in found for each in client.seconds]
    looks = [count for _, count in found]
    trained = sum(run["step"] > 0 for run in state["runs"])
    print(f"{options.pupils} pupils for {options.seconds:.0f} s; {trained} runs have trained")
    print(f"each page looked {min(looks)} to {max(looks)} times, then every {state['poll']} ms")
    cuts = statistics.quantiles(seconds, n=100)
    print(
        f"{len(seconds):,} answers: median {1000 * statistics.median(seconds):.0f} ms, 95 % within "
        f"{1000 * cuts[94]:.0f} ms, 99 % within {1000 * cuts[98]:.0f} ms, the slowest "
        f"{1000 * max(seconds):.0f} ms"
    )


if __name__ == "__main__":
    main()
