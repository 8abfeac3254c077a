"""Trainings of test_families.py, killed, stopped and gone on with, in processes of their own.

Run ``python families_cases.py FOLDER`` with the package of the families on the path. It writes what
differs from trainings that nothing disturbed to ``found.json`` in the folder.
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

COMMON = (
    "--recipe=paper --image-size=16 --batch-size=8 --device=cpu --steps=10 --set=train.log_every=3 "
    "--checkpoint-every=4 --sample-every=100"
)
TRAININGS = {
    "several": "tiny-stylegan2 --penalty=lazy-r1 --penalty=tiny-path-length --penalty=tiny-lecam "
    "--penalty=tiny-zcr --set=penalty.lazy-r1.interval=3 --set=penalty.tiny-path-length.decay=0.3 "
    "--set=penalty.tiny-lecam.decay=0.5 --set=penalty.tiny-lecam.weight=3 "
    "--set=train.augment=tiny-ada --set=augment.tiny-ada.speed=40",
    "progan": "tiny-progan --loss=hinge --set=train.n_critic=2 --set=arch.phase_images=32",
    "acgan": "tiny-acgan --penalty=tiny-classes --set=train.precision=bf16",
}
"""Trainings, by name."""
TWO = ("several", "progan", "acgan")
"""Those that are done by two processes as well."""
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
    training = Training(f"{TRAININGS[name]} {COMMON}")
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
    training = Training(f"{TRAININGS[name]} {COMMON}", processes=2)
    whole = train(training, folder / f"{name}-two")
    fates = Fate(**HALF_A_LINE), Fate(2, within="metrics", stops=True)
    often = train(training, folder / f"{name}-two-disturbed", *fates, often=True)
    return {"disturbed": crash.difference(shared(whole), shared(often))}


def start(folder):
    """Start from the model of a run with penalties, and the other way around."""
    small = "--recipe=paper --batch-size=8 --device=cpu --steps=2"
    plain = f"tiny-stylegan2 --image-size=16 --loss=hinge {small} {OFTEN}"
    words = TRAININGS["several"].split()
    added = " ".join(word for word in words if word.startswith("--pen") or "aug" in word)
    commands = {
        "plain": plain,
        "to-several": f"--init={folder / 'plain'} {added} {small}",
        "from-several": f"--init={folder / 'to-several'} --loss=hinge {small}",
    }
    with contextlib.redirect_stdout(sys.stderr):
        return {
            name: crash.command_line(["train", *words.split(), f"--out={folder / name}"])
            for name, words in commands.items()
        }


def main(folder):
    os.fsync = lambda handle: None  # no power is cut here, and a disk may be slow
    os.environ["GANZOO_CACHE"] = str(folder / "cache")
    for name in crash.WRITERS:
        import_module(name)
    found = {"init": start(folder)}  # first, as it imports what the others then need not
    found |= {name: disturb(name, folder) for name in TRAININGS}
    found |= {f"{name}-two": disturb_two(name, folder) for name in TWO}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]).resolve())
