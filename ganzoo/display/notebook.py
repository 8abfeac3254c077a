"""Progress in a notebook, below the cell: bars, losses and the newest samples, in place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ganzoo.display.formats import format_duration, format_speed, format_terms
from ganzoo.media import html
from ganzoo.runs.metrics import loss_terms
from ganzoo.training.observer import Observer

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.config import RunConfig
    from ganzoo.runs.folder import Run
    from ganzoo.runs.scores import ScoreRow

SECONDS_BETWEEN_UPDATES = 0.5
SECONDS_BETWEEN_PICTURES = 1.0


def is_notebook() -> bool:
    """Tell whether a notebook runs this program, so that HTML can be shown below its cell."""
    ipython = sys.modules.get("IPython")  # which every notebook has loaded
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class Area:
    """A place below a cell, whose HTML is replaced now and then.

    Args:
        seconds: Time between two updates, at least; the first one waits for it too.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()
        self._handle: Any = None

    def update(self, render: Callable[[], str], *, at_once: bool = False) -> bool:
        """Replace the HTML, and tell whether it was time for that.

        Args:
            render: Makes the HTML, if it is time.
            at_once: Do not wait.
        """
        if not at_once and time.monotonic() - self._last < self._seconds:
            return False
        from IPython.display import HTML, display

        content = HTML(render())
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)
        self._last = time.monotonic()
        return True

    def clear(self) -> None:
        """Remove what is shown."""
        if self._handle is not None:
            self.update(lambda: "", at_once=True)


class NotebookBar:
    """Bars for long work, which disappear at its end: a :data:`ganzoo.progress.Listener`."""

    def __init__(self) -> None:
        self.works: dict[str, tuple[int, int]] = {}
        """How much of each unfinished work is done, and the total."""
        self.area = Area(SECONDS_BETWEEN_UPDATES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.works.clear()
        self.area.clear()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move a bar, and remove it when its work is done."""
        self.works[what] = done, total
        if done >= total:
            del self.works[what]
        self.area.update(self.render)

    def render(self) -> str:
        """Return the bars as HTML."""
        return "".join(html.bar(what, *part) for what, part in self.works.items())


class NotebookObserver(NotebookBar, Observer):
    """Shows a run's losses, images per second, time left, scores and newest samples."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.step = self.steps = 0
        self.began: tuple[float, int] = (time.monotonic(), 0)
        """When the steps of this process began, and after which step."""
        self.row: dict[str, Any] = {}
        """The newest line of metrics."""
        self.scores = ""
        """The newest scores, in words."""
        self.picture: Tensor | None = None
        """The newest picture if it has not been shown yet."""
        self.picture_area = Area(SECONDS_BETWEEN_PICTURES)
        self.ending = ""
        """How the training ended, in words."""

    def __exit__(self, *failure: object) -> None:
        """Show how the training ended, and its last samples."""
        self.works.clear()
        if self.title:
            done, seconds = self.step - self.began[1], time.monotonic() - self.began[0]
            word = "done" if self.step == self.steps else "stopped"
            self.ending = f"{word}, {done:,} steps in {format_duration(seconds)}"
            self._show_picture(at_once=True)
            self.area.update(self.render, at_once=True)
        else:
            self.area.clear()

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Show what is trained, and where."""
        self.title = f"{config.title}, in {run.path}"
        self.step, self.steps = step, config.train.steps
        self.began = time.monotonic(), step
        self.area.update(self.render, at_once=True)

    def on_step(self, step: int) -> None:
        """Move the bar."""
        self.step = step
        self.area.update(self.render)

    def on_log(self, row: dict[str, Any]) -> None:
        """Show the losses with the next update, and a picture that came too early."""
        self.row = row
        self._show_picture()

    def on_picture(self, step: int, picture: Tensor, layout: str) -> None:
        """Show the samples, at most once a second."""
        self.picture = picture
        self._show_picture(at_once=step == self.began[1])

    def on_scores(self, rows: list[ScoreRow]) -> None:
        """Show the scores of a snapshot."""
        values = ", ".join(f"{row.metric} {row.format_value()}" for row in rows)
        self.scores = f"step {rows[0].step:,}: {values}"

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Show the progress of other long work while it lasts."""
        self(what, done, total)

    def on_warning(self, message: str) -> None:
        """Leave warnings to Python, whose they are in a notebook."""

    def render(self) -> str:
        """Return the bars and the numbers as HTML."""
        if not self.title:
            return super().render()
        parts = [html.heading(self.title), html.bar("step", self.step, self.steps, self._time())]
        losses = {network: terms for network, terms in loss_terms(self.row).items() if terms}
        if losses:
            rows = [(network, format_terms(terms)) for network, terms in losses.items()]
            parts.append(html.table(("network", "loss"), rows))
        parts += [html.text(self.scores) if self.scores else "", super().render()]
        return "".join(parts)

    def _time(self) -> str:
        if self.ending:
            return self.ending
        began, first = self.began
        if self.step == first:
            return ""
        seconds = (time.monotonic() - began) / (self.step - first) * (self.steps - self.step)
        speed = f"{format_speed(self.row)}, " if self.row else ""
        return f"{speed}{format_duration(seconds)} left"

    def _show_picture(self, *, at_once: bool = False) -> None:
        if self.picture is None:
            return
        from ganzoo.media.images import to_small_png

        picture = self.picture
        about = f"Samples at step {self.step:,}"
        if self.picture_area.update(
            lambda: html.picture(to_small_png(picture), about), at_once=at_once
        ):
            self.picture = None
