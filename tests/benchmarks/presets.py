"""Judge whether each preset of ``ganzoo watch --web`` does what its sentence says.

    python tests/benchmarks/presets.py --seeds 0 1 2

trains every preset as the page does, with each seed, in a process of one thread, and looks at it 40
times, evenly over its steps: at 2,500 points of the generator that the page shows, and at both
networks. ``RULES`` says what must hold. It prints a table, and ends with exit code 1 unless every
preset holds with every seed. ``--record`` keeps the rows in ``docs/records/presets/``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from ganzoo.compute.cgroups import count_cpus
from ganzoo.compute.devices import processor_name
from ganzoo_zoo.apps.watch.presets import Preset, read_presets

LOOKS = 40
"""Looks at a run. The second half of them counts as late."""
RECORDS = Path(__file__).parents[2] / "docs" / "records" / "presets"
Look = dict[str, Any]
"""What one look found: the numbers of the page (``modes``, ``high_quality``, ``kl``, ``js``), and

- ``reached``: groups that are the nearest to at least a quarter of their fair share of points,
- ``fullest``: number of the group with the most points, and ``share``: their share of all,
- ``right``: how many reals and fakes the discriminator recognises, a share,
- ``gradient_norm``: that of the generator, as metrics hold it.
"""


@dataclass(frozen=True)
class Rule:
    """What a number of a run must be."""

    what: str
    measure: Callable[[Sequence[Look]], float]
    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool:
        """Tell whether the number is as it must be."""
        return not (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
        )

    @property
    def text(self) -> str:
        """The rule in words."""
        bounds = ((self.least, "at least"), (self.most, "at most"))
        said = [f"{word} {bound:g}" for bound, word in bounds if bound is not None]
        return f"{self.what} {' and '.join(said)}"


def last(name: str) -> Callable[[Sequence[Look]], float]:
    """Return the number of the last look."""
    return lambda looks: looks[-1][name]


def late(name: str, found: Callable[[Any], float] = mean) -> Callable[[Sequence[Look]], float]:
    """Return the mean of the late looks, or their ``min`` or ``max``."""
    return lambda looks: found([look[name] for look in looks[len(looks) // 2 :]])


def count_moves(looks: Sequence[Look]) -> float:
    """Count how often another group is the fullest."""
    return sum(before["fullest"] != after["fullest"] for before, after in pairwise(looks))


def early_groups(looks: Sequence[Look]) -> float:
    """Return the groups reached after a fifth of the steps."""
    return looks[len(looks) // 5 - 1]["reached"]


RULES = {
    "learns-well": (
        Rule("groups reached after a fifth of the steps", early_groups, least=8),
        Rule("modes at the end", last("modes"), least=8),
        Rule("share of high quality at the end", last("high_quality"), least=0.8),
        Rule("JS divergence at the end, in bits,", last("js"), most=0.25),
    ),
    "mode-collapse": (
        Rule("groups reached, mean of the late looks,", late("reached"), most=2),
        Rule("share of the fullest group, late,", late("share"), least=0.75),
        Rule("KL divergence, late, in bits,", late("kl"), least=6),
    ),
    "unrolling-saves-it": (
        Rule("groups reached in each late look", late("reached", min), least=8),
        Rule("share of high quality, late,", late("high_quality"), least=0.35),
        Rule("KL divergence, late, in bits,", late("kl"), most=3),
    ),
    "forgetting-without-history": (
        Rule("changes of the fullest group", count_moves, least=8),
        Rule("share of the fullest group, late,", late("share"), least=0.9),
        Rule(
            "share of high quality, best of the late looks,", late("high_quality", max), least=0.9
        ),
    ),
    "forgetting-without-history, discriminator_lr 0.001": (
        Rule("groups reached in each late look", late("reached", min), least=2),
        Rule("share of high quality, late,", late("high_quality"), least=0.7),
    ),
    "vanishing-gradient": (
        Rule("gradient norm of the generator, late,", late("gradient_norm", max), most=0.01),
        Rule("share that the discriminator recognises, late,", late("right"), least=0.99),
        Rule("share of high quality, late,", late("high_quality", max), most=0),
    ),
    "too-strong-discriminator": (
        Rule("groups reached, most of the late looks,", late("reached", max), most=4),
        Rule("share of high quality, late,", late("high_quality"), least=0.4),
        Rule("share that the discriminator recognises, late,", late("right"), least=0.75),
        Rule("gradient norm of the generator, late,", late("gradient_norm"), least=0.5),
    ),
    "wgan-gp": (
        Rule("groups reached in each late look", late("reached", min), least=8),
        Rule("modes at the end", last("modes"), least=8),
        Rule("share of high quality at the end", last("high_quality"), least=0.25),
        Rule("KL divergence, late, in bits,", late("kl"), most=3),
    ),
}
"""What must hold of each preset, and of what its text tells the reader to try then."""
CHANGES = {
    "forgetting-without-history, discriminator_lr 0.001": {"train.discriminator_lr": "0.001"}
}
"""Options of runs that differ from their presets."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and judge what is asked for, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="+", default=list(RULES), choices=list(RULES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--record", action="store_true", help="keep the rows for the page")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        print(json.dumps(train(options.preset[0], options.child)))
        return 0
    rows = []
    for name in options.preset:
        rows += [_spawn(name, seed) for seed in options.seeds]
        mine = rows[-len(options.seeds) :]
        print(f"\n{name}: {sum(row['holds'] for row in mine)} of {len(mine)}", flush=True)
        for row in mine:
            print(f"  seed {row['seed']}, {row['cpu_seconds']} s: {row['scores']}", flush=True)
        if options.record:
            RECORDS.mkdir(exist_ok=True)
            lines = "".join(f"{json.dumps(row)}\n" for row in mine)
            record_path(name).write_text(lines, encoding="utf-8")
    failed = [f"{row['preset']} with seed {row['seed']}" for row in rows if not row["holds"]]
    print("\n" + ("failed: " + "; ".join(failed) if failed else "every preset holds"))
    return 1 if failed else 0


