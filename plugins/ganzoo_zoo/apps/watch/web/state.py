"""The state of the page: runs that are watched, and runs that train for the page.

Folders are read on request, at most a few times a second, independently of the number of tabs. Who
may see a run, and act on it, is decided here and nowhere else, by :class:`Person`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ganzoo.config import RunConfig
from ganzoo.errors import GanzooError, InputError
from ganzoo.runs.folder import CONFIG_FILE, RUNS_FOLDER, Run
from ganzoo_zoo.apps.watch.runs.run_reader import RunReader
from ganzoo_zoo.apps.watch.training.control_words import MAX_TRAINING, STOPPED
from ganzoo_zoo.apps.watch.training.training_run import SET_ASIDE, Busy, TrainingRun, Unknown
from ganzoo_zoo.apps.watch.training.workers import TrainingProcesses
from ganzoo_zoo.apps.watch.web.bounds import DEVICE, Bounds, require_disk
from ganzoo_zoo.apps.watch.web.card import CHANGEABLE, Card
from ganzoo_zoo.apps.watch.web.choices import DEFAULTS, resolve_choices
from ganzoo_zoo.apps.watch.web.classroom import Classroom, Person, class_json

SECONDS_BETWEEN_READS = 0.2
MOST_RUNS = 12
"""The most runs of the teacher that are shown; new runs replace those that are over."""
CLASS_FOLDER = "class"
"""Folder of the pupils' runs, in that of the runs."""
SECONDS_BETWEEN_ANSWERS = 2.0
SECONDS_TO_ANSWER = 10.0
"""Seconds that a run has for a walk, or for the nearest reals."""


