"""Modes held over time with 0, 1, 5 and 10 unrolled steps: figure 2 of Metz et al. 2017.

    python tests/benchmarks/unrolled.py --out unrolled

trains an mlp on a ring of 8 Gaussians for each number of unrolled steps and each seed, judges the
generator itself (no moving average) every 500 steps, prints a table and writes ``modes.jsonl``
and ``modes.png`` (the first seed, a row for each number of steps). Settings are the authors' (256
latents, two hidden layers of 128, Adam with beta1 0.5, learning rates 1e-3 and 1e-4, radius 2,
standard deviation 0.02), but for batches of 128 in place of 512 and 6,000 steps in place of 25,000.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch

from ganzoo import SampleSet, registry
from ganzoo.media import images
from ganzoo.models.generation import generate
from ganzoo.protocols.dataset import Samples
from ganzoo.resolve import resolve
from ganzoo.storage.json_files import append_line
from ganzoo.training.inputs import draw_picture_inputs
from ganzoo.training.prepare import build_trainer

EVERY = 500
SETTINGS = {
    "data.radius": 2,
    "data.std": 0.02,
    "arch.z_dim": 256,
    "arch.hidden": (128, 128),
    "train.batch_size": 128,
    "train.generator_lr": 1e-3,
    "train.discriminator_lr": 1e-4,
    "train.ema_half_life": 0,
    "train.device": "cpu",
}


def main() -> None:
    """Train what is asked for and is not in the file yet, then print all that is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--unrolled", type=int, nargs="+", default=[0, 1, 5, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=6000)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = options.out / "modes.jsonl"
    for seed in options.seeds:
        for unrolled in options.unrolled:
            done = _read(rows)
            if not any((row["unrolled"], row["seed"]) == (unrolled, seed) for row in done):
                _train(unrolled, seed, options.steps, rows)
    _print(_read(rows))
    _draw(options.out, options.unrolled, options.seeds[0], options.steps)


def _train(unrolled: int, seed: int, steps: int, rows: Path) -> None:
    given = {"loss.unrolled_steps": unrolled, "train.seed": seed, "train.steps": steps}
    config = resolve("mlp", "unrolled", "ring", {**SETTINGS, **given})
    data = config.data.build(registry.DATASET).read()
    trainer = build_trainer(config, data)
    judge = registry.get(registry.EVALUATOR, "modes")()
    found = []
    for step in range(1, steps + 1):
        trainer.step()
        if step % EVERY == 0:
            inputs = draw_picture_inputs(trainer.setup, trainer.loader)
            fakes = generate(trainer.state.generator, inputs, data.spec, stored=True)
            _tile(rows.parent, unrolled, seed, step, fakes, data)
            sets = (SampleSet(Samples(data.spec, fakes), None), SampleSet(data, None))
            scores = {score.name: score.value for score in judge.evaluate(*sets)}
            found.append({"unrolled": unrolled, "seed": seed, "step": step, **scores})
    for row in found:  # only a whole run counts as done
        append_line(rows, row)


def _tile(
    folder: Path, unrolled: int, seed: int, step: int, fakes: torch.Tensor, data: Samples
) -> None:
    picture = images.scatter(fakes, data.spec.modes, side=200)
    images.save_png(picture, folder / f"{unrolled}-{seed}-{step}.png", {})


def _read(rows: Path) -> list[dict]:
    return [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def _print(rows: list[dict]) -> None:
    names = [name for name in rows[0] if name not in ("unrolled", "seed", "step")]
    print("| unrolled steps | seed | " + " | ".join(f"{n}: each 500 steps" for n in names) + " |")
    print("| --- " * (2 + len(names)) + "|")
    runs = sorted({(row["unrolled"], row["seed"]) for row in rows})
    for run in runs:
        mine = [row for row in rows if (row["unrolled"], row["seed"]) == run]
        cells = [" ".join(f"{row[name]:.3g}" for row in mine) for name in names]
        print(f"| {run[0]} | {run[1]} | " + " | ".join(cells) + " |")
    for unrolled in sorted({run[0] for run in runs}):
        last = max(row["step"] for row in rows) / 2
        late = [row for row in rows if row["unrolled"] == unrolled and row["step"] > last]
        held = [row[names[0]] for row in late]
        print(
            f"{unrolled} unrolled steps, second half of training: "
            f"{names[0]} {statistics.mean(held):.2f} on average, {min(held):g} at least"
        )


def _draw(folder: Path, unrolled: list[int], seed: int, steps: int) -> None:
    from PIL import Image

    columns = range(1000, steps + 1, 1000)
    picture = Image.new("RGB", (200 * len(columns), 200 * len(unrolled)), "white")
    for row, number in enumerate(unrolled):
        for column, step in enumerate(columns):
            with Image.open(folder / f"{number}-{seed}-{step}.png") as tile:
                picture.paste(tile, (200 * column, 200 * row))
    picture.save(folder / "modes.png")


if __name__ == "__main__":
    main()
