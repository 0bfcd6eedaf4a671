"""Being told that logs grow: one inotify instance for all followers of an engine."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from knarr.sys import inotify

if TYPE_CHECKING:
    from pathlib import Path

    from knarr.containers.logs import LogReader


class Growth:
    """What is known of a log that grows: something came, or nothing more is wanted."""

    def __init__(self) -> None:
        self.reader: LogReader | None = None
        self.noticed = asyncio.Event()
        self.expired = False

    def grown(self, *, names: bool) -> None:
        """It was written to; ``names``: a file was made or renamed."""
        if names and self.reader is not None:
            self.reader.hold()
        self.noticed.set()

    def ended(self) -> None:
        """The container has ended, and may be removed at any moment."""
        self.grown(names=True)

    def expire(self) -> None:
        """The time that the client asked for is over."""
        self.expired = True
        self.noticed.set()


class LogWatch:
    """Tells followers; its descriptor is open while there are some."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._growths: dict[int, list[Growth]] = {}

    def follow(self, folder: Path, growth: Growth) -> int:
        """Tell ``growth`` of changes in ``folder``; the number is for ``leave``.

        Raises ``OSError``.
        """
        if self._descriptor < 0:
            self._descriptor = inotify.create()
            asyncio.get_running_loop().add_reader(self._descriptor, self._ready)
        try:
            watch = inotify.add(self._descriptor, folder)
        except OSError:
            self._close_if_idle()
            raise
        self._growths.setdefault(watch, []).append(growth)
        return watch

    def leave(self, watch: int, growth: Growth) -> None:
        """Tell it no more."""
        growths = self._growths[watch]
        growths.remove(growth)
        if not growths:
            del self._growths[watch]
            inotify.remove(self._descriptor, watch)
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._descriptor >= 0 and not self._growths:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _ready(self) -> None:
        happened: dict[int, bool] = {}
        for watch, mask in inotify.events(self._descriptor):
            happened[watch] = happened.get(watch, False) or bool(mask & inotify.NAMES)
        if happened.pop(-1, False):
            happened = dict.fromkeys(self._growths, True)
        for watch, names in happened.items():
            for growth in tuple(self._growths.get(watch, ())):
                growth.grown(names=names)
