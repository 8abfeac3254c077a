"""Search for recipes: settings that give the best model within a time.

    python tests/benchmarks/recipes.py dcgan --loss wgan-gp --out tried \
        --try train.n_critic=1,2 --try train.generator_lr+train.discriminator_lr=2e-4,5e-4

trains every combination of the settings with every seed on one thread, two trainings at once,
each for as many steps as fit into ``--seconds`` of processor time, and judges its model. Each
training is a line of ``tried/tried.jsonl``, which holds all that is needed to repeat it; one that
stands there is not trained again. The table at the end is sorted by the first score's mean.
``recipes.jsonl`` beside this file is what was tried for the recipes in the box.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

METRICS = {"images": ("fid", "is"), "points": ("modes",)}
SAMPLES = {"images": 898, "points": 2500}
HIGHER_IS_BETTER = ("is", "modes", "high-quality")
PROBED = 10
"""Seconds for which a training is tried to find out how many steps fit."""
REST = 3
"""Seconds that a training takes beside its steps: start, pictures, checkpoint."""


def main(arguments: list[str] | None = None) -> None:
    """Train and judge what is not in the file yet, then print all that is."""
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = options.out / "tried.jsonl"
    if options.child is not None:
        print(json.dumps(_train(json.loads(options.child), options.out)))
        return
    jobs = [
        {"names": [options.architecture, options.loss, options.data], "seed": seed, **chosen}
        for chosen in _combinations(options)
        for seed in options.seeds
    ]
    done = {_key(row) for row in read_rows(rows)}
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(
            lambda job: spawn(job, options.out), [job for job in jobs if _key(job) not in done]
        ):
            with rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(_line([row]), flush=True)
    wanted = {_key(job) for job in jobs}
    _print([row for row in read_rows(rows) if _key(row) in wanted])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architecture")
    parser.add_argument("--loss")
    parser.add_argument("--data")
    parser.add_argument(
        "--try",
        dest="tries",
        action="append",
        default=[],
        metavar="NAME[+NAME]=VALUE,...",
        help="settings that share each of these values; a value with commas has + for them",
    )
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seconds", type=float, default=270, help="processor time; 0: as --set")
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _combinations(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield each combination of the settings, with the time that it may take."""
    fixed = dict(item.split("=", 1) for item in options.settings)
    axes = []
    for item in options.tries:
        names, _, values = item.partition("=")
        axes.append(
            [
                {name: value.replace("+", ",") for name in names.split("+")}
                for value in values.split(",")
            ]
        )
    for point in itertools.product(*axes):
        chosen = dict(fixed)
        for part in point:
            chosen |= part
        yield {"settings": chosen, "budget": options.seconds}


def _key(row: Mapping[str, Any]) -> str:
    return json.dumps([row[name] for name in ("names", "seed", "settings", "budget")])


def spawn(job: dict[str, Any], out: Path) -> dict[str, Any]:
    """Train in a process of its own, on one thread."""
    child = subprocess.run(
        [sys.executable, __file__, "-", "--out", str(out), "--child", json.dumps(job)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if child.returncode:
        return {**job, "scores": {}, "failed": child.returncode}
    return json.loads(child.stdout.splitlines()[-1])


def _train(job: dict[str, Any], out: Path) -> dict[str, Any]:
    import ganzoo
    from ganzoo import registry
    from ganzoo.resolve import resolve

    settings = {**job["settings"], "train.seed": job["seed"], "train.device": "cpu"}
    config = resolve(*job["names"], settings)
    if job["budget"]:
        settings["train.steps"] = _fitting_steps(config, job["budget"])
    steps = settings.get("train.steps", config.train.steps)
    # Neither pictures nor checkpoints change what is trained.
    rare = {"train.log_every": 100, "train.sample_every": max(1, int(steps) // 10)}
    name = f"{job['names'][0]}-{config.loss.name}-{config.data.name}-{time.time_ns()}"
    began, clock = time.process_time(), time.perf_counter()
    try:
        run = ganzoo.train(
            *job["names"],
            out=out / name,
            settings={**settings, **rare, "train.checkpoint_every": steps},
        )
    except ganzoo.GanzooError as error:
        return {**job, "scores": {}, "failed": str(error)}
    took = {
        "cpu_seconds": round(time.process_time() - began, 1),
        "seconds": round(time.perf_counter() - clock, 1),
    }
    config = run.config()
    kind = "images" if config.data.build(registry.DATASET).read().spec.is_image else "points"
    found = ganzoo.evaluate(
        run,
        list(METRICS[kind]),
        samples=SAMPLES[kind],
        real_samples=SAMPLES[kind] if kind == "images" else None,
        device="cpu",
        progress=None,
    )
    images = config.train.steps * config.train.batch_size * config.train.n_critic
    scores = {row.metric: round(row.value, 4) for row in found}
    return {**job, "steps": config.train.steps, "images": images, **took, "scores": scores} | {
        "run": name
    }


def _fitting_steps(config: Any, budget: float) -> int:
    """Return how many steps take so many seconds of processor time."""
    from ganzoo import registry
    from ganzoo.training.prepare import build_trainer

    trainer = build_trainer(config, config.data.build(registry.DATASET).read())
    for _ in range(3):
        trainer.step()
    done, began, clock = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - clock < PROBED:
        trainer.step()
        done += 1
    rate = done / (time.process_time() - began)
    return max(100, round(rate * (budget - REST) / 100) * 100)


def read_rows(rows: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def _print(rows: list[dict[str, Any]]) -> None:
    together = defaultdict(list)
    for row in rows:
        together[json.dumps([row["names"], row["settings"], row["budget"]])].append(row)
    for same in sorted(together.values(), key=_order):
        print(_line(same))


def _order(rows: list[dict[str, Any]]) -> float:
    if not all(row["scores"] for row in rows):
        return float("inf")
    name = next(reversed(rows[0]["scores"])) if "modes" in rows[0]["scores"] else "fid"
    first = next(key for key in rows[0]["scores"] if key.startswith(name))
    mean = statistics.mean(row["scores"][first] for row in rows)
    return -mean if name in HIGHER_IS_BETTER else mean


def _line(rows: list[dict[str, Any]]) -> str:
    row = rows[0]
    names = [name for name in row["scores"]]
    means = " ".join(
        f"{name} {statistics.mean(each['scores'][name] for each in rows if each['scores']):.2f}"
        f" [{' '.join(format(each['scores'].get(name, float('nan')), '.1f') for each in rows)}]"
        for name in names
    )
    settings = " ".join(f"{name}={value}" for name, value in row["settings"].items())
    words = " ".join(name for name in row["names"] if name)
    took = f"{row.get('steps')} steps {row.get('cpu_seconds')} s"
    return f"{means or row.get('failed')} | {took} | {words} {settings}"


if __name__ == "__main__":
    main()
