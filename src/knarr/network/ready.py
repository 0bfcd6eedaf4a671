"""Network namespaces that are ready before a container needs one.

To make one takes the kernel longer than anything else at a start. So a thread of its own keeps a
few, and makes new ones when for a moment none was taken: many starts at once are not slowed down,
they make their own as they would without this.

Law: a namespace is given away once and never taken back. What is not given away ends with the
engine. Where namespaces cannot be made, there is none to give, and that is no error here.
"""

from __future__ import annotations

import logging
import os
import threading

from knarr.sys import netns

_log = logging.getLogger(__name__)
_KEPT = 2
_QUIET_SECONDS = 0.05


class ReadyNamespaces:
    """A small stock of namespaces with nothing but an active loopback device."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._ready: list[int] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="namespaces", daemon=True)
        self._thread.start()

    def take(self) -> int | None:
        """A descriptor of a namespace, which the caller closes; None when there is none."""
        with self._changed:
            self._changed.notify()
            return self._ready.pop() if self._ready else None

    def close(self) -> None:
        """Give up the stock."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        while self._ready:
            os.close(self._ready.pop())

    def _work(self) -> None:
        while self._wait():
            try:
                made = netns.enter_new()
            except OSError as error:
                _log.info("no network namespaces are made ahead: %s", error)
                return
            with self._changed:
                self._ready.append(made)

    def _wait(self) -> bool:
        """Until one is missing and nobody has asked for a moment; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._ready) < self._kept)
            while not self._closed and self._changed.wait(_QUIET_SECONDS):
                pass
            return not self._closed
