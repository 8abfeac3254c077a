"""Reading the weights of another program's file, of which no code is ever run.

What is read: what ``torch.save`` writes, in its old form and in its new one, safetensors, and plain
pickles such as those of NVIDIA's programs. Names are built as follows.

- Keys of dictionaries and numbers of lists are joined by dots: ``params_ema.conv_first.weight``.
- A network that was saved whole gives the names of its state dict, behind its own:
  ``G_ema.mapping.fc0.weight`` of parameters and buffers.
- Its plain attributes, and what it was made with, are values: ``G_ema.z_dim``,
  ``G_ema.init_kwargs.img_resolution`` and ``G_ema.init_args.0``, also those of networks within it:
  ``G_ema.mapping.w_dim``. ``G_ema.class_name`` is the name of its class. Other attributes that
  begin with an underscore are left out.
- The prefix ``module.`` of networks on several devices is left out, and so is ``_orig_mod.`` of
  compiled ones.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.compute import memory
from ganzoo.errors import InputError, excerpt
from ganzoo.protocols.converter import ForeignWeights
from ganzoo.storage.files import name_file, regular_size
from ganzoo.storage.tensors import load_tensors
from ganzoo_zoo.apps.import_weights.machine import PERSISTENT, Record, TensorRecord
from ganzoo_zoo.apps.import_weights.tensors import build_tensor, describe_array, read_pickle

if TYPE_CHECKING:
    from torch import Tensor

MAX_PLACES = 200_000
"""Most values of a file, each counted as often as it is met."""
MAX_DEPTH = 60
"""Most dictionaries, lists and networks within each other."""
LONGEST_TEXT = 1000
"""Longer text, such as a source, is no value."""
LARGEST_INT = 1 << 62
WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes of a state dict that say how the network was run."""
WRAPPER_CLASSES = ("DataParallel", "DistributedDataParallel", "OptimizedModule")
MODULE_PARTS = ("_parameters", "_buffers", "_modules")
CONSTRUCTION = {"_init_args": "init_args", "_init_kwargs": "init_kwargs"}
"""What NVIDIA's networks were made with."""
OTHER_PROGRAMS = {
    b"\x89HDF": "it is an HDF5 file, as Keras writes",
    b"\x1f\x8b": "it is compressed by gzip: unpack it first",
    b"7z\xbc\xaf": "it is a 7z archive: unpack it first",
}
"""First bytes of other forms."""


def read_weights(path: Path) -> ForeignWeights:
    """Read the tensors and the plain values of a file; see the module for their names.

    Raises:
        InputError: the file is missing, damaged or too large, has no tensors, or asks for
            something to be run.
    """
    size = regular_size(path)
    if not size:
        raise InputError(f"{path} is empty")
    if size > memory.limit():
        raise InputError(f"{path} has {size:,} bytes, more than this machine has memory for")
    with name_file(path), path.open("rb") as file:
        # A private copy: torch wants memory that may be written to.
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    header = int.from_bytes(data[:8], "little")
    if path.suffix == ".safetensors" or (data[8:9] == b"{" and header <= size - 8):
        return ForeignWeights(load_tensors(path))
    _refuse_others(path, data)
    try:
        tensors, values = _Flattening(path.stem).run(read_pickle(data))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not tensors:
        raise InputError(f"{path} has no tensors")
    return ForeignWeights(tensors, values)


def _refuse_others(path: Path, data: mmap.mmap) -> None:
    for start, why in OTHER_PROGRAMS.items():
        if data[: len(start)] == start:
            raise InputError(f"{path} cannot be read: {why}")
    if data[257:262] == b"ustar":
        raise InputError(f"{path} cannot be read: it is a tar archive: unpack it first")


class _Flattening:
    """Gives names to what a pickle describes.

    Args:
        name: Name of a tensor that is the whole file.
    """

    def __init__(self, name: str) -> None:
        self._alone = name
        self._tensors: dict[str, Tensor] = {}
        self._values: dict[str, Any] = {}
        self._places = MAX_PLACES
        self._inside: set[int] = set()

    def run(self, tree: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and values by name."""
        self._visit(tree, "", 0)
        return self._tensors, self._values

    def _visit(self, item: Any, name: str, depth: int) -> None:
        self._places -= 1
        if self._places < 0:
            raise InputError(f"the file has more than {MAX_PLACES:,} values: refused")
        if isinstance(item, Record):
            item = describe_array(item) or item
        if isinstance(item, TensorRecord):
            self._add(name or self._alone, build_tensor(item))
        elif _is_plain(item):
            if name:
                self._values.setdefault(name, item)
        elif id(item) not in self._inside:  # what lies within itself ends here
            self._visit_within(item, name, depth)

    def _visit_within(self, item: Any, name: str, depth: int) -> None:
        if depth == MAX_DEPTH:
            raise InputError(f"the file is nested deeper than {MAX_DEPTH} levels: refused")
        self._inside.add(id(item))
        for part, inner in _list_parts(item):
            joined = ".".join(filter(None, (name, part)))
            self._visit(inner, joined, depth + 1)
        self._inside.remove(id(item))

    def _add(self, name: str, tensor: Tensor) -> None:
        if name in self._tensors:
            raise InputError(f"the file has two tensors of the name '{excerpt(name)}': refused")
        self._tensors[name] = tensor


def _is_plain(item: Any) -> bool:
    if isinstance(item, str):
        return len(item) <= LONGEST_TEXT
    if type(item) is int:
        return abs(item) < LARGEST_INT
    return item is None or isinstance(item, (bool, float))


def _list_parts(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield what lies within something, with the parts of its name; none for what is unknown."""
    if isinstance(item, dict):
        yield from _list_entries(item)
    elif isinstance(item, (list, tuple)):
        yield from ((str(i), each) for i, each in enumerate(item))
    elif isinstance(item, Record):
        yield from _list_attributes(item)


def _list_entries(item: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    names = [str(key) for key in item]
    # One after the other, as a compiled network may be within one for several devices.
    for prefix in (*WRAPPERS, *WRAPPERS):
        if names and all(name.startswith(prefix) for name in names):
            names = [name.removeprefix(prefix) for name in names]
    yield from zip(names, item.values(), strict=True)


def _list_attributes(item: Record) -> Iterator[tuple[str, Any]]:
    state, class_name = item.state, item.name.rpartition(".")[2]
    if item.name == PERSISTENT:
        meta = item.args[0] if item.args and isinstance(item.args[0], dict) else {}
        state, class_name = meta.get("state"), str(meta.get("class_name"))
    yield from _list_entries(item.items)
    yield from ((str(i), each) for i, each in enumerate(item.members))
    if not isinstance(state, dict):
        return
    is_module = all(isinstance(state.get(part), (dict, Record)) for part in MODULE_PARTS)
    if is_module and class_name in WRAPPER_CLASSES:
        yield from (("", each) for each in _as_dict(state["_modules"]).values())
        return
    if is_module:
        yield "class_name", class_name
        for part in MODULE_PARTS:
            yield from ((str(key), value) for key, value in _as_dict(state[part]).items() if value)
    for key, value in state.items():
        if isinstance(key, str) and key in CONSTRUCTION:
            yield CONSTRUCTION[key], value
        elif isinstance(key, str) and not key.startswith("_"):
            yield key, value


def _as_dict(item: Any) -> dict[Any, Any]:
    return item.items if isinstance(item, Record) else item
