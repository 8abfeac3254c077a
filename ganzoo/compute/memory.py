"""A limit on memory, checked before large allocations, and reuse of freed memory.

Untrusted files decide how large networks and samples are. What does not fit is refused before it is
allocated, because a system without memory may end other programs.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from ganzoo.compute.cgroups import read_memory_limit
from ganzoo.errors import InputError

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

VARIABLE = "GANZOO_MEMORY"
"""Environment variable that sets the limit, in GiB."""
GIB = 1 << 30
"""Bytes in a GiB."""
DEFAULT_LIMIT = 16 * GIB
"""The limit where the system does not say how much memory it has."""
MALLOC_SETTINGS = {
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 1 << 28),
}
"""Settings of glibc's ``mallopt`` that keep freed memory: parameter and value by name."""


def limit() -> int:
    """Return the limit in bytes: ``GANZOO_MEMORY`` GiB, or else all that the process may use.

    That is the machine's memory, or less in a container, a job of a scheduler or a shell that
    allows less.

    Raises:
        InputError: the variable is not a positive number.
    """
    text = os.environ.get(VARIABLE)
    if text:
        try:
            size = int(float(text) * GIB)
        except (ValueError, OverflowError):
            size = 0
        if size < 1:
            raise InputError(f"{VARIABLE} must be a number of GiB, not '{text}'")
        return size
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        size = DEFAULT_LIMIT
    limits = (size, read_memory_limit(), address_limit())
    return min(each for each in limits if each is not None)


def address_limit() -> int | None:
    """Return the limit on this process's address space in bytes (``ulimit -v``), or None."""
    if resource is None:
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if most == resource.RLIM_INFINITY else most


def require(size: int, what: str) -> None:
    """Refuse an allocation that does not fit into memory.

    Args:
        size: Its size in bytes.
        what: What needs the memory; the message begins with it.

    Raises:
        InputError: the size is above :func:`limit`.
    """
    if size > (most := limit()):
        raise InputError(
            f"{what} would take {size / GIB:,.1f} GiB of memory, and the limit is "
            f"{most / GIB:,.1f} GiB; ask for less, or set {VARIABLE}"
        )


def keep_freed_memory() -> None:
    """Make this process keep the memory that it frees, if its C library is glibc.

    By default, glibc returns large freed tensors to the system. Each training step then fetches the
    same memory again, page by page, and the system fills it with zeros first. This is for processes
    that mainly train, because they never become smaller. Nothing changes if you set ``MALLOC_``
    variables yourself.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    import ctypes  # only commands that train need it

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in MALLOC_SETTINGS.values():
            mallopt(parameter, value)
