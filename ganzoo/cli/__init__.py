"""The command line: each command parses its options, calls a Python function and prints its result.

This file imports next to nothing, so that Ctrl-C works from the first moment on. Nothing here
imports torch or pydantic until a command needs it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: the work failed. 2: bad usage or input. 128 plus a signal's number: interrupted.

    Args:
        arguments: Arguments of a command to run within this process. By default the process itself
            is that command: it takes its own arguments, and handles signals.
    """

    def run_command() -> int:
        from ganzoo.cli.commands import run

        return run(arguments)

    if arguments is not None:
        return run_command()
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is a handler
    from ganzoo.cli.process import run_process

    return run_process(run_command)
