"""Break real files by the thousand and see that ganzoo's command line stays calm.

``python tests/fuzz.py --cases 5000 --seed 0`` trains tiny models, damages copies of their folders,
of images and of zips, and gives each to a command. Some run on a disk that fails: files on bad
blocks, half lines at the ends of logs, no room. A case fails if an exception or a Python warning
gets through, if the exit code is none of those allowed, if an error is longer than two lines, if a
command takes too long or too much memory, or if anything outside of the case's own folder changes.
``--case N`` runs one of them again and shows what it did.
"""

from __future__ import annotations

import argparse
import copy
import errno
import faulthandler
import hashlib
import io
import itertools
import json
import os
import pickle
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    redirect_stderr,
    redirect_stdout,
)
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from bad_disk import full_disk, unreadable

WORK_FAILED = re.compile(r"Error: .*(diverged|not finite)")
"""What exit code 1 may say: that the work itself failed."""
STOPPED = re.compile(r"^stopped after step \d+ of \d+, state saved", re.M)
"""What exit code 130 must say: asked for years of training, it was stopped, and saved its state."""
PATIENCE = 10
"""Seconds after which training is asked to stop."""
SIDE = 16
RUNS = ("mlp", "dcgan", "sngan", "cyclegan", "ring")

Random = random.Random
Change = Callable[[Random, Path], str]

# The real files


def make_artefacts(root: Path) -> None:
    """Write images, a zip of them, and a run of each of three kinds."""
    import ganzoo

    images(root / "photos")
    shutil.make_archive(str(root / "photos"), "zip", root / "photos")
    tiny = {"batch_size": 4, "log_every": 1, "checkpoint_every": 1, "device": "cpu", "steps": 2}
    small = {"arch.z_dim": 4, "data.image_size": SIDE}
    narrow = {"arch.base_channels": 2}
    points = {"arch.z_dim": 4, "arch.hidden": (6,), "data.samples": 200, "loss.unrolled_steps": 1}
    for name, architecture, loss, data, settings in (
        ("mlp", "mlp", "hinge", root / "photos", {**small, "arch.hidden": (6,)}),
        ("dcgan", "dcgan", "wgan-gp", root / "photos.zip", {**small, **narrow}),
        ("sngan", "sngan", "hinge", root / "photos.zip", {**small, **narrow}),
        ("cyclegan", "cyclegan", "lsgan", root / "photos", {**narrow, "data.image_size": 24}),
        ("ring", "mlp", "unrolled", "ring", points),
    ):
        if name == "cyclegan":
            settings = {**settings, "arch.blocks": 0, "arch.pool_size": 2}
        out = root / f"run-{name}"
        ganzoo.train(architecture, loss, str(data), out=out, settings=settings, **tiny)


def images(folder: Path) -> None:
    """Write small images of several formats and modes into two folders."""
    from PIL import Image

    noise = Random(0).randbytes(4 * SIDE * SIDE)
    kinds = {
        "a.png": "RGB",
        "b.jpg": "RGB",
        "c.gif": "P",
        "d.bmp": "RGB",
        "e.webp": "RGBA",
        "f.tif": "I;16",
        "g.png": "LA",
        "h.jpg": "CMYK",
        "i.png": "1",
        "j.tiff": "RGB",
    }
    for (name, mode), kind in itertools.product(kinds.items(), ("cats", "dogs")):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        if mode == "P":
            image = Image.frombytes("RGB", (SIDE, SIDE), noise[: 3 * SIDE * SIDE]).quantize(16)
        else:
            size = len(Image.new(mode, (SIDE, SIDE)).tobytes())
            image = Image.frombytes(mode, (SIDE, SIDE), noise[:size])
        image.save(folder / kind / name)


# What is done to them


def flipped(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 40)) if data else 0):
        # Most of what a format means stands at its beginning.
        near = rng.randrange(min(len(changed), 200))
        changed[rng.choice((near, rng.randrange(len(changed))))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncated(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def inserted(rng: Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 7, 300))) + data[place:]


def cut_out(rng: Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 64) :]


def repeated(rng: Random, data: bytes) -> bytes:
    return data * rng.choice((2, 3))


def garbage(rng: Random, data: bytes) -> bytes:
    return rng.randbytes(rng.choice((0, 1, len(data), 5000)))


