"""Progress that the engine reports while it pulls, loads or imports.

On a terminal each object has a line with a bar that is drawn again in place; elsewhere every
message without numbers is one line. Source: the Engine API's JSON messages.
"""

from __future__ import annotations

import _thread
import os
import time

from knarr.cli.command import CommandError
from knarr.cli.quantities import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO

    Json = dict[str, Any]

_BAR = 50
_FIRST_RATE = 0.5
_MOVES = frozenset(("Downloading", "Pushing", "Loading layer"))


def show(documents: Iterable[Json], out: TextIO, *, quiet: bool = False) -> None:
    """Show all messages.

    Errors: ``CommandError`` with the engine's words if one of them is an error.
    """
    screen = _Screen(out) if out.isatty() else None
    try:
        _show(documents, out, screen, quiet=quiet)
    finally:
        if screen:
            screen.close()
        out.flush()


def _show(documents: Iterable[Json], out: TextIO, screen: _Screen | None, *, quiet: bool) -> None:
    for document in documents:
        if error := document.get("error") or (document.get("errorDetail") or {}).get("message"):
            raise CommandError(str(error))
        if quiet:
            continue
        if screen:
            screen.update(document)
        else:
            _print_plain(document, out)


def _print_plain(document: Json, out: TextIO) -> None:
    if "stream" in document:
        out.write(str(document["stream"]))
        return
    detail = document.get("progressDetail") or {}
    status = document.get("status")
    if not status or detail.get("current"):
        return
    identifier = document.get("id")
    out.write(f"{identifier}: {status}\n" if identifier else f"{status}\n")


class _Screen:
    """Lines that are drawn again: one for each object, in the order they appeared.

    Below them stands the sum of all that move bytes, as soon as there are two of them.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: dict[str, int] = {}
        self._moving: dict[str, _Moving] = {}
        self._begun = time.monotonic()

    def update(self, document: Json) -> None:
        """Show one message in its object's line."""
        if "stream" in document:
            self._plain(str(document["stream"]))
            return
        identifier = document.get("id")
        status = str(document.get("status", ""))
        if not identifier:
            if status:
                self._plain(f"{status}\n")
            return
        text = self._line(identifier, status, document.get("progressDetail") or {})
        if identifier not in self._lines:
            self._lines[identifier] = len(self._lines)
            self._out.write("\x1b[2K\n")
        up = len(self._lines) - self._lines[identifier]
        self._out.write(f"\x1b[{up}A\r\x1b[2K{identifier}: {text}\x1b[{up}B\r")
        self._out.write(f"\x1b[2K{self._sum()}\r")
        self._out.flush()

    def close(self) -> None:
        """Wipe the sum."""
        if self._moving:
            self._out.write("\x1b[2K")

    def _plain(self, text: str) -> None:
        self.close()
        self._out.write(text)
        self._lines.clear()
        self._moving.clear()

    def _line(self, identifier: str, status: str, detail: Json) -> str:
        current, total = detail.get("current") or 0, detail.get("total") or 0
        moving = self._moving.get(identifier)
        if not current:
            if moving is not None:
                moving.done = moving.total
            return status
        if status not in _MOVES:
            return f"{status} {bar(current, total)}"
        if moving is None:
            moving = self._moving[identifier] = _Moving(current)
        moving.done, moving.total = current, total
        return f"{status} {bar(current, total)}{moving.rate()}"

    def _sum(self) -> str:
        if len(self._moving) < 2:
            return ""
        done = sum(each.done for each in self._moving.values())
        total = sum(each.total for each in self._moving.values())
        moved = done - sum(each.first for each in self._moving.values())
        shown = f"Total: {human_size(done)}/{human_size(total)}"
        return shown + _rate(moved, time.monotonic() - self._begun)


class _Moving:
    """An object whose bytes are on their way."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.done = first
        self.total = 0
        self._begun = time.monotonic()

    def rate(self) -> str:
        """How fast it is, when that can be told."""
        return _rate(self.done - self.first, time.monotonic() - self._begun)


def _rate(moved: int, seconds: float) -> str:
    if seconds < _FIRST_RATE or moved <= 0:
        return ""
    return f"  {human_size(int(moved / seconds))}/s"


def bar(current: int, total: int) -> str:
    """``[=====>     ]  12.3MB/45.6MB``, as wide as the terminal allows."""
    done = human_size(current)
    if not total or total < current:
        return f"{done:>8}"
    try:
        columns = os.get_terminal_size(2).columns
    except OSError:
        columns = 200
    numbers = f"{done:>8}/{human_size(total)}"
    if columns < 110:
        return numbers
    filled = _BAR * current // total
    head = ">" if filled < _BAR else ""
    return f"[{'=' * filled}{head}{' ' * (_BAR - filled - len(head))}] {numbers}"


class Upload:
    """A line that shows how much of a file was sent; silent unless standard error is a terminal.

    The thread that sends calls it; the one that reads the engine's answer calls ``finish``.
    """

    def __init__(self, name: str, total: int, out: TextIO) -> None:
        self._name = name
        self._total = total
        self._out = out if out.isatty() else None
        self._shown = -1
        self._lock = _thread.allocate_lock()

    def __call__(self, sent: int) -> None:
        """Show the bytes sent so far, at most a hundred times."""
        step = sent * 100 // self._total if self._total else sent >> 22
        with self._lock:
            if self._out and step != self._shown:
                self._shown = step
                self._out.write(f"\r\x1b[2K{self._name}: {bar(sent, self._total)}")
                self._out.flush()

    def finish(self) -> None:
        """Wipe the line and show nothing any more."""
        with self._lock:
            if self._out and self._shown >= 0:
                self._out.write("\r\x1b[2K")
                self._out.flush()
            self._out = None
