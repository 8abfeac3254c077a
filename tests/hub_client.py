"""The other end of ``hub.Client``: a process that holds the real client of the Hub, and obeys.

It reads one JSON command a line and answers each with one. What a command prints is caught where
it leaves the process, so that loggers, warnings, progress bars and C code count as well.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from huggingface_hub import file_download
from huggingface_hub.utils import _http

import ganzoo.cli

CAUGHT = {1: "out", 2: "err"}


def main() -> None:
    """Obey until the commands end."""
    # Kept aside, so that nothing that is run can read a command or write into an answer.
    commands, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    faulthandler.register(signal.SIGUSR1)  # whoever waits in vain may ask where it is
    answers.write("ready\n")
    answers.flush()
    if os.environ.get("QUICK_RETRIES"):
        quick_retries()
    for line in commands:
        command = json.loads(line)
        with caught(command["out"], command["err"]), surroundings(command["cwd"], command["env"]):
            if "arguments" in command:
                answer = {"code": run(command["arguments"])}
            else:
                answer = call(command["text"], command["values"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def run(arguments: list[str]) -> int:
    """Run the command line, and return its exit code as a process would."""
    try:
        return ganzoo.cli.main(arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


def call(text: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Execute ``text`` and return what it left in ``result``, or what it raised."""
    names: dict[str, Any] = {"__name__": "call", "result": None, **values}
    try:
        exec(compile(text, "<call>", "exec"), names)
        json.dumps(names["result"])
    except BaseException as error:
        return {
            "kinds": [kind.__name__ for kind in type(error).__mro__],
            "message": str(error),
            "traceback": traceback.format_exc(),
        }
    return {"result": names["result"]}


@contextlib.contextmanager
def caught(out: str, err: str) -> Iterator[None]:
    """Send what is printed to two files."""
    kept = {descriptor: os.dup(descriptor) for descriptor in CAUGHT}
    for descriptor, path in zip(CAUGHT, (out, err), strict=True):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for descriptor, before in kept.items():
            os.dup2(before, descriptor)
            os.close(before)


@contextlib.contextmanager
def surroundings(cwd: str, env: Mapping[str, str | None]) -> Iterator[None]:
    """Work in a folder with some of the environment changed, and leave both as they were."""
    kept = dict(os.environ)
    home = os.getcwd()
    os.chdir(cwd)
    for name, value in env.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    getattr(_http, "_WARNED_TOPICS", set()).clear()
    try:
        # Changed filters make Python forget which warnings it gave, as in a process of its own.
        with warnings.catch_warnings():
            yield
    finally:
        os.chdir(home)
        os.environ.clear()
        os.environ.update(kept)


def quick_retries() -> None:
    """Let the client of the Hub wait for a moment only before it tries again.

    It waits for 1, 2, 4, 8 and 8 seconds. How often it tries is left as it is, and no other module
    sees a quicker clock.
    """
    quick = SimpleNamespace(**vars(time))
    quick.sleep = lambda seconds: time.sleep(min(seconds, 0.01))
    for module in (_http, file_download):
        module.time = quick


if __name__ == "__main__":
    main()
