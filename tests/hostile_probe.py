"""A process that has ganzoo ready, and tries each hostile folder in a fork of itself.

It reads a JSON list of ``{"name", "path", "canary", "command"}`` and prints one of what became of
each: what was said, how long it took, the memory that it added, and what it touched.

A fork begins with the memory that it shares with its parent, which counts as its own. What a case
adds is the peak of the fork beyond what it had when it began; pages of libraries that it is the
first to touch count too, so that this is rather more than a case really takes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ganzoo
from ganzoo import registry
from ganzoo.cli import main as command_line

SECONDS = 2
TRIES = 3
PATIENCE = 20
"""Seconds after which a case is ended, wherever it hangs."""
TELLING = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("os.startfile", "pty.spawn", "pickle.find_class", "marshal.loads", "exec", "compile"),
    *("ctypes.dlopen", "socket.connect", "socket.getaddrinfo", "urllib.Request"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.putenv", "shutil.rmtree"),
)
"""Audit events that no refusal has a reason for."""


def main() -> None:
    """Try them all."""
    good, *cases = json.load(sys.stdin)
    sys.stdin.close()
    ready(good)
    for case in cases:
        print(json.dumps(quickest(lambda case=case: tried(case))), flush=True)


def ready(good: dict[str, Any]) -> None:
    """Do once what every command does: import, load a good model, and refuse a bad one."""
    model = ganzoo.load(good["path"])
    assert model.discriminator is not None
    model.sample(1)
    assert ran(good["command"])[0] == 0
    assert ran(["publish", good["path"], "somebody/model", "--dry-run"])[0] == 0
    assert ran(["sample", "/now\x1bhere", "--out", "x.png"])[0] == 2
    for name in ("mlp", "resnet", "sngan", "cyclegan", "r3gan"):
        package = registry.get(registry.ARCHITECTURE, name).__module__
        while "." in package.removeprefix("ganzoo_zoo.families."):
            package = package.rpartition(".")[0]
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{module.name}")  # what networks are built of
    gc.freeze()  # what is never looked at again stays shared with the forks


def quickest(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a fork finds; one that a busy machine may have slowed down is tried anew."""
    for _ in range(TRIES):
        found = forked(work)
        if found["status"] or max(found["seconds"], found["command_seconds"]) < SECONDS:
            break
    return found


def forked(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a fork of this process finds, which is ended if it hangs."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE)
            answer.write(json.dumps(work()).encode())
            answer.flush()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answer.seek(0)
        return {**json.loads(answer.read() or b"{}"), "status": status}


def tried(case: dict[str, Any]) -> dict[str, Any]:
    """Load a folder, then name it to the command line, and tell all that happened."""
    events: list[str] = []
    before, environment, modules = memory("VmRSS"), dict(os.environ), set(sys.modules)
    sys.addaudithook(lambda event, args: noted(events, event, args))
    began = time.perf_counter()
    kinds, said, second = loaded(case["path"])
    seconds, peak = time.perf_counter() - began, memory("VmHWM")
    happened = list(events)
    code, out, err = ran(case["command"])
    return {
        "kinds": kinds,
        "said": said,
        "second": second,
        "seconds": seconds,
        "added": (peak - before) / 1024,
        "events": happened,
        "code": code,
        "out": out,
        "err": err,
        "command_seconds": time.perf_counter() - began - seconds,
        "command_added": (memory("VmHWM") - before) / 1024,
        "modules": sorted(set(sys.modules) - modules),
        "environment": sorted(environment.items() ^ os.environ.items()),
        "canary": os.path.exists(case["canary"]),
    }


def loaded(path: str) -> tuple[list[str], str, bool]:
    """Load a model and its discriminator; return what was raised, and by which of the two."""
    second = False
    try:
        model = ganzoo.load(path)
        second = True
        model.discriminator  # noqa: B018 - read when it is asked for
    except BaseException as error:
        return [kind.__name__ for kind in type(error).__mro__], str(error), second
    return [], "", second


def ran(arguments: list[str]) -> tuple[int, str, str]:
    """Run the command line, and return its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line(arguments)
    return code, out.getvalue(), err.getvalue()


def noted(events: list[str], event: str, args: tuple[object, ...]) -> None:
    """Keep an audit event that tells of code, of other programs, or of what is written."""
    if event in TELLING or (event == "open" and written(*args)):
        events.append(f"{event} {args[:1]!r}"[:200])


def written(path: object, mode: str | None, flags: int) -> bool:
    """Tell whether a file is opened to be written."""
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def memory(field: str) -> int:
    """Return what the system says of this process's memory, in KiB."""
    return next(amount for name, amount in _status() if name == field)


def _status() -> Iterator[tuple[str, int]]:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, text = line.partition(":")
        if text.endswith(" kB"):
            yield name, int(text.split()[0])


if __name__ == "__main__":
    main()