def large_numbers(rng: Random, data: bytes) -> bytes:
    """Put numbers where a format may keep a length."""
    changed = bytearray(data)
    for _ in range(3):
        number = rng.choice((0, 1, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1))
        place = rng.randrange(max(1, min(len(changed), 120)))
        changed[place : place + 4] = struct.pack(rng.choice("<>") + "I", number)
    return bytes(changed)


BYTES = (flipped, flipped, truncated, inserted, cut_out, repeated, garbage, large_numbers)


def bytes_changed(rng: Random, path: Path) -> str:
    change = rng.choice(BYTES)
    path.write_bytes(change(rng, path.read_bytes()))
    return change.__name__


class Canary:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)


def replaced(rng: Random, path: Path) -> str:
    """Put something else in a file's place, or nothing."""
    others = [p for p in path.parent.iterdir() if p.is_file() and p != path]
    kind = rng.choice(("gone", "folder", "loop", "pipe", "device", "pickle", "swapped", "renamed"))
    data = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Canary(str(Path.cwd().parent / "sung"))))
    elif kind == "swapped" and others:
        other = rng.choice(others)
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
    elif kind == "renamed":
        path.with_name(rng.choice(NAMES)).write_bytes(data)
    return kind


NAMES = (
    "00000003",
    "9" * 20,
    "٣",
    "²",
    "new\nline.png",
    "x" * 200,
    "\x1b[31m.png",
    "-1",
    "a b.jpg",
)
VALUES: tuple[object, ...] = (
    *(-1, 0, 1, 2, 3, 7, 1000, 4097, 65_537, 10**7, 2**31, 2**63, 10**12, 10**30, -(10**30)),
    *(0.0, -0.5, 0.5, 1e-300, 1e38, 1e300, True, False, None),
    *("", "x", "1", "nan", "../..", "/etc", "a\0b", "\x1b[2J", "new\nline", "~nobody", "9" * 400),
    *([], [1], [[]], {}, {"a": 1}, [1, 2, 3], [0, 0, 0], [10**9, 10**9], [3, 10**6, 10**6]),
    *("mlp", "dcgan", "cyclegan", "r3gan", "ring", "folder", "zip", "mnist", "unrolled", "ganzoo"),
)
TEXTS = ("NaN", "1e999", "-Infinity", "[" * 2000, '{"a":1,"a":2}', '"\\ud800"', "9" * 5000, "tru")


