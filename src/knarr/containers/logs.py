"""Reading the log of a container: Docker's ``json-file`` form, over all rotated files.

Layout: ``<id>-json.log`` is written now; ``.1`` is the one before it, ``.2`` older, and so on. One
JSON object a line: ``{"log":"text\\n","stream":"stdout","time":"2024-05-01T10:00:00.000000001Z"}``,
with ``attrs`` where labels or environment are logged. Text that was cut has no newline at its end.

Law: a reader holds the file that it reads open and follows the chain of rotations by inode, so that
nothing is read twice or skipped unless rotation deletes it first. A line that is not JSON (torn by
a crash of the host) is skipped. Reading blocks: it belongs into a worker.

Source: moby ``daemon/logger/jsonfilelog``; stdcopy framing of the Engine API ("Stream format").
"""

from __future__ import annotations

import os
import struct
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from knarr.api import timestamps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BLOCK = 256 * 1024
_LONGEST_LINE = 16 * 1024 * 1024
_STREAMS = {"stdout": 1, "stderr": 2}
_NEWLINE = b"\n"
_HEADER = struct.Struct(">BxxxL")
_FIXED_LENGTH = len("2006-01-02T15:04:05.000000000Z")


class LogLine(msgspec.Struct):
    """One object of the file."""

    log: str = ""
    stream: str = "stdout"
    time: str = ""
    attrs: dict[str, str] = {}


class Selection(NamedTuple):
    """Which lines, and how they are written; bounds are Unix nanoseconds, 0 is none."""

    stdout: bool = True
    stderr: bool = True
    since: int = 0
    until: int = 0
    timestamps: bool = False
    details: bool = False
    tail: int | None = None
    framed: bool = True


class LogReader:
    """Reads a log from its start or its tail; ``batch`` by ``batch``."""

    def __init__(self, path: Path, selection: Selection) -> None:
        self._path = path
        self._selection = selection
        self._streams = {
            name
            for name, wanted in (("stdout", selection.stdout), ("stderr", selection.stderr))
            if wanted
        }
        self._rest = b""
        self.finished = False
        self._file: BinaryIO | None = None
        if selection.tail is None:
            self._open_oldest()
        else:
            self._open_tail(selection.tail)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def batch(self) -> bytes:
        """The next lines in their output form; empty at the present end of the log.

        May be called again later: what was written since then comes. ``finished`` is set when a
        line after ``until`` was seen: nothing comes any more.
        """
        while not self.finished:
            block = self._file.read(BLOCK) if self._file is not None else b""
            if block:
                output = self._lines_of(block)
                if output:
                    return output
            elif not self._open_next():
                return b""
        return b""

    def _lines_of(self, block: bytes) -> bytes:
        cut = block.rfind(_NEWLINE) + 1
        if not cut:
            self._rest = (self._rest + block)[-_LONGEST_LINE:]
            return b""
        complete, self._rest = self._rest + block[:cut], block[cut:]
        return b"".join(self._render(_decode(complete)))

    def _render(self, lines: Iterable[LogLine]) -> Iterator[bytes]:
        chosen = self._selection
        bounded = bool(chosen.since or chosen.until)
        since = timestamps.rfc3339_fixed(chosen.since)
        until = timestamps.rfc3339_fixed(chosen.until) if chosen.until else "9"
        plain = not (chosen.timestamps or chosen.details)
        for line in lines:
            if bounded:
                # In UTC with all digits, moments compare as text: that is far faster.
                moment = utc_time(line.time)
                if moment > until:
                    self.finished = True
                    return
                if moment < since:
                    continue
            if line.stream not in self._streams:
                continue
            text = line.log.encode("utf-8", "replace")
            if not plain:
                text = self._prefix(line) + text
            if chosen.framed:
                yield frame(_STREAMS[line.stream], text)
            else:
                yield text

    def _prefix(self, line: LogLine) -> bytes:
        prefix = ""
        if self._selection.timestamps:
            prefix = fixed_time(line.time) + " "
        if self._selection.details:
            pairs = ",".join(f"{key}={value}" for key, value in sorted(line.attrs.items()))
            prefix += pairs + " "
        return prefix.encode("utf-8", "replace")

    def _files(self) -> list[Path]:
        """All files of the log, oldest first."""
        files = [self._path]
        number = 1
        while (rotated := rotated_path(self._path, number)).exists():
            files.insert(0, rotated)
            number += 1
        return files

    def _open_oldest(self) -> None:
        for path in self._files():
            if self._open(path):
                return

    def _open_next(self) -> bool:
        """Go on to the file that was begun after the present one, if there is one."""
        if self._file is None:
            return self._open(self._path)
        present = os.fstat(self._file.fileno())
        files = self._files()
        after: Path | None = None
        for index, path in enumerate(files):
            if _is_same(path, present):
                after = files[index + 1] if index + 1 < len(files) else None
                break
        else:
            after = files[0]  # rotated away altogether: go on with the oldest that is left
        if after is None:
            return False
        # What the writer still added between our end of file and its rename:
        remainder = self._file.read(BLOCK)
        if remainder:
            self._file.seek(-len(remainder), os.SEEK_CUR)
            return True
        self._rest = b""
        return self._open(after)

    def _open(self, path: Path) -> bool:
        try:
            opened = path.open("rb")
        except FileNotFoundError:
            return False
        self.close()
        self._file = opened
        return True

    def _open_tail(self, count: int) -> None:
        """Open the file, at the offset, from which ``count`` lines follow."""
        missing = count
        for path in reversed(self._files()):
            if self._open(path) and self._file is not None:
                offset, found = _seek_back(self._file, missing)
                missing -= found
                self._file.seek(offset)
            if missing <= 0:
                return


