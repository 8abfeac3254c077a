"""Safetensors files: written atomically, and checked when they are read."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import InputError, excerpt, first_line
from ganzoo.storage.files import atomic_path, regular_size
from ganzoo.storage.json_files import parse_strict_json

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file atomically, with the same bytes each time.

    Raises:
        OSError: the file cannot be written, such as on a full disk.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Cloned, because safetensors refuses tensors that share memory or are not contiguous.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as beside:
        try:
            save_file(copies, beside, metadata={"format": "pt"})
        except SafetensorError as error:  # a full disk is not an OSError here
            code = re.search(r"os error (\d+)", str(error))
            why = (int(code[1]), os.strerror(int(code[1]))) if code else (errno.EIO, str(error))
            raise OSError(*why, str(path)) from error


def load_tensors(path: Path, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: The file.
        like: Tensors whose names, shapes and types the file must have. The length of its header
            is checked first, then names and shapes, and only then are tensors read. Half precision
            may stand for single precision, and is widened.

    Raises:
        InputError: the file is missing or damaged, or does not fit ``like``.
    """
    import torch
    from safetensors.torch import load_file

    if like is not None:
        _check_header(path, max_header_size(len(like)))
        _compare(path, tensor_shapes(path), {name: tuple(t.shape) for name, t in like.items()})
    regular_size(path)
    with _explain_read_errors(path):
        tensors = load_file(path)
    if like is not None:
        tensors = {
            name: widen(tensor) if like[name].dtype == torch.float32 else tensor
            for name, tensor in tensors.items()
        }
        _compare(
            path,
            {name: tensor.dtype for name, tensor in tensors.items()},
            {name: tensor.dtype for name, tensor in like.items()},
        )
    return tensors


def widen(tensor: Tensor) -> Tensor:
    """Return a tensor in single precision if it is in half, else itself."""
    import torch

    return tensor.float() if tensor.dtype == torch.float16 else tensor


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes of the tensors in a safetensors file, but not their values.

    Raises:
        InputError: the file is missing or damaged.
    """
    from safetensors import safe_open

    regular_size(path)
    with _explain_read_errors(path), safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def max_header_size(tensors: int) -> int:
    """Return the largest header, in bytes, of a safetensors file with a number of tensors."""
    return 1000 * (tensors + 1000)


@contextmanager
def _explain_read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError:  # which says nothing about the file
        raise
    except Exception as error:  # a header can make claims that torch fails at in any way
        raise InputError(f"{path} cannot be read as safetensors: {first_line(error)}") from None


def _check_header(path: Path, longest: int) -> None:
    """Refuse a header that is too long, or that two readers may understand differently."""
    size = regular_size(path)
    with _explain_read_errors(path), path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(longest, size - 8):
            raise ValueError(f"its header cannot have {length:,} bytes")
        parse_strict_json(file.read(length))


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
