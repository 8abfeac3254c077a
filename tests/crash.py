"""Kill trainings at random moments, go on, and compare with trainings that nothing disturbed.

    python tests/crash.py --kills 400 --runs 100 --seed 0

Each training is drawn at random from the seed, with tiny networks: architecture, loss, data,
labels, augmentations, trackers, a model to start from, unequal intervals, one process or two. Each
run is a process of its own. It is killed after a random time, or at a random place where something
is written, before it or after it: a file written, half written, flushed or renamed, a folder
removed. Half of the latter are made a power cut, after which what was not flushed is lost. Some
are asked to stop instead. Every run goes on by ``--resume`` until it is done, and must then hold
the very bytes of the undisturbed one, but for the images per second.

Another undisturbed one takes more pictures, mostly one after every step: what both have must be
the same.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ganzoo.cli import main as command_line
from ganzoo.runs.machines import MACHINES_FILE
from ganzoo.runs.scores import MEASURED
from ganzoo.storage import files, json_files
from ganzoo.training import health
from ganzoo.training.stopwatch import TIME_FILE

SMALL = {
    "mlp": "mlp --image-size=8 --set=arch.hidden=16",
    "dcgan": "dcgan --image-size=16 --set=arch.base_channels=4",
    "sngan": "sngan --image-size=16 --set=arch.base_channels=2",
    "sngan-resnet": "sngan-resnet --image-size=16 --set=arch.base_channels=2",
    "resnet": "resnet --image-size=16 --set=arch.base_channels=2",
    "r3gan": "r3gan --image-size=16 --set=arch.base_channels=4 --set=arch.group_size=2",
    "cyclegan": "cyclegan --image-size=24 --data={work}/domains --set=arch.base_channels=2 "
    "--set=arch.blocks=1 --set=arch.pool_size=4",
}
"""The architectures, by name, with options that make them tiny."""
LOSSES = ("minimax", "non-saturating", "lsgan", "wgan", "wgan-gp", "hinge", "r3gan", "unrolled")
BREAKING = ("diverging", "hopeless")
"""Losses of :data:`DIVERGING`, which need the first seed."""
WRITERS = (
    "ganzoo.models.write",
    "ganzoo_zoo.apps.report.tracker_run",
    "ganzoo_zoo.apps.watch.points.tracker_run",
)
"""Modules that are imported late, and before their functions are changed."""
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

class Hopeless(Diverging):
    """Is not a number at the seventh step, whatever the learning rate."""

    def discriminator_loss(self, D, real, fake):
        seventh = torch.initial_seed() == derive_seed(0, "step", 6)
        return {"relative": D(fake).mean() * (float("nan") if seventh else 1.0)}
'''
KILLS_OF_A_RUN = 15
"""After so many it is left to end."""
RUNS_OF_A_TRAINING = 4
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""Exit codes of a run that was asked to stop."""


@dataclass
class Fate:
    """What becomes of a process: it dies at a place where something is written, or never."""

    dies_at: int | None = None
    within: str | None = None
    """The file or folder of the run to which the places are counted; None for all."""
    power_cut: bool = False
    stops: bool = False
    """Whether it is asked to stop, in place of being killed."""
    passed: Counter = field(default_factory=Counter)
    """How many places it came to, by file or folder of the run."""
    unflushed: dict[Path, int] = field(default_factory=dict)
    """Files with content that was not flushed, and how much of each was."""
    out: Path = Path()
    """The run's folder."""

    def meet(self, path: Path) -> None:
        """Come to a place where something is written, and die if it is the one."""
        path = Path(path)
        if self.out not in path.parents:
            return
        part = path.relative_to(self.out).parts[0].strip(".").split(".")[0]
        self.passed[part] += 1
        if self.dies_at == (self.passed[self.within] if self.within else self.passed.total()):
            self.die()

    def die(self) -> None:
        """End as by SIGKILL, or as the power goes, or have the run stop."""
        if self.stops:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if self.power_cut:
            for path, length in self.unflushed.items():
                if path.exists():
                    os.truncate(path, length)
        os.kill(os.getpid(), signal.SIGKILL)

    def move(self, before: Path, after: Path) -> None:
        """Remember what was not flushed by its new name."""
        for path in list(self.unflushed):
            if path == before or before in path.parents:
                self.unflushed[after / path.relative_to(before)] = self.unflushed.pop(path)


