"""What the defaults give: losses with seeds 0, 1 and 2, for the table of the results page.

    python tests/benchmarks/defaults.py train
    python tests/benchmarks/defaults.py render

``train`` trains each of ``LINES`` that is not among the records yet, as ``ganzoo train`` does if
nothing is set, on one thread and two trainings at once. It judges each model, appends a line to
``defaults.jsonl``, and draws the samples of the first seed. ``render`` writes the tables
from the records alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganzoo.compute.cgroups import count_cpus
from ganzoo.compute.devices import processor_name
from recipes import read_rows, spawn

HERE = Path(__file__).parent
RECORDS = HERE / "defaults.jsonl"
PAGE = HERE.parents[1] / "docs" / "understand" / "results.md"
PICTURES = HERE.parents[1] / "docs" / "images"
MARKS = ("<!-- defaults -->\n", "<!-- /defaults -->\n")
"""Between these lines the page is generated."""
LOSSES = (
    *("minimax", "non-saturating", "lsgan", "hinge", "wgan", "wgan-gp", "r3gan"),
    "unrolled",
)
POINT_LOSSES = ("non-saturating", "wgan-gp", "r3gan")
ONCE = (
    *(("progan", "wgan-gp", "digits"), ("stylegan2", "non-saturating", "digits")),
    *(("sagan", "hinge", "digits"), ("biggan", "hinge", "digits")),
    *(("acgan", "non-saturating", "digits"), ("infogan", "non-saturating", "digits")),
)
"""Trainings of the first seed alone, as they take long."""
LINES = (
    *(("dcgan", loss, "digits") for loss in LOSSES),
    *(("mlp", loss, "digits") for loss in LOSSES),
    ("sngan", "hinge", "digits"),
    ("r3gan", "r3gan", "digits"),
    *ONCE,
    *(("mlp", loss, data) for data in ("ring", "grid") for loss in POINT_LOSSES),
)
"""Architecture, loss and data of each training."""
SEEDS = (0, 1, 2)
FIRST = "0.1.0"
"""The defaults that the present ones are shown beside."""
MODES = {"ring": 8, "grid": 25}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--out", type=Path, default=Path("runs/defaults"))
    training.add_argument("--jobs", type=int, default=2, help="trainings at once")
    training.add_argument("--only", nargs="+", default=[], help="words that a line must have")
    commands.add_parser("render")
    options = parser.parse_args(arguments)
    if options.command == "train":
        train(options.out, options.jobs, options.only)
    before, after = MARKS
    page = PAGE.read_text(encoding="utf-8")
    head, tail = page.partition(before)[0], page.partition(after)[2]
    PAGE.write_text(head + before + render(read_rows(RECORDS)) + after + tail, encoding="utf-8")


def train(out: Path, jobs: int, only: Sequence[str] = ()) -> None:
    """Train what is not among the records, and append it to them."""
    out.mkdir(parents=True, exist_ok=True)
    done = {(tuple(row["names"]), row["seed"]) for row in read_rows(RECORDS) if not is_first(row)}
    missing = [
        {"names": list(line), "seed": seed, "settings": {}, "budget": 0}
        for line in LINES
        for seed in (SEEDS[:1] if line in ONCE else SEEDS)
        if (line, seed) not in done and set(only) <= set(line)
    ]
    machine = {"processor": processor_name(), "cores": count_cpus(), "torch": version("torch")}
    with ThreadPoolExecutor(jobs) as pool:
        for row in pool.map(lambda job: spawn(job, out), missing):
            kept = {key: value for key, value in row.items() if key not in ("run", "budget")}
            with RECORDS.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**kept, "machine": machine}) + "\n")
            print(*row["names"], row["seed"], row["scores"], flush=True)
            if row["seed"] == SEEDS[0] and "run" in row:
                _draw(out / row["run"], row["names"])


def _draw(run: Path, names: Sequence[str]) -> None:
    """Draw 16 images of a run, or a plot of its points, with the command that the page names."""
    options = ["-n", "16"] if names[2] not in MODES else ["-n", "1000"]
    command = [sys.executable, "-m", "ganzoo", "sample", str(run), *options, "--out"]
    subprocess.run([*command, str(PICTURES / _picture(names))], check=True, capture_output=True)


def _picture(names: Sequence[str]) -> str:
    return f"default-{'-'.join(names)}.png"


def is_first(row: Mapping[str, Any]) -> bool:
    """Tell whether a record is of the defaults of the first version."""
    return row.get("defaults") == FIRST


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return both tables, of images and of points."""
    return "\n".join([*_images(rows), "", *_points(rows)]) + "\n"


def _images(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield (
        "| command | `fid[digits-cnn]` | `is[digits-cnn]` | steps | processor seconds "
        f"| `fid` of {FIRST}'s defaults | `is` | picture |"
    )
    yield "| --- " * 8 + "|"
    for line in LINES:
        if line[2] in MODES:
            continue
        now, first = _of(rows, line)
        if now:
            cells = [_scores(now, "fid", 1), _scores(now, "is", 2), f"{now[0]['steps']:,}"]
            cells += [_seconds(now), _scores(first, "fid", 1), _scores(first, "is", 2)]
            cells.append(f"![16 samples](../images/{_picture(line)})")
            yield f"| {_command(line)} | {' | '.join(cells)} |"


def _points(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield (
        "| command | modes | of high quality | steps | processor seconds "
        f"| modes of {FIRST}'s defaults | of high quality | picture |"
    )
    yield "| --- " * 8 + "|"
    for line in LINES:
        if line[2] not in MODES:
            continue
        now, first = _of(rows, line)
        if now:
            cells = [*_modes(now, line[2]), f"{now[0]['steps']:,}", _seconds(now)]
            cells += [*_modes(first, line[2]), f"![1,000 points](../images/{_picture(line)})"]
            yield f"| {_command(line)} | {' | '.join(cells)} |"


def _of(
    rows: Sequence[Mapping[str, Any]], line: tuple[str, str, str]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return a line's records, now and of the first version, by seed."""
    mine = sorted((row for row in rows if tuple(row["names"]) == line), key=lambda row: row["seed"])
    return [row for row in mine if not is_first(row)], [row for row in mine if is_first(row)]


def _command(line: tuple[str, str, str]) -> str:
    architecture, loss, data = line
    words = ["ganzoo train", architecture, "--loss", loss]
    return f"`{' '.join(words if data == 'digits' else [*words, '--data', data])}`"


def _scores(rows: Sequence[Mapping[str, Any]], metric: str, digits: int) -> str:
    """Return a score's mean and, behind it, that of each seed."""
    if any(row.get("failed") for row in rows):
        return "diverged"
    if not rows:
        return ""
    key = next(name for name in rows[0]["scores"] if name.partition("[")[0] == metric)
    values = [row["scores"][key] for row in rows]
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    return f"**{statistics.mean(values):.{digits}f}** ({each})"


def _modes(rows: Sequence[Mapping[str, Any]], data: str) -> list[str]:
    if not rows or any(row.get("failed") for row in rows):
        return ["diverged" if rows else "", ""]
    modes = ", ".join(f"{row['scores']['modes']:.0f}" for row in rows)
    shares = [100 * row["scores"]["high-quality"] for row in rows]
    each = ", ".join(f"{share:.1f}" for share in shares)
    return [f"{modes} of {MODES[data]}", f"**{statistics.mean(shares):.1f} %** ({each})"]


def _seconds(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"{statistics.mean(row.get('cpu_seconds', float('nan')) for row in rows):.0f}"


if __name__ == "__main__":
    main()
