"""The command line: each command parses its options, calls a Python function and prints its result.

Nothing here imports torch or pydantic until a command needs it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import Abort, TyperException

from ganzoo.cli import compare, evaluate, list_components, publish, sample, show, train
from ganzoo.cli.common import note
from ganzoo.cli.plugins import PluginGroup
from ganzoo.distributed import shutdown
from ganzoo.errors import GanzooError, Interrupted, escape_text, hide_token

PATH_ERRORS = (errno.ENAMETOOLONG, errno.ELOOP)

app = typer.Typer(
    name="ganzoo",
    cls=PluginGroup,
    help="Train, judge, share and reuse generative adversarial networks.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train.register(app)
sample.register(app)
evaluate.register(app)
compare.register(app)
publish.register(app)
list_components.register(app)
show.register(app)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    debug: bool = typer.Option(
        False, "--debug", envvar="GANZOO_DEBUG", help="Show the tracebacks of errors."
    ),
) -> None:
    if debug:
        os.environ["GANZOO_DEBUG"] = "1"
    if version:
        import ganzoo

        print(f"ganzoo {ganzoo.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: the work failed. 2: bad usage or input. 128 plus a signal's number: interrupted.
    """
    try:
        shutdown.quieten()
        code = app(args=arguments, prog_name="ganzoo", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except Interrupted as interrupt:
        if (message := shutdown.choose_message(str(interrupt))) is not None:
            print(message, file=sys.stderr)  # not an error: somebody asked for it
        return interrupt.exit_code
    except GanzooError as error:
        return _fail(error, str(error), error.exit_code)
    except TyperException as error:
        return _fail(error, _explain_usage(error), 2)
    except (Abort, KeyboardInterrupt) as error:
        signum = error.args[0] if error.args else signal.SIGINT
        return _fail(error, "interrupted", 128 + signum)
    except BrokenPipeError:
        # The reader is gone; Python would fail again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{escape_text(str(error.filename))}: " if error.filename else ""
        code = 2 if error.errno in PATH_ERRORS else 1
        return _fail(error, f"{where}{error.strerror or error}", code)
    except Exception as error:
        if _is_out_of_memory(error):
            return _fail(error, "out of memory; try a smaller batch or network", 1)
        first = (str(error).splitlines() or [""])[0]
        return _fail(
            error,
            f"{type(error).__name__}: {first}\n"
            "this is a bug in ganzoo or in a plugin; put --debug before the command to see where",
            1,
        )


def _explain_usage(error: TyperException) -> str:
    message = error.format_message().rstrip(".")
    end = "" if message.endswith("?") else "."
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ganzoo"
    return f"{message}{end} Try '{command} --help'."


def _fail(error: BaseException, message: str, code: int) -> int:
    if os.environ.get("GANZOO_DEBUG", "0") not in ("", "0"):
        import traceback

        sys.stderr.write(hide_token("".join(traceback.format_exception(error))))
    shown = shutdown.choose_message(message)
    if shown is not None:
        first, newline, second = f"Error: {hide_token(shown)}".partition("\n")
        note(first)
        if newline:
            note(second)
    shutdown.end_process(code)
    return code


def _is_out_of_memory(error: Exception) -> bool:
    # torch has an exception of its own for accelerators, and only a message for the CPU.
    kind = type(error).__name__
    return kind in ("MemoryError", "OutOfMemoryError") or "can't allocate memory" in str(error)
