"""Models and hubs of an enemy by the thousand, drawn at random: see ``hostile.py``.

Three kinds take turns. ``paths`` puts paths and URLs among a model's options, and sees whether a
command opens, makes or asks for any of them. ``names`` puts control characters into what files call
things, and sees whether a command prints one. ``endless`` has a hub send without end, or too
slowly, and sees how much of it is taken.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "alice/digits"
MARK = "SPOOF"
GREEDY = 100_000_000
"""Bytes that nobody should take of a body without end."""
OPENING = ("open", "os.listdir", "os.scandir", "os.mkdir", "shutil.copyfile")
ASKING = ("socket.connect", "socket.getaddrinfo", "urllib.Request")
BREAKS = (
    *("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"),
    *("\x1b[2J\n", "\x1b]0;", "\u202e", "\u2066", "\x07", "\0", "\x9b", "\x08\x08", "\u200f"),
)
READS = (
    *(("GET", "/manifest.json"), ("GET", "/config.json"), ("GET", "^/storage/")),
    *(("GET", "discriminator"), ("*", "/resolve/")),
)
WRITES = (
    *(("POST", "/repos/create"), ("GET", "^/api/models/alice/digits"), ("GET", "/refs$")),
    *(("GET", "README.md"), ("POST", "/validate-yaml"), ("POST", "/preupload/")),
    *(("POST", "/objects/batch"), ("PUT", "^/storage/"), ("POST", "/commit/"), ("POST", "/tag/")),
)
RESTORED = (
    "import ganzoo.models.hub as hub, ganzoo.models.hub_limits as limits\n"
    "hub.PAUSES, limits.PATIENCE = (0.0, 0.0), 0.2"
)


@dataclass
class Bench:
    """What the cases share: a good model, bait, and a hub with its client."""

    root: Path
    stack: ExitStack
    events: list[str] = field(default_factory=list)
    """What was opened of the bait, and who was asked."""
    hub: Any = None
    client: Any = None
    other: dict[str, bytes] = field(default_factory=dict)

    @property
    def model(self) -> Path:
        """The folder of a good model, which lies in no run."""
        return self.root / "good"

    @property
    def bait(self) -> Path:
        """A folder of images that no model may have read."""
        return self.root / "bait"

    def prepare(self) -> None:
        """Train a model and judge it, lay the bait, and listen."""
        from PIL import Image

        import ganzoo
        from ganzoo.models.folder import write_manifest
        from ganzoo.runs.scores import write_scores

        tiny = {"steps": 0, "batch_size": 4, "device": "cpu"}
        settings = {"arch.hidden": [4], "arch.conditional": True, "data.image_size": 8}
        run = ganzoo.train(
            "mlp", "hinge", "digits", out=self.root / "run", settings=settings, **tiny
        )
        rows = ganzoo.evaluate(run, ["modes"], samples=20, real_samples=20)
        shutil.copytree(run.model, self.model)
        write_scores(self.model, rows)
        write_manifest(self.model)
        for place in (self.bait, self.root / "case" / "photos"):
            place.mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (8, 8), (i, i, i)).save(place / f"{i}.png")
        shutil.make_archive(str(self.bait), "zip", self.bait)
        sys.addaudithook(self.note)

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """Keep an event that has to do with the bait, or with the network."""
        if event in ASKING:
            self.events.append(f"{event} {args!r}"[:200])
        elif event in OPENING and args and isinstance(args[0], (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(args[0]))
            lures = (
                self.bait,
                self.bait.with_suffix(".zip"),
                self.root / "case" / "photos",
                self.root / "lure",
            )
            if any(path == str(lure) or path.startswith(f"{lure}{os.sep}") for lure in lures):
                self.events.append(f"{event} {path}"[:200])

    def connect(self) -> None:
        """Start the hub and its client when they are first needed."""
        if self.hub is None:
            from hub import FakeHub

            self.hub = self.stack.enter_context(FakeHub())
            self.client = self.stack.enter_context(self.hub.client())
            self.client.call(RESTORED)
            self.other = {path.name: path.read_bytes() for path in self.model.iterdir()}
            self.other["config.json"] = self.other["config.json"] + b"\n"

    def run(self, arguments: list[str]) -> tuple[int, str, str]:
        """Run the command line in this process."""
        from ganzoo.cli import main

        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
        return code, out.getvalue(), err.getvalue()


def sealed(model: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a model's configuration, and make its manifest right."""
    from ganzoo.models.folder import write_manifest

    tree = json.loads((model / "config.json").read_text())
    change(tree)
    (model / "config.json").write_text(json.dumps(tree))
    write_manifest(model)