def rotated_path(path: Path, number: int) -> Path:
    """The file that was rotated away ``number`` rotations ago."""
    return path.with_name(f"{path.name}.{number}")


def frame(stream: int, payload: bytes) -> bytes:
    """One stdcopy frame: stream, three zeros, length as 32 bits big-endian, payload."""
    return _HEADER.pack(stream, len(payload)) + payload


def parse_time(text: str) -> int:
    """An RFC 3339 time with up to nine digits of fraction as Unix nanoseconds; 0 if malformed."""
    whole, fraction, zone = _split_time(text)
    try:
        seconds = int(datetime.fromisoformat(whole + zone).timestamp())
    except ValueError:
        return 0
    return seconds * 1_000_000_000 + int(fraction)


def fixed_time(text: str) -> str:
    """The same time with exactly nine digits of fraction, as Docker prints it."""
    if len(text) == _FIXED_LENGTH and text[-1] == "Z":
        return text
    whole, fraction, zone = _split_time(text)
    return f"{whole}.{fraction}{'Z' if zone == '+00:00' else zone}"


def utc_time(text: str) -> str:
    """The same moment in UTC with nine digits; such texts sort as their moments do."""
    fixed = fixed_time(text)
    return fixed if fixed[-1:] == "Z" else timestamps.rfc3339_fixed(parse_time(text))


def _split_time(text: str) -> tuple[str, str, str]:
    whole, fraction, zone = text[:19], "", text[19:]
    if zone.startswith("."):
        digits = 1
        while digits < len(zone) and zone[digits].isdecimal():
            digits += 1
        fraction, zone = zone[1:digits], zone[digits:]
    return whole, fraction[:9].ljust(9, "0"), "+00:00" if zone in {"Z", ""} else zone


_decoder = msgspec.json.Decoder(LogLine)


def _decode(lines: bytes) -> list[LogLine]:
    try:
        return _decoder.decode_lines(lines)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return list(_decode_singly(lines))


def _decode_singly(lines: bytes) -> Iterator[LogLine]:
    for line in lines.split(_NEWLINE):
        try:
            yield _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue


def _is_same(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), status)
    except FileNotFoundError:
        return False


def _seek_back(file: BinaryIO, count: int) -> tuple[int, int]:
    """The offset of the ``count``-th complete line from the end, and how many lines follow it."""
    end = file.seek(0, os.SEEK_END)
    position, found = end, 0
    if count <= 0:
        return end, 0
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        newlines = block.count(_NEWLINE)
        # One newline more than lines are wanted: the one that ends the line before them.
        if found + newlines <= count:
            found += newlines
            continue
        at = len(block)
        while found <= count:
            at = block.rfind(_NEWLINE, 0, at)
            found += 1
        return position + at + 1, count
    return 0, found
