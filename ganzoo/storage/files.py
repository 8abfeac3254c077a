"""Files that appear whole or not at all, and JSON that is checked when it is read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError, excerpt, first_line

if TYPE_CHECKING:
    from torch import Tensor

JSON_LIMIT = 1 << 20
DEPTH_LIMIT = 32


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on success flush it and move it into place."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        os.chmod(beside, 0o666 & ~_umask())
        flush(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    flush(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to fill; on success flush it and move it into place.

    A folder that was there is moved aside for the moment between, and back if that fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    before = path.with_name(f".{path.name}.before.tmp")
    _restore_or_drop(path, before)  # of a process that was killed between the two renames
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        flush(beside)
        if path.exists():
            path.rename(before)
        beside.rename(path)
        flush(path.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        _restore_or_drop(path, before)


def remove_leftovers(folder: Path) -> None:
    """Clear up what killed processes left half-written in a folder, where no other may write.

    A folder that was moved aside to be replaced, and was not, comes back.
    """
    for left in folder.glob(".*.tmp") if folder.is_dir() else ():
        if match := re.fullmatch(r"\.(.+)\.(before|[0-9]+)\.tmp", left.name):
            if match[2] == "before":
                _restore_or_drop(folder / match[1], left)
            elif left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


def flush(path: Path) -> None:
    """Ask the system to put a file, or a folder's list of names, on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows does not open folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_text(path: Path, most: int, use: str) -> str:
    """Read a text that a person may have written.

    Args:
        path: The file.
        most: Bytes that it may have.
        use: What more is too large for, as the message ends.

    Raises:
        InputError: it is missing, not a regular file or larger, or no text in UTF-8.
    """
    if regular_size(path) > most:
        raise InputError(f"{path} is too large {use}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")


def to_json(value: Any) -> str:
    """Format a value as ganzoo's files hold it: indented JSON, in which NaN is an error."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested JSON objects by their dotted names."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        key: value
        for name, branch in tree.items()
        for key, value in flatten(branch, f"{prefix}.{name}" if prefix else name).items()
    }


def user_path(text: str | Path) -> Path:
    """Return a path as a person gives it, in which ``~`` is the home folder.

    Raises:
        InputError: it begins with the home folder of somebody who is not known here.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{text}: there is no such home folder") from None


def regular_size(path: Path) -> int:
    """Return how many bytes a regular file has; to open a pipe or a device might never end.

    Raises:
        InputError: it is missing, or it is something else.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is not a regular file")
    return found.st_size


def read_json(path: Path) -> Any:
    """Read a JSON file that may come from anywhere; what is read can be written again.

    Raises:
        InputError: it is missing, larger than 1 MiB, deeper than 32 levels, or not JSON; a key
            stands in it twice, or a number that is not finite.
    """
    try:
        regular_size(path)
        with path.open("rb") as file:
            data = file.read(JSON_LIMIT + 1)
        if len(data) > JSON_LIMIT:
            raise ValueError("it is larger than 1 MiB")
        return _parse_strict_json(data)
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} cannot be read as JSON: {first_line(error)}") from None


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Add one line of JSON to a file.

    Raises:
        InputError: something that is not a regular file is in its place.
    """
    if path.exists():
        regular_size(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")


def drop_lines_after(path: Path, step: int) -> None:
    """Drop from a file of JSON lines those of later steps, and a torn last one.

    Raises:
        InputError: something that is not a regular file is in its place.
    """
    if not path.exists():
        return
    regular_size(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if _step_of(line) <= step]
    if len(kept) < len(lines):
        write_text(path, "".join(kept))


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all, with the same bytes each time."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Cloned, because safetensors refuses tensors that share memory or are not contiguous.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as beside:
        try:
            save_file(copies, beside, metadata={"format": "pt"})
        except SafetensorError as error:  # a full disk is not an OSError here
            raise OSError(errno.EIO, first_line(error), str(path)) from error


def load_tensors(path: Path, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: The file.
        like: What it must hold: tensors of these names, shapes and types. Names and shapes are
            compared before a tensor is read, and how long its header is before all.

    Raises:
        InputError: it is missing, not a whole safetensors file, or holds something else.
    """
    from safetensors.torch import load_file

    if like is not None:
        _check_header(path, max_header_size(len(like)))
        _compare(path, tensor_shapes(path), {name: tuple(t.shape) for name, t in like.items()})
    regular_size(path)
    with _explain_read_errors(path):
        tensors = load_file(path)
    if like is not None:
        _compare(
            path,
            {name: tensor.dtype for name, tensor in tensors.items()},
            {name: tensor.dtype for name, tensor in like.items()},
        )
    return tensors


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes of a safetensors file, and none of its numbers.

    Raises:
        InputError: it is missing, or not a whole safetensors file.
    """
    from safetensors import safe_open

    regular_size(path)
    with _explain_read_errors(path), safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def max_header_size(tensors: int) -> int:
    """Return how many bytes a safetensors file of so many tensors may have beside its numbers."""
    return 1000 * (tensors + 1000)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder: Path, *left_out: str) -> dict[str, dict[str, int | str]]:
    """Return the size and the SHA-256 of each file of a folder, by name.

    Raises:
        InputError: something in it is not a regular file.
    """
    return {
        path.name: {"size": regular_size(path), "sha256": sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name not in left_out
    }


def cache_folder() -> Path:
    """Return the folder for what is downloaded or computed once; ``GANZOO_CACHE`` moves it."""
    if "GANZOO_CACHE" in os.environ:
        return user_path(os.environ["GANZOO_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ganzoo"


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return float("inf")  # a torn line at the end of a killed run, or a damaged one


def _restore_or_drop(path: Path, before: Path) -> None:
    """Drop the folder that was moved aside, or move it back where nothing took its place."""
    if before.exists() and not path.exists():
        before.rename(path)
    shutil.rmtree(before, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _explain_read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a header can claim what no version of torch expects
        raise InputError(f"{path} cannot be read as safetensors: {first_line(error)}") from None


def _check_header(path: Path, longest: int) -> None:
    """Refuse a header that takes long to read, or that two readers may understand differently."""
    size = regular_size(path)
    with _explain_read_errors(path), path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(longest, size - 8):
            raise ValueError(f"its header cannot have {length:,} bytes")
        _parse_strict_json(file.read(length))


def _compare(path: Path, found: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    missing, foreign = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    if missing:
        reason = f"it has no '{excerpt(min(missing))}'"
    elif foreign:
        reason = f"it has '{excerpt(min(foreign))}', which belongs to no part"
    else:
        name = next((name for name in wanted if wanted[name] != found[name]), None)
        if name is None:
            return
        reason = f"'{excerpt(name)}' is {excerpt(found[name])}, not {wanted[name]}"
    raise InputError(f"{path} does not fit its network: {reason}")


def _parse_strict_json(data: bytes) -> Any:
    value = json.loads(
        data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates
    )
    if _depth(value) > DEPTH_LIMIT:
        raise ValueError(f"it is deeper than {DEPTH_LIMIT} levels")
    # What is read can be written again: half a surrogate pair, say, and infinity cannot.
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
    return value


def _depth(value: Any) -> int:
    within = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, within), default=0) if isinstance(value, (dict, list)) else 0


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
