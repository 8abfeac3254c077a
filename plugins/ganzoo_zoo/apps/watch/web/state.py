"""The state of the page: runs that are watched, and runs that train for the page.

Folders are read on request, at most a few times a second, independently of the number of tabs.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganzoo.config import RunConfig
from ganzoo.display.formats import format_duration
from ganzoo.errors import GanzooError, escape_text, first_line
from ganzoo.runs.folder import CONFIG_FILE, Run
from ganzoo.runs.state import DIVERGED, FINISHED, INTERRUPTED, SILENT, TRAINING, WAITING
from ganzoo_zoo.apps.watch.points.frames import Frames, choose_evenly
from ganzoo_zoo.apps.watch.runs.run_reader import GONE, RunReader
from ganzoo_zoo.apps.watch.training.control_words import STOPPED
from ganzoo_zoo.apps.watch.training.workers import Busy, TrainingProcesses, TrainingRun, Unknown
from ganzoo_zoo.apps.watch.web.choices import resolve_choices

SECONDS_BETWEEN_READS = 0.2
MOST_RUNS = 12
"""The most runs that are shown; new runs replace those that are over."""
MOST_POINTS = 240
"""The most points of a curve."""
MOST_FRAMES = 120
"""The most frames per request."""
MOST_PICTURES = 200
KINDS = (FINISHED, TRAINING, WAITING, GONE, INTERRUPTED, DIVERGED)


class Card:
    """A run on the page.

    Args:
        name: Name of the run on the page.
        run: Reader of its folder, once it exists.
        trained: The run as its process reports it, if it trains for the page.
        asked: The request that started it, for a restart.
    """

    def __init__(
        self,
        name: str,
        run: RunReader | None = None,
        trained: TrainingRun | None = None,
        asked: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.trained = trained
        self.asked = asked
        self.problem = ""
        """Why its folder cannot be read, or empty."""
        self._unread = ""
        self.run: RunReader | None = None
        self.frames: Frames | None = None
        if run is not None:
            self.follow(run)

    def follow(self, run: RunReader) -> None:
        """Start to read a folder."""
        self.run, self.frames = run, Frames(run.run.path)

    def update(self) -> None:
        """Read new data."""
        try:
            if self.run is None and self.trained and self.trained.path:
                self.follow(RunReader(Run(self.trained.path)))
            if self.run and self.run.update():
                self._unread = ""
        except (GanzooError, OSError) as error:
            self._unread = first_line(error)  # shown until the folder changes
        self.problem = self._unread
        try:
            if self.frames and self.run and not self.run.is_gone:
                self.frames.update()
        except (GanzooError, OSError) as error:
            self.problem = self.problem or first_line(error)

    @property
    def config(self) -> RunConfig:
        """The configuration of the run."""
        if self.run:
            return self.run.config
        assert self.trained is not None  # a card has a folder or a process
        return self.trained.config

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        if self.trained and not self.trained.is_over:
            return False
        return (
            self.run is None or self.run.is_finished or self.run.is_gone or self.trained is not None
        )

    def state(self) -> tuple[str, str]:
        """Return the state of the run, as a word for the page and as a text for people."""
        if self.run and self.run.is_gone:
            return GONE, "the folder is gone"
        if self.trained and not (self.run and self.run.is_finished):
            return self.trained.state, self._describe_training(self.trained)
        assert self.run is not None  # a card has a folder or a process
        text = self.run.state()
        kind = next((kind for kind in KINDS if text.startswith(kind)), SILENT)
        return kind, text

    def _describe_training(self, trained: TrainingRun) -> str:
        text = f"{trained.state}: {trained.message}" if trained.message else trained.state
        if trained.state == STOPPED and self.run and self.run.saved_step:
            text += f" after step {self.run.saved_step:,}, state saved"
        return text

    def newest_frame(self) -> dict[str, Any] | None:
        """Return the newest frame, if there is one."""
        stored = self.frames.items[-1] if self.frames and self.frames.items else None
        sent = self.trained.frame if self.trained else None
        # After a return to a checkpoint, the frame that was sent last may be obsolete.
        if sent is None or (stored and stored["step"] >= sent["step"]):
            return stored
        return sent

    def as_json(self) -> dict[str, Any]:
        """Return the state of the card without curves, frames and pictures."""
        config, run = self.config, self.run
        kind, text = self.state()
        live = self.newest_frame()
        return {
            "name": self.name,
            "title": escape_text(config.title),
            "place": escape_text(str(run.run.path)) if run else "",
            "about": f"batch size {config.train.batch_size}, seed {config.train.seed}",
            "kind": kind,
            "said": text,
            "may": list(self.trained.allowed_commands) if self.trained else [],
            "own": self.trained is not None,
            "over": self.is_over,
            "asked": self.asked,
            "problem": self.problem,
            "step": self._step(live),
            "steps": config.train.steps,
            "live": live["step"] if live else None,
            "points": bool(self.frames and self.frames.plane),
            **_folder_json(run, kind),
            "resume": self._resume_command(kind),
            "warnings": self._warnings(),
            "past": [each.describe() for each in run.past_warnings] if run else [],
        }

    def _step(self, live: Mapping[str, Any] | None) -> int:
        step = self.run.step if self.run else 0
        if self.trained and not self.trained.is_over and live:
            return max(step, live["step"])
        return step

    def _resume_command(self, kind: str) -> str:
        """Return the command that resumes the run, or empty unless it was interrupted."""
        if self.run is None or not self.run.saved_step or kind not in (INTERRUPTED, STOPPED):
            return ""
        return f"ganzoo train --resume {shlex.quote(escape_text(str(self.run.run.path)))}"

    def _warnings(self) -> list[str]:
        sources = (self.trained, self.run)
        messages = [message for each in sources if each for message in each.warnings]
        return list(dict.fromkeys(messages))

    def curves(self) -> dict[str, Any]:
        """Return the curves of all metrics and scores."""
        if self.run is None:
            return {"numbers": {}, "scores": {}}
        scores = {name: found.series for name, found in self.run.scores.items()}
        numbers = {**self.run.numbers, **(self.frames.series() if self.frames else {})}
        return {
            kind: {name: _curve_json(*series.curve(MOST_POINTS)) for name, series in found.items()}
            for kind, found in (("numbers", numbers), ("scores", scores))
        }

    def frames_after(self, after: int) -> dict[str, Any]:
        """Return the frames after a step, and the newest one."""
        frames = self.frames
        return {
            "plane": frames.plane if frames else None,
            "kept": frames.after(after, MOST_FRAMES) if frames else [],
            "live": self.newest_frame(),
        }

    def picture(self, step: int) -> Path | None:
        """Return the path of the sample picture of a step, if there is one."""
        return self.run.pictures.get(step) if self.run else None


class Dashboard:
    """The runs on the page, and the actions on them. Thread-safe.

    Args:
        runs: The runs to watch.
        root: Folder whose new runs are watched too, if any.
    """

    def __init__(self, runs: Sequence[RunReader], root: Path | None) -> None:
        self._lock = threading.RLock()
        self._trainers = TrainingProcesses(self._lock)
        self._cards: dict[str, Card] = {}
        self._count = 0
        self._root = root
        self._known: set[Path] = set()
        """Folders that are shown, or existed before."""
        self._own_runs: list[TrainingRun] = []
        """All runs that were trained here, even if they are no longer shown."""
        self._updated_at = 0.0
        self._closed = False
        for run in runs:
            self._known.add(run.run.path.resolve())
            card = Card(self._next_name(), run)
            self._cards[card.name] = card
        if root is not None:
            self._known |= set(_list_folders(root))

    def state(self) -> dict[str, Any]:
        """Return the current state of all runs."""
        with self._lock:
            self._update()
            return {"runs": [card.as_json() for card in self._cards.values()]}

    def read_card(self, name: str, what: Callable[[Card], Any]) -> Any:
        """Apply a function to the card of a name; return None if there is no such card."""
        with self._lock:
            card = self._cards.get(name)
            return None if card is None else what(card)

    def is_known(self, name: str) -> bool:
        """Tell whether a run ever had this name."""
        return 0 < int(name) <= self._count

    def prepare(self) -> None:
        """Make ready for a first run, which then shows at once."""
        self._trainers.prepare()

    def start(self, asked: Mapping[str, Any], instead: str | None, *, paused: bool) -> str:
        """Start a run, and return its name.

        Args:
            asked: Arguments of :func:`ganzoo_zoo.apps.watch.web.choices.resolve_choices`.
            instead: Name of a run that was trained here, which the new run replaces; it is stopped
                unless it is over.
            paused: Whether the run pauses before its first update.

        Raises:
            InputError: the request is not valid.
            Unknown: the run to replace is not trained here.
            Busy: no more runs can train at the moment.
        """
        config = resolve_choices(**asked)
        with self._lock:
            self._require_open()
            before = self._find_own(instead) if instead is not None else None
            name = self._next_name()
            trained = TrainingRun(name, config, paused=paused)
            self._trainers.start(trained, before.trained if before else None)
            self._own_runs.append(trained)
            card = Card(name, trained=trained, asked=asked)
            if before is None:
                self._add_card(card)
            else:
                self._replace_card(card, before)
            return name

    def send_command(self, name: str, word: str) -> None:
        """Send a command to a run that is trained here.

        Raises:
            Unknown: the run is not trained here.
            Busy: the run does not accept the command in its state.
        """
        with self._lock:
            self._require_open()
            trained = self._find_own(name).trained
            assert trained is not None  # it is one of the own runs
            self._trainers.send_command(trained, word)

    def dismiss(self, name: str) -> None:
        """Hide a run that was trained here and is over; its folder stays.

        Raises:
            Unknown: the run was not trained here.
            Busy: the run is not over.
        """
        with self._lock:
            if not self._find_own(name).is_over:
                raise Busy("stop it first")
            del self._cards[name]

    def close(self) -> list[Path]:
        """Stop all runs that train here, and return the folders of those that can be resumed."""
        with self._lock:
            self._closed = True
            open_ones = [
                card.trained
                for card in self._cards.values()
                if card.trained and not card.trained.is_over
            ]
        self._trainers.close()
        return [run.path for run in open_ones if run.path and run.state == STOPPED]

    def _update(self) -> None:
        if time.monotonic() - self._updated_at < SECONDS_BETWEEN_READS:
            return
        for card in self._cards.values():
            card.update()
        self._find_new_runs()
        self._updated_at = time.monotonic()

    def _find_new_runs(self) -> None:
        """Start to watch new runs."""
        if self._root is None or any(run.is_awaiting_folder for run in self._own_runs):
            return  # a new folder may belong to a run that trains here
        self._known |= {run.path.resolve() for run in self._own_runs if run.path}
        for path in _list_folders(self._root):
            if path not in self._known and Run(path).is_run():
                self._known.add(path)
                with suppress(GanzooError, OSError):  # the run is not complete yet
                    card = Card(self._next_name(), RunReader(Run(self._root / path.name)))
                    card.update()
                    self._add_card(card)

    def _add_card(self, card: Card) -> None:
        """Show a run first; if there are too many, hide the last ones that are over."""
        over = [name for name, each in self._cards.items() if each.is_over]
        while over and len(self._cards) >= MOST_RUNS:
            del self._cards[over.pop()]
        if len(self._cards) < MOST_RUNS or card.trained is not None:
            self._cards = {card.name: card, **self._cards}

    def _replace_card(self, card: Card, before: Card) -> None:
        self._cards = {
            (card.name if each is before else name): (card if each is before else each)
            for name, each in self._cards.items()
        }

    def _next_name(self) -> str:
        self._count += 1
        return str(self._count)

    def _find_own(self, name: str) -> Card:
        card = self._cards.get(name)
        if card is None:
            raise Unknown("this run is no longer there")
        if card.trained is None:
            raise Unknown("this run is trained elsewhere and can only be watched here")
        return card

    def _require_open(self) -> None:
        if self._closed:
            raise Busy("the server is shutting down")


def _list_folders(root: Path) -> list[Path]:
    """Return the run folders in a folder, sorted by the age of their configuration."""
    found = []
    for path in root.iterdir() if root.is_dir() else ():
        with suppress(OSError):
            found.append(((path / CONFIG_FILE).stat().st_mtime_ns, path.resolve()))
    return [path for _, path in sorted(found)]


def _folder_json(run: RunReader | None, kind: str) -> dict[str, Any]:
    """Return the data from a run's folder."""
    if run is None:
        return {
            "numbers": {},
            "scores": {},
            "pictures": [],
            "pairs": False,
            "speed": "",
            "left": "",
        }
    pictures = [] if run.is_gone else list(run.pictures)
    left = run.seconds_left()
    return {
        "numbers": {name: series.last for name, series in run.numbers.items()},
        "scores": {name: found.as_json() for name, found in run.scores.items()},
        "pictures": [pictures[i] for i in choose_evenly(len(pictures), MOST_PICTURES)],
        "pairs": run.pairs,
        "speed": f"{run.speed:,.0f} images/s" if run.speed and kind in (TRAINING, FINISHED) else "",
        "left": f"{format_duration(left)} left" if left is not None and kind == TRAINING else "",
    }


def _curve_json(steps: Sequence[float], values: Sequence[float]) -> dict[str, list[float]]:
    return {
        "steps": [round(step, 1) for step in steps],
        "values": [float(f"{value:.5g}") for value in values],
    }