class Dashboard:
    """The runs on the page, and the actions on them. Thread-safe.

    Args:
        runs: The runs to watch.
        root: Folder whose new runs are watched too, if any.
        classroom: The class whose pupils train here too, if any.
        bounds: What a pupil may train.
        most_training: The most runs that train at once.
    """

    def __init__(
        self,
        runs: Sequence[RunReader],
        root: Path | None,
        classroom: Classroom | None = None,
        bounds: Bounds | None = None,
        most_training: int = MAX_TRAINING,
    ) -> None:
        self.classroom = classroom
        self.bounds = bounds or Bounds()
        self._lock = threading.RLock()
        self._trainers = TrainingProcesses(self._lock, most_training)
        self._cards: dict[str, Card] = {}
        self._owners: list[str] = []
        """The owner of each run that ever was, in the order of their names."""
        self._root = root
        self._known: set[Path] = set()
        """Folders that are shown, or existed before."""
        self._own_runs: list[TrainingRun] = []
        """All runs of the teacher that were trained here, even if they are no longer shown."""
        self._taken: set[Path] = set()
        """Folders of pupils' runs, which may not exist yet."""
        self._updated_at = 0.0
        self._closed = False
        for run in runs:
            self._known.add(run.run.path.resolve())
            card = Card(self._next_name(""), run)
            self._cards[card.name] = card
        if root is not None:
            self._known |= set(_list_folders(root))

    def state(self, person: Person) -> dict[str, Any]:
        """Return the current state of all runs that a person may see, and of the class."""
        with self._lock:
            self._update()
            seen = [card for card in self._cards.values() if person.may_see(card.owner)]
            return {
                "runs": [self._card_json(card, person) for card in seen],
                "class": self._class_json(person),
            }

    def read_card(self, name: str, what: Callable[[Card], Any], person: Person) -> Any:
        """Apply a function to the card of a name.

        Returns:
            What the function returns; None for a run that is no longer shown.

        Raises:
            Unknown: there was no such run, or the person may not see it.
        """
        with self._lock:
            self._require_seen(name, person)
            card = self._cards.get(name)
            return None if card is None else what(card)

    def ask_run(self, name: str, word: str, person: Person) -> Any:
        """Return a run's answer to a question, walk or nearest; None if it has none.

        Raises:
            Unknown: there was no such run, or the person may not see it.
        """
        with self._lock:
            self._require_seen(name, person)
            card = self._cards.get(name)
            if card is None or card.trained is None:
                return None
            trained = card.trained
            return self._trainers.ask(trained, word, SECONDS_BETWEEN_ANSWERS, SECONDS_TO_ANSWER)

    def prepare(self) -> None:
        """Make ready for a first run, which then shows at once."""
        self._trainers.prepare()
        if self.classroom is not None:
            threading.Thread(target=self._import_early, daemon=True).start()

    def _import_early(self) -> None:
        """Import what it takes to hold a run to its bounds, before a pupil waits for it."""
        with suppress(GanzooError):
            self.bounds.require(resolve_choices(**DEFAULTS, loss=None, settings=DEVICE))

    def start(
        self,
        asked: Mapping[str, Any],
        person: Person,
        *,
        instead: str | None = None,
        beside: str | None = None,
        paused: bool = False,
    ) -> str:
        """Start a run, or let it wait for its turn, and return its name.

        Args:
            asked: Arguments of :func:`ganzoo_zoo.apps.watch.web.choices.resolve_choices`, and
                ``preset``, by which the page knows where they come from.
            person: Who asks.
            instead: Name of a run that was trained here, which the new run replaces; it is stopped
                unless it is over.
            beside: Name of a run that the new one is shown beside.
            paused: Whether the run pauses before its first update.

        Raises:
            InputError: the request is not valid, or beyond the bounds.
            Unknown: the run to replace is not trained here, or not the person's.
            Busy: no run can be started at the moment.
        """
        config, owner = self._resolve(asked, person), person.owner
        with self._lock:
            self._require_open()
            before = self._find_own(instead, person) if instead is not None else None
            if before is not None and before.owner != owner:
                raise Unknown("only who started a run can put another in its place")
            near = self._cards.get(beside) if beside is not None else None
            if near is not None and not person.may_see(near.owner):
                near = None
            if owner:
                self._require_room(owner, before)
            name = self._next_name(owner)
            trained = TrainingRun(
                name,
                config,
                paused=paused,
                owner=owner,
                out=self._make_out(config, owner) if owner else None,
                init=asked.get("init"),
                limits=self.bounds.limits() if owner else None,
            )
            self._trainers.keep_watch()
            self._trainers.start(trained, before.trained if before else None)
            if not owner:
                self._own_runs.append(trained)
            card = Card(name, trained=trained, asked=asked, owner=owner)
            if before is None:
                self._add_card(card, near)
            else:
                self._replace_card(card, before)
            return name

    def send_command(self, name: str, word: str, person: Person) -> None:
        """Send a command to a run that is trained here.

        Raises:
            Unknown: the run is not trained here, or not the person's.
            Busy: the run does not accept the command in its state.
        """
        with self._lock:
            self._require_open()
            self._trainers.send_command(self._find_trained(name, person), word)

    def change(self, name: str, settings: Mapping[str, str], person: Person) -> None:
        """Change options of a run while it trains.

        Raises:
            InputError: these options cannot be changed, or to nothing like that.
            Unknown: the run is not trained here, or not the person's.
            Busy: the run does not train.
        """
        with self._lock:
            self._require_open()
            trained = self._find_trained(name, person)
            if not settings or set(settings) - set(CHANGEABLE):
                raise InputError(f"while a run trains, you can change {', '.join(CHANGEABLE)}")
            if trained.owner:
                self.bounds.require_change(settings)
            self._trainers.change(trained, settings)

    def resume(self, name: str, person: Person) -> None:
        """Train on a run that stopped.

        Raises:
            Unknown: there is no such run, or it is not the person's.
            Busy: it has not stopped, or has no saved state.
        """
        with self._lock:
            self._require_open()
            self._require_seen(name, person)
            card = self._find_card(name, person)
            card.update()
            if not card.may_resume:
                raise Busy("only a run that stopped and saved its state can be trained on")
            assert card.run is not None  # it has a saved state
            trained = card.trained
            if trained is None:
                path, config = card.run.run.path, card.run.config
                trained = TrainingRun(name, config, paused=False, path=path)
            if trained.owner:
                self.bounds.require(card.run.config)
                require_disk(self._class_folder())
            if trained.seconds >= trained.limits.seconds:
                raise Busy(f"{trained.limits.describe_time()}: start another one")
            trained.prepare_again(paused=False)
            self._trainers.keep_watch()
            self._trainers.start(trained)
            card.trained = trained

    def dismiss(self, name: str, person: Person) -> None:
        """Hide a run that was trained here and is over; its folder stays.

        Raises:
            Unknown: the run was not trained here, or is not the person's.
            Busy: the run is not over.
        """
        with self._lock:
            if not self._find_own(name, person).is_over:
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
        return [run.path for run in open_ones if run.path and run.state in (STOPPED, SET_ASIDE)]

    def _resolve(self, asked: Mapping[str, Any], person: Person) -> RunConfig:
        """Return the configuration of a run that a person asks for, within their bounds.

        Raises:
            InputError: the request is not valid, or beyond the bounds.
        """
        choices = {name: each for name, each in asked.items() if name != "preset"}
        if not person.owner:
            return resolve_choices(**choices)
        choices["settings"] = self.bounds.complete_settings(choices["settings"])
        config = resolve_choices(**choices)
        self.bounds.require(config)
        require_disk(self._class_folder())
        return config

    def _require_room(self, owner: str, instead: Card | None) -> None:
        """Refuse a pupil's run if so many of theirs are not over as they may have."""
        theirs = [card for card in self._cards.values() if card.owner == owner]
        count = sum(not card.is_over for card in theirs if card is not instead)
        if count >= self.bounds.runs:
            raise Busy(
                f"you have {count} runs that are not over, and there may be {self.bounds.runs}: "
                "stop one first"
            )

    def _make_out(self, config: RunConfig, owner: str) -> Path:
        """Return a folder for a pupil's run, which is nobody else's."""
        assert self.classroom is not None  # there is an owner
        names = (config.architecture.name, config.loss.name, config.data.name)
        stem = "-".join([*names, datetime.now().strftime("%Y%m%d-%H%M%S")])
        folder, number = self._class_folder() / self.classroom.folder_of(owner), 1
        while (out := folder / (stem if number == 1 else f"{stem}-{number}")) in self._taken or (
            out.exists()
        ):
            number += 1
        self._taken.add(out)
        return out

    def _class_folder(self) -> Path:
        """Return the folder of the pupils' runs, which is made with the first of them."""
        return Path(RUNS_FOLDER) / CLASS_FOLDER

    def _card_json(self, card: Card, person: Person) -> dict[str, Any]:
        queued = self._trainers.find_place(card.trained) if card.trained else None
        whose = {"mine": person.may_act_on(card.owner), "queued": queued}
        if card.owner not in ("", person.owner):
            whose["asked"] = None  # it may be long, and there may be many
        return {**card.as_json(), **whose}

    def _class_json(self, person: Person) -> dict[str, Any] | None:
        if self.classroom is None:
            return None
        runs = Counter(card.owner for card in self._cards.values())
        trainers = self._trainers
        numbers = {"waiting": trainers.waiting, "training": trainers.training}
        numbers["bounds"] = self.bounds.as_json()  # type: ignore[assignment]
        return class_json(self.classroom, person, runs, numbers)

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
                    card = Card(self._next_name(""), RunReader(Run(self._root / path.name)))
                    card.update()
                    self._add_card(card)

    def _add_card(self, card: Card, near: Card | None = None) -> None:
        """Show a run first, or beside another; of too many of one owner, hide the last ones that
        are over.
        """
        most = self.bounds.runs if card.owner else MOST_RUNS
        theirs = [each for each in self._cards.values() if each.owner == card.owner]
        over = [each.name for each in theirs if each.is_over and each is not near]
        count = len(theirs)
        while over and count >= most:
            del self._cards[over.pop()]
            count -= 1
        if count >= most and card.trained is None:
            return
        cards = list(self._cards.values())
        cards.insert(cards.index(near) + 1 if near is not None else 0, card)
        self._cards = {each.name: each for each in cards}

    def _replace_card(self, card: Card, before: Card) -> None:
        self._cards = {
            (card.name if each is before else name): (card if each is before else each)
            for name, each in self._cards.items()
        }

    def _next_name(self, owner: str) -> str:
        self._owners.append(owner)
        return str(len(self._owners))

    def _require_seen(self, name: str, person: Person) -> None:
        """Check that there is, or was, a run that a person may see.

        Raises:
            Unknown: there was none, or the person may not see it, which is the same to them.
        """
        number = int(name)
        if not (0 < number <= len(self._owners) and person.may_see(self._owners[number - 1])):
            raise Unknown("there is no such run")

    def _find_card(self, name: str, person: Person) -> Card:
        """Return the card of a run that a person may act on.

        Raises:
            Unknown: there is none, or it is another person's.
        """
        card = self._cards.get(name)
        if card is None or not person.may_see(card.owner):
            raise Unknown("this run is no longer there")
        if not person.may_act_on(card.owner):
            raise Unknown("this run is not yours: you can only watch it")
        return card

    def _find_own(self, name: str, person: Person) -> Card:
        card = self._find_card(name, person)
        if card.trained is None:
            raise Unknown("this run is trained elsewhere and can only be watched here")
        return card

    def _find_trained(self, name: str, person: Person) -> TrainingRun:
        trained = self._find_own(name, person).trained
        assert trained is not None  # it is one of the own runs
        return trained

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
