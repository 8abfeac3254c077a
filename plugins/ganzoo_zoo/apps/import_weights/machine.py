"""A stack machine for pickles, which builds data and never imports or calls what a file names.

Python's own unpickler runs what a pickle asks for. This one goes through the opcodes, builds
numbers, text, lists and dictionaries, and keeps every class as a passive :class:`Record`. Tensors
are described by :class:`TensorRecord`. A file that names a function, or anything of Python's own
library beyond a few harmless classes, is refused.
"""

from __future__ import annotations

import pickletools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ganzoo.errors import InputError, excerpt

MAX_OPCODES = 300_000
"""Most opcodes of a file; three networks saved whole have about 100,000."""
COPIES, SPARE_BYTES = 4, 1 << 20
"""Bytes that a file may describe: so many times its own, and a few more."""
LARGEST_KEY = 1 << 48
"""Keys of dictionaries are text or smaller numbers: larger ones can be made to collide."""
HARMLESS = {
    *(f"builtins.{name}" for name in ("object", "bool", "int", "float", "complex", "str", "bytes")),
    *(f"builtins.{name}" for name in ("list", "tuple", "dict", "set", "frozenset", "slice")),
    *(f"collections.{name}" for name in ("OrderedDict", "defaultdict", "Counter", "deque")),
    *("argparse.Namespace", "types.SimpleNamespace", "functools.partial"),
    *("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"),
    *("datetime.datetime", "datetime.date", "datetime.timedelta"),
    *("copyreg._reconstructor", "_codecs.encode"),
    *("torch.device", "torch.Size", "numpy.dtype"),
}
"""What a file may name although it is Python's own, or call although it looks like a function."""
OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules of Python 2."""
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
"""What rebuilds a network, from its source, in the files of NVIDIA's programs."""


class Stream(Protocol):
    """What the machine reads: an open file, or a mapped one."""

    def read(self, n: int = ..., /) -> bytes:
        """Read bytes."""
        ...

    def readline(self) -> bytes:
        """Read a line."""
        ...

    def tell(self) -> int:
        """Return the position."""
        ...

    def seek(self, position: int, /) -> object:
        """Go to a position."""
        ...


@dataclass(eq=False)
class Global:
    """Something that a file names, such as a class."""

    name: str


@dataclass(eq=False)
class Record:
    """An object of a class: what it was made of, which nobody has made."""

    name: str
    """Its class, as ``module.class``."""
    args: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    """What was put into it as into a dictionary."""
    members: list[Any] = field(default_factory=list)
    """What was appended to it as to a list."""


@dataclass(eq=False)
class StorageRecord:
    """The memory of tensors: where it lies is known once the file is read to its end."""

    dtype: str
    """Name of torch's type, such as ``float32``."""
    numel: int
    key: str = ""
    data: Any = None
    """What :func:`torch.frombuffer` takes."""
    start: int = 0
    """First byte in the data."""
    flat: Any = None
    """The numbers as one tensor, once it is needed."""


@dataclass(eq=False)
class TensorRecord:
    """A tensor: a view of a storage."""

    storage: StorageRecord
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Mark:
    """Where the items of a list, tuple or dictionary begin on the stack."""


MARK = _Mark()
Builder = Callable[["Machine", tuple[Any, ...]], Any]