def said_well(code: int, err: str) -> Iterator[str]:
    """Yield what is wrong with an exit code and an error."""
    lines = [line for line in err.splitlines() if line]
    errors = [i for i, line in enumerate(lines) if line.startswith("Error: ")]
    if "Traceback" in err or "this is a bug" in err:
        yield "a fault of ganzoo"
    if code not in (0, 1, 2):
        yield f"exit code {code}"
    if code and (len(errors) != 1 or len(lines) - errors[0] > 2):
        yield "an error is not one or two lines"


# Paths


def draw_place(rng: random.Random, bench: Bench) -> Any:
    """Draw a path or a URL, or something with one in it."""
    bait, lure = bench.bait, bench.root / "lure" / str(rng.randrange(9))
    place = rng.choice(
        [
            *(
                str(bait),
                f"{bait}.zip",
                f"{bait}/",
                str(bait / "0.png"),
                f"{bait}/../bait",
                f"//{bait}",
            ),
            *(str(lure), f"{lure}/deep/er", "~/bait", "~/lure", "../bait", "photos", "./photos"),
            *(f"file://{bait}", "https://example.invalid/a.zip", "C:\\bait", "\\\\host\\bait"),
        ]
    )
    return rng.choice([place] * 6 + [[place], [place, place], {"path": place}])


def try_paths(rng: random.Random, bench: Bench, model: Path) -> tuple[str, list[str]]:
    """Give a model paths among its options, and use it."""
    from ganzoo import registry
    from ganzoo.component import place_options

    kinds = {"data": registry.DATASET, "loss": registry.LOSS, "architecture": registry.ARCHITECTURE}
    names = sorted({entry.name for entry in registry.entries(registry.DATASET)})
    name = rng.choice([*names, *("folder", "zip", "domains") * 3])

    def spoil(tree: dict[str, Any]) -> None:
        if rng.random() < 0.9:
            tree["data"] |= {"name": name, "options": {}}
        for part, kind in kinds.items():
            if part != "data" and rng.random() < 0.9:
                continue
            component = registry.get(kind, tree[part]["name"])
            for option in component.model_fields:
                if rng.random() < (0.9 if option in place_options(component) else 0.05):
                    tree[part]["options"][option] = draw_place(rng, bench)
        if rng.random() < 0.3:
            options = {"folder": str(bench.bait)}
            tree["trackers"] = [{**tree["data"], "name": "tensorboard", "options": options}]

    sealed(model, spoil)
    command = rng.choice(
        [
            *(["eval", str(model), "--metric", "modes"], ["eval", str(model)]) * 2,
            ["train", "--init", str(model), "--dry-run"],
            ["train", "--init", str(model), "--steps", "0", "--device", "cpu", "--out", "next"],
            *(["sample", str(model), "--out", "a.png"], ["show", str(model)]),
            *(["compare", str(model)], ["publish", str(model), NAME, "--dry-run"]),
        ]
    )
    code, _, err = bench.run(command)
    wrong = [*said_well(code, err), *bench.events]
    if code == 1:
        wrong.append("exit code 1")
    data = json.loads((model / "config.json").read_text())["data"]
    return f"{' '.join(command)}\n  data {json.dumps(data)}\n  {err}", wrong


# Names


def draw_name(rng: random.Random) -> str:
    """Draw a name with control characters, behind which a mark begins a line."""
    return (
        rng.choice(["", "a", "a" * 300]) + rng.choice(BREAKS) + MARK + rng.choice(["", "\n", "b"])
    )


