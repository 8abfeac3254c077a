"""The frames of a run on points, read from its folder while it grows."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError
from ganzoo.runs.metrics import is_number
from ganzoo.storage.json_files import read_json
from ganzoo_zoo.apps.watch.runs.jsonl_reader import JsonlReader

SIDE = 40
"""Grid points per row and column at which logits are stored."""
UNITS = 65_535
"""Side of the square in the units of stored points."""
MOST_POINTS = 400
MOST_MODES = 10_000
MOST_FRAMES = 1000
"""Approximate number of frames that a run stores."""


class FrameFiles:
    """The files of frames in a run's folder.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / "watch"
        self.plane = self.path / "plane.json"
        self.frames = self.path / "frames.jsonl"


class Frames:
    """The frames of a run that were read so far. The files are not trusted.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self._files = FrameFiles(run)
        self._lines = JsonlReader(self._files.frames)
        self.plane: dict[str, Any] | None = None
        """The position of the square, its true modes, and some real points."""
        self.items: list[dict[str, Any]] = []
        """The frames in order of their steps."""

    def update(self) -> None:
        """Read new frames.

        Raises:
            InputError: a file is damaged, or is not a regular file.
        """
        other, rows = self._lines.read()
        if other:
            self.items, self.plane = [], None
        for row in rows:
            frame = parse_frame(row)
            if frame and (not self.items or frame["step"] > self.items[-1]["step"]):
                self.items.append(frame)
        del self.items[: -2 * MOST_FRAMES]
        if self.items and self.plane is None:
            self.plane = parse_plane(read_json(self._files.plane))

    def after(self, step: int, most: int) -> list[dict[str, Any]]:
        """Return at most ``most`` frames after a step, evenly chosen, with the last one."""
        later = [frame for frame in self.items if frame["step"] > step]
        return [later[i] for i in choose_evenly(len(later), most)]


def choose_evenly(count: int, most: int) -> list[int]:
    """Return at most ``most`` indices of a list, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def parse_frame(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the frame of a line of JSON; None if the line is not a frame."""
    points = _decode(row.get("points"), 4 * MOST_POINTS)
    surface = _decode(row.get("surface"), SIDE**2)
    low: Any = row.get("low")
    high: Any = row.get("high")
    if points is None or len(points) % 4 or surface is None or len(surface) != SIDE**2:
        return None
    if not (is_number(low) and is_number(high) and low <= high):
        return None
    texts = {name: row[name] for name in ("points", "surface")}
    return {"step": row["step"], **texts, "low": low, "high": high}


def parse_plane(found: Any) -> dict[str, Any]:
    """Return the description of the plane from its file.

    Raises:
        InputError: the file does not describe a plane.
    """
    plane: dict[str, Any] = found if isinstance(found, dict) else {}
    centre, modes = plane.get("centre"), plane.get("modes")
    reach: Any = plane.get("reach")
    real, std = _decode(plane.get("real"), 4 * MOST_POINTS), plane.get("std")
    good = (
        _is_point(centre)
        and is_number(reach)
        and 0 < reach < math.inf
        and isinstance(modes, list)
        and len(modes) <= MOST_MODES
        and all(map(_is_point, modes))
        and (std is None or is_number(std))
        and real is not None
        and not len(real) % 4
    )
    if not good:
        raise InputError("the file of the plane does not describe one")
    return {name: plane[name] for name in ("centre", "reach", "modes", "std", "real")}


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _decode(text: Any, most: int) -> bytes | None:
    if not isinstance(text, str) or len(text) > 2 * most:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) <= most else None