class Budget:
    """How much may still be read and built, over all pickles of a file.

    Args:
        size: Bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self.left = MAX_OPCODES
        self._bytes = COPIES * size + SPARE_BYTES

    def spend(self, count: int = 1) -> None:
        """Count opcodes, or items that are copied.

        Raises:
            InputError: there were too many.
        """
        self.left -= count
        if self.left < 0:
            raise InputError(f"the file has more than {MAX_OPCODES:,} instructions: refused")

    def spend_bytes(self, count: int) -> None:
        """Count bytes of text or of a tensor.

        Raises:
            InputError: they are far more than the file has.
        """
        self._bytes -= count
        if self._bytes < 0:
            raise InputError("what the file describes is far larger than the file: refused")


class Machine:
    """Reads one pickle of a stream.

    Args:
        stream: The stream; it stands behind the pickle afterwards.
        builders: What makes tensors and the like, by the name that a file gives it.
        budget: How many opcodes may be read.
        persistent: What a file's persistent ids stand for; None where there may be none.
    """

    def __init__(
        self,
        stream: Stream,
        builders: dict[str, Builder],
        budget: Budget,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self._stream = stream
        self.builders = builders
        self.budget = budget
        self._persistent = persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Read the pickle and return what it describes.

        Raises:
            InputError: it is damaged, or asks for what is refused.
        """
        budget, actions = self.budget, ACTIONS
        try:
            for opcode, argument, _ in pickletools.genops(self._stream):  # type: ignore[arg-type]
                budget.left -= 1
                if budget.left < 0:
                    budget.spend(0)
                if opcode.name == "STOP":
                    return self._pop()
                if opcode.name not in actions:
                    raise InputError(f"the file has an instruction {opcode.name}: refused")
                actions[opcode.name](self, argument)
        except InputError:
            raise
        except Exception as error:  # a damaged pickle fails in any way
            raise InputError(f"it is not a whole pickle: {excerpt(str(error))}") from None
        raise InputError("it is not a whole pickle: it ends too early")

    def _pop(self) -> Any:
        found = self.stack.pop()
        if found is MARK:
            raise ValueError("the stack is empty")
        return found

    def _pop_to_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise ValueError("a mark is missing")

    # Names and calls

    def _name(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is not text")
        module = OLD_NAMES.get(module, module)
        full = f"{module}.{name}"
        if module.partition(".")[0] in sys.stdlib_module_names and full not in HARMLESS:
            raise _refusal(full)
        return Global(full)

    def _call(self, function: Any, args: Any) -> Any:
        """Return what stands for the result of a call; nothing is called but our own builders."""
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise ValueError("it calls what is not a class")
        name = function.name
        if name in self.builders:
            return self.builders[name](self, args)
        if name in SIMPLE:
            return self._put_together(name, args)
        if not name.rpartition(".")[2].lstrip("_")[:1].isupper() and name not in (
            *HARMLESS,
            PERSISTENT,
        ):
            raise _refusal(name)
        return Record(name, args)

    def _new(self, cls: Any, args: tuple[Any, ...]) -> Any:
        if not isinstance(cls, Global):
            raise ValueError("it makes an object of what is not a class")
        if cls.name in SIMPLE:
            return self._put_together(cls.name, args)
        return Record(cls.name, args)

    def _put_together(self, name: str, args: tuple[Any, ...]) -> Any:
        first = args[0] if args else ()
        if isinstance(first, str):
            self.budget.spend_bytes(len(first))
        elif isinstance(first, (list, tuple, dict)):
            self.budget.spend(len(first))  # one list may be copied many times
        return SIMPLE[name](args)

    def _build(self, _: Any) -> None:
        state, target = self._pop(), self.stack[-1]
        if isinstance(target, Record):
            target.state = state

    def _persist(self, identity: Any) -> None:
        if self._persistent is None:
            raise InputError("the file refers to something outside of it: refused")
        self.stack.append(self._persistent(identity))

    # Stack and memo

    def _put(self, place: Any) -> None:
        self.memo[int(place)] = self.stack[-1]

    def _get(self, place: Any) -> None:
        self.stack.append(self.memo[int(place)])

    def _tuple(self, count: int) -> None:
        items = tuple(self._pop() for _ in range(count))
        self.stack.append(items[::-1])

    def _append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target.members.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise ValueError("it appends to what is not a list")

    def _set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        into = target.items if isinstance(target, Record) else target
        if not isinstance(into, dict) or len(pairs) % 2:
            raise ValueError("it fills what is not a dictionary")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if isinstance(key, str) or (type(key) is int and abs(key) < LARGEST_KEY):
                into[key] = value  # others are no part of a name, and may be slow to hash

    def _pop_pair(self) -> list[Any]:
        value = self._pop()
        return [self._pop(), value]


def _refusal(name: str) -> InputError:
    return InputError(f"the file wants to run {excerpt(name)}: refused; nothing of it was run")


def _to_dict(args: tuple[Any, ...]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    given = args[0] if args and isinstance(args[0], (list, dict)) else []
    for pair in given.items() if isinstance(given, dict) else given:
        if isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str):
            found[pair[0]] = pair[1]
    return found


def _encode(args: tuple[Any, ...]) -> bytes:
    text, encoding = args
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("text in an unknown encoding")
    return text.encode("latin-1")


SIMPLE: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": _to_dict,
    "collections.defaultdict": lambda args: {},
    "builtins.dict": _to_dict,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": lambda args: Record(args[0].name, args[1:]),
    "torch.Size": lambda args: args[0] if isinstance(args[0], tuple) else tuple(args[0]),
}
"""Calls that only put data together, which ganzoo does itself."""