def places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Yield where every value within a JSON value stands."""
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, part in value.items() if isinstance(value, dict) else ():
        yield from places(part, (*path, key))


def json_changed(rng: Random, path: Path) -> str:
    """Change one or two values of a JSON file and keep it JSON, or nearly."""
    tree = json.loads(path.read_text())
    for _ in range(rng.choice((1, 1, 1, 2))):
        *way, last = rng.choice([place for place in places(tree) if place])
        holder = tree
        for key in way:
            holder = holder[key]
        how = rng.choice(("value", "value", "value", "value", "text", "gone", "added", "deeper"))
        if how == "value":
            holder[last] = copy.deepcopy(rng.choice(VALUES))
        elif how == "text":
            path.write_text(
                json.dumps(tree).replace(json.dumps(holder[last]), rng.choice(TEXTS), 1)
            )
            return "json text"
        elif how == "gone":
            del holder[last]
        elif how == "added" and isinstance(holder, dict):
            holder[rng.choice(("extra", "../x", "a\nb", "__class__"))] = copy.deepcopy(
                rng.choice(VALUES)
            )
        else:
            holder[last] = [holder[last]]
        if not [place for place in places(tree) if place]:
            break
    path.write_text(json.dumps(tree))
    return "json"


DTYPES = ("F16", "BF16", "F64", "I32", "U8", "BOOL", "F8_E4M3", "F4", "C64", "I64", "X", 3)


def tensors_changed(rng: Random, path: Path) -> str:
    """Change a safetensors file: its header, or the tensors themselves."""
    import torch
    from safetensors.torch import load, save

    data = path.read_bytes()
    how = rng.choice(("header", "header", "nan", "cast", "name", "shape", "more"))
    if how == "header":
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        entry = header[rng.choice([name for name in header if name != "__metadata__"])]
        key = rng.choice(("dtype", "shape", "data_offsets"))
        number = rng.choice((0, 1, -1, 2**31, 2**62, 2**64 - 1, 10**30, 0.5, None))
        entry[key] = rng.choice(DTYPES) if key == "dtype" else rng.choice(([number], [0, number]))
        text = json.dumps(header).encode()
        size = rng.choice((len(text), len(text), len(text), 2**63, 0, len(text) + 9))
        path.write_bytes(struct.pack("<Q", size) + text + data[8 + length :])
        return "tensors header"
    tensors = load(data)
    name = rng.choice(sorted(tensors))
    value = tensors.pop(name)
    if how == "nan":
        value = value.float().flatten().index_fill(0, torch.tensor([0]), float("nan"))
        value = value.view(tensors.get(name, value).shape)
    elif how == "cast":
        value = value.to(rng.choice((torch.float16, torch.float64, torch.int32, torch.bool)))
    elif how == "shape":
        value = value.flatten()
    elif how == "more":
        tensors[rng.choice(("extra", "a\nb", "\x1b[2J", ""))] = value.clone()
    tensors["renamed" if how == "name" else name] = value
    path.write_bytes(save(tensors))
    return f"tensors {how}"


def is_whole(path: Path) -> bool:
    """Tell whether a file is still what its name says, after what was done to it."""
    from safetensors.torch import load

    try:
        if path.suffix == ".json":
            return len(list(places(json.loads(path.read_bytes())))) > 1
        load(path.read_bytes())
    except Exception:
        return False
    return True


def file_changed(rng: Random, path: Path) -> str:
    """Change a file by what suits its kind."""
    suits: list[Change] = [bytes_changed, bytes_changed, replaced]
    whole = path.suffix in (".json", ".safetensors") and is_whole(path)
    if whole and path.suffix == ".json":
        suits += [json_changed] * 8
    if whole and path.suffix == ".safetensors":
        suits += [tensors_changed] * 3
    return f"{path.name}: {rng.choice(suits)(rng, path)}"


def manifest_made_good(folder: Path) -> None:
    """Write the manifest of a checkpoint or a model anew, so that damage is not seen at once."""
    records = {
        path.name: {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in folder.iterdir()
        if path.name != "manifest.json" and path.is_file() and path.resolve().is_relative_to(folder)
    }
    manifest = folder / "manifest.json"
    if manifest.is_file() or not manifest.exists():
        manifest.unlink(missing_ok=True)
        manifest.write_text(json.dumps(records))


def hostile_zip(rng: Random, path: Path) -> str:
    """Write a zip with names that lead elsewhere, or with much in little."""
    image = (path.parent / "photos" / "cats" / "a.png").read_bytes()
    names = [
        "../evil.png",
        "/tmp/evil.png",
        "a/../../evil.png",
        "C:\\evil.png",
        "a\nb.png",
        "a.png",
    ]
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in rng.sample(names, 4):
            archive.writestr(name, image)
        if rng.random() < 0.3:
            archive.writestr("bomb.png", bytes(30_000_000))
        if rng.random() < 0.3:
            archive.writestr("link.png", "/etc/passwd")
    if rng.random() < 0.5:
        # The size that the list at the end says is that of much less.
        data = bytearray(path.read_bytes())
        at = data.rindex(b"PK\x01\x02")
        data[at + 24 : at + 28] = struct.pack("<I", rng.choice((0, 10, 2**31, 2**32 - 1)))
        path.write_bytes(data)
    return "hostile zip"


# What is asked of the command line


@dataclass
class Case:
    """A command, and what was done before it."""

    command: list[str]
    done: str
    disk: AbstractContextManager = field(default_factory=nullcontext)
    """What is wrong with the disk while the command runs."""
    may_fail: re.Pattern = WORK_FAILED
    """What exit code 1 may say."""
    judge: Callable[[int, str], list[str]] = lambda code, err: []
    """Says what else is wrong with how the command ended."""


LITTLE = ["--steps", "1", "--batch-size", "4", "--device", "cpu"]


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def damaged_run(rng: Random, root: Path) -> Case:
    name = rng.choice(RUNS)
    run = Path(shutil.copytree(root / f"run-{name}", "run"))
    done = []
    for _ in range(rng.choice((1, 1, 2))):
        inner = rng.choice(("config", "config", "checkpoints", "checkpoints", "model", ""))
        found = [run / "config.json"] if inner == "config" else files_in(run / inner)
        if found := [path for path in found if path.is_file()]:
            done.append(file_changed(rng, rng.choice(found)))
    if rng.random() < 0.6:
        for folder in (run / "model", *(run / "checkpoints").iterdir()):
            if folder.is_dir():
                manifest_made_good(folder.absolute())
    resume = ["train", "--resume", "run", "--device", "cpu"]
    steps = rng.choice(([], ["--steps", "3"], ["--steps", "3"]))
    others = (["report", "run"], ["report", "run", "--json"], *model_commands("run", name, root))
    command = rng.choice(([*resume, *steps], [*resume, *steps], *others))
    return Case(command, "; ".join(done))


def damaged_model(rng: Random, root: Path) -> Case:
    name = rng.choice(RUNS)
    folder = Path(shutil.copytree(root / f"run-{name}" / "model", "model"))
    names = ("config.json", "config.json", "model.safetensors", "discriminator.safetensors")
    if rng.random() < 0.8:
        done = file_changed(rng, folder / rng.choice(names))
        if rng.random() < 0.8:
            manifest_made_good(folder.absolute())
    else:
        done = file_changed(rng, folder / "manifest.json")
    return Case(rng.choice(model_commands("model", name, root)), done)


def model_commands(path: str, name: str, root: Path) -> list[list[str]]:
    judge = ["--metric", "modes"] if name == "ring" else ["--features", "digits-cnn"]
    metric = [] if name == "ring" else ["--metric", "fid"]
    given = ["--source", str(root / "photos"), "--label", "dogs"] if name == "cyclegan" else []
    return [
        ["sample", path, "-n", "3", "--device", "cpu", "--out", "samples.png", *given],
        ["sample", path, "-n", "2", "--device", "cpu", "--out", "single", *given],
        ["show", path],
        ["show", path, "--json"],
        ["eval", path, *metric, *judge, "--samples", "4", "--device", "cpu"],
    ]


def damaged_images(rng: Random, root: Path) -> Case:
    folder = Path(shutil.copytree(root / "photos", "photos"))
    found = files_in(folder)
    if rng.random() < 0.5:  # one alone, so that it is an error if it cannot be read
        kept = rng.choice(found)
        for path in found:
            if path != kept:
                path.unlink()
        found = [kept]
    done = [file_changed(rng, path) for path in rng.sample(found, min(len(found), 3))]
    size = rng.choice(([], ["--image-size", "8"], ["--image-size", "8"]))
    return Case(training("photos", "--out", "run", *size), "; ".join(done))


def training(data: str, *more: str) -> list[str]:
    small = ["--set", "arch.hidden=4", "--set", "arch.z_dim=2"]
    return ["train", "mlp", "--data", data, *small, *LITTLE, *more]


def damaged_zip(rng: Random, root: Path) -> Case:
    shutil.copytree(root / "photos", "photos")
    path = Path(shutil.copy(root / "photos.zip", "photos.zip"))
    done = rng.choice((hostile_zip, bytes_changed, bytes_changed, central_changed))(rng, path)
    shutil.rmtree("photos")
    return Case(training("photos.zip", "--out", "run", "--image-size", "8"), done)


def central_changed(rng: Random, path: Path) -> str:
    """Damage the list at a zip's end, which says what is in it."""
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")
    change = rng.choice((flipped, inserted, cut_out, large_numbers))
    path.write_bytes(data[:start] + change(rng, data[start:]))
    return f"list {change.__name__}"


