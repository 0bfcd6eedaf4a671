"""Progress that the engine reports while it pulls, loads or imports.

On a terminal each object has a line with a bar that is drawn again in place; elsewhere every
message without numbers is one line. Source: the Engine API's JSON messages.
"""

from __future__ import annotations

import _thread
import os

from knarr.cli.command import CommandError
from knarr.cli.quantities import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO

    Json = dict[str, Any]

_BAR = 50


def show(documents: Iterable[Json], out: TextIO, *, quiet: bool = False) -> None:
    """Show all messages.

    Errors: ``CommandError`` with the engine's words if one of them is an error.
    """
    screen = _Screen(out) if out.isatty() else None
    for document in documents:
        if error := document.get("error") or (document.get("errorDetail") or {}).get("message"):
            raise CommandError(str(error))
        if quiet:
            continue
        if screen:
            screen.update(document)
        else:
            _print_plain(document, out)
    out.flush()


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
    """Lines that are drawn again: one for each object, in the order they appeared."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: dict[str, int] = {}

    def update(self, document: Json) -> None:
        """Show one message in its object's line."""
        if "stream" in document:
            self._out.write(str(document["stream"]))
            self._lines.clear()
            return
        identifier = document.get("id")
        text = _line(document)
        if not identifier:
            self._out.write(f"{text}\n")
            self._lines.clear()
            return
        known = identifier in self._lines
        if not known:
            self._lines[identifier] = len(self._lines)
            self._out.write("\n")
        up = len(self._lines) - self._lines[identifier]
        self._out.write(f"\x1b[{up}A\r\x1b[2K{identifier}: {text}\x1b[{up}B\r")
        self._out.flush()


def _line(document: Json) -> str:
    status = str(document.get("status", ""))
    detail = document.get("progressDetail") or {}
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if not current:
        return status
    return f"{status} {bar(current, total)}"


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
