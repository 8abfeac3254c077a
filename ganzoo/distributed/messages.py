"""Messages between processes, as JSON in their store.

Torch's object collectives are no substitute. They need a process group before there is a device,
wait for a GPU under NCCL, unpickle what arrives, and time out while one process works for hours.
"""

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
    """Messages by name, which every process can read.

    Args:
        store: Holds the messages.
        has_failed: Tells whether a process has failed, so that nobody waits for it.
    """

    def __init__(self, store: Store, has_failed: Callable[[], bool]) -> None:
        self._store = store
        self._has_failed = has_failed

    def put(self, name: str, message: Any) -> None:
        """Leave a message for the others.

        Raises:
            CommunicationFailed: they cannot be reached.
        """
        with _explain_lost_store():
            self._store.set(name, json.dumps(message))

    def wait_for(self, name: str) -> Any:
        """Wait for a message of another process, for as long as that lives.

        Raises:
            CommunicationFailed: it has failed, or cannot be reached.
        """
        pause = 0.001
        while True:
            with _explain_lost_store():
                if self._store.check([name]):
                    return json.loads(self._store.get(name))
            if self._has_failed():
                raise CommunicationFailed("another process has failed")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)


@contextmanager
def _explain_lost_store() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise CommunicationFailed(f"the others cannot be reached: {first_line(error)}") from error
