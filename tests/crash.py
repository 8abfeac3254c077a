"""Kill trainings at random moments, go on, and compare with trainings that nothing disturbed.

    python tests/crash.py --kills 200 --seed 0

Each training is a process of its own with tiny networks. A kill is SIGKILL, either after a random
time or at a random place where something is written, before it or after it: a file written, half
written, flushed or renamed, a folder removed. Half of the latter are made a power cut, after which
what was not flushed is lost. Every run goes on by ``--resume`` until it is done, and must then
hold the very bytes of the undisturbed one, but for the images per second in ``metrics.jsonl``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ganzoo.cli import main as command_line
from ganzoo.storage import files, json_files

OFTEN = (
    "--batch-size=8 --device=cpu --set=train.checkpoint_every=3 "
    "--set=train.sample_every=2 --set=train.log_every=1"
)
JUDGED = "--eval-every=2 --set=train.eval_samples=40"
TRAININGS = {
    "mlp, wgan-gp": f"mlp --loss=wgan-gp --image-size=8 --set=arch.hidden=16 {JUDGED}",
    "mlp, unrolled, on points": f"mlp --loss=unrolled --data=ring --set=arch.hidden=16 {JUDGED}",
    "dcgan, non-saturating": "dcgan --loss=non-saturating --image-size=16 "
    "--set=arch.base_channels=4 --set=train.lr_decay=linear "
    "--set=train.augment=color,translation,cutout",
    "sngan, hinge": "sngan --image-size=16 --set=arch.base_channels=2 --set=train.n_critic=2",
    "r3gan": "r3gan --image-size=16 --set=arch.base_channels=4 --set=arch.group_size=2",
    "cyclegan, lsgan": "cyclegan --data={domains} --set=arch.base_channels=2 --set=arch.blocks=1 "
    "--set=arch.pool_size=4",
    "mlp, from a model": f"--init={{model}} --loss=diverging {JUDGED}",
    "mlp, diverging": f"mlp --loss=diverging --image-size=8 --set=arch.hidden=16 {JUDGED}",
}
"""What is trained, by a name; averages of weights are kept by all of them."""
DIVERGING = '''
import torch
from ganzoo import Loss, Recipe
from ganzoo.compute.seeding import derive_seed

class Diverging(Loss):
    """Is not a number at the eighth step, unless the learning rate was lowered."""

    recipe = Recipe(generator_lr=1e-3, discriminator_lr=1e-3)

    def discriminator_loss(self, D, real, fake):
        loss = torch.nn.functional.softplus(D(fake) - D(real)).mean()
        weights = D.detached_parameters()
        sizes = D.step_sizes({name: torch.full_like(weights[name], 1e12) for name in weights})
        size = next(iter(sizes.values())).max()
        lr = size * 1e12 * (0.001 / (1 - 0.999**8)) ** 0.5
        eighth = torch.initial_seed() == derive_seed(0, "step", 7)
        return {"relative": loss * (float("nan") if eighth and lr > 6e-4 else 1.0)}

    def generator_loss(self, D, real, fake):
        return {"adversarial": torch.nn.functional.softplus(-D(fake)).mean()}
'''
KILLS_OF_A_RUN = 15
"""After so many it is left to end."""


@dataclass
class Fate:
    """What becomes of a process: it dies at a place where something is written, or never."""

    dies_at: int | None = None
    checkpoints_only: bool = False
    power_cut: bool = False
    passed: int = 0
    unflushed: dict[Path, int] = field(default_factory=dict)
    """Files with content that was not flushed, and how much of each was."""

    def meet(self, path: Path) -> None:
        """Come to a place where something is written, and die if it is the one."""
        if self.checkpoints_only and "checkpoints" not in Path(path).parts:
            return
        self.passed += 1
        if self.passed == self.dies_at:
            self.die()

    def die(self) -> None:
        """End as by SIGKILL, or as the power goes."""
        if self.power_cut:
            for path, length in self.unflushed.items():
                if path.exists():
                    os.truncate(path, length)
        os.kill(os.getpid(), signal.SIGKILL)


def tempt(fate: Fate) -> None:
    """Put a place to die before and after each write, flush, rename and removal."""

    def around(owner: Any, name: str, path_of: Callable[..., Path], after: Callable[..., None]):
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            path = Path(path_of(*arguments))
            fate.meet(path)
            given = original(*arguments, **named)
            after(path)
            fate.meet(path)
            return given

        setattr(owner, name, wrapped)

    def nothing(path: Path) -> None:
        pass

    def written(path: Path) -> None:
        fate.unflushed.setdefault(path, 0)
        fate.meet(path)

    def flushed(path: Path) -> None:
        fate.unflushed.pop(path, None)
        if path.name == "metrics.jsonl":
            fate.unflushed[path] = path.stat().st_size

    append = json_files.append_line

    def append_in_halves(path: Path, row: dict[str, Any]) -> None:
        fate.unflushed.setdefault(path, path.stat().st_size if path.exists() else 0)
        line = json.dumps(row) + "\n"
        with path.open("a", encoding="utf-8") as file:
            for part in (line[: len(line) // 2], line[len(line) // 2 :]):
                fate.meet(path)
                file.write(part)
                file.flush()
        assert path.read_text().endswith(line)
        fate.meet(path)

    assert append
    import ganzoo.training.loop
    import ganzoo.training.tracking

    ganzoo.training.tracking.append_line = append_in_halves
    around(safetensors.torch, "save_file", lambda tensors, path, **_: path, written)
    around(Path, "write_text", lambda path, *_: path, written)
    around(files, "flush", lambda path: path, flushed)
    ganzoo.training.loop.flush = files.flush
    around(os, "replace", lambda before, after: after, nothing)
    around(Path, "rename", lambda before, after: after, nothing)
    around(shutil, "copyfile", lambda source, target: target, written)
    around(shutil, "rmtree", lambda path, *_: path, nothing)


def run(arguments: list[str], log: Path, fate: Fate, dies_after: float | None = None) -> int:
    """Run the command line in a process of its own, and return its exit code; -9 if it died."""
    child = os.fork()
    if child == 0:
        try:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                tempt(fate)
                code = command_line(arguments)
                sys.stderr.flush()
                os._exit(code)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(99)
    if dies_after is not None:
        time.sleep(dies_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def content(folder: Path) -> dict[str, Any]:
    """Return what a run left, by file."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name == ".lock":
            continue
        if path.name == "metrics.jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [
                {k: v for k, v in row.items() if k != "images_per_second"} for row in rows
            ]
        else:
            found[name] = path.read_bytes()
    return found