def damaged_extractor(rng: Random, root: Path) -> Case:
    path = Path(shutil.copy(root / "digits_cnn.safetensors", "weights.safetensors"))
    done = file_changed(rng, path)
    judge = ["eval", "--floor", "--data", str(root / "photos"), "--set", "data.image_size=16"]
    weights = ["--features", "digits-cnn", "--features-weights", str(path), "--device", "cpu"]
    return Case([*judge, "--metric", "fid", *weights], done)


def odd_options(rng: Random, root: Path) -> Case:
    keys = ("arch.hidden", "arch.z_dim", "train.betas", "train.batch_size", "train.seed", "arch")
    keys += ("train.generator_lr", "data.std", "data.samples", "data.count", "x.y", "train.device")
    more = []
    for key in rng.sample(keys, 2):
        value = copy.deepcopy(rng.choice(VALUES))
        text = value if isinstance(value, str) else json.dumps(value)
        more += ["--set", f"{key}={text}".replace("\0", "")]
    base = ["train", "mlp", "--data", "ring", "--out", "run", "--steps", "1", "--device", "cpu"]
    return Case([*base, "--set", "data.samples=100", *more][: rng.choice((99, 99, 10))], "options")


# A disk that fails


def commands(rng: Random, root: Path) -> tuple[list[str], str]:
    """Copy a run, and return a command that reads and writes in it, with the run's name."""
    name = rng.choice(RUNS)
    shutil.copytree(root / f"run-{name}", "run")
    resume = ["train", "--resume", "run", "--device", "cpu", "--steps", "3"]
    others = (["report", "run"], *model_commands("run", name, root))
    return rng.choice((resume, resume, *others)), name