NAMES: dict[str, Callable[[dict[str, Any], str], object]] = {
    "class": lambda tree, text: tree["spec"].update(class_names=[text, *map(str, range(9))]),
    "classes": lambda tree, text: tree["spec"].update(
        class_names=[f"{text}{i}" for i in range(10)]
    ),
    "features": lambda tree, text: tree["spec"].update(features=text[:200]),
    "data": lambda tree, text: tree["data"].update(name=text),
    "data option": lambda tree, text: tree["data"]["options"].update({"image_size": text}),
    "data option's name": lambda tree, text: tree["data"]["options"].update({text: 1}),
    "architecture": lambda tree, text: tree["architecture"].update(name=text),
    "architecture option": lambda tree, text: tree["architecture"]["options"].update(hidden=text),
    "loss": lambda tree, text: tree["loss"].update(name=text, package="acme"),
    "package": lambda tree, text: tree["data"].update(package=text),
    "init": lambda tree, text: tree.update(
        init={
            **{"name": text, "revision": text, "step": 1},
            **{"generator_sha256": text, "discriminator_sha256": text},
        }
    ),
    "device": lambda tree, text: tree["train"].update(device=text),
    "metric": lambda tree, text: tree["train"].update(eval_metric=[text]),
    "version": lambda tree, text: tree["versions"].update({text: text}),
    "fingerprint": lambda tree, text: tree.update(data_fingerprint=text),
}
SCORES = ("metric", "note", "data.name", "data.split", "features.name", "versions.torch")


def change_scores(model: Path, key: str, text: str) -> None:
    """Change a text in a model's scores."""
    path = model / "scores.json"
    rows = json.loads(path.read_text())
    for row in rows if isinstance(rows, list) else rows["scores"]:
        *way, last = key.split(".")
        for part in way:
            row = row[part]
        row[last] = text
    path.write_text(json.dumps(rows))


def try_names(rng: random.Random, bench: Bench, model: Path) -> tuple[str, list[str]]:
    """Give parts of a model such a name, and see what commands print."""
    text = draw_name(rng)
    where = rng.choice([*NAMES, *SCORES, "card", "file"])
    if where in SCORES:
        change_scores(model, where, text)
    elif where == "card":
        card = (model / "README.md").read_text()
        front = f"---\nlicense: {json.dumps(text)}\ntags: [{json.dumps(text)}]\n---\n"
        (model / "README.md").write_text(front + card.partition("---\n")[2].partition("---\n")[2])
    sealed(model, lambda tree: NAMES[where](tree, text) if where in NAMES else None)
    if where == "file":
        path = model / "manifest.json"
        listed = json.loads(path.read_text())
        path.write_text(json.dumps({**listed, text: listed["config.json"]}))
    label = rng.choice(["nothing of the kind", "12", "a", text.replace("\0", "")])
    command = rng.choice(
        [
            *(["show", str(model)], ["sample", str(model), "--label", label, "--out", "a.png"]),
            *(["sample", str(model), "-n", "10", "--out", "drawn"], ["compare", str(model)]),
            *(["eval", str(model), "--metric", "modes", "--samples", "20"],),
            ["train", "--init", str(model), "--steps", "0", "--device", "cpu", "--out", "next"],
            *(["show", str(model), "--json"], ["compare", str(model), "--json"]),
            ["publish", str(model), NAME, "--dry-run"],
            *(["eval", str(model), "--metric", "nothing"], ["sample", str(model), "--source", "."]),
        ]
    )
    code, out, err = bench.run(command)
    wrong = list(said_well(code, err))
    for stream, printed in (("out", out), ("err", err)):
        odd = {letter for letter in printed if not letter.isprintable() and letter != "\n"}
        if odd:
            wrong.append(f"standard {stream} has {odd}")
        if any(line.lstrip().startswith(MARK) for line in printed.splitlines()):
            wrong.append(f"a name begins a line of standard {stream}")
    wrong += [f"made {path!r}" for path in Path().rglob("*") if not path.name.isprintable()]
    return f"{where} {text!r}: {' '.join(map(repr, command))}\n  {err}", wrong


# Bodies


