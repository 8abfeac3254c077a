"""Tensors of pickles: what describes them, and torch's own forms of files around a pickle."""

from __future__ import annotations

import io
import math
import zipfile
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError, excerpt
from ganzoo_zoo.apps.import_weights.machine import (
    Budget,
    Builder,
    Global,
    Machine,
    Record,
    StorageRecord,
    Stream,
    TensorRecord,
)

if TYPE_CHECKING:
    from mmap import mmap

    from torch import Tensor

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of torch's form before 1.6."""
MAX_DIMENSIONS = 16
ITEM_SIZES = {
    **dict.fromkeys(("uint8", "int8", "bool"), 1),
    **dict.fromkeys(("float16", "bfloat16", "int16"), 2),
    **dict.fromkeys(("float32", "int32"), 4),
    **dict.fromkeys(("float64", "int64"), 8),
}
"""Bytes of a number, by the name of torch's type."""
STORAGES = {
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "BoolStorage": "bool",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "ShortStorage": "int16",
    "FloatStorage": "float32",
    "IntStorage": "int32",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
}
ARRAYS = {
    **{"u1": "uint8", "i1": "int8", "b1": "bool", "f2": "float16", "i2": "int16"},
    **{"f4": "float32", "i4": "int32", "f8": "float64", "i8": "int64"},
}
"""numpy's names of types."""


def read_pickle(data: mmap) -> Any:
    """Read a pickle, or what ``torch.save`` wrote in its old or its new form.

    Returns:
        Dictionaries, lists, plain values, :class:`Record` and :class:`TensorRecord`.

    Raises:
        InputError: the file is damaged, or asks for what is refused.
    """
    budget = Budget(len(data))
    if data[:4] == b"PK\x03\x04":
        return _read_zip(data, budget)
    machine = Machine(data, BUILDERS, budget)
    first = machine.run()
    if first == TORCH_MAGIC and type(first) is int:
        return _read_old_form(data, data, budget)
    return first


class _Storages:
    """The storages that a pickle of torch names, to be filled when their place is known."""

    def __init__(self) -> None:
        self.found: dict[str, StorageRecord] = {}

    def find(self, identity: Any) -> Any:
        """Return what a persistent id stands for.

        ``("storage", type, key, device, numbers)`` is a storage, and ``("module", class, file,
        source)`` the class of a network.
        """
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
            return identity[1]
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise InputError("the file refers to something outside of it: refused")
        kind, key, numel = identity[1], identity[2], identity[4]
        if not isinstance(key, str) or not _is_count(numel) or not isinstance(kind, Global):
            raise ValueError("a storage is not described")
        if len(identity) > 5 and identity[5] is not None:
            raise ValueError("a storage is a part of another one")
        dtype = STORAGES.get(kind.name.rpartition(".")[2])
        if dtype is None or not kind.name.startswith("torch."):
            raise InputError(f"the file has numbers of a type that is not read: {kind.name}")
        return self.found.setdefault(key, StorageRecord(dtype, numel, key))


def _read_old_form(stream: Stream, data: Any, budget: Budget) -> Any:
    """Read what ``torch.save`` wrote before torch 1.6, behind its magic number.

    Args:
        stream: The rest of the file.
        data: All of it, as a buffer.
        budget: How much may be read.
    """
    storages = _Storages()
    builders = {name: each for name, each in BUILDERS.items() if name != NESTED}
    for _ in range(2):  # a version, and what machine it was
        Machine(stream, builders, budget).run()
    found = Machine(stream, builders, budget, storages.find).run()
    keys = Machine(stream, builders, budget).run()
    if not isinstance(keys, list) or len(keys) != len(set(map(str, keys))):
        raise InputError("it is not a whole file of torch: it does not list its storages")
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storage = storages.found.get(key) if isinstance(key, str) else None
        if storage is None or storage.numel != count:
            raise InputError("it is not a whole file of torch: a storage has another size")
        storage.data, storage.start = data, stream.tell()
        end = storage.start + count * ITEM_SIZES[storage.dtype]
        if end > len(data):
            raise InputError("it is not a whole file of torch: it ends too early")
        stream.seek(end)
    return found


