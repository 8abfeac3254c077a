"""Memory and processors that this process may use: in a control group, less than the machine has.

Linux keeps the processes of a container or of a Slurm job in a control group (cgroup). Its limits
and those of all groups around it bind. Version 1 has a tree of groups for each controller, version
2 one for all: https://docs.kernel.org/admin-guide/cgroup-v2.html.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROCESS = Path("/proc/self")
"""The folder in which Linux describes this process."""
MEMORY_FILES = ("memory.max", "memory.high", "memory.limit_in_bytes")
"""Files of a group with a limit in bytes: two of version 2, one of version 1."""
PARENTS_LIMIT = "hierarchical_memory_limit"
"""Version 1's name for the limit of all groups around one, which a container may not see."""


@functools.cache
def read_memory_limit(process: Path = PROCESS) -> int | None:
    """Return how many bytes the groups of a process leave it; None without a limit.

    Args:
        process: A folder like ``/proc/self``.
    """
    limits = []
    for group in _find_groups(process, "memory"):
        limits += [_read(group / name) for name in MEMORY_FILES]
        statistics = map(str.split, _read(group / "memory.stat").splitlines())
        limits += [line[1] for line in statistics if line[0] == PARENTS_LIMIT]
    return min((int(text) for text in limits if text.isdecimal()), default=None)


@functools.cache
def count_cpus(process: Path = PROCESS) -> int:
    """Return how many processors this process can keep busy, at least 1.

    Args:
        process: A folder like ``/proc/self``.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # exists on Linux only
        count = os.cpu_count() or 1
    for group in _find_groups(process, "cpu"):
        version_1 = [_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        for limit in (version_1, _read(group / "cpu.max").split()):
            if len(limit) == 2 and all(text.isdecimal() and int(text) for text in limit):
                count = min(count, math.ceil(int(limit[0]) / int(limit[1])))
    return count


def _find_groups(process: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of a process's groups for a controller, from the innermost outwards."""
    paths: dict[str, str] = {}
    for line in _read(process / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    for line in _read(process / "mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        kind, _, options = system.split(" ", 2)
        is_version_1 = kind == "cgroup" and controller in options.split(",")
        name = controller if is_version_1 else ""
        if name in paths and (is_version_1 or kind == "cgroup2"):
            root, point = map(_unescape, mount.split(" ")[3:5])
            yield from _list_upwards(PurePosixPath(paths[name]), root, Path(point))


def _list_upwards(path: PurePosixPath, root: str, point: Path) -> list[Path]:
    """Return the folders from a group up to the group that a file system shows at its top.

    Args:
        path: The group's path.
        root: The path of the group at the top.
        point: Where the file system is mounted.
    """
    if not path.is_relative_to(root) or ".." in path.parts:
        return [point]  # a container shows the group there, whatever its path is outside
    inner = path.relative_to(root)
    return [point / each for each in (inner, *inner.parents)]


def _read(file: Path) -> str:
    """Return the text of a file, or an empty text if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _unescape(text: str) -> str:
    """Return a path as it is, which mountinfo writes with spaces as ``\\040``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