def bad_blocks(rng: Random, root: Path) -> Case:
    """Let reads of some files of a run, of images or of a cache fail."""
    disk, place = ExitStack(), rng.choice(("run", "run", "run", "photos", "cache"))
    if place == "run":
        command, _ = commands(rng, root)
        place += rng.choice(("/checkpoints", "/checkpoints", "/model", ""))
    elif place == "photos":
        shutil.copytree(root / "photos", "photos")
        command = training("photos", "--out", "new", "--image-size", "8")
    else:
        shutil.copytree(root / "filled", "cache")
        disk.enter_context(cached(Path("cache").absolute()))
        command = training(str(root / "photos"), "--out", "new", "--image-size", "8")
    found = files_in(Path(place))
    bad = rng.sample(found, min(len(found), rng.choice((1, 1, 2, 5))))
    kept = {path: path.stat().st_size for path in files_in(Path("run"))}

    def judge(code: int, err: str) -> list[str]:
        # A newer checkpoint may take the place of older ones.
        gone = [str(path) for path in kept if not path.exists() and "0000000" not in str(path)]
        wrong = [f"{gone[0]} is gone"] if gone else []
        named = any(str(path.parent) in err or path.name in err for path in bad)
        is_why = code and os.strerror(errno.EIO) in err
        return [*wrong, "no file is named"] if is_why and not named else wrong

    said = re.compile(f"Error: .*({os.strerror(errno.EIO)}|diverged|not finite)")
    disk.enter_context(unreadable(*bad))
    return Case(command, f"unreadable: {', '.join(map(str, bad))}", disk, said, judge)


@contextmanager
def cached(folder: Path) -> Iterator[None]:
    """Cache even a few images, in a folder."""
    from ganzoo_zoo.data import reading

    with patch.dict(os.environ, GANZOO_CACHE=str(folder)), patch.object(reading, "KEPT_IMAGES", 0):
        yield


def half_lines(rng: Random, root: Path) -> Case:
    """Leave half a line at the end of a run's logs, as a killed process does."""
    command, _ = commands(rng, root)
    logs = [
        *Path("run").rglob("*.jsonl"),
        Path("run/scores.jsonl"),
        Path("run/report/logits.jsonl"),
    ]
    done = []
    for log in rng.sample(logs, 2):
        data = log.read_bytes() if log.exists() else b""
        row = rng.choice((data.splitlines() or [b""])[-1:]) or b'{"step": 1, "metric": "is"}'
        half = rng.choice((row[: rng.randrange(len(row) + 1)], row, b"\xff" * 9, b"[" * 9999))
        log.parent.mkdir(exist_ok=True)
        log.write_bytes(data + half)
        done.append(f"{log}: {len(half)} bytes")
    before = {log: len(log.read_bytes().splitlines()) for log in set(logs) if log.exists()}

    def judge(code: int, err: str) -> list[str]:
        wrong = []
        for log in filter(Path.exists, {*before, *Path("run").rglob("*.jsonl")}):
            lines = log.read_bytes().splitlines()
            new = lines[before.get(log, 0) :]
            if any(not is_row(line) for line in new):
                wrong.append(f"{log}: a new line is damaged")
            if command[0] == "eval" and code == 0 and log.name == "scores.jsonl" and not new:
                wrong.append("a score is lost")
            if "--resume" in command and log.name == "metrics.jsonl" and code == 0:
                steps = [json.loads(line)["step"] for line in lines if is_row(line)]
                if len(steps) < len(lines) or set(steps) != {1, 2, 3}:
                    wrong.append(f"{log} is not whole")
        return wrong

    return Case(command, "; ".join(done), judge=judge)