def _read_zip(data: mmap, budget: Budget) -> Any:
    """Read what ``torch.save`` writes since torch 1.6: a pickle and storages, uncompressed."""
    try:
        with zipfile.ZipFile(data) as archive:  # type: ignore[call-overload]
            parts = {part.filename: part for part in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise InputError(f"it is not a whole zip file: {excerpt(str(error))}") from None
    root = next((name[: -len("data.pkl")] for name in parts if name.endswith("data.pkl")), None)
    if root is None:
        raise InputError("it is a zip file without weights: give a file of torch.save")
    if f"{root}constants.pkl" in parts:
        raise InputError("it is a TorchScript program: save the state dict of the network instead")
    order = parts.get(f"{root}byteorder")
    if order is not None and data[slice(*_find_bytes(data, order))] != b"little":
        raise InputError("it was written on a machine with another order of bytes")
    start, end = _find_bytes(data, parts[f"{root}data.pkl"])
    storages = _Storages()
    found = Machine(io.BytesIO(data[start:end]), BUILDERS, budget, storages.find).run()
    for key, storage in storages.found.items():
        part = parts.get(f"{root}data/{key}")
        if part is None or part.file_size < storage.numel * ITEM_SIZES[storage.dtype]:
            raise InputError("it is not a whole file of torch: a storage is missing or too short")
        storage.data, storage.start = data, _find_bytes(data, part)[0]
    return found


def _find_bytes(data: mmap, part: zipfile.ZipInfo) -> tuple[int, int]:
    """Return where the bytes of a part of a zip file begin and end, which are not compressed."""
    at = part.header_offset
    if part.compress_type != zipfile.ZIP_STORED or part.compress_size != part.file_size:
        raise InputError("a part of the file is compressed, which torch never does: refused")
    if data[at : at + 4] != b"PK\x03\x04":
        raise InputError("it is not a whole zip file: a part is not where it should be")
    start = at + 30 + sum(int.from_bytes(data[at + i : at + i + 2], "little") for i in (26, 28))
    if start + part.file_size > len(data):
        raise InputError("it is not a whole zip file: it ends too early")
    return start, start + part.file_size


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _tensor(machine: Machine, args: tuple[Any, ...]) -> TensorRecord:
    """Describe a tensor by ``(storage, offset, size, stride, ...)``, which must lie within it."""
    storage, offset, size, stride = args[:4]
    if not isinstance(storage, StorageRecord) or len(size) != len(stride):
        raise ValueError("a tensor is not described")
    if not all(map(_is_count, (offset, *size, *stride))) or len(size) > MAX_DIMENSIONS:
        raise ValueError("a tensor has an impossible shape")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count and (last >= storage.numel or count > storage.numel):
        raise ValueError("a tensor is larger than its numbers")
    machine.budget.spend_bytes(count * ITEM_SIZES[storage.dtype])
    return TensorRecord(storage, offset, tuple(size), tuple(stride))


def _parameter(machine: Machine, args: tuple[Any, ...]) -> Any:
    return args[0]


def _typed(machine: Machine, args: tuple[Any, ...]) -> Any:
    """Describe a tensor of a subclass, or with attributes, by what rebuilds its numbers."""
    function, _, inner, *_ = args
    if not isinstance(function, Global) or function.name not in machine.builders:
        raise ValueError("a tensor is not described")
    return machine.builders[function.name](machine, inner)


def _nested(machine: Machine, args: tuple[Any, ...]) -> Any:
    """Read a storage within a plain pickle, whose bytes are a file of torch in its old form."""
    (data,) = args
    if not isinstance(data, (bytes, bytearray)):
        raise ValueError("a storage is not bytes")
    machine.budget.spend_bytes(len(data))
    stream = io.BytesIO(data)
    if Machine(stream, {}, machine.budget).run() != TORCH_MAGIC:
        raise InputError("a storage within the file has a form that is not read: refused")
    return _read_old_form(stream, data, machine.budget)


class _Array(Record):
    """An array of numpy, whose state follows."""


def _array(machine: Machine, args: tuple[Any, ...]) -> Record:
    return _Array("numpy.ndarray")


def _buffer(machine: Machine, args: tuple[Any, ...]) -> Record:
    """Describe an array of the pickle protocol 5 in the form of the others."""
    data, kind, size, order = args
    return _Array("numpy.ndarray", state=(1, size, kind, order == "F", data))


def _scalar(machine: Machine, args: tuple[Any, ...]) -> Any:
    kind, data = args
    storage = StorageRecord(_find_dtype(kind), 1, data=data)
    return TensorRecord(storage, 0, (), ())


def _find_dtype(kind: Any) -> str:
    """Return torch's name of a type of numpy; an error if it has none.

    The state of a type begins with a version and its order of bytes.
    """
    name = kind.args[0] if isinstance(kind, Record) and kind.name == "numpy.dtype" else None
    order = kind.state[1] if isinstance(getattr(kind, "state", None), tuple) else "|"
    if not isinstance(name, str) or name not in ARRAYS or order not in ("<", "|", "="):
        raise ValueError("an array has a type that is not read")
    return ARRAYS[name]


def describe_array(record: Record) -> TensorRecord | None:
    """Describe an array of numpy as a tensor; None if it is none, or not of numbers."""
    state = record.state
    if not isinstance(record, _Array) or not isinstance(state, tuple) or len(state) != 5:
        return None
    _, size, kind, is_fortran, data = state
    try:
        dtype = _find_dtype(kind)
    except ValueError:
        return None
    if not isinstance(size, tuple) or not all(map(_is_count, size)) or len(size) > MAX_DIMENSIONS:
        return None
    count = math.prod(size)
    if not isinstance(data, (bytes, bytearray)) or len(data) != count * ITEM_SIZES[dtype]:
        return None
    stride = [math.prod(size[:i] if is_fortran else size[i + 1 :]) for i in range(len(size))]
    return TensorRecord(StorageRecord(dtype, count, data=data), 0, size, tuple(stride))


def build_tensor(record: TensorRecord) -> Tensor:
    """Return the tensor that a record describes, in the memory of its file where that is possible.

    Raises:
        InputError: its numbers are missing.
    """
    import torch

    storage = record.storage
    if not math.prod(record.size):
        return torch.empty(record.size, dtype=getattr(torch, storage.dtype))
    if storage.flat is None:
        storage.flat = _map_storage(storage)
    return storage.flat.as_strided(record.size, record.stride, record.offset)


def _map_storage(storage: StorageRecord) -> Tensor:
    import torch

    item, data = ITEM_SIZES[storage.dtype], storage.data
    length = storage.numel * item
    if data is None or len(data) < storage.start + length:
        raise InputError("a tensor of the file has no numbers")
    if isinstance(data, bytes):  # whose memory nobody may write to
        data = bytearray(data)
    storage.data = None
    flat = torch.frombuffer(data, dtype=torch.uint8, offset=storage.start, count=length)
    if flat.data_ptr() % item:
        flat = flat.clone()
    return flat.view(getattr(torch, storage.dtype))


NESTED = "torch.storage._load_from_bytes"
BUILDERS: dict[str, Builder] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch._tensor._rebuild_from_type": _typed,
    NESTED: _nested,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy.core.numeric._frombuffer": _buffer,
    "numpy._core.numeric._frombuffer": _buffer,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}
"""Functions of torch and numpy that put tensors together: ganzoo does this itself."""
