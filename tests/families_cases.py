"""Trainings of the great families, killed, stopped and gone on with, in processes of their own.

Run ``python families_cases.py FOLDER``. It writes what differs from trainings that nothing
disturbed to ``found.json`` in the folder.
"""

import contextlib
import json
import os
import sys
from importlib import import_module
from pathlib import Path

import torch

import crash
from crash import Fate, Training
from great_families import FAMILIES

SMALL = "--recipe=paper --batch-size=8 --device=cpu"
COMMON = f"{SMALL} --steps=10 --set=train.log_every=3 --checkpoint-every=4 --sample-every=100"
TRAININGS = {name: f"{name} {family.words} {COMMON}" for name, family in FAMILIES.items()}
"""Trainings, by the name of their family."""
WEIGHTS = ("model/model.safetensors", "model/discriminator.safetensors")
OFTEN = "--sample-every=1 --eval-every=5 --set=train.eval_samples=40"
"""Pictures after each step, and scores."""
HALF_A_LINE = {"dies_at": 5, "within": "metrics"}
"""The second line of metrics is half written, behind the first checkpoint and between two lines."""


def train(training, out, *fates, often=False):
    """Train a run, whose processes end by fates, and return what it left."""
    out.parent.mkdir(parents=True, exist_ok=True)
    words = ["train", *training.words.split(), *(OFTEN if often else "").split(), f"--out={out}"]
    for fate in (*fates, Fate()):
        code, _ = crash.run(training, words, out, fate)
        expected = crash.STOPPED if fate.stops else (-9,) if fate.dies_at else (0,)
        if code not in expected:
            raise SystemExit(f"exit code {code} of {words}:\n{out.with_suffix('.log').read_text()}")
        words = ["train", "--resume", str(out)]
    return crash.content(out)


def shared(content):
    """Return what does not depend on pictures and scores: the state at the end, and metrics."""
    lines = [line for line in content["metrics.jsonl"] if "warning" not in line]
    ends = ("checkpoints/00000010/", "model/model.saf", "model/discriminator.saf")
    return {"metrics": lines, **{k: v for k, v in content.items() if k.startswith(ends)}}


def disturb(name, folder):
    """Train as it is, killed, and with pictures and scores, by one process; return differences."""
    training = Training(TRAININGS[name])
    whole = train(training, folder / name)
    killed = train(training, folder / f"{name}-killed", Fate(**HALF_A_LINE))
    often = train(training, folder / f"{name}-often", often=True)
    return {
        "killed": crash.difference(whole, killed),
        "often": crash.difference(shared(whole), shared(often)),
        "files": sorted({path.split("/")[-1] for path in shared(whole)}),
        "metrics": shared(whole)["metrics"],
    }


def disturb_two(name, folder):
    """Train by two processes as it is, and killed, stopped and with pictures; compare."""
    training = Training(TRAININGS[name], processes=2)
    whole = train(training, folder / f"{name}-two")
    fates = Fate(**HALF_A_LINE), Fate(2, within="metrics", stops=True)
    often = train(training, folder / f"{name}-two-disturbed", *fates, often=True)
    return crash.difference(shared(whole), shared(often))


def start(name, folder):
    """Start from the model of a family as it is, with another loss, and at another size."""
    given = {
        "same": "--steps=0",
        "other-loss": "--steps=2 --loss=lsgan --set=train.penalty= --set=train.augment=",
        "other-size": "--steps=2 --image-size=32",
    }
    found = {}
    for start, words in given.items():
        out = folder / f"{name}-{start}"
        words = ["train", f"--init={folder / name}", *SMALL.split(), *words.split(), f"--out={out}"]
        code, _ = crash.run(Training(""), words, out)
        found[start] = code, out.with_suffix(".log").read_text()
    kept = [(folder / name / path, folder / f"{name}-same" / path) for path in WEIGHTS]
    found["kept"] = all(ours.read_bytes() == theirs.read_bytes() for ours, theirs in kept)
    return found


def warm_up(folder):
    """Import what the trainings would each import, by a short one."""
    words = f"{TRAININGS['acgan']} {OFTEN} --steps=2 --eval-every=2 --out={folder / 'first'}"
    with contextlib.redirect_stdout(sys.stderr):
        code = crash.command_line(["train", *words.split()])
    assert not code


def main(folder):
    os.fsync = lambda handle: None  # no power is cut here, and a disk may be slow
    os.environ["GANZOO_CACHE"] = str(folder / "cache")
    for name in crash.WRITERS:
        import_module(name)
    warm_up(folder)
    found = {}
    for name in TRAININGS:
        found[name] = {
            **disturb(name, folder),
            "two": disturb_two(name, folder),
            "init": start(name, folder),
        }
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]).resolve())
