"""Changes of a run's options while it trains, from when they are asked for to when they count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ganzoo.arguments import require_options


class ChangeQueue:
    """What was asked to change, until the training takes it up between two steps.

    Args:
        check: Raises an :class:`~ganzoo.errors.InputError` for options that may not change so.
        apply: Changes the training, and tells whether it could now; called between two steps, by
            the thread that trains.
    """

    def __init__(
        self,
        check: Callable[[Mapping[str, Any]], None],
        apply: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self._check = check
        self._apply = apply
        self._lock = threading.RLock()  # whoever is told of a change may ask for the next
        self._asked: dict[str, Any] = {}

    def ask(self, options: Mapping[str, Any]) -> None:
        """Ask for a change, from any thread.

        Args:
            options: New values by the options' full names; the last one of an option counts.

        Raises:
            InputError: an option may not change, or a value is not allowed.
        """
        given = require_options("options", options)
        with self._lock:
            self._check({**self._asked, **given})
            self._asked |= given

    def take_up(self) -> None:
        """Apply what was asked for, in the training's own thread, between two steps."""
        if not self._asked:
            return
        with self._lock:
            asked, self._asked = self._asked, {}
            if not self._apply(asked):
                self._asked = {**asked, **self._asked}
