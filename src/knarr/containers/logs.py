"""Reading the log of a container over all its files, from the start or the tail.

Law: nothing is read twice, and nothing is skipped unless rotation has deleted it before the reader
came to it. ``hold`` opens what is about to be read, so that a reader that is behind (its client is
slow) loses less. Reading blocks: it belongs into a worker.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from knarr.containers import logentries
from knarr.containers.logchain import Chain
from knarr.containers.logentries import Selection
from knarr.supervisor.messages import JSON

if TYPE_CHECKING:
    from pathlib import Path

    from knarr.containers.logchain import LogFile

__all__ = ["LogReader", "Selection"]

#: How many files are opened ahead, and how many bytes they may have: they take up room on the
#: disk although they are rotated away. A log of the default size fits.
_HELD_FILES = 32
_HELD_BYTES = 100_000_000


class LogReader:
    """Reads a log ``batch`` by ``batch``; with ``present`` as it is now, without what comes."""

    def __init__(
        self, path: Path, selection: Selection, form: str = JSON, *, present: bool = False
    ) -> None:
        self._chain = Chain(path)
        if present:
            self._chain.freeze()
        self._view = logentries.view(form, selection)
        self._lock = threading.Lock()  # held while files are opened and closed
        self._file: LogFile | None = None
        self._ahead: deque[LogFile] = deque()
        self._closed = False
        self._busy = False  # in ``batch``, perhaps in another thread
        if selection.tail is None:
            self._file = self._chain.oldest()
        else:
            self._open_tail(selection.tail)
        # Whoever removes the container meanwhile takes away names only.
        self.hold()

    @property
    def finished(self) -> bool:
        """Whether a line after ``until`` was seen: nothing comes any more."""
        return self._view.finished

    def close(self) -> None:
        """Close the files; a ``batch`` that is under way in a worker does it at its end."""
        with self._lock:
            self._closed = True
            if not self._busy:
                self._close()

    def _close(self) -> None:
        for file in self._ahead:
            file.close()
        self._ahead.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._chain.close()

    def hold(self) -> None:
        """Open the files that were begun meanwhile; short, and from any thread."""
        with self._lock:
            newest = self._ahead[-1] if self._ahead else self._file
            size = sum(file.size for file in self._ahead)
            while (
                newest is not None
                and not self._closed
                and len(self._ahead) < _HELD_FILES
                and size < _HELD_BYTES
            ):
                newest = self._chain.after(newest)
                if newest is not None:
                    self._ahead.append(newest)
                    size += newest.size

    def batch(self) -> bytes:
        """The next lines in their output form; empty at the present end of the log.

        May be called again later: what was written since then comes.
        """
        with self._lock:
            if self._closed:
                return b""
            self._busy = True
        try:
            return self._batch()
        finally:
            self._release()

    def _release(self) -> None:
        with self._lock:
            self._busy = False
            if self._closed:
                self._close()

    def _batch(self) -> bytes:
        last = False  # whether the present file was found to be complete
        while not self.finished:
            block = self._file.read(logentries.BLOCK) if self._file is not None else b""
            if block:
                last = False
                if output := self._view.feed(block):
                    return output
            elif last:
                # Read once more after the next one was seen: the writer may have added something
                # between our end of the file and its rename.
                self._go_on()
                last = False
            elif not self._is_complete():
                return b""
            else:
                last = True
        return b""

    def _is_complete(self) -> bool:
        """At the end of the present file: whether there is another one, or more to read in it."""
        with self._lock:
            if self._closed:
                return False
            if self._file is None:
                self._file = self._chain.oldest()
                return self._file is not None
            if self._file.was_emptied():
                self._view.next_file()
                return True
            if not self._ahead:
                following = self._chain.after(self._file)
                if following is not None:
                    self._ahead.append(following)
            return bool(self._ahead)

    def _go_on(self) -> None:
        """Go to the next file."""
        with self._lock:
            if self._closed or not self._ahead:
                return
            if self._file is not None:
                self._file.close()
            self._file = self._ahead.popleft()
            self._view.next_file()

    def _open_tail(self, count: int) -> None:
        """Open the file, at the offset, from which ``count`` entries follow."""
        for file in self._chain.newest_first():
            if self._file is not None:
                self._file.close()
            self._file = file
            offset, skip, found = self._view.locate(file, count)
            file.seek(offset)
            self._view.next_file(skip)
            count -= found
            if count <= 0:
                return
