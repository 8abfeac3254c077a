"""The frames of a run on points, read from its folder while it grows."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError
from ganzoo.runs.metrics import is_number
from ganzoo.storage.json_files import read_json
from ganzoo_zoo.apps.watch.runs.jsonl_reader import JsonlReader
from ganzoo_zoo.apps.watch.runs.series import Series

SIDE = 40
"""Grid points per row and column at which logits are stored."""
UNITS = 65_535
"""Side of the square in the units of stored points."""
ARROW_UNITS = 32_767
"""Length of the longest arrow in the units of stored arrows."""
MOST_POINTS = 400
MOST_ARROWS = 100
"""The first points of a frame, which have an arrow."""
GRID = 17
"""Lines of the grid of latents in each direction, if a latent has two numbers."""
GRID_LINE = 65
"""Latents in the grid, if a latent has one number."""
SHOWN = ("trained", "average")
"""Which generator made the points of a frame: the one in training, or its average."""
OF = "of"
NUMBERS = ("modes", OF, "high_quality", "kl", "js")
"""What a frame may count: captured modes, of how many, the share of points of high quality, and
divergences from the true points in bits."""
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

    def series(self) -> dict[str, Series]:
        """Return the numbers of the frames over steps, as ``plane/NAME``."""
        found: dict[str, Series] = {}
        for frame in self.items:
            for name, value in frame.get("numbers", {}).items():
                if name != OF:
                    found.setdefault(f"plane/{name}", Series()).add(frame["step"], value)
        return found


def choose_evenly(count: int, most: int) -> list[int]:
    """Return at most ``most`` indices of a list, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def parse_frame(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the frame of a line of JSON; None if the line is not a frame.

    Every part but the points, the surface and its ends may be missing.
    """
    low: Any = row.get("low")
    high: Any = row.get("high")
    good = (
        _is_points(row.get("points"))
        and _has_size(row.get("surface"), SIDE**2)
        and is_number(low)
        and is_number(high)
        and low <= high
    )
    if not good:
        return None
    frame = {name: row[name] for name in ("step", "points", "surface", "low", "high")}
    for names, is_good in _OPTIONAL_OF_FRAME.items():
        if any(name in row for name in names):
            if not is_good(*map(row.get, names)):
                return None
            frame |= {name: row[name] for name in names}
    if "numbers" in row:
        numbers = _parse_numbers(row["numbers"])
        if numbers is None:
            return None
        frame["numbers"] = numbers
    return frame


def parse_plane(found: Any) -> dict[str, Any]:
    """Return the description of the plane from its file.

    Raises:
        InputError: the file does not describe a plane.
    """
    plane: dict[str, Any] = found if isinstance(found, dict) else {}
    centre, modes = plane.get("centre"), plane.get("modes")
    reach: Any = plane.get("reach")
    std = plane.get("std")
    good = (
        _is_point(centre)
        and is_number(reach)
        and 0 < reach < math.inf
        and isinstance(modes, list)
        and len(modes) <= MOST_MODES
        and all(map(_is_point, modes))
        and (std is None or is_number(std))
        and _is_points(plane.get("real"))
    )
    names = ["centre", "reach", "modes", "std", "real"]
    for some, is_good in _OPTIONAL_OF_PLANE.items():
        if any(name in plane for name in some):
            good = good and is_good(*map(plane.get, some))
            names += some
    if not good:
        raise InputError("the file of the plane does not describe one")
    return {name: plane[name] for name in names}


def _is_other(other: Any, shows: Any) -> bool:
    return _is_points(other) and shows in SHOWN


def _is_manifold(manifold: Any) -> bool:
    return any(_has_size(manifold, 4 * count) for count in (GRID**2, GRID_LINE))


def _is_pull(pull: Any, steepest: Any) -> bool:
    arrows = _decode(pull, 4 * MOST_ARROWS)
    return arrows is not None and not len(arrows) % 4 and is_number(steepest) and steepest >= 0


def _is_latent_space(z_dim: Any, prior: Any, reach: Any, latents: Any, lines: Any) -> bool:
    return (
        isinstance(z_dim, int)
        and is_number(z_dim)
        and z_dim > 0
        and prior in ("normal", "uniform")
        and is_number(reach)
        and reach > 0
        and _is_points(latents)
        and (lines is None or _is_list_of_numbers(lines, (GRID, GRID_LINE)))
    )


_OPTIONAL_OF_FRAME: dict[tuple[str, ...], Callable[..., bool]] = {
    ("other", "shows"): _is_other,
    ("manifold",): _is_manifold,
    ("pull", "steepest"): _is_pull,
}
"""Parts of a frame that stand together or not at all, and what tells whether they are good."""
_OPTIONAL_OF_PLANE: dict[tuple[str, ...], Callable[..., bool]] = {
    ("density",): lambda density: _has_size(density, SIDE**2),
    ("z_dim", "prior", "latent_reach", "latents", "latent_lines"): _is_latent_space,
}


def _parse_numbers(found: Any) -> dict[str, float] | None:
    """Return the known numbers of a frame; None if one of them is no number."""
    if not isinstance(found, dict):
        return None
    numbers = {name: found[name] for name in NUMBERS if name in found}
    return numbers if all(map(is_number, numbers.values())) else None


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _is_list_of_numbers(value: Any, lengths: Collection[int]) -> bool:
    return isinstance(value, list) and len(value) in lengths and all(map(is_number, value))


def _is_points(text: Any) -> bool:
    points = _decode(text, 4 * MOST_POINTS)
    return points is not None and not len(points) % 4


def _has_size(text: Any, size: int) -> bool:
    data = _decode(text, size)
    return data is not None and len(data) == size


def _decode(text: Any, most: int) -> bytes | None:
    if not isinstance(text, str) or len(text) > 2 * most:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) <= most else None
