"""What a process may take: memory that is watched from outside, and a lower priority."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

NICENESS = 5
"""Processes that train make way for the server, whose pages must not freeze."""
MIB = 1 << 20


def read_memory(pid: int) -> int | None:
    """Return the bytes of memory that a process has in use (RSS); None if nothing tells."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError, subprocess.SubprocessError):  # not Linux
        told = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, timeout=2
        )
        return int(told.stdout) << 10
    return None


def lower_priority(pid: int) -> None:
    """Let other processes go before one, where the system knows of such a thing."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
