"""What is to be told to one client, put there by many threads that must not wait for it.

Law: bounded. A message takes the place of an earlier one about the same object with the same
status that was not told yet: so a client that reads slowly misses numbers, but no change.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from knarr.api.images import Progress


class Board:
    """Messages for the thread that tells them."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._messages: dict[tuple[str, str], Progress] = {}
        self._woken = False

    def post(self, message: Progress) -> None:
        """Put a message up."""
        with self._condition:
            self._messages[message.id, message.status] = message
            self._condition.notify()

    def wake(self) -> None:
        """Let ``take`` return, though there may be no message."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def take(self, timeout: float) -> list[Progress]:
        """The messages since the last call, in order; waits for one at most ``timeout`` seconds."""
        with self._condition:
            if not self._messages and not self._woken:
                self._condition.wait(timeout)
            messages = list(self._messages.values())
            self._messages.clear()
            self._woken = False
        return messages
