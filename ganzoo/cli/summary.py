"""What is said at the end of a training: what came of it, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganzoo import registry
from ganzoo.cli.common import format_duration, note
from ganzoo.cli.progress import format_terms, loss_terms
from ganzoo.registry import ARCHITECTURE, COMMAND

if TYPE_CHECKING:
    from ganzoo.cli.progress import ProgressObserver
    from ganzoo.config import RunConfig
    from ganzoo.runs.folder import Run
    from ganzoo.runs.scores import ScoreRow

OPTIONAL_COMMANDS = ("report",)
"""Commands that a package may bring, to be followed by a run."""


def summarise(
    run: Run,
    config: RunConfig,
    last: list[ScoreRow],
    best: list[ScoreRow],
    observer: ProgressObserver,
) -> None:
    """Print a table of a finished run on standard error, which ends with the commands to type.

    Args:
        run: The run.
        config: Its configuration.
        last: Scores of its last step, if it was judged.
        best: Scores of its best snapshot, likewise.
        observer: What watched it in this process.
    """
    table = list(_lines(run, config, last, best, observer))
    width = max(len(word) for word, _ in table)
    for word, text in table:
        note(f"{word:{width}}  {text}")


def _lines(
    run: Run,
    config: RunConfig,
    last: list[ScoreRow],
    best: list[ScoreRow],
    observer: ProgressObserver,
) -> Iterator[tuple[str, str]]:
    train = config.train
    yield "run", str(run.path)
    yield "steps", f"{train.steps} of batch size {train.batch_size}, seed {train.seed}"
    if observer.done:
        seen = observer.done * train.n_critic * train.batch_size
        here = "" if observer.done == train.steps else f" for the last {observer.done}"
        speed = f"{seen / observer.seconds:.0f} images/s"
        yield "time", f"{format_duration(observer.seconds)}{here}, {speed}"
    for network, terms in loss_terms(observer.row).items():
        if terms:
            yield network, format_terms(terms)
    if observer.warnings:
        yield "warnings", f"{observer.warnings}, above"
    yield "samples", str(run.model / "samples.png")
    for word, scores, folder in (("last", last, run.model), ("best", best, run.best)):
        if scores:
            found = ", ".join(f"{row.metric} {row.format_value()}" for row in scores)
            yield word, f"{found} at step {scores[0].step} ({folder})"
    first, *more = _next_commands(run, config)
    yield "next", first
    yield from (("", command) for command in more)


def _next_commands(run: Run, config: RunConfig) -> Iterator[str]:
    path = shlex.quote(str(run.path))
    translates = config.architecture.build(ARCHITECTURE).takes_images
    yield f"ganzoo sample {path}" + (" --source PATH --label CLASS" if translates else "")
    yield f"ganzoo eval {path}"
    for name in OPTIONAL_COMMANDS:
        if registry.find_all(COMMAND, name):
            yield f"ganzoo {name} {path}"
    yield f"ganzoo publish {path} USER/NAME"
