"""The time to a score: a table for each score, with the better records first."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import RECORDS, link, read_rows, table

FOLDER = RECORDS / "times"
SETS = ("digits", "mnist", "cifar10")
"""Data in the order of the page; others follow."""


def record_path(row: Mapping[str, Any]) -> Path:
    """Return the file of the records of a record's data."""
    return FOLDER / f"{row['judge']['data.name']}.jsonl"


def read() -> list[dict[str, Any]]:
    """Read all records."""
    return [row for path in sorted(FOLDER.glob("*.jsonl")) for row in read_rows(path)]


def render(page: Path) -> str:
    """Return a section for each goal."""
    goals: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for row in read():
        goals.setdefault(_goal(row), []).append(row)
    return "\n\n".join(
        _section(page, title, sorted(same, key=_order))
        for (_, title), same in sorted(goals.items())
    )


def _goal(row: Mapping[str, Any]) -> tuple[int, str]:
    """Return the place and the title of a record's section."""
    data, size = row["judge"]["data.name"], row["judge"].get("image_size")
    shape = f" at {size[0]} x {size[1]}" if size else ""
    if row["images"]:
        what = f"{row['metric']} after {row['images']:,} images"
    else:
        sign = ">=" if row["judge"]["higher_is_better"] else "<="
        what = f"time to {row['metric']} {sign} {row['until'].partition(sign)[2]}"
    place = SETS.index(data) if data in SETS else len(SETS)
    return place, f"{data}{shape}: {what}"


def _order(row: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the key by which the records of a goal are ordered."""
    reached = sum(seed["reached"] for seed in row["seeds"]) / len(row["seeds"])
    if not row["images"]:
        return -reached, statistics.mean(seed["processor_seconds"] for seed in row["seeds"])
    sign = -1 if row["judge"]["higher_is_better"] else 1
    scores = [seed["score"] for seed in row["seeds"] if seed["score"] is not None]
    return -reached, sign * statistics.mean(scores) if scores else 0.0


def _section(page: Path, title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    header = ("", "trained", "seeds", "score", "images", "steps", "seconds", "processor seconds")
    cells = [(link(page, str(i), record_path(row)), *_cells(row)) for i, row in enumerate(rows, 1)]
    about = [f"{i}. {_about(row)}" for i, row in enumerate(rows, 1)]
    return "\n".join([f"## {title}", "", table(header, cells), "", *about])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    seeds = row["seeds"]
    name = row["trained"].partition(" on ")[0].replace(" trained with ", ", ")
    name = name if row["what"] == "ganzoo" else f"{row['what']}: {name}"
    shown = ", ".join(str(seed["seed"]) for seed in seeds)
    reached = [seed for seed in seeds if seed["reached"]]
    score = _mean(seeds, "score", ".1f")
    if len(reached) < len(seeds):
        score = f"reached by {len(reached)} of {len(seeds)}; best {_mean(seeds, 'best', '.1f')}"
    numbers = [
        _mean(seeds, name, digits)
        for name, digits in (
            ("images", ",.0f"),
            ("steps", ",.0f"),
            ("seconds", ",.1f"),
            ("processor_seconds", ",.1f"),
        )
    ]
    if len(reached) < len(seeds):
        numbers = [f"over {number}" for number in numbers]
    return name, shown, score, *numbers


def _mean(seeds: Iterable[Mapping[str, Any]], name: str, digits: str) -> str:
    values = [seed[name] for seed in seeds if seed[name] is not None]
    if not values:
        return "none"
    std = f" ± {statistics.stdev(values):{digits}}" if len(set(values)) > 1 else ""
    return f"{statistics.mean(values):{digits}}{std}"


def _about(row: Mapping[str, Any]) -> str:
    machine, judge = row["machine"], row["judge"]
    threads = f"{machine['threads']} thread{'s' if machine['threads'] != 1 else ''}"
    threads += f" that had {machine['cores_used']} cores"
    device = "" if machine["device"] == "cpu" else f"{machine['device_name']}, "
    return (
        f"`{row['command']}`: {device}{machine['processor']}, {machine['cores']} cores, {threads}, "
        f"torch {machine['torch']}, ganzoo {judge['versions.ganzoo']}; scored every "
        f"{row['eval_every']:,} steps by {judge['fake_samples']:,} fakes against "
        f"{judge['real_samples']:,} reals; {row['date']}."
    )
