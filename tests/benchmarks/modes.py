"""Modes captured by an mlp on the ring and the grid with each loss, and by one recipe.

    python tests/benchmarks/modes.py --out modes

trains each line of ``LINES`` on both sets with three seeds, judges each run's model as
``ganzoo eval RUN --metric modes --samples 2500`` does, prints a table, and writes ``modes.jsonl``
and a picture for each set (a row for each line, a column for each seed, the true modes circled).
A run that is in ``modes.jsonl`` already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ganzoo
from ganzoo.media import images
from ganzoo.storage.json_files import append_line

SETS = ("ring", "grid")
SAMPLES = 2500
SIDE = 200
MARGIN = 120


# Shared by all lines but the first, so that only the loss differs; found by screening r3gan.
SHARED = {
    "arch.z_dim": 2,
    "arch.hidden": (128, 128, 128, 128),
    "train.batch_size": 256,
    "train.generator_lr": 4e-3,
    "train.discriminator_lr": 4e-3,
    "train.betas": (0.0, 0.9),
    "train.lr_decay": "cosine",
}
ALIKE = {"ring": 1000, "grid": 1000}


@dataclass(frozen=True)
class Line:
    """A line of the table: a loss, what it is given beside its defaults, and its steps."""

    loss: str
    settings: Mapping[str, Any]
    steps: Mapping[str, int] = field(default_factory=lambda: ALIKE)

    def command(self, data: str, steps: int) -> str:
        """Return the command line that trains the same."""
        given = " ".join(f"--set {name}={_written(value)}" for name, value in self.settings.items())
        return f"ganzoo train mlp --data {data} --loss {self.loss} --steps {steps} {given}".rstrip()


LINES = {
    "minimax-plain": Line("minimax", {}, {"ring": 5000, "grid": 5000}),
    "minimax": Line("minimax", SHARED),
    "non-saturating": Line("non-saturating", SHARED),
    "lsgan": Line("lsgan", SHARED),
    "hinge": Line("hinge", SHARED),
    "wgan": Line("wgan", {"train.optimizer": "adam", "train.n_critic": 1, **SHARED}),
    # The weight is its authors' for toy data.
    "wgan-gp": Line("wgan-gp", {"loss.gp_weight": 0.1, "train.n_critic": 1, **SHARED}),
    "r3gan": Line("r3gan", {"loss.gamma": 0.05, **SHARED}),
    "r3gan-long": Line("r3gan", {"loss.gamma": 0.05, **SHARED}, {"ring": 3000, "grid": 10_000}),
}


def main(arguments: list[str] | None = None) -> None:
    """Train what is asked for and is not in the file yet, then print and draw all that is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lines", nargs="+", choices=LINES, default=list(LINES))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="for every line, in place of its own")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = options.out / "modes.jsonl"
    for name in options.lines:
        for data in options.sets:
            for seed in options.seeds:
                done = {(row["line"], row["data"], row["seed"]) for row in _read(rows)}
                if (name, data, seed) not in done:
                    _train(name, data, seed, options.steps or LINES[name].steps[data], rows)
    _print(_read(rows))
    for data in options.sets:
        _draw(options.out, _read(rows), data)


def _train(name: str, data: str, seed: int, steps: int, rows: Path) -> None:
    line, began = LINES[name], time.perf_counter()
    run = ganzoo.train(
        "mlp",
        line.loss,
        data,
        out=rows.parent / "runs" / f"{name}-{data}-{seed}-{time.time_ns()}",
        settings=line.settings,
        steps=steps,
        seed=seed,
        device="cpu",
        # The fewest files; what is trained does not depend on them.
        log_every=100,
        sample_every=max(1, steps // 10),
        checkpoint_every=steps,
    )
    seconds = time.perf_counter() - began
    found = ganzoo.evaluate(run, ["modes"], samples=SAMPLES, device="cpu")
    points = ganzoo.load(run).sample(SAMPLES)
    centres = ganzoo.open_dataset(data).spec.modes
    tile = images.scatter(points, centres, side=SIDE)
    images.save_png(tile, rows.parent / f"{name}-{data}-{seed}.png", {})
    scores = {row.metric: row.value for row in found}
    row = {"line": name, "data": data, "seed": seed, "steps": steps, "of": len(centres)}
    append_line(rows, {**row, **scores, "seconds": round(seconds, 1)})


def _written(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read(rows: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def _print(rows: list[dict[str, Any]]) -> None:
    sets = [data for data in SETS if any(row["data"] == data for row in rows)]
    heads = [head for data in sets for head in (f"{data}: modes", "high quality")]
    print(f"| | {' | '.join(heads)} | seconds a run |")
    print("| --- " * (2 + len(heads)) + "|")
    for name in LINES:
        mine = [row for row in rows if row["line"] == name]
        if mine:
            cells = [_cell([row for row in mine if row["data"] == data]) for data in sets]
            times = [row["seconds"] for row in mine]
            cells.append(f"{min(times):.0f} to {max(times):.0f}")
            print(f"| {name} | {' | '.join(cells)} |")
    for name, data, steps in dict.fromkeys((r["line"], r["data"], r["steps"]) for r in rows):
        print(f"\n{name}, {data}: {LINES[name].command(data, steps)}")


def _cell(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "| "
    rows = sorted(rows, key=lambda row: row["seed"])
    modes = ", ".join(f"{row['modes']:.0f}" for row in rows)
    shares = [100 * row["high-quality"] for row in rows]
    reach = f"({min(shares):.1f} to {max(shares):.1f})"
    return f"{modes} of {rows[0]['of']} | {statistics.mean(shares):.1f} % {reach}"


def _draw(folder: Path, rows: list[dict[str, Any]], data: str) -> None:
    from PIL import Image, ImageDraw

    mine = [row for row in rows if row["data"] == data]
    names = [name for name in LINES if any(row["line"] == name for row in mine)]
    seeds = sorted({row["seed"] for row in mine})
    picture = Image.new("RGB", (MARGIN + SIDE * len(seeds), SIDE * len(names)), "white")
    draw = ImageDraw.Draw(picture)
    for top, name in enumerate(names):
        draw.text((8, SIDE * top + SIDE // 2), name, fill="black", font_size=14)
        for row in mine:
            if row["line"] == name:
                with Image.open(folder / f"{name}-{data}-{row['seed']}.png") as tile:
                    corner = (MARGIN + SIDE * seeds.index(row["seed"]), SIDE * top)
                    picture.paste(tile, corner)
    picture.quantize(16).save(folder / f"modes-{data}.png", optimize=True)


if __name__ == "__main__":
    main()