def replace_everywhere(name: str, before: Any, after: Any) -> None:
    """Put a function in the place of another one, wherever it was imported."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is before:
            setattr(module, name, after)


def tempt(fate: Fate) -> None:
    """Put a place to die before and after each write, flush, rename and removal."""

    def around(owner: Any, name: str, path_of: Callable[..., Any], after: Callable[..., None]):
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            path = path_of(*arguments)
            if not isinstance(path, (str, Path)):
                return original(*arguments, **named)
            fate.meet(Path(path))
            given = original(*arguments, **named)
            after(Path(path), arguments[0])
            fate.meet(Path(path))
            return given

        replace_everywhere(name, original, wrapped)
        setattr(owner, name, wrapped)

    def nothing(path: Path, _: Any) -> None:
        pass

    def written(path: Path, _: Any) -> None:
        fate.unflushed.setdefault(path, 0)
        fate.meet(path)

    def flushed(path: Path, _: Any) -> None:
        fate.unflushed.pop(path, None)

    def moved(path: Path, before: Any) -> None:
        fate.move(Path(before), path)

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

    from PIL import Image

    replace_everywhere("append_line", json_files.append_line, append_in_halves)
    around(safetensors.torch, "save_file", lambda tensors, path, **_: path, written)
    around(Image.Image, "save", lambda image, path, *_: path, written)
    around(Path, "write_text", lambda path, *_: path, written)
    around(files, "flush", lambda path: path, flushed)
    around(os, "replace", lambda before, after: after, moved)
    around(Path, "rename", lambda before, after: after, moved)
    around(Path, "unlink", lambda path, **_: path, nothing)
    around(shutil, "copyfile", lambda source, target: target, written)
    around(shutil, "rmtree", lambda path, *_: path, nothing)


@dataclass(frozen=True)
class Training:
    """What is trained."""

    words: str
    """The arguments of the command line, but for the folder."""
    processes: int = 1
    early_steps: int = health.EARLY_STEPS
    collapsed_spread: float = health.COLLAPSED_SPREAD
    no_gradient: float = health.NO_GRADIENT
    recovery: float = health.RECOVERY
    pictures_every: int = 1
    """Steps between the pictures of the run that takes more of them."""
    fate: Fate | None = None
    """How its first process must end; None for any."""

    def enter(self, fate: Fate, arguments: list[str], rank: int, port: int) -> int:
        """Run the command line in this process, and return its exit code."""
        if self.processes > 1:
            names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.processes}
            names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in names.items()}
        # So that runs of a few steps are warned of, some of them at one step and some at another.
        health.EARLY_STEPS = self.early_steps
        health.COLLAPSED_SPREAD = self.collapsed_spread
        health.NO_GRADIENT = self.no_gradient
        health.RECOVERY = self.recovery
        tempt(fate)
        return command_line(arguments)


def run(
    training: Training,
    arguments: list[str],
    out: Path,
    fate: Fate | None = None,
    dies_after: float | None = None,
) -> tuple[int, Counter]:
    """Run the command line in processes of their own.

    Returns:
        Its exit code, -9 if a process died; and the places that it came to.
    """
    fate, log, places = fate or Fate(), out.with_suffix(".log"), out.with_suffix(".places")
    fate.out, port, children = out, free_port() if training.processes > 1 else 0, []
    places.unlink(missing_ok=True)
    for rank in range(training.processes):
        children.append(os.fork())
        if children[-1]:
            continue
        try:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                code = training.enter(Fate() if rank else fate, arguments, rank, port)
                if not rank:
                    with places.open("w") as file:
                        json.dump(fate.passed, file)
                sys.stderr.flush()
                os._exit(code)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(99)
    if dies_after is not None:
        time.sleep(dies_after)
        os.kill(random.choice(children), signal.SIGTERM if fate.stops else signal.SIGKILL)
    codes: dict[int, int] = {}
    while len(codes) < len(children):
        ended, status = os.wait()
        codes[ended] = os.waitstatus_to_exitcode(status)
        if codes[ended] < 0:  # the others would take a while to see it
            for other in set(children) - codes.keys():
                os.kill(other, signal.SIGKILL)
    code = min(codes.values()) if min(codes.values()) < 0 else codes[children[0]]
    return code, Counter(json.loads(places.read_text()) if places.exists() else {})


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def content(folder: Path) -> dict[str, Any]:
    """Return what a run left, by file, but for what it measured and what a report says of it."""
    found: dict[str, Any] = {}
    events: list[Path] = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name == ".lock" or path.name in (TIME_FILE, MACHINES_FILE):
            continue
        if path.name in ("metrics.jsonl", "scores.jsonl"):
            found[name] = unmeasured(path)
        elif ".tfevents." in name:
            events.append(path)
        else:
            found[name] = path.read_bytes().replace(str(folder.resolve()).encode(), b"RUN")
            if name == "report.html":
                found[name] = b""
    if events:
        found["tensorboard"] = event_content(sorted(events, key=lambda path: path.stat().st_mtime))
    return found


def unmeasured(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file without what was measured in them."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]


def event_content(paths: list[Path]) -> dict[tuple[int, str], list[float | str]]:
    """Return what TensorBoard shows of event files, in the order in which they were written."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: dict[tuple[int, str], list[float | str]] = {}
    for path in paths:
        for event in LegacyEventFileLoader(str(path)).Load():
            if event.HasField("session_log"):
                found = {key: values for key, values in found.items() if key[0] < event.step}
            for value in event.summary.value:
                if value.tag in MEASURED:
                    continue
                image = hashlib.sha256(value.image.encoded_image_string).hexdigest()
                shown = image if value.HasField("image") else value.simple_value
                found.setdefault((event.step, value.tag), []).append(shown)
    return found


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Name the files that differ, or that only one of them has."""
    return [name for name in sorted(ours | theirs) if ours.get(name) != theirs.get(name)]


def shared_difference(ours: dict[str, Any], control: dict[str, Any]) -> list[str]:
    """Name the files that differ from those of a run that took more pictures."""
    names = [name for name in ours if name.startswith("samples/") or name == "scores.jsonl"]
    for model in ("model", "best"):
        names += [f"{model}/{name}" for name in ("model.safetensors", "samples.png")]
    return [name for name in names if ours.get(name) != control.get(name)]


FIXED = (
    # A collapse that is seen in a picture which only a score needs.
    Training(
        "mlp --image-size=8 --set=arch.hidden=16,16,16,16,16 --batch-size=4 --device=cpu "
        "--checkpoint-every=499 --sample-every=100000 --eval-every=510 --set=train.eval_samples=40 "
        "--steps=530 --set=train.generator_lr=1e-12 --set=train.log_every=100",
        pictures_every=10,
        fate=Fate(1, within="best"),
    ),
    # A tracker receives such a picture.
    Training(
        f"{SMALL['mlp']} --batch-size=8 --device=cpu --checkpoint-every=7 --sample-every=1000 "
        "--eval-every=10 --set=train.eval_samples=40 --tracker=report --steps=20",
        fate=Fate(1, within="best"),
    ),
    # Such pictures are of weights that the run went back from.
    Training(
        f"{SMALL['mlp']} --loss=diverging --batch-size=8 --device=cpu --set=train.log_every=1 "
        "--steps=12 --checkpoint-every=5 --sample-every=1000 --eval-every=2 "
        "--set=train.eval_samples=40 --set=train.ema_half_life=0",
        fate=Fate(),
    ),
)
"""What was once found to differ, with a kill that showed it."""


def draw_words(rng: random.Random, work: Path) -> list[str]:
    """Draw the arguments of a training, which need not fit together."""
    name = rng.choice(["mlp", "mlp", *SMALL])
    words = SMALL[name].format(work=work).split()
    init, on_points = False, False
    if name == "mlp":
        init, on_points = rng.random() < 0.15, rng.random() < 0.2
    if init:
        words = [f"--init={work / 'model'}"]
    elif on_points:
        words = ["mlp", "--set=arch.hidden=16", f"--data={rng.choice(['ring', 'grid'])}"]
    elif name != "cyclegan":
        kind = rng.choice(["digits", "digits", "digits", "folder", "zip"])
        if kind != "digits":
            words.append(f"--data={work / ('domains' if kind == 'folder' else 'domains.zip')}")
        if name in ("mlp", "dcgan") and rng.random() < 0.3:
            words.append("--set=arch.conditional=true")
    loss = rng.choice([*LOSSES, *BREAKING, *BREAKING])
    words += [f"--loss={loss}", f"--seed={0 if loss in BREAKING else rng.randrange(1000)}"]
    augmentations = rng.sample(["color", "translation", "cutout"], rng.randint(0, 3))
    if augmentations and not on_points and rng.random() < 0.5:
        words.append(f"--set=train.augment={','.join(augmentations)}")
    trackers = ["report", "watch", *(["tensorboard"] if find_spec("tensorboard") else [])]
    for tracker in rng.sample(trackers, rng.choice([0, 0, 1, 2, len(trackers)])):
        words.append(f"--tracker={tracker}")
        if tracker == "report":
            words.append(f"--set=tracker.report.neighbours={rng.choice([0, 0, 2])}")
    return words


def draw_options(rng: random.Random, judged: bool) -> list[str]:
    """Draw how a training goes on, and when it does what."""
    options = {
        "n_critic": rng.choice([1, 1, 2]),
        "lr_decay": rng.choice(["none", "linear", "cosine"]),
        "ema_half_life": rng.choice([0.0, 32.0, 2000.0]),
        "optimizer": rng.choice(["adam", "adam", "rmsprop", "sgd"]),
        "log_every": rng.choice([1, 1, 2, 3, 5]),
        "checkpoint_every": rng.choice([1, 2, 3, 4, 5, 7]),
        "eval_every": rng.choice([0, 1, 2, 3, 4, 5, 7]) if judged else 0,
        "eval_samples": 40,
    }
    words = [f"--set=train.{name}={value}" for name, value in options.items()]
    pictures = f"--sample-every={rng.choice([1, 2, 3, 4, 5, 7, 100])}"
    return [*words, pictures, "--batch-size=8", "--device=cpu"]


def draw_training(rng: random.Random, work: Path) -> Training:
    """Draw a training whose parts fit together, and import what it needs for all processes."""
    while True:
        words = draw_words(rng, work)
        judged = not any(f"--data={work}" in word for word in words)  # or weights are downloaded
        words += draw_options(rng, judged)
        if fits(words):
            break
    return Training(
        " ".join([*words, f"--steps={rng.randint(8, 14)}"]),
        processes=2 if rng.random() < 0.1 else 1,
        early_steps=rng.choice([1, 3, 6, 500]),
        collapsed_spread=rng.choice([0.1, 0.5, 1.0, 2.0]),
        no_gradient=rng.choice([1e-6, 1.0]),
        recovery=rng.choice([1.0, health.RECOVERY]),
    )


def fits(words: list[str]) -> bool:
    """Do no step of a training, and tell whether it was begun."""
    said = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        code = command_line(["train", *words, "--steps=0", f"--out={folder}/run"])
    if code not in (0, 2):
        raise SystemExit(f"exit code {code} of {words}:\n{said.getvalue()}")
    return code == 0


def fates(
    rng: random.Random, seconds: float, places: Counter, inside: float
) -> Iterator[tuple[Fate, float | None]]:
    """Draw how each next process ends: the fate at a written place, or the seconds it has."""
    while True:
        stops = rng.random() < 0.15
        if rng.random() < inside:
            within = rng.choice([None, *places])
            most = places[within] if within else places.total()
            at = 1 + int(most * rng.random() ** 2)
            yield Fate(at, within, power_cut=rng.random() < 0.5, stops=stops), None
        else:
            yield Fate(stops=stops), rng.uniform(0, seconds)


def disturb(
    training: Training,
    out: Path,
    drawn: Iterator[tuple[Fate, float | None]],
    expected_code: int,
    counts: Counter,
) -> None:
    """Train a run with kills until it is done."""
    for attempt in range(KILLS_OF_A_RUN + 1):
        fate, seconds = next(drawn) if attempt < KILLS_OF_A_RUN else (Fate(), None)
        begun = (out / "config.json").exists()
        arguments = ["--resume", str(out)] if begun else [*training.words.split(), f"--out={out}"]
        code, _ = run(training, ["train", *arguments], out, fate, seconds)
        if code == expected_code:
            return
        if code not in (-signal.SIGKILL, -signal.SIGTERM, *STOPPED):
            said = out.with_suffix(".log").read_text()[-2000:]
            raise SystemExit(f"exit code {code} of {arguments}:\n{said}")
        counts["kills" if code < 0 else "stops"] += 1
        counts["at places"] += seconds is None and code < 0
        counts["power cuts"] += fate.power_cut and code < 0
    raise SystemExit(f"{out} never ended")


def compare(
    training: Training, work: Path, rng: random.Random, inside: float, runs: int, counts: Counter
) -> None:
    """Train a training undisturbed, and some times disturbed; print which files differ."""
    counts["trainings"] += 1
    counts["of two processes"] += training.processes > 1
    train = ["train", *training.words.split()]
    whole, control, began = work / "whole" / "run", work / "control" / "run", time.monotonic()
    for out in (whole, control):
        out.parent.mkdir(parents=True)
    code, places = run(training, [*train, f"--out={whole}"], whole)
    seconds = time.monotonic() - began
    if code not in (0, 1) or (code == 1) != ("--loss=hopeless" in train):
        raise SystemExit(f"exit code {code} of {train}:\n{whole.with_suffix('.log').read_text()}")
    pictures = f"--sample-every={training.pictures_every}"
    often = [pictures if "--sample-every" in word else word for word in train]
    if run(training, [*often, f"--out={control}"], control)[0] != code:
        raise SystemExit(f"another exit code of {often}")
    expected = content(whole)
    report(pictures, train, shared_difference(expected, content(control)), counts)
    for number in range(runs):
        drawn = fates(rng, seconds, places, inside)
        if training.fate and not number:
            drawn = itertools.chain([(training.fate, None)], drawn)
        out = work / str(number) / "run"
        out.parent.mkdir()
        disturb(training, out, drawn, code, counts)
        counts["runs"] += 1
        report("killed", train, difference(expected, content(out)), counts)
        shutil.rmtree(out.parent)


def report(what: str, words: list[str], differing: list[str], counts: Counter) -> None:
    """Print and count the files that differ, if any do."""
    if differing:
        counts["differ"] += 1
        print(f"{what}: {' '.join(words)}\n  {', '.join(differing)}", flush=True)


def prepare(work: Path) -> None:
    """Write what the trainings need: images of two kinds, losses that diverge, a model."""
    from PIL import Image

    for name in WRITERS:
        import_module(name)
    rng = random.Random(0)
    with zipfile.ZipFile(work / "domains.zip", "w") as archive:
        for name, i in itertools.product(("a", "b"), range(6)):
            path = work / "domains" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = tuple(rng.randrange(256) for _ in range(3))
            Image.new("RGB", (24, 24), colour).save(path)
            archive.write(path, f"{name}/{i}.png")
    info = work / "site" / "ganzoo_breaking-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ganzoo-breaking\nVersion: 1.0\n")
    points = [f"{name} = ganzoo_breaking:{name.capitalize()}" for name in BREAKING]
    (info / "entry_points.txt").write_text("\n".join(["[ganzoo.losses]", *points, ""]))
    (work / "site" / "ganzoo_breaking.py").write_text(DIVERGING)
    sys.path.insert(0, str(work / "site"))
    small = f"{SMALL['mlp']} --batch-size=8 --device=cpu --steps=3"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        command_line(["train", *small.split(), f"--out={work / 'model'}"])


def main(arguments: list[str] | None = None) -> None:
    """Kill until there were enough, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="At least so many.")
    parser.add_argument("--runs", type=int, default=0, help="At least so many that are killed.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inside", type=float, default=0.6, help="Share of kills at writes.")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    random.seed(options.seed)
    counts, began = Counter(differ=0), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        os.environ["GANZOO_CACHE"] = str(work / "cache")
        prepare(work)
        for number in itertools.count():
            rng = random.Random(f"{options.seed}/{number}")
            if number < len(FIXED):
                training, runs = FIXED[number], 1
            elif counts["kills"] < options.kills or counts["runs"] < options.runs:
                training, runs = draw_training(rng, work), RUNS_OF_A_TRAINING
            else:
                break
            compare(training, work / str(number), rng, options.inside, runs, counts)
            shutil.rmtree(work / str(number))
    shown = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    print(f"{shown}; {time.monotonic() - began:.0f} s, seed {options.seed}")
    raise SystemExit(bool(counts["differ"]))


if __name__ == "__main__":
    main()
