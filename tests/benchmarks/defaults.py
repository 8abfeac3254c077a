"""Train what the defaults give: losses with seeds 0, 1 and 2, for the results page.

    python tests/benchmarks/defaults.py

trains each of ``LINES`` that is not among the records yet, as ``ganzoo train`` does if nothing is
set, on one thread and two trainings at once. It judges each model, appends a line to
``docs/records/defaults/NAMES.jsonl``, draws the samples of the first seed, and writes the pages.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from ganzoo.compute.cgroups import count_cpus
from ganzoo.compute.devices import processor_name
from recipes import spawn

sys.path.append(str(Path(__file__).parents[2] / "docs"))

import results
from tables import read_rows
from tables.defaults import LINES, MODES, ONCE, is_first, picture_path, record_path

SEEDS = (0, 1, 2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/defaults"))
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once")
    parser.add_argument("--only", nargs="+", default=[], help="words that a line must have")
    options = parser.parse_args(arguments)
    train(options.out, options.jobs, options.only)
    results.main()


def train(out: Path, jobs: int, only: Sequence[str] = ()) -> None:
    """Train what is not among the records, and append it to them."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [row for line in LINES for row in read_rows(record_path(line)) if not is_first(row)]
    done = {(tuple(row["names"]), row["seed"]) for row in rows}
    missing = [
        {"names": list(line), "seed": seed, "settings": {}, "budget": 0}
        for line in LINES
        for seed in (SEEDS[:1] if line in ONCE else SEEDS)
        if (line, seed) not in done and set(only) <= set(line)
    ]
    machine = {"processor": processor_name(), "cores": count_cpus(), "torch": version("torch")}
    with ThreadPoolExecutor(jobs) as pool:
        for row in pool.map(lambda job: spawn(job, out), missing):
            kept = {key: value for key, value in row.items() if key not in ("run", "budget")}
            with record_path(row["names"]).open("a", encoding="utf-8") as file:
                file.write(json.dumps({**kept, "machine": machine}) + "\n")
            print(*row["names"], row["seed"], row["scores"], flush=True)
            if row["seed"] == SEEDS[0] and "run" in row:
                _draw(out / row["run"], row["names"])


def _draw(run: Path, names: Sequence[str]) -> None:
    """Draw 16 images of a run, or a plot of its points, with the command that the page names."""
    options = ["-n", "16"] if names[2] not in MODES else ["-n", "1000"]
    command = [sys.executable, "-m", "ganzoo", "sample", str(run), *options, "--out"]
    subprocess.run([*command, str(picture_path(names))], check=True, capture_output=True)


if __name__ == "__main__":
    main()
