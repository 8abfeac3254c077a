"""Hostile files: each is refused, quickly and in one line, and no code of one runs."""

from __future__ import annotations

import io
import pickle
import struct
import time
import zipfile
from pathlib import Path

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo_zoo.apps.import_weights.reader import read_weights

CANARY = "canary"
"""A file in the working folder that hostile code would write."""
COMMAND = f"echo > {CANARY}"
CODE = f"open({CANARY!r}, 'w').close()"
CALLS = [
    ("posix", "system", COMMAND),
    ("os", "system", COMMAND),
    ("nt", "system", COMMAND),
    ("os", "popen", COMMAND),
    ("os", "remove", CANARY),
    ("os", "mkdir", CANARY),
    ("os.path", "os.system", COMMAND),
    ("subprocess", "getoutput", COMMAND),
    ("subprocess", "Popen", COMMAND),
    ("subprocess", "check_output", COMMAND),
    ("commands", "getoutput", COMMAND),
    ("builtins", "exec", CODE),
    ("builtins", "eval", CODE),
    ("builtins", "__import__", "antigravity"),
    ("builtins", "compile", CODE),
    ("builtins", "getattr", CODE),
    ("builtins", "open", CANARY),
    ("builtins", "map", CODE),
    ("builtins", "type", CODE),
    ("__builtin__", "eval", CODE),
    ("__builtin__", "execfile", CANARY),
    ("importlib", "import_module", "antigravity"),
    ("importlib._bootstrap", "_call_with_frames_removed", CODE),
    ("runpy", "run_path", CANARY),
    ("runpy", "_run_code", CODE),
    ("code", "InteractiveInterpreter", CODE),
    ("codeop", "compile_command", CODE),
    ("pty", "spawn", COMMAND),
    ("shutil", "rmtree", CANARY),
    ("shutil", "copyfile", CANARY),
    ("socket", "create_connection", "localhost"),
    ("socket", "socket", "localhost"),
    ("urllib.request", "urlopen", "http://localhost:9"),
    ("webbrowser", "open", "http://localhost:9"),
    ("ctypes", "CDLL", "libc.so.6"),
    ("marshal", "loads", CODE),
    ("pickle", "loads", CODE),
    ("_pickle", "loads", CODE),
    ("pickle", "Unpickler", CODE),
    ("shelve", "open", CANARY),
    ("types", "FunctionType", CODE),
    ("types", "CodeType", CODE),
    ("functools", "reduce", CODE),
    ("operator", "attrgetter", "system"),
    ("operator", "methodcaller", "system"),
    ("timeit", "timeit", CODE),
    ("cProfile", "run", CODE),
    ("profile", "run", CODE),
    ("pdb", "run", CODE),
    ("trace", "Trace", CODE),
    ("doctest", "debug_script", CODE),
    ("threading", "Thread", CODE),
    ("multiprocessing", "Process", CODE),
    ("asyncio", "create_subprocess_shell", COMMAND),
    ("logging.config", "listen", "1"),
    ("pydoc", "pipepager", COMMAND),
    ("site", "execsitecustomize", CODE),
    ("pathlib", "Path.touch", CANARY),
    ("collections", "OrderedDict.fromkeys", CODE),
    ("copyreg", "__reduce_ex__", CODE),
    ("_codecs", "decode", CODE),
    ("torch", "load", CANARY),
    ("torch.hub", "load", "user/repo"),
    ("torch.serialization", "os.system", COMMAND),
    ("torch.jit._script", "script", CODE),
    ("torch.storage", "pickle.loads", CODE),
    ("numpy.testing._private.utils", "runstring", CODE),
    ("numpy", "load", CANARY),
    ("numpy.core.multiarray", "fromfile", CANARY),
    ("pip", "main", "install"),
    ("pip._internal", "main", "install"),
    ("setuptools", "setup", "x"),
    ("PIL.ImageMath", "eval", CODE),
    ("yaml", "unsafe_load", CODE),
    ("ganzoo", "train", "dcgan"),
    ("somewhere", "factory", CODE),
]
"""What a file may ask for, with an argument."""


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def by_global(module: str, name: str, argument: str) -> bytes:
    return b"\x80\x02c%b\n%b\n" % (module.encode(), name.encode()) + text(argument) + b"\x85R."


def by_stack_global(module: str, name: str, argument: str) -> bytes:
    body = text(module) + b"\x94" + text(name) + b"\x94\x93" + text(argument) + b"\x85R."
    return b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body


def by_inst(module: str, name: str, argument: str) -> bytes:
    return b"(" + b"V%b\n" % argument.encode() + b"i%b\n%b\n." % (module.encode(), name.encode())