def fates(rng: random.Random, seconds: float, inside: float) -> Iterator[tuple[Fate, float | None]]:
    """Draw how each next process ends: the fate at a written place, or the seconds it has."""
    while True:
        if rng.random() < inside:
            only = rng.random() < 0.7
            at = rng.randint(1, 120 if only else 300)
            yield Fate(at, checkpoints_only=only, power_cut=rng.random() < 0.5), None
        else:
            yield Fate(), rng.uniform(0, seconds)


def disturbed(
    arguments: list[str], out: Path, drawn: Iterator[tuple[Fate, float | None]], counts: Counter
) -> None:
    """Train a run with kills until it is done."""
    log = out.with_suffix(".log")
    for attempt in range(KILLS_OF_A_RUN + 1):
        fate, seconds = next(drawn)
        if attempt == KILLS_OF_A_RUN:
            fate, seconds = Fate(), None
        begun = (out / "config.json").exists()
        given = ["train", "--resume", str(out)] if begun else [*arguments, f"--out={out}"]
        code = run(given, log, fate, seconds)
        if code == 0:
            return
        if code != -signal.SIGKILL:
            raise SystemExit(f"exit code {code} of {given}:\n{log.read_text()[-2000:]}")
        counts["inside a checkpoint's writing" if fate.checkpoints_only else "elsewhere"] += 1
        counts["kills"] += 1
        counts["power cuts"] += fate.power_cut
    raise SystemExit(f"{out} never ended")


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Name the files that differ, or that only one of them has."""
    return [name for name in sorted(ours | theirs) if ours.get(name) != theirs.get(name)]


def prepare(work: Path) -> None:
    """Write what the trainings need: images of two kinds, a loss that diverges once, a model."""
    from PIL import Image

    rng = random.Random(0)
    for name in ("a", "b"):
        (work / "domains" / name).mkdir(parents=True)
        for i in range(6):
            colour = tuple(rng.randrange(256) for _ in range(3))
            Image.new("RGB", (24, 24), colour).save(work / "domains" / name / f"{i}.png")
    info = work / "site" / "ganzoo_diverging-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ganzoo-diverging\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ganzoo.losses]\ndiverging = ganzoo_diverging:Diverging\n"
    )
    (work / "site" / "ganzoo_diverging.py").write_text(DIVERGING)
    sys.path.insert(0, str(work / "site"))
    small = "mlp --image-size=8 --set=arch.hidden=16 --batch-size=8 --device=cpu --steps=3"
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(io.StringIO()):
        command_line(["train", *small.split(), f"--out={work / 'model'}"])


def main() -> None:
    """Kill until there were enough, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inside", type=float, default=0.6, help="Share of kills at writes.")
    parser.add_argument("--trainings", type=int, default=len(TRAININGS), help="The first so many.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng, counts, began = random.Random(options.seed), Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["GANZOO_CACHE"] = str(work / "cache")
        prepare(work)
        whole: dict[str, tuple[list[str], dict[str, Any], float]] = {}
        for name, words in list(TRAININGS.items())[: options.trainings]:
            given = f"train {words} {OFTEN}".format(
                domains=work / "domains", model=work / "model"
            ).split()
            # Imports what is needed once, for all processes that are forked from this one.
            with contextlib.redirect_stdout(None), contextlib.redirect_stderr(io.StringIO()):
                command_line([*given, "--steps=0", f"--out={work / name / 'none'}"])
            out = work / name / "whole" / "run"
            start = time.monotonic()
            given.append("--steps=12")
            code = run([*given, f"--out={out}"], work / "whole.log", Fate())
            if code != 0:
                raise SystemExit(f"{name}: {(work / 'whole.log').read_text()[-2000:]}")
            whole[name] = given, content(out), time.monotonic() - start
        wrong = 0
        while counts["kills"] < options.kills:
            name = rng.choice(sorted(whole))
            given, expected, seconds = whole[name]
            out = work / name / str(counts["runs"]) / "run"
            out.parent.mkdir(parents=True)
            disturbed(given, out, fates(rng, seconds, options.inside), counts)
            counts["runs"] += 1
            if differing := difference(expected, content(out)):
                wrong += 1
                print(f"{name}, run {counts['runs']}: {', '.join(differing)}")
            shutil.rmtree(out.parent)
    shown = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    print(f"{shown}; {wrong} runs differ; {time.monotonic() - began:.0f} s, seed {options.seed}")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
