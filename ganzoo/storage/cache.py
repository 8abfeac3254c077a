"""A content-addressed cache for expensive results.

An entry is a folder whose name is the hash of its key. The key contains everything that the
content depends on. It is written beside the content and compared before the content is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError
from ganzoo.storage.files import atomic_folder, sha256, write_text
from ganzoo.storage.json_files import read_json, to_json
from ganzoo.storage.paths import user_path
from ganzoo.storage.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

VARIABLE = "GANZOO_CACHE"
"""Environment variable that sets the folder; empty, it counts as not set."""
KEY_FILE = "key.json"
"""Name of the file with the key, in the folder of an entry."""
TENSORS_FILE = "tensors.safetensors"

Key = Mapping[str, Any]
"""Everything that the content depends on, as JSON values."""


def cache_folder() -> Path:
    """Return the folder of what is downloaded or computed once; ``GANZOO_CACHE`` sets another.

    Raises:
        InputError: it is in your home folder, and nothing says where that is.
    """
    if chosen := os.environ.get(VARIABLE):
        return user_path(chosen)
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ganzoo"


def get_or_make_folder(
    kind: str,
    key: Key,
    make: Callable[[Path], None],
    valid: Callable[[Path], bool] = lambda folder: True,
) -> Path:
    """Return the folder of an entry, and make it first if the cache does not have it.

    If several processes need the same entry at once, one makes it and the others wait.

    Args:
        kind: The subfolder of the cache, such as ``images``.
        key: What the content depends on.
        make: Fills an empty folder, which becomes the entry once it is complete.
        valid: Tells whether a cached folder may be used. If not, it is replaced by a new one.

    Raises:
        OSError: the cache cannot be written to.
    """
    with _lock_entry(kind, key) as folder:
        if not (_has_key(folder, key) and valid(folder)):
            _make_entry(folder, key, make)
        return folder


def find_folder(kind: str, key: Key) -> Path | None:
    """Return the folder of an entry, or None; see :func:`get_or_make_folder`."""
    folder = _entry_path(kind, key)
    return folder if _has_key(folder, key) else None


def get_or_make_tensors(
    kind: str,
    key: Key,
    make: Callable[[], dict[str, Tensor]],
    valid: Callable[[dict[str, Tensor]], bool] = lambda tensors: True,
) -> dict[str, Tensor]:
    """Return the tensors of an entry, and compute them first if the cache does not have them.

    Cached tensors are verified by their hash, and computed again if they are damaged. A cache
    that cannot be written to, or that has no place because there is no home folder, is no error:
    then the tensors are computed each time.

    Args:
        kind: The subfolder of the cache, such as ``features``.
        key: What the tensors depend on.
        make: Computes the tensors.
        valid: Tells whether cached tensors may be used.
    """
    made: dict[str, Tensor] = {}
    try:
        cache_folder()
    except InputError:
        if os.environ.get(VARIABLE):
            raise
        return make()

    def write(folder: Path) -> None:
        made.update(make())
        save_tensors(folder / TENSORS_FILE, made)
        write_text(folder / "sha256", sha256(folder / TENSORS_FILE))

    try:
        with _lock_entry(kind, key) as folder:
            if (kept := _load_verified(folder, key)) is not None and valid(kept):
                return kept
            _make_entry(folder, key, write)
    except OSError:  # a cache that is full or read-only must not stop the work
        if not made:
            return make()
    except InputError:  # so must one that cannot be read back
        if not made:
            raise
    return made


@contextmanager
def _lock_entry(kind: str, key: Key) -> Iterator[Path]:
    from filelock import FileLock

    folder = _entry_path(kind, key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        yield folder


def _entry_path(kind: str, key: Key) -> Path:
    return cache_folder() / kind / hashlib.sha256(_canonical_json(key).encode()).hexdigest()


def _make_entry(folder: Path, key: Key, make: Callable[[Path], None]) -> None:
    with atomic_folder(folder) as beside:
        make(beside)
        write_text(beside / KEY_FILE, to_json(dict(key)))


def _load_verified(folder: Path, key: Key) -> dict[str, Tensor] | None:
    try:
        if _has_key(folder, key):
            path = folder / TENSORS_FILE
            if sha256(path) == (folder / "sha256").read_text(encoding="utf-8"):
                return load_tensors(path)
    except (InputError, OSError, ValueError):
        pass  # damaged or unreadable, so that the caller makes it again
    return None


def _has_key(folder: Path, key: Key) -> bool:
    try:
        return _canonical_json(read_json(folder / KEY_FILE)) == _canonical_json(key)
    except InputError:
        return False


def _canonical_json(key: Key) -> str:
    return json.dumps(key, sort_keys=True, allow_nan=False)
