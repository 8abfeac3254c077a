"""Disks that fail, without a device of their own: bad blocks, and a disk that is full."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch


def failure(code: int) -> OSError:
    """Return an error as the system gives it: it names no file."""
    return OSError(code, os.strerror(code))


class BadFile(io.FileIO):
    """A file that can be opened and not read, as one on a bad block."""

    def readinto(self, buffer: object) -> int:
        raise failure(errno.EIO)

    def readall(self) -> bytes:
        raise failure(errno.EIO)

    def read(self, size: int = -1) -> bytes:
        raise failure(errno.EIO)


class Room:
    """The bytes that are left on a disk."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> int:
        """Return how many of some bytes still fit."""
        if size and not self.left:
            raise failure(errno.ENOSPC)
        size = min(size, self.left)
        self.left -= size
        return size


def file_on(room: Room) -> type[io.FileIO]:
    class File(io.FileIO):
        def write(self, data: object) -> int:
            view = memoryview(data).cast("B")
            return super().write(view[: room.take(len(view))])

    return File


def path_of(file: object) -> str:
    """Return the real path of a file, which may be a handle."""
    if isinstance(file, int):
        file = f"/proc/self/fd/{file}"
    return os.path.realpath(os.fsdecode(file))


def opener(kind: type[io.FileIO], concerns: Callable[[str, str], bool]) -> Callable[..., object]:
    """Return ``open`` which gives files of a kind where that concerns a path and a mode."""
    original = io.open

    def open(
        file,
        mode="r",
        buffering=-1,
        encoding=None,
        errors=None,
        newline=None,
        closefd=True,
        opener=None,
    ):
        if not concerns(path_of(file), mode):
            return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = kind(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        if "+" in mode:
            buffered = io.BufferedRandom(raw)
        else:
            buffered = (io.BufferedReader if "r" in mode else io.BufferedWriter)(raw)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline)
        text.mode = mode
        return text

    return open


@contextmanager
def patched(*changes: tuple[object, str, object]) -> Iterator[None]:
    with ExitStack() as stack:
        for place, name, value in changes:
            stack.enter_context(patch.object(place, name, value))
        yield


@contextmanager
def unreadable(*paths: Path) -> Iterator[set[str]]:
    """Let every read of some files fail with EIO; yield their real paths, which may be changed."""
    bad = {os.path.realpath(path) for path in paths}

    def guarded(name: str) -> tuple[object, str, object]:
        original = getattr(os, name)

        def read(handle, *rest):
            # The first argument of sendfile is where to write.
            if path_of(rest[0] if name == "sendfile" else handle) in bad:
                raise failure(errno.EIO)
            return original(handle, *rest)

        return os, name, read

    fake = opener(BadFile, lambda path, mode: path in bad and ("r" in mode or "+" in mode))
    names = [name for name in ("read", "pread", "preadv", "sendfile") if hasattr(os, name)]
    with patched((io, "open", fake), (builtins, "open", fake), *map(guarded, names)):
        yield bad


@contextmanager
def full_disk(folder: Path, left: int = 0) -> Iterator[None]:
    """Let a folder have room for only so many bytes more."""
    import safetensors.torch
    from safetensors import SafetensorError

    room, root = Room(left), os.path.realpath(folder)
    save_file, sendfile = safetensors.torch.save_file, getattr(os, "sendfile", None)

    def is_within(path: str) -> bool:
        return os.path.commonpath([path, root]) == root

    def save(tensors, filename, *rest, **more):
        size = sum(tensor.nbytes for tensor in tensors.values())
        if is_within(path_of(filename)) and size > room.left:
            Path(filename).touch()
            said = f"Error while serializing: I/O error: {os.strerror(errno.ENOSPC)}"
            raise SafetensorError(f"{said} (os error {errno.ENOSPC})")
        room.left -= size
        return save_file(tensors, filename, *rest, **more)

    def send(target, source, offset, count):
        if is_within(path_of(target)):
            count = room.take(count)
        return sendfile(target, source, offset, count)

    fake = opener(file_on(room), lambda path, mode: set(mode) & set("wxa+") and is_within(path))
    changes = [(io, "open", fake), (builtins, "open", fake), (safetensors.torch, "save_file", save)]
    if sendfile is not None:
        changes.append((os, "sendfile", send))
    with patched(*changes):
        yield
