"""Presets of the page of ``ganzoo watch --web``, as ``tests/benchmarks/presets.py`` judges them."""

from __future__ import annotations

import statistics
from pathlib import Path

from tables import RECORDS, link, read_rows, table

FOLDER = RECORDS / "presets"


def render(page: Path) -> str:
    """Return a table with a row for each preset, and the machine."""
    found = {
        path: read_rows(path) for path in sorted(FOLDER.glob("*.jsonl"), key=lambda each: each.stem)
    }
    machines = {_describe(rows[0]["machine"]) for rows in found.values()}
    header = ("preset", "seeds that hold", "seconds", "judged by: the mean, and all")
    rows = [
        (
            link(page, rows[0]["preset"], path),
            f"{sum(row['holds'] for row in rows)} of {len(rows)}",
            f"{statistics.mean(row['cpu_seconds'] for row in rows):.0f}",
            "; ".join(
                f"{rule}: **{statistics.mean(values):.3g}** ({', '.join(map(_number, values))})"
                for rule in rows[0]["scores"]
                for values in [[row["scores"][rule] for row in rows]]
            ),
        )
        for path, rows in found.items()
    ]
    return f"{table(header, rows)}\n\n{'; '.join(sorted(machines))}."


def _number(value: float) -> str:
    return f"{value:.2g}"


def _describe(machine: dict[str, object]) -> str:
    return f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