def by_obj(module: str, name: str, argument: str) -> bytes:
    return b"(c%b\n%b\n" % (module.encode(), name.encode()) + text(argument) + b"o."


def by_new_object(module: str, name: str, argument: str) -> bytes:
    return b"\x80\x02c%b\n%b\n" % (module.encode(), name.encode()) + text(argument) + b"\x85\x81."


def by_new_object_with_names(module: str, name: str, argument: str) -> bytes:
    name_bytes = b"\x80\x04" + text(module) + text(name) + b"\x93"
    return name_bytes + text(argument) + b"\x85}\x92."


def by_state(module: str, name: str, argument: str) -> bytes:
    """A class whose state would be set by a function of the file."""
    cls = b"\x80\x02csome.where\nThing\n)\x81"
    setter = b"}" + text("__setstate__") + b"c%b\n%b\n" % (module.encode(), name.encode())
    return cls + setter + b"sb" + text(argument) + b"b."


FORMS = (
    by_global,
    by_stack_global,
    by_inst,
    by_obj,
    by_new_object,
    by_new_object_with_names,
    by_state,
)


def within_zip(content: bytes, **parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for name, data in parts.items():
            archive.writestr(f"archive/{name.replace('__', '/')}", data)
    return file.getvalue()


def within_old_form(content: bytes) -> bytes:
    start = b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {}))
    return start + content + pickle.dumps([], 2)


def within_storage(content: bytes) -> bytes:
    inner = b"\x80\x04ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(content))
    return inner + content + b"\x85R."


def nested(count: int, opcode: bytes) -> bytes:
    return b"\x80\x02" + b"N" + opcode * count + b"."


def storage(numel: str, offset: str, size: str) -> bytes:
    """A file of torch with a tensor of these numbers, and with four bytes of them."""
    persistent = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    numbers = persistent + f"L{numel}L\n".encode() + b"tQ" + f"L{offset}L\n".encode()
    tensor = numbers + f"L{size}L\n".encode() + b"\x85K\x01\x85\x89Nt"
    content = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + tensor + b"R."
    return within_zip(content, data__0=b"\0\0\0\0")