def record_path(name: str) -> Path:
    """Return the file of the rows of a line of ``RULES``."""
    return RECORDS / f"{name.partition(',')[0]}{'-then' * (name in CHANGES)}.jsonl"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _spawn(name: str, seed: int) -> dict[str, Any]:
    """Train in a process of its own, on one thread."""
    child = subprocess.run(
        [sys.executable, __file__, "--preset", name, "--child", str(seed)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(child.stdout.splitlines()[-1])


def find_preset(name: str) -> Preset:
    """Return the preset of a line of ``RULES``."""
    (found,) = [each for each in read_presets() if each.name == name.partition(",")[0]]
    return found


def train(name: str, seed: int) -> dict[str, Any]:
    """Train a preset, and return how it is judged."""
    began, spent = time.process_time(), 0.0
    looks, steps = [], 0
    for steps, look in watch(name, seed):  # noqa: B007
        start = time.process_time()
        looks.append(look())
        spent += time.process_time() - start
    seconds = time.process_time() - began - spent
    values = [rule.measure(looks) for rule in RULES[name]]
    return {
        "preset": name,
        "seed": seed,
        "steps": steps,
        "cpu_seconds": round(seconds, 1),
        "scores": {
            rule.text: float(f"{value:.3g}")
            for rule, value in zip(RULES[name], values, strict=True)
        },
        "holds": all(rule.holds(value) for rule, value in zip(RULES[name], values, strict=True)),
        "machine": {
            "processor": processor_name(),
            "cores": count_cpus(),
            "torch": version("torch"),
        },
    }


def watch(name: str, seed: int) -> Iterator[tuple[int, Callable[[], Look]]]:
    """Train a preset, and yield at each look the step and a function that looks."""
    import torch

    from ganzoo import registry
    from ganzoo.training.inputs import draw_picture_inputs
    from ganzoo.training.pictures import draw_samples
    from ganzoo.training.prepare import build_trainer
    from ganzoo_zoo.apps.watch.points.plane import Plane
    from ganzoo_zoo.apps.watch.web.choices import resolve_choices

    asked = find_preset(name).asked
    settings = asked.settings | CHANGES.get(name, {}) | {"train.seed": str(seed)}
    config = resolve_choices(asked.architecture, asked.loss, asked.data, settings)
    real = config.data.build(registry.DATASET).read()
    trainer = build_trainer(config, real)
    plane, inputs = Plane(real), draw_picture_inputs(trainer.setup, trainer.loader)
    modes = torch.tensor(real.spec.modes)
    norms: dict[int, Any] = {}

    def keep_norm(update: Any) -> None:
        if update.network == "generator":
            norms[update.step] = update.gradient_norm()

    def look() -> Look:
        points = draw_samples(trainer, inputs).shown.float()
        nearest = torch.cdist(points, modes).argmin(1)
        shares = nearest.bincount(minlength=len(modes)).double() / len(points)
        with torch.no_grad():
            logits = [
                trainer.state.discriminator(each[:1000].float())["logits"]
                for each in (real.stored, points)
            ]
        return {
            **plane.count(points),
            "reached": int((shares >= 1 / 4 / len(modes)).sum()),
            "fullest": int(shares.argmax()),
            "share": float(shares.max()),
            "right": float(((logits[0] > 0).float().mean() + (logits[1] < 0).float().mean()) / 2),
            "gradient_norm": float(norms[trainer.state.step]),
        }

    steps = config.train.steps
    due = {round(steps * (i + 1) / LOOKS) for i in range(LOOKS)}
    for step in range(1, steps + 1):
        trainer.on_update = keep_norm if step in due else None
        trainer.step()
        if step in due:
            yield step, look


if __name__ == "__main__":
    sys.exit(main())
