"""A limit on memory, asked before anything large is allocated, and memory that is used again.

Files from anywhere say how large networks and samples are to be. What would not fit is refused
first: a system that runs out of memory may end other programs.
"""

from __future__ import annotations

import os
import sys

from ganzoo.errors import InputError

VARIABLE = "GANZOO_MEMORY"
"""Environment variable that sets the limit, in GiB."""
GIB = 1 << 30
DEFAULT_LIMIT = 16 * GIB
"""The limit where the system does not say how much memory it has."""
MALLOC_SETTINGS = {
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 1 << 28),
}
"""Settings of glibc's ``mallopt``, as numbers of its interface, by which freed memory is kept."""


def limit() -> int:
    """Return how many bytes may be asked for: ``GANZOO_MEMORY`` GiB, or the machine's memory.

    Raises:
        InputError: the variable is no positive number.
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
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return DEFAULT_LIMIT


def require(size: int, what: str) -> None:
    """Refuse what does not fit into memory.

    Args:
        size: Bytes that it takes.
        what: What takes them, as the message begins.

    Raises:
        InputError: they are more than :func:`limit`.
    """
    if size > (most := limit()):
        raise InputError(
            f"{what} would take {size / GIB:,.1f} GiB of memory, and the limit is "
            f"{most / GIB:,.1f} GiB; ask for less, or set {VARIABLE}"
        )


def keep_freed_memory() -> None:
    """Have this process keep the memory that it frees, where the C library is glibc.

    By default glibc gives large tensors back to the system when they are freed. A step of a
    training then fetches the same memory anew, page by page, which the system fills with zeros
    first. It is for processes that train and do little else: they stay as large as they once were.
    Whoever sets ``MALLOC_`` variables has chosen, and nothing is changed.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    import ctypes  # no command but those that train has a use for it

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in MALLOC_SETTINGS.values():
            mallopt(parameter, value)