def _push(machine: Machine, value: Any) -> None:
    machine.stack.append(value)


def _pop_mark(machine: Machine, _: Any) -> None:
    machine._pop_to_mark()


def _global(machine: Machine, argument: Any) -> None:
    module, _, name = argument.partition(" ")
    _push(machine, machine._name(module, name))


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine._pop(), machine._pop()
    _push(machine, machine._name(module, name))


def _reduce(machine: Machine, _: Any) -> None:
    args, function = machine._pop(), machine._pop()
    _push(machine, machine._call(function, args))


def _inst(machine: Machine, argument: Any) -> None:
    module, _, name = argument.partition(" ")
    args = tuple(machine._pop_to_mark())
    _push(machine, machine._call(machine._name(module, name), args))


def _obj(machine: Machine, _: Any) -> None:
    cls, *args = machine._pop_to_mark()
    _push(machine, machine._call(cls, tuple(args)))


def _new_object(machine: Machine, _: Any) -> None:
    args, cls = machine._pop(), machine._pop()
    _push(machine, machine._new(cls, args))


def _new_object_with_names(machine: Machine, _: Any) -> None:
    names, args, cls = machine._pop(), machine._pop(), machine._pop()
    made = machine._new(cls, args)
    if isinstance(made, Record) and isinstance(names, dict):
        machine.budget.spend(len(names))
        made.items.update(names)
    _push(machine, made)


def _to_list(machine: Machine, _: Any) -> None:
    _push(machine, machine._pop_to_mark())


def _dict(machine: Machine, _: Any) -> None:
    pairs = machine._pop_to_mark()
    _push(machine, {})
    machine._set_items(pairs)


LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("BYTEARRAY8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
ACTIONS: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(LITERALS, _push),
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "NONE": lambda machine, _: _push(machine, None),
    "NEWTRUE": lambda machine, _: _push(machine, True),
    "NEWFALSE": lambda machine, _: _push(machine, False),
    "EMPTY_TUPLE": lambda machine, _: _push(machine, ()),
    "EMPTY_LIST": lambda machine, _: _push(machine, []),
    "EMPTY_DICT": lambda machine, _: _push(machine, {}),
    "EMPTY_SET": lambda machine, _: _push(machine, Record("builtins.set")),
    "MARK": lambda machine, _: _push(machine, MARK),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "INST": _inst,
    "OBJ": _obj,
    "NEWOBJ": _new_object,
    "NEWOBJ_EX": _new_object_with_names,
    "BUILD": Machine._build,
    "PERSID": Machine._persist,
    "BINPERSID": lambda machine, _: machine._persist(machine._pop()),
    "POP": lambda machine, _: machine.stack.pop() and None,
    "POP_MARK": _pop_mark,
    "DUP": lambda machine, _: _push(machine, machine.stack[-1]),
    "PUT": Machine._put,
    "BINPUT": Machine._put,
    "LONG_BINPUT": Machine._put,
    "MEMOIZE": lambda machine, _: machine._put(len(machine.memo)),
    "GET": Machine._get,
    "BINGET": Machine._get,
    "LONG_BINGET": Machine._get,
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "TUPLE": lambda machine, _: _push(machine, tuple(machine._pop_to_mark())),
    "LIST": _to_list,
    "APPEND": lambda machine, _: machine._append([machine._pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._pop_to_mark()),
    "DICT": _dict,
    "SETITEM": lambda machine, _: machine._set_items(machine._pop_pair()),
    "SETITEMS": lambda machine, _: machine._set_items(machine._pop_to_mark()),
    "FROZENSET": lambda machine, _: _push(
        machine, Record("builtins.frozenset", members=machine._pop_to_mark())
    ),
    "ADDITEMS": lambda machine, _: machine._append(machine._pop_to_mark()),
}
"""What each opcode does; all that are not here are refused."""
