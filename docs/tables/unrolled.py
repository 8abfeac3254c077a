"""Modes held over time by an unrolled GAN, as ``tests/benchmarks/unrolled.py`` writes them."""

from __future__ import annotations

from pathlib import Path

from tables import RECORDS, read_rows, table

FOLDER = RECORDS / "unrolled"
FILE = "modes.jsonl"


def render(page: Path) -> str:
    """Return a table with a row for each run."""
    rows = read_rows(FOLDER / FILE)
    steps = sorted({row["step"] for row in rows if not row["step"] % 1000})
    runs = sorted({(row["unrolled"], row["seed"]) for row in rows})
    found = {(row["unrolled"], row["seed"], row["step"]): row for row in rows}
    header = ("unrolled steps", "seed", *(f"{step:,}" for step in steps))
    return table(
        (*header, f"high quality at {steps[-1]:,}"),
        (
            (
                *map(str, run),
                *(f"{found[*run, step]['modes']:g}" for step in steps),
                f"{found[*run, steps[-1]]['high-quality']:.1%}",
            )
            for run in runs
        ),
    )