def try_endless(rng: random.Random, bench: Bench, model: Path) -> tuple[str, list[str]]:
    """Let a hub send without end, in the place of any answer."""
    from hub_routes import ENDLESS

    bench.connect()
    hub, client = bench.hub, bench.client
    hub.reset()
    client.empty_cache()
    reading = rng.random() < 0.6
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    hub.repo(NAME, files if reading else {**bench.other, "notes.txt": b"by hand"})
    how, status = rng.choice(ENDLESS), rng.choice([200, 200, 200, 206, 302, 403, 404, 500])
    method, path = rng.choice(READS if reading else WRITES)
    fault = hub.endless(method, path, how, status=status, times=rng.choice([1, 2, None]))
    command = ["publish", str(model), NAME, "--revision", "v1"]
    if reading:
        command = rng.choice([["show", NAME], ["sample", NAME, "--out", "a.png"]])
    if reading and rng.random() < 0.2:
        command = ["publish", NAME, "alice/copy"]
    result = client.run(*command)
    wrong = list(said_well(result.code, result.err))
    taken, patient = hub.poured, max(1, fault.hits)
    if taken > patient * GREEDY:
        wrong.append(f"{taken:,} bytes were taken")
    kept = [each for each in client.home.rglob("*") if each.is_file()]
    if large := [each for each in kept if each.stat().st_size > 1 << 20]:
        wrong.append(f"{large} are left")
    if left := [each for each in kept if each.suffix == ".incomplete"]:
        wrong.append(f"{left} are left")
    hub.faults.clear()
    if reading and client.run("show", NAME).code:
        wrong.append("the model cannot be loaded afterwards")
    done = f"{how} {status} at {method} {path}, {fault.hits} times, {taken:,} bytes"
    return f"{done}: {' '.join(command)}\n  {result.err}", wrong


KINDS = {"paths": try_paths, "names": try_names, "endless": try_endless}


def run_case(bench: Bench, seed: int, number: int, kinds: list[str]) -> dict[str, Any]:
    """Run one case in a folder of its own, and return what it did and what is wrong."""
    rng, kind = random.Random(f"{seed} {number}"), kinds[number % len(kinds)]
    place = bench.root / "case" / "model"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(bench.model, place)
    before = {path.name for path in (bench.root / "case").iterdir()}
    began, done = time.monotonic(), "?"
    bench.events.clear()
    with chdir(bench.root / "case"):
        try:
            done, wrong = KINDS[kind](rng, bench, place)
        except Exception:
            wrong = [traceback.format_exc()]
    if (bench.root / "lure").exists():
        wrong.append("a folder was made")
        shutil.rmtree(bench.root / "lure")
    for path in (bench.root / "case").iterdir():
        if path.name not in before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    seconds = time.monotonic() - began
    if seconds > 30:
        wrong.append(f"it took {seconds:.0f} s")
    return {"case": number, "kind": kind, "done": done, "wrong": wrong}


def run_cases(numbers: range, seed: int, kinds: list[str]) -> Iterator[dict[str, Any]]:
    """Run cases, one after the other."""
    with tempfile.TemporaryDirectory(prefix="ganzoo-hostile-") as folder, ExitStack() as stack:
        root = Path(folder).resolve()
        os.environ.update(
            HOME=str(root),
            GANZOO_CACHE=str(root / "cache"),
            HF_HUB_OFFLINE="1",
            NO_COLOR="1",
            OMP_NUM_THREADS="1",
        )
        bench = Bench(root, stack)
        bench.prepare()
        for number in numbers:
            yield run_case(bench, seed, number, kinds)


def main(about: str) -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one alone, and show it")
    parser.add_argument("--kind", choices=KINDS, action="append", help="repeatable; all by default")
    options = parser.parse_args()
    numbers = range(options.cases)
    if options.case is not None:
        numbers = range(options.case, options.case + 1)
    kinds, rows, began = options.kind or list(KINDS), [], time.monotonic()
    for row in run_cases(numbers, options.seed, kinds):
        rows.append(row)
        if row["wrong"] or options.case is not None:
            print(f"case {row['case']} ({row['kind']}): {'; '.join(row['wrong'])}")
            print(f"  {row['done']}", flush=True)
    failed = [row["case"] for row in rows if row["wrong"]]
    counts = Counter(row["kind"] for row in rows)
    seconds = time.monotonic() - began
    print(f"{len(rows)} cases of seed {options.seed} in {seconds:.0f} s; {len(failed)} failed")
    print("kinds: " + ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())))
    return 1 if failed else 0
