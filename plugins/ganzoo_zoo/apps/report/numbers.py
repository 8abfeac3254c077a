"""Modes and divergences of points through the training, as the tracker ``watch`` keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ganzoo.runs.metrics import Curve, CurveReader, is_number, read_metrics

FRAMES = Path("watch", "frames.jsonl")
"""The tracker's file in a run's folder; an application may not import another one."""
PREFIX = "plane"
"""What stands before the names of these numbers in tables."""
NAMES = ("modes", "high_quality", "kl", "js")


@dataclass
class Numbers:
    """What was measured of the points of each frame."""

    curves: dict[str, Curve] = field(default_factory=dict)
    """Those of ``NAMES`` that are known: modes held, share of points near a mode, and the
    divergences of Kullback and Leibler and of Jensen and Shannon, in bits."""
    modes: int | None = None
    """Number of true modes."""


def read_numbers(run: Path) -> Numbers:
    """Read the numbers of a run's frames; empty without any.

    Raises:
        ganzoo.errors.InputError: the file is not a regular file.
        OSError: it cannot be read.
    """
    found = Numbers()
    readers: dict[str, CurveReader] = {}
    path = run / FRAMES
    for step, row in read_metrics(path) if path.exists() else ():
        numbers = row.get("numbers")
        if not isinstance(numbers, dict):
            continue
        if is_number(numbers.get("of")):
            found.modes = int(numbers["of"])
        for name in NAMES:
            if is_number(numbers.get(name)):
                readers.setdefault(name, CurveReader()).add(step, numbers[name])
    found.curves = {
        name: curve for name in NAMES if name in readers and len(curve := readers[name].curve()) > 1
    }
    return found
