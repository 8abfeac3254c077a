"""All figures of docs/understand/performance.md, from one command.

    python tests/benchmarks/speed.py --out speed.json

runs each part in processes of its own, one after another, and prints the tables in Markdown; about
half an hour on 2 cores that have nothing else to do. ``--show speed.json`` prints them again,
``--into docs/understand/performance.md`` puts them where they belong, ``--only`` runs some parts,
and ``--quick`` shows that all of it works, in numbers that say little.
With ``--device cuda`` it compares the trainer with the plain loop on a GPU instead, in fp32, with
TF32 and in half precision, step by step and compiled. What fails is said, and the rest goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import inception
import reference
import sampling
import startup
from measuring import in_words, table

HERE = Path(__file__).parent
KEPT_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "2147483647",
    "MALLOC_TOP_PAD_": "268435456",
}
"""Has the C library of Linux keep the memory of large tensors in place of asking for it anew."""
LONGEST = 900
"""Seconds after which a process is given up."""


@dataclass(frozen=True)
class Part:
    """A script with its options, in one process or several."""

    name: str
    script: str
    options: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    processes: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    prints: str = "json"
    """``json``, or ``text`` that is shown as it is."""

    @property
    def kind(self) -> str:
        """What its figures are of, by which parts are chosen and shown."""
        return self.name.partition(" ")[0]

    def command(self, quick: bool) -> list[str]:
        """Return what is run."""
        arms = ["--arms", *self.arms] if self.arms else []
        less = QUICK.get(self.kind, ()) if quick else ()
        return [sys.executable, str(HERE / self.script), *self.options, *less, *arms]


def trained(name: str, size: int, arms: str, *more: str, processes: int = 2) -> Part:
    """Return a part that trains in turns with the plain loop."""
    options = (name, f"--image-size={size}", "--json", *more)
    named = f"training {name} {size}"
    return Part(named, "reference.py", options, tuple(arms.split()), processes)


def kept(part: Part) -> Part:
    """Return the same part, with memory that is kept."""
    name = part.name.replace(part.kind, "memory", 1)
    return replace(part, name=name, environment=KEPT_MEMORY)


ALL_ARMS = "ganzoo train reuse bf16 floor"
DCGAN = trained("dcgan", 32, ALL_ARMS, "--steps=4", "--rounds=12")
RESIDUAL = tuple(
    trained(name, 32, ALL_ARMS, "--steps=1", "--rounds=6", processes=1)
    for name in ("resnet", "sngan-resnet")
)
PARTS = (
    trained("mlp", 32, ALL_ARMS, "--steps=50", "--rounds=12"),
    DCGAN,
    trained("dcgan", 64, ALL_ARMS, "--steps=1", "--rounds=6"),
    trained("sngan", 32, ALL_ARMS, "--steps=1", "--rounds=6"),
    *RESIDUAL,
    trained("acgan", 32, ALL_ARMS, "--base-channels=32", "--steps=2", "--rounds=6", processes=1),
    trained("infogan", 32, ALL_ARMS, "--base-channels=32", "--steps=2", "--rounds=6", processes=1),
    trained("r3gan", 32, ALL_ARMS, "--steps=2", "--rounds=6"),
    trained("progan", 32, ALL_ARMS, "--set=arch.channel_max=64", "--steps=2", "--rounds=6"),
    trained("sagan", 32, ALL_ARMS, "--base-channels=16", "--steps=1", "--rounds=6", processes=1),
    trained("biggan", 32, ALL_ARMS, "--base-channels=16", "--steps=1", "--rounds=6", processes=1),
    trained("fastgan", 32, ALL_ARMS, "--base-channels=16", "--steps=1", "--rounds=6", processes=1),
    trained("cyclegan", 32, ALL_ARMS, "--steps=2", "--rounds=6"),
    trained("pix2pix", 32, ALL_ARMS, "--base-channels=32", "--steps=1", "--rounds=6", processes=1),
    trained("srgan", 32, ALL_ARMS, "--batch-size=16", "--steps=2", "--rounds=6", processes=1),
    trained("esrgan", 32, ALL_ARMS, "--batch-size=16", "--set=arch.blocks=3", "--rounds=6"),
    # A turn has 16 steps, as the penalty of the discriminator comes in each 16th.
    trained("stylegan2", 32, ALL_ARMS, "--batch-size=16", "--rounds=4", processes=1),
    *map(kept, (DCGAN, RESIDUAL[0])),
    Part("sampling dcgan", "sampling.py", ("dcgan", "--json", "--samples=2048", "--rounds=9")),
    *(
        Part(f"sampling {name}", "sampling.py", (name, "--json", "--samples=256", "--rounds=5"))
        for name in ("resnet", "sngan-resnet")
    ),
    Part("inception", "inception.py", ("--json", "--samples=128", "--images=32", "--fid-rounds=2")),
    Part("evaluation", "evaluation.py", ("--json", "--samples=512", "--metric=fid")),
    Part("startup", "startup.py", ("--json",)),
    Part("load", "load.py", ("--pairs=9",), prints="text"),
)
QUICK = {
    **dict.fromkeys(
        ("training", "memory", "device"), ("--rounds=1", "--steps=1", "--batch-size=4")
    ),
    "sampling": ("--rounds=1", "--samples=64"),
    "inception": ("--rounds=1", "--fid-rounds=1", "--samples=8", "--images=8"),
    "evaluation": ("--samples=16",),
    "startup": ("--pairs=2", "--slow-pairs=1"),
    "load": ("--pairs=2",),
}
"""Options by the kind of a part, for figures that say little."""


ON_GPU = (
    ("fp32", "ganzoo train compile graphs floor"),
    ("tf32", "ganzoo train bf16 fp16 compile compile-bf16 graphs graphs-bf16 floor"),
)
"""Whether convolutions of fp32 may be in TF32, of all arms alike, and the arms."""


def on_device(device: str) -> tuple[Part, ...]:
    """Return the parts that are run on a GPU."""
    there = f"--device={device}"
    found = []
    for name, size, (words, arms) in itertools.product(("dcgan", "resnet"), (32, 64), ON_GPU):
        more = ("--tf32",) if words == "tf32" else ()
        part = trained(name, size, arms, "--steps=20", "--rounds=7", there, *more, processes=1)
        found.append(replace(part, name=f"device {name} {size} {words}"))
    drawn = Part("sampling dcgan", "sampling.py", ("dcgan", "--json", "--samples=16384", there))
    return (*found, drawn, Part("inception", "inception.py", ("--json", there)))


def main(arguments: list[str] | None = None) -> None:
    """Run all parts, or some, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Where all numbers go, as they come.")
    parser.add_argument("--show", type=Path, help="Run nothing; print the tables of such a file.")
    parser.add_argument("--into", type=Path, help="A text whose tables are replaced.")
    parser.add_argument("--only", nargs="+", default=[], help="Names of parts, or of their kinds.")
    parser.add_argument("--list", action="store_true", help="Run nothing; print the names.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    if options.show:
        tell(json.loads(options.show.read_text()), options.into)
        return
    parts = chosen(PARTS if options.device == "cpu" else on_device(options.device), options.only)
    if options.list:
        print("\n".join(part.name for part in parts))
        return
    tell(run_all(parts, options.quick, options.out), options.into)


def tell(found: dict[str, Any], into: Path | None) -> None:
    """Print the tables, and put them into a text if one is given."""
    print(shown(found))
    if into is not None:
        into.write_text(put_into(into.read_text(), blocks(found)))


def chosen(parts: Iterable[Part], names: Iterable[str]) -> list[Part]:
    """Return the parts of some names or kinds; all if there are none."""
    wanted = set(names)
    known = {name for part in parts for name in (part.name, part.kind)}
    if unknown := wanted - known:
        raise SystemExit(f"there is no part '{min(unknown)}'; see --list")
    return [part for part in parts if not wanted or wanted & {part.name, part.kind}]


def run_all(parts: Iterable[Part], quick: bool, out: Path | None) -> dict[str, Any]:
    """Run parts one after another, and keep what is there after each."""
    found: dict[str, Any] = {"quick": quick, "seconds": {}, "failed": {}, "parts": {}}
    for part in parts:
        print(f"{time.strftime('%H:%M:%S')} {part.name}", file=sys.stderr, flush=True)
        began = time.perf_counter()
        try:
            found["parts"][part.name] = run(part, quick)
        except (subprocess.SubprocessError, ValueError) as error:
            found["failed"][part.name] = _last_line(error)
        found["seconds"][part.name] = round(time.perf_counter() - began, 1)
        if out is not None:
            out.write_text(json.dumps(found, indent=1))
    return found


def run(part: Part, quick: bool = False) -> Any:
    """Run a part and return what it printed, of several processes together.

    Raises:
        subprocess.SubprocessError: it failed, or takes too long.
        ValueError: it printed something else.
    """
    printed = [
        subprocess.run(
            part.command(quick),
            check=True,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            env={**os.environ, **part.environment},
        ).stdout
        for _ in range(1 if quick else part.processes)
    ]
    if part.prints == "text":
        return printed[0]
    results = [json.loads(text) for text in printed]
    return reference.report(results) if part.script == "reference.py" else results[0]


def _last_line(error: Exception) -> str:
    printed = getattr(error, "stderr", None)
    lines = (printed if isinstance(printed, str) else str(error)).strip().splitlines()
    return lines[-1] if lines else str(error)


# What is said of it -----------------------------------------------------------------------------


def shown(found: dict[str, Any]) -> str:
    """Return all tables in Markdown."""
    pieces = list(blocks(found).values())
    if found["quick"]:
        pieces.insert(0, "A quick run: these figures say little.")
    pieces += [f"Not measured: {name} ({why})." for name, why in found["failed"].items()]
    return "\n\n".join(pieces)


def blocks(found: dict[str, Any]) -> dict[str, str]:
    """Return what is shown of each kind, and of the machine, in Markdown."""
    of_kind: dict[str, list[Any]] = {}
    for name, result in found["parts"].items():
        of_kind.setdefault(name.partition(" ")[0], []).append(result)
    took = f"It took {sum(found['seconds'].values()) / 60:.0f} minutes."
    made = {"machine": f"{_machine(of_kind)} {took}".strip()}
    return made | {
        kind: "\n\n".join(piece for piece in show(of_kind[kind]) if piece)
        for kind, show in SHOWN.items()
        if kind in of_kind
    }


def put_into(text: str, made: dict[str, str]) -> str:
    """Replace what a text has between the comments of each kind; other kinds stay as they are."""
    for kind, block in made.items():
        begin, end = f"<!-- figures: {kind} -->", f"<!-- /figures: {kind} -->"
        before, found, rest = text.partition(begin)
        if found:
            text = f"{before}{begin}\n{block}\n{end}{rest.partition(end)[2]}"
    return text


def _machine(of_kind: dict[str, list[Any]]) -> str:
    machines = [
        result["machine"]
        for results in of_kind.values()
        for result in results
        if isinstance(result, dict) and "machine" in result
    ]
    if not machines:
        return ""
    it = machines[0]
    of_device = "" if it["device"] == "cpu" else f"{it['device_name']}; "
    return (
        f"{of_device}{it['processor']}, {it['cores']} cores, {it['threads']} threads; torch "
        f"{it['torch']}, Python {it['python']}, {it['system']}."
    )


def _training(results: list[dict[str, Any]]) -> list[str]:
    return [_beside_plain(results), _over_the_floor(results), _about(results)]


def _beside_plain(results: list[dict[str, Any]]) -> str:
    rows = []
    for found in results:
        arms = found["results"]
        rows.append(
            [
                _named(found),
                f"{arms['reference']['ms']['median']:.3g}",
                f"{arms['ganzoo']['ms']['median']:.3g}",
                *(
                    in_words(arms[arm]["times_as_fast"]) if arm in arms else ""
                    for arm in ("ganzoo", "reuse", "bf16")
                ),
                f"{arms['ganzoo']['gflop']:.3g}",
                f"{arms['ganzoo']['share_of_rate']['median']:.0%}",
                f"{arms['bf16']['share_of_rate']['median']:.0%}" if "bf16" in arms else "",
            ]
        )
    header = [
        "trained",
        "plain, ms",
        "ganzoo, ms",
        "times as fast",
        "with reuse_fakes",
        "with bf16",
    ]
    return table([*header, "GFLOP", "share of the rate", "bf16, share"], rows)


def _over_the_floor(results: list[dict[str, Any]]) -> str:
    rows = []
    for found in results:
        arms = found["results"]
        if "floor" not in arms or "train" not in arms:
            continue
        rows.append(
            [
                _named(found),
                f"{arms['floor']['ms']['median']:.3g}",
                in_words(arms["ganzoo"]["times_the_floor"], ".3f"),
                in_words(arms["train"]["times_the_floor"], ".3f"),
                in_words(arms["train"]["ms_over_the_floor"]),
            ]
        )
    header = ["trained", "floor, ms", "step, times the floor", "with metrics", "ms over the floor"]
    return table(header, rows) if rows else ""


def _memory(results: list[dict[str, Any]]) -> list[str]:
    words = "The same, with the environment " + " ".join(
        f"`{name}={value}`" for name, value in KEPT_MEMORY.items()
    )
    return [f"{words}:", _beside_plain(results), _about(results)]


def _device(results: list[dict[str, Any]]) -> list[str]:
    arms = [arm for arm in reference.ARMS if any(arm in each["results"] for each in results)]
    rows = []
    for found in results:
        of_arm = found["results"]
        rows.append(
            [
                f"{_named(found)}{', TF32' if found['tf32'] else ''}",
                f"{of_arm['reference']['ms']['median']:.3g}",
                *(
                    f"{of_arm[arm]['times_as_fast']['median']:.2f}, "
                    f"{of_arm[arm]['share_of_rate']['median']:.0%}"
                    if arm in of_arm
                    else ""
                    for arm in arms
                ),
            ]
        )
    header = ["trained", "plain, ms", *(f"{arm}: times as fast, share" for arm in arms)]
    return [table(header, rows), _about(results)]


def _named(found: dict[str, Any]) -> str:
    return f"{found['architecture']}, {found['image_size']}"


def _about(results: list[dict[str, Any]]) -> str:
    """Say what the rounds were like."""
    others = max(found["cores_of_others"]["max"] for found in results)
    dropped = sum(found["dropped_rounds"] for found in results)
    unquiet = sum(found["unquiet_rounds"] for found in results)
    kinds = {kind for found in results for kind in found["conv_gflops_per_second"]}
    rates = " and ".join(
        f"{min(each):.0f} to {max(each):.0f} in {kind}"
        for kind in sorted(kinds, reverse=True)
        if (
            each := [
                found["conv_gflops_per_second"][kind]["median"]
                for found in results
                if kind in found["conv_gflops_per_second"]
            ]
        )
    )
    return (
        f"Others had {others:.2f} cores at most; {dropped} rounds were repeated for it, and "
        f"{unquiet} count all the same. The rate is that of a 3 x 3 convolution in the same round: "
        f"{rates} GFLOP/s."
    )


def _sampling(results: list[dict[str, Any]]) -> list[str]:
    return [table(sampling.HEADER, map(sampling.row, results))]


def _inception(results: list[dict[str, Any]]) -> list[str]:
    (found,) = results
    return [inception.show(found)]


def _evaluation(results: list[dict[str, Any]]) -> list[str]:
    (found,) = results
    (each,) = found["passes"]
    return [
        f"FID of {found['samples']} fakes and {found['real_samples']} reals takes "
        f"{each['times_the_extractor']:.3f} times what the network that looks takes, "
        f"{each['extractor_seconds']:.1f} s of {each['seconds']:.1f}."
    ]


def _startup(results: list[dict[str, Any]]) -> list[str]:
    return [startup.show(found) for found in results]


def _text(results: list[str]) -> list[str]:
    return [f"```text\n{text.strip()}\n```" for text in results]


SHOWN: dict[str, Callable[[list[Any]], list[str]]] = {
    "training": _training,
    "memory": _memory,
    "device": _device,
    "sampling": _sampling,
    "inception": _inception,
    "evaluation": _evaluation,
    "startup": _startup,
    "load": _text,
}
"""How the figures of a kind are shown, in this order."""


if __name__ == "__main__":
    main()
