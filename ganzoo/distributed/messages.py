"""Messages for all processes, as JSON by name in the store by which they met."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ganzoo.distributed.failures import CommunicationFailed
from ganzoo.errors import first_line

if TYPE_CHECKING:
    from torch.distributed import Store


class MessageBoard:
    """What processes tell each other.

    Args:
        store: Where it is written.
        failed: Tells whether one of them has failed, so that nobody waits for it.
    """

    def __init__(self, store: Store, failed: Callable[[], bool]) -> None:
        self._store = store
        self._failed = failed

    def put(self, name: str, value: Any) -> None:
        """Tell the others something.

        Raises:
            Broken: they cannot be reached.
        """
        with _reaching():
            self._store.set(name, json.dumps(value))

    def wait_for(self, name: str) -> Any:
        """Wait for what another process tells, for as long as it lives.

        Raises:
            Broken: it has failed, or cannot be reached.
        """
        pause = 0.001
        while True:
            with _reaching():
                if self._store.check([name]):
                    return json.loads(self._store.get(name))
            if self._failed():
                raise CommunicationFailed("another process has failed")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise CommunicationFailed(f"the others cannot be reached: {first_line(error)}") from error
