"""The summary of a finished run, and the commands to try next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganzoo import registry
from ganzoo.cli.plugins import find_missing_extra
from ganzoo.display.formats import format_duration, format_terms
from ganzoo.display.messages import note
from ganzoo.registry import ARCHITECTURE, COMMAND
from ganzoo.runs.metrics import loss_terms

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.display.terminal import ProgressObserver
    from ganzoo.runs.folder import Run
    from ganzoo.runs.scores import ScoreRow

OPTIONAL_COMMANDS = {"report": "", "watch": " --web --open", "demo": " --open"}
"""Commands that take a run and are suggested if a package provides them, with their options."""


def summarise(
    run: Run,
    config: RunConfig,
    last: list[ScoreRow],
    best: list[ScoreRow],
    observer: ProgressObserver,
) -> None:
    """Print a table about a finished run on standard error, ending with commands to type next.

    Args:
        run: The run.
        config: Its configuration.
        last: Scores of its last step; empty if it has none.
        best: Scores of its best snapshot; empty if it has none.
        observer: Its observer in this process.
    """
    table = list(_rows(run, config, last, best, observer))
    width = max(len(key) for key, _ in table)
    for key, text in table:
        note(f"{key:{width}}  {text}")


def _rows(
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
        before = config.progress_at(train.steps - observer.done)
        seen = config.progress_at(train.steps).images - before.images
        part = "" if observer.done == train.steps else f" for the last {observer.done}"
        speed = f"{seen / observer.seconds:.0f} images/s"
        yield "time", f"{format_duration(observer.seconds)}{part}, {speed}"
    for network, terms in loss_terms(observer.row).items():
        if terms:
            yield network, format_terms(terms)
    if observer.warnings:
        yield "warnings", f"{observer.warnings}, above"
    yield "samples", str(run.model / "samples.png")
    for key, scores, folder in (("last", last, run.model), ("best", best, run.best)):
        if scores:
            values = ", ".join(f"{row.metric} {row.format_value()}" for row in scores)
            yield key, f"{values} at step {scores[0].step} ({folder})"
    first, *more = _next_commands(run, config)
    yield "next", first
    yield from (("", command) for command in more)


def _next_commands(run: Run, config: RunConfig) -> Iterator[str]:
    path = shlex.quote(str(run.path))
    architecture = config.architecture.build(ARCHITECTURE)
    source = "" if architecture.takes_latents else " --source PATH"
    yield f"ganzoo sample {path}{source}" + (" --label CLASS" if architecture.takes_images else "")
    yield f"ganzoo eval {path}"
    for name, options in OPTIONAL_COMMANDS.items():
        if found := registry.find_all(COMMAND, name):
            extra = find_missing_extra(found[0])
            first = f"   (first: pip install '{extra}')" if extra else ""
            yield f"ganzoo {name} {path}{options}{first}"
    yield _train_longer(path, config)
    yield f"ganzoo publish {path} USER/NAME"


def _train_longer(path: str, config: RunConfig) -> str:
    """Return the command for as many steps again.

    Where finished steps depend on their number, as where the learning rates have decayed, the run
    itself is at its end, and a new one goes on from there.
    """
    from ganzoo.resolve import depends_on_steps

    way = "--fork" if depends_on_steps(config) else "--resume"
    return f"ganzoo train {way} {path} --steps {2 * config.train.steps}"
