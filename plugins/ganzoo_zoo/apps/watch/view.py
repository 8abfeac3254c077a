"""The view of runs in the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ganzoo.display.formats import format_duration
from ganzoo.errors import InputError, escape_text
from ganzoo.runs.state import FINISHED, INTERRUPTED, TRAINING
from ganzoo_zoo.apps.watch.runs.run_reader import RunReader

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SPARKLINE = 40
"""The most characters of a sparkline."""
WIDEST_BAR = 60
BESIDE = 150
"""Terminals of at least this width show two runs side by side."""
ROOM = 30
"""Samples of several runs are shown if each run has at least this many lines."""


class View:
    """Renders runs below or beside each other."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._previews: dict[RunReader, tuple[Any, Any]] = {}

    def __call__(self, runs: Sequence[RunReader]) -> RenderableType:
        """Render the current state of the runs."""
        columns = 2 if len(runs) > 1 and self._console.width >= BESIDE else 1
        rows = -(-len(runs) // columns)
        with_samples = self._console.height // rows >= ROOM or len(runs) == 1
        width = self._console.width // columns - columns
        shown = [self._draw_run(run, width, with_samples) for run in runs]
        if columns == 1:
            return Group(*(part for each in shown for part in (each, Text())))
        grid = Table.grid(padding=(0, 2), expand=True)
        for _ in range(columns):
            grid.add_column(ratio=1)
        for start in range(0, len(shown), columns):
            grid.add_row(*shown[start : start + columns])
            grid.add_row()
        return grid

    def _draw_run(self, run: RunReader, width: int, with_samples: bool) -> RenderableType:
        parts: list[RenderableType] = [
            _plain(headline(run)),
            _plain(f"{escape_text(str(run.run.path))}: {progress(run)}"),
            _bar(run, min(width, WIDEST_BAR)),
        ]
        if run.numbers:
            parts.append(self._draw_numbers(run, width))
        parts += [_plain(line) for line in scores(run)]
        parts += [Text(f"warning: {message}", "yellow") for message in run.warnings]
        parts += [_plain(f"past warning, {each.describe()}") for each in run.past_warnings]
        if with_samples and (preview := self._preview(run)):
            parts.append(preview)
        return Group(*parts)

    def _draw_numbers(self, run: RunReader, width: int) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        named = max(map(len, run.numbers))
        room = min(SPARKLINE, width - named - 16)
        bars = room > 4 and self._console.encoding.startswith("utf")
        for name, series in run.numbers.items():
            line = [Text(series.sparkline(room), "cyan", no_wrap=True)] if bars else []
            table.add_row(_plain(name), f"{series.last:.4g}", *line)
        return table

    def _preview(self, run: RunReader) -> Any:
        """Return the newest samples, if the terminal can show them; each picture is read once."""
        from ganzoo.display.preview import Preview, can_show

        if run.picture is None or not can_show(self._console):
            return None
        from ganzoo.media.images import LAYOUT, load_png

        try:
            version = run.picture, run.picture.stat().st_mtime_ns
            if self._previews.get(run, (None,))[0] != version:
                picture, texts = load_png(run.picture)
                preview = Preview(picture, texts.get(LAYOUT, ""), 1 + run.pairs)
                self._previews[run] = version, preview
        except (InputError, OSError):
            return None  # a damaged picture must not hide the metrics
        return self._previews[run][1]


def headline(run: RunReader) -> str:
    """Describe the configuration of a run in one line."""
    train = run.config.train
    return f"{escape_text(run.config.title)}, batch size {train.batch_size}, seed {train.seed}"


def progress(run: RunReader) -> str:
    """Describe the state and the progress of a run in one line."""
    state = run.state()
    parts = [state, f"step {run.step} of {run.steps}"]
    if run.speed is not None and state in (TRAINING, FINISHED):
        parts.append(f"{run.speed:.0f} images/s")
    if (left := run.seconds_left()) is not None and state == TRAINING:
        parts.append(f"{format_duration(left)} left")
    if state.startswith(INTERRUPTED):
        parts.append(f"resume with: ganzoo train --resume {shlex.quote(str(run.run.path))}")
    return ", ".join(parts)


def scores(run: RunReader) -> Iterator[str]:
    """Yield a line per metric with its last score, and its best score if that was earlier."""
    for name, found in run.scores.items():
        value, step = found.last
        best = ""
        if found.best != found.last:
            best = f", best {found.best[0]:.4f} at step {found.best[1]}"
        seconds = found.last_taken.get("seconds")
        after = "" if seconds is None else f" after {format_duration(seconds)}"
        yield f"{name} {value:.4f} at step {step}{after}{best}"


def _bar(run: RunReader, width: int) -> Table:
    grid = Table.grid()
    grid.add_row(ProgressBar(max(1, run.steps), run.step, width=width))
    return grid


def _plain(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
