"""All commands, and how their errors are shown."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import typer
from typer.exceptions import Abort, TyperException

from ganzoo.cli import compare, evaluate, list_components, publish, sample, show, train
from ganzoo.cli.common import drop_output, is_debugging
from ganzoo.cli.help import list_examples
from ganzoo.cli.plugins import PluginGroup
from ganzoo.compute.memory import GIB, address_limit
from ganzoo.display.messages import note, print_warning
from ganzoo.distributed import shutdown
from ganzoo.errors import (
    GanzooError,
    GanzooWarning,
    Interrupted,
    PluginError,
    escape_text,
    hide_token,
)
from ganzoo.signals import signum_of

NO_THREAD = "can't start new thread"
"""Python's message where there are too many threads, or no memory for another one."""
MEMORY_WORDS = (
    *("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc"),
    *("failed to map segment", NO_THREAD),
)
"""Parts of the messages of those who got no memory, in small letters."""
PATH_ERRORS = (errno.ENAMETOOLONG, errno.ELOOP)

app = typer.Typer(
    name="ganzoo",
    cls=PluginGroup,
    help="Train, judge, share and reuse generative adversarial networks.",
    epilog=list_examples(
        ("A first GAN, in a few minutes.", "train dcgan"),
        ("Your own photos; 'ganzoo train --help' says more.", "train dcgan --data photos"),
        ("Samples of your newest run.", "sample"),
    ),
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


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; see :func:`ganzoo.cli.main`.

    Args:
        arguments: Its arguments; those of this process if None.
    """
    try:
        shutdown.quieten()
        with _print_warnings():
            code = app(args=arguments, prog_name="ganzoo", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except Interrupted as interrupt:
        if (message := shutdown.choose_message(str(interrupt))) is not None:
            print(message, file=sys.stderr)  # not an error: somebody asked for it
        return interrupt.exit_code
    except GanzooError as error:
        if isinstance(error, PluginError) and _lacks_memory(error.__cause__):
            return _fail(error, _explain_memory(error), 1)
        return _fail(error, str(error), error.exit_code)
    except TyperException as error:
        return _fail(error, _explain_usage(error), 2)
    except (Abort, KeyboardInterrupt) as error:
        return _fail(error, "interrupted", 128 + signum_of(error))
    except BrokenPipeError:  # the reader has read enough, as of a pager
        drop_output()
        return 1
    except Exception as error:
        return _fail(error, *_explain(error))


@contextmanager
def _print_warnings() -> Iterator[None]:
    """Print ganzoo's warnings of Python functions as lines, each of them once."""
    told: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", GanzooWarning)
        show = warnings.showwarning

        def show_once(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, GanzooWarning):
                show(message, category, filename, lineno, file, line)
            elif str(message) not in told:
                told.add(str(message))
                print_warning(str(message))

        warnings.showwarning = show_once
        yield


def _explain(error: Exception) -> tuple[str, int]:
    """Return what an error that is not ganzoo's own means, and the exit code."""
    if _lacks_memory(error):
        return _explain_memory(error), 1
    if isinstance(error, OSError):
        where = f"{escape_text(str(error.filename))}: " if error.filename else ""
        return f"{where}{error.strerror or error}", 2 if error.errno in PATH_ERRORS else 1
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "nothing says where your home folder is; set HOME", 2
    first = (str(error).splitlines() or [""])[0]
    return (
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
    if is_debugging():
        import traceback

        sys.stderr.write(hide_token("".join(traceback.format_exception(error))))
    shown = shutdown.choose_message(message)
    if shown is not None:
        first, newline, second = f"Error: {hide_token(shown)}".partition("\n")
        note(first)
        if newline:
            note(second)
    drop_output()
    shutdown.end_process(code)
    return code


def _lacks_memory(error: BaseException | None) -> bool:
    """Tell whether there was no memory for data, a library or a thread."""
    is_broken = isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError)
    if is_broken and address_limit() is not None:
        return True  # libraries that cannot be mapped have messages of many kinds
    kind, text = type(error).__name__, str(error).lower()
    # torch has an exception of its own for accelerators, and only a message for the CPU.
    return kind in ("MemoryError", "OutOfMemoryError") or any(
        words in text for words in MEMORY_WORDS
    )


def _explain_memory(error: Exception) -> str:
    most = address_limit()
    if most is None and NO_THREAD in str(error):
        return "the system starts no more threads for you; end other programs, or see ulimit -u"
    if most is None:
        return "out of memory; try a smaller batch or network"
    return (
        f"out of memory: this process may have {most / GIB:,.1f} GiB of address space (ulimit -v), "
        "of which torch alone takes several; allow it more"
    )