def compressed(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", content)
    return file.getvalue()


def saved(value: object, old: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


GOOD = saved({"weight": torch.ones(3)})
GOOD_OLD = saved({"weight": torch.ones(3)}, old=True)
SHAPES = {
    "extension of one byte": b"\x80\x02\x82\x01.",
    "extension of two bytes": b"\x80\x02\x83\x01\x00.",
    "extension of four bytes": b"\x80\x02\x84\x01\x00\x00\x00.",
    "persistent id as text": b"Psomewhere\n.",
    "persistent id": b"\x80\x02" + text("somewhere") + b"Q.",
    "buffer outside of the file": b"\x80\x05\x97.",
    "read-only buffer": b"\x80\x05N\x98.",
    "memo of 2**31": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "memo of nothing": b"\x80\x02j\xff\xff\xff\x7f.",
    "memo of a huge number": b"Np" + b"9" * 6000 + b"\n.",
    "long number": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
    "long number of a negative length": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "long number as text": b"L" + b"9" * 6000 + b"L\n.",
    "long bytes": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
    "impossibly long bytes": b"\x80\x04\x8e" + b"\xff" * 8 + b".",
    "long array of bytes": b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",
    "long text": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
    "long short text": b"\x80\x02X\xff\xff\xff\xffab.",
    "long frame": b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
    "deep tuples": nested(100_000, b"\x85"),
    "deep lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep dictionaries": b"\x80\x02" + b"}" + (text("a") + b"}") * 2000 + b"s" * 2000 + b".",
    "deep objects": b"\x80\x02csome\nThing\n" + b")\x81" * 1 + b"\x85" * 5000 + b".",
    "exponential tuples": nested(10_000, b"2\x86"),
    "exponential lists": b"\x80\x02]" + b"(22l" * 10_000 + b".",
    "exponential dictionaries": b"\x80\x02}" + (b"q\x00}(K\x00h\x00K\x01h\x00u" * 3000) + b".",
    "exponential keys": b"\x80\x02}N" + b"2\x86" * 100 + b"Ns.",
    "a list within itself": b"\x80\x02]q\x00h\x00a.",
    "a dictionary within itself": b"\x80\x02}q\x00" + text("a") + b"h\x00s.",
    "an object within itself": b"\x80\x02csome\nThing\n)\x81q\x00}" + text("a") + b"h\x00sb.",
    "too many instructions": b"\x80\x02" + b"N0" * 200_000 + b"N.",
    "many copies of a list": b"\x80\x02ccollections\nOrderedDict\nq\x00]("
    + b"N" * 50_000
    + b"eq\x01"
    + b"h\x00h\x01\x85R0" * 50_000
    + b"N.",
    "many copies of a text": b"\x80\x02c_codecs\nencode\nq\x00"
    + text("x" * 1_000_000)
    + b"q\x01"
    + b"h\x00h\x01"
    + text("latin1")
    + b"\x86R0" * 1
    + b"h\x00h\x01X\x06\0\0\0latin1\x86R0" * 50_000
    + b"N.",
    "keys that collide": b"\x80\x02}("
    + b"".join(b"\x8a\x0b" + (i * (2**61 - 1)).to_bytes(11, "little") + b"N" for i in range(20_000))
    + b"u.",
    "stack that is empty": b"\x80\x02R.",
    "mark that is missing": b"\x80\x02t.",
    "mark as a value": b"\x80\x02(.",
    "state of nothing": b"\x80\x02b.",
    "items of a number": b"\x80\x02K\x01NNs.",
    "members of a text": b"\x80\x02" + text("a") + b"Na.",
    "call of a text": b"\x80\x02" + text("os") + b")R.",
    "call without arguments": b"\x80\x02csome\nThing\nNR.",
    "object of a number": b"\x80\x02K\x01)\x81.",
    "name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "unknown instruction": b"\x80\x02\xff.",
    "unknown protocol": b"\x80\xff\xff.",
    "no end": b"\x80\x02N",
    "empty": b"",
    "only zeros": bytes(1000),
    "only text": b"hello, world\n" * 10,
    "half a file": GOOD[: len(GOOD) // 2],
    "without its end": GOOD[:-30],
    "old form, half": GOOD_OLD[: len(GOOD_OLD) // 2],
    "old form, without its numbers": GOOD_OLD[:-8],
    "zip of nothing": within_zip(b""),
    "zip of another thing": compressed(b"x" * 100),
    "zip bomb": compressed(b"\x80\x02" + b"N0" * 5_000_000 + b"N."),
    "zip with a way out": within_zip(by_global(*CALLS[0]), **{"..__..__x": b"y"}),
    "zip of a program": within_zip(b"\x80\x02}.", **{"constants.pkl": b""}),
    "storage that is missing": within_zip(storage("1", "0", "1")[43:60]),
    "storage that is too short": storage("1000000000000", "0", "1"),
    "tensor beyond its storage": storage("1", "5", "1"),
    "tensor of a huge size": storage("1", "0", "100000000000"),
    "tensor of a negative size": storage("1", "0", "-1"),
    "tensor before its storage": storage("1", "-4", "1"),
    "tensor without a storage": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NK\0)))t" + b"R.",
    "storage of no bytes": within_storage(b""),
    "storage within a storage": within_storage(within_old_form(within_storage(GOOD_OLD))),
    "safetensors with a huge header": b"\xff\xff\xff\xff\xff\xff\xff\x7f{",
}
"""Files that want memory, time, or to be read wrongly."""
WRAPPERS = {"zip": within_zip, "old form": within_old_form, "storage": within_storage}
HOSTILE = {
    **{f"{module}.{name}": by_global(module, name, arg) for module, name, arg in CALLS},
    **{
        f"{module}.{name} {form.__name__}": form(module, name, arg)
        for module, name, arg in CALLS[::8]
        for form in FORMS
    },
    **{
        f"{name} {module}.{function}": wrap(by_global(module, function, arg))
        for name, wrap in WRAPPERS.items()
        for module, function, arg in CALLS[::15]
    },
    **SHAPES,
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_there_are_more_than_a_hundred_and_they_are_hostile() -> None:
    assert len(HOSTILE) > 200
    pickle.loads(HOSTILE["builtins.eval"])
    assert Path(CANARY).exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_within_a_second_and_runs_nothing(name: str) -> None:
    path = Path("weights.pth")
    path.write_bytes(HOSTILE[name])
    began = time.process_time()
    with pytest.raises(InputError) as refused:
        read_weights(path)
    assert time.process_time() - began < 1
    assert str(refused.value).startswith(str(path))
    assert len(str(refused.value).splitlines()) == 1
    assert not Path(CANARY).exists()


@pytest.mark.parametrize("form", FORMS[:4])
def test_the_message_says_what_the_file_wants_to_run(form) -> None:
    Path("weights.pth").write_bytes(form("posix", "system", COMMAND))
    with pytest.raises(InputError, match=r"the file wants to run posix\.system: refused"):
        read_weights(Path("weights.pth"))