def is_row(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def no_room(rng: Random, root: Path) -> Case:
    """Fill the disk before or while a command writes."""
    command, name = commands(rng, root)
    if rng.random() < 0.1:
        command = ["export", "run", "--out", "run.pt2"]
    elif rng.random() < 0.3 and name != "ring":
        command = training(str(root / "photos"), "--out", "new", "--image-size", "8")
    left = rng.choice((0, rng.randrange(2000), rng.randrange(100_000)))

    def judge(code: int, err: str) -> list[str]:
        full = os.strerror(errno.ENOSPC) in err
        named = re.search(rf"Error: .*\w+\.\w+: {os.strerror(errno.ENOSPC)}", err)
        return ["no file is named"] if code == 1 and full and not named else []

    said = re.compile(f"Error: .*({os.strerror(errno.ENOSPC)}|diverged|not finite)")
    return Case(command, f"{left} bytes of room", full_disk(Path.cwd(), left), said, judge)


KINDS = {
    "run": (damaged_run, 4),
    "model": (damaged_model, 3),
    "images": (damaged_images, 3),
    "zip": (damaged_zip, 2),
    "extractor": (damaged_extractor, 1),
    "options": (odd_options, 1),
    "blocks": (bad_blocks, 2),
    "lines": (half_lines, 2),
    "room": (no_room, 2),
}

# One case


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Say what lies around a case's folder: every name, its size and when it was written."""
    found = {}
    for parent, folders, names in os.walk(root):
        if Path(parent) == root:
            folders.remove("case")
        for name in (*folders, *names):
            state = os.lstat(os.path.join(parent, name))
            found[os.path.join(parent, name)] = (state.st_size, state.st_mtime_ns)
    return found


def run_case(root: Path, seed: int, number: int, limits: argparse.Namespace) -> dict[str, object]:
    """Prepare a case, run its command in this process, and judge it."""
    rng = Random(f"{seed}-{number}")
    kinds = [kind for kind, (_, weight) in KINDS.items() for _ in range(weight)]
    kind = rng.choice(kinds)
    os.chdir(root)
    shutil.rmtree(root / "case", ignore_errors=True)
    (root / "case").mkdir()
    os.chdir(root / "case")
    case = KINDS[kind][0](rng, root)
    before, peak = snapshot(root), peak_memory()
    began = time.monotonic()
    with case.disk:
        code, err = called(case.command, limits.seconds)
    wrong = [
        *complaints(code, err, case.may_fail),
        *case.judge(code, err),
        *(["it took too long"] if time.monotonic() - began > limits.seconds else []),
        *(["something outside was touched"] if snapshot(root) != before else []),
    ]
    grown = peak_memory() - limits.baseline
    if grown > limits.memory * 2**30 and peak_memory() > peak:
        wrong.append(f"memory grew by {grown / 2**30:.2f} GiB")
    return {
        "case": number,
        "kind": kind,
        "code": code,
        "peak": peak_memory(),
        "wrong": wrong,
        "command": " ".join(case.command),
        "done": case.done,
        "err": err[-3000:],
    }


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def called(command: list[str], seconds: float) -> tuple[int, str]:
    """Run the command line in this process; training that goes on is asked to stop."""
    from ganzoo.cli import main

    err = io.StringIO()
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    faulthandler.dump_traceback_later(seconds * 2, exit=True)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(err):
            code = main(command)
    except BaseException:
        code = -1
        err.write(traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
    return code, err.getvalue()


def complaints(code: int, err: str, may_fail: re.Pattern) -> list[str]:
    """Say what is wrong with how a command ended."""
    wrong = []
    if code == 1 and not may_fail.search(err):
        wrong.append("exit code 1 for bad input")
    elif code == 130 and not STOPPED.search(err):
        wrong.append("it hangs")
    elif code not in (0, 1, 2, 130):
        wrong.append(f"exit code {code}")
    if "Traceback" in err or "Warning: " in err:
        wrong.append("a traceback or a Python warning")
    lines = err.splitlines()
    errors = [i for i, line in enumerate(lines) if line.startswith("Error: ")]
    if code in (1, 2) and (len(errors) != 1 or len(lines) - errors[0] > 2):
        wrong.append("an error is not one or two lines")
    return wrong


# Many of them


def work(options: argparse.Namespace) -> None:
    """Run cases in this process, a line of JSON each, before and after."""
    from ganzoo.cli import main

    root = Path(options.root)
    os.environ.update(
        HOME=str(root / "home"),
        GANZOO_CACHE=str(root / "cache"),
        TORCH_HOME=str(root / "torch"),
        GANZOO_MEMORY=str(options.memory / 2),
        NO_COLOR="1",
    )
    if not (root / "photos").exists():
        prepared(root)
    # What every command imports and warms up is no growth, and takes its time once.
    with (
        tempfile.TemporaryDirectory() as folder,
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        main([*training(str(root / "photos")), "--out", f"{folder}/run"])
        main(
            ["report", f"{folder}/run"]
        )  # Matplotlib lists the machine's fonts in a file of its own
        main(["show", str(root / "run-dcgan")])
    options.baseline = peak_memory()
    for number in range(options.first, options.last):
        print(json.dumps({"begin": number}), flush=True)
        print(json.dumps(run_case(root, options.seed, number, options)), flush=True)


def prepared(root: Path) -> None:
    from ganzoo_zoo.metrics.classifiers import DigitsCNN

    make_artefacts(root)
    shutil.copy(DigitsCNN.file, root / "digits_cnn.safetensors")
    for name in ("home", "cache", "torch", "case"):
        (root / name).mkdir()
    with cached(root / "filled"), redirect_stdout(io.StringIO()):
        from ganzoo.cli import main

        main(training(str(root / "photos"), "--out", str(root / "seen"), "--image-size", "8"))
    shutil.rmtree(root / "seen")


def worker(root: Path, options: argparse.Namespace, first: int, last: int) -> Iterator[dict]:
    """Run cases in a process of their own; what ends it is the fault of the case it was at."""
    command = [sys.executable, __file__, "--root", str(root), "--seed", str(options.seed)]
    command += ["--memory", str(options.memory), "--seconds", str(options.seconds)]
    command += ["--first", str(first), "--last", str(last)]
    with (
        open(root / "worker.log", "w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        at = None
        for line in process.stdout:
            row = json.loads(line)
            at = row.get("begin")
            if at is None:
                yield row
        if process.wait() != 0:
            log.seek(0)
            said = log.read()[-3000:]
            yield {"case": at, "kind": "?", "code": None, "peak": 0, "err": said} | {
                "wrong": [f"the process ended with {process.returncode}"],
                "command": "?",
                "done": "?",
            }


def cases(root: Path, options: argparse.Namespace) -> Iterator[dict]:
    """Run all cases, in processes that are renewed now and then."""
    number, last = options.first, options.last
    while number < last:
        until = min(last, number + options.renew)
        rows = list(worker(root, options, number, until))
        yield from rows
        ended = [row["case"] for row in rows if row["case"] is not None]
        number = until if not ended or rows[-1]["code"] is not None else ended[-1] + 1
        if not ended:
            return


def told(row: dict) -> None:
    print(f"case {row['case']} ({row['kind']}): {'; '.join(row['wrong'])}")
    print(f"  {row['done']}\n  ganzoo {row['command']}\n  exit code {row['code']}")
    print("".join(f"  | {line}\n" for line in row["err"].splitlines()[-12:]), end="", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one alone, and show it")
    parser.add_argument("--memory", type=float, default=1.5, help="GiB that a case may add")
    parser.add_argument("--seconds", type=float, default=20, help="seconds that a case may take")
    parser.add_argument("--renew", type=int, default=500, help="cases in one process")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--last", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.root:
        work(options)
        return 0
    if options.case is not None:
        options.first, options.cases = options.case, 1
    options.last = options.first + options.cases
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ganzoo-fuzz-") as folder:
        root = Path(folder).resolve()
        rows = []
        for row in cases(root, options):
            rows.append(row)
            if row["wrong"] or options.case is not None:
                told(row)
    return summary(rows, options, time.monotonic() - began)


def summary(rows: list[dict], options: argparse.Namespace, seconds: float) -> int:
    """Print what was run and what came out, and return the exit status."""
    failed = [row["case"] for row in rows if row["wrong"]]
    kinds = Counter(row["kind"] for row in rows)
    codes = Counter(str(row["code"]) for row in rows)
    peak = max((row["peak"] for row in rows), default=0)
    print(f"{len(rows)} cases of seed {options.seed} in {seconds:.0f} s; {len(failed)} failed")
    print("kinds: " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())))
    print("exit codes: " + ", ".join(f"{code}: {count}" for code, count in sorted(codes.items())))
    print(f"peak memory: {peak / 2**20:.0f} MiB; a case may add {options.memory} GiB")
    for number in failed[:20]:
        print(f"again: python tests/fuzz.py --seed {options.seed} --case {number}")
    return 1 if failed or len(rows) < options.cases else 0


if __name__ == "__main__":
    sys.exit(main())
