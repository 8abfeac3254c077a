"""What is costly to compute is kept in the cache folder, by its content and never by a name.

An entry is a folder called by the hash of its key. The key holds all that the content depends
on; it is written beside the content and compared before the content is used.
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

KEY_FILE = "key.json"
TENSORS_FILE = "tensors.safetensors"

Key = Mapping[str, Any]
"""All that the content depends on, as JSON has it."""


def cache_folder() -> Path:
    """Return the folder for what is downloaded or computed once; ``GANZOO_CACHE`` moves it."""
    if "GANZOO_CACHE" in os.environ:
        return user_path(os.environ["GANZOO_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ganzoo"


def get_or_make_folder(
    kind: str,
    key: Key,
    make: Callable[[Path], None],
    valid: Callable[[Path], bool] = lambda folder: True,
) -> Path:
    """Return the folder of an entry; it is made if it is not there.

    Of several processes that want the same entry at once, one makes it and the others wait.

    Args:
        kind: The folder of the cache that it lies in, such as ``images``.
        key: What it depends on.
        make: Fills an empty folder. What it leaves appears whole or not at all.
        valid: Tells whether a folder that was kept may be used; if not it is made anew, and stays
            where it is meanwhile.

    Raises:
        OSError: the cache cannot be written to.
    """
    with _lock_entry(kind, key) as folder:
        if not (_has_key(folder, key) and valid(folder)):
            _fill(folder, key, make)
        return folder


def find_folder(kind: str, key: Key) -> Path | None:
    """Return the folder of an entry if it is there; see :func:`get_or_make_folder`."""
    folder = _path(kind, key)
    return folder if _has_key(folder, key) else None


def get_or_make_tensors(
    kind: str,
    key: Key,
    make: Callable[[], dict[str, Tensor]],
    valid: Callable[[dict[str, Tensor]], bool] = lambda tensors: True,
) -> dict[str, Tensor]:
    """Return the tensors of an entry; they are made, and kept where the cache can be written to.

    What was kept is verified by its hash: a damaged entry is made anew.

    Args:
        kind: The folder of the cache that it lies in, such as ``features``.
        key: What they depend on.
        make: Computes them.
        valid: Tells whether tensors that were kept may be used.
    """
    made: dict[str, Tensor] = {}

    def write(folder: Path) -> None:
        made.update(make())
        save_tensors(folder / TENSORS_FILE, made)
        write_text(folder / "sha256", sha256(folder / TENSORS_FILE))

    try:
        with _lock_entry(kind, key) as folder:
            if (kept := _load_verified(folder, key)) is not None and valid(kept):
                return kept
            _fill(folder, key, write)
    except OSError:  # a cache that is full or read-only must not stop the work
        if not made:
            return make()
    return made


def find_tensors(
    kind: str, key: Key, valid: Callable[[dict[str, Tensor]], bool] = lambda tensors: True
) -> dict[str, Tensor] | None:
    """Return the tensors of an entry if it is there; see :func:`get_or_make_tensors`."""
    try:
        with _lock_entry(kind, key) as folder:
            kept = _load_verified(folder, key)
    except OSError:
        return None
    return kept if kept is not None and valid(kept) else None


@contextmanager
def _lock_entry(kind: str, key: Key) -> Iterator[Path]:
    from filelock import FileLock

    folder = _path(kind, key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        yield folder


def _path(kind: str, key: Key) -> Path:
    return cache_folder() / kind / hashlib.sha256(_canonical_json(key).encode()).hexdigest()


def _fill(folder: Path, key: Key, make: Callable[[Path], None]) -> None:
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
        pass  # damaged: made anew
    return None


def _has_key(folder: Path, key: Key) -> bool:
    try:
        return _canonical_json(read_json(folder / KEY_FILE)) == _canonical_json(key)
    except InputError:
        return False


def _canonical_json(key: Key) -> str:
    return json.dumps(key, sort_keys=True, allow_nan=False)
