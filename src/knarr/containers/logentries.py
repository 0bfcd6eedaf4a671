"""From the content of a log file to what a client gets: the lines that were asked for, as frames.

Two forms are read: Docker's ``json-file``, one JSON object a line, as
``{"log":"text\\n","stream":"stdout","time":"2024-05-01T10:00:00.000000001Z"}`` with ``attrs``
where labels or environment are logged; and the blocks of ``knarr.supervisor.blocklog``. In both,
text that was cut has no newline at its end.

Law: what is no entry is skipped: a line that is not JSON, and in blocks what follows a torn one.

Source: moby ``daemon/logger/jsonfilelog``; stdcopy framing of the Engine API ("Stream format").
"""

from __future__ import annotations

from datetime import datetime
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import quote_plus

import msgspec

from knarr.api import timestamps
from knarr.supervisor import blocklog
from knarr.supervisor.messages import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.containers.logchain import LogFile

BLOCK = 256 * 1024
_LONGEST_LINE = 16 * 1024 * 1024
_STREAMS = {"stdout": 1, "stderr": 2}
_NEWLINE = b"\n"
_HEADER = Struct(">BxxxL")
_FIXED_LENGTH = len("2006-01-02T15:04:05.000000000Z")


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


class View(Protocol):
    """One form of a log. ``finished``: a line after ``until`` was seen, nothing comes any more."""

    finished: bool

    def feed(self, data: bytes) -> bytes:
        """The lines in ``data``, which follows what was fed before, in their output form."""
        ...

    def next_file(self, skip: int = 0) -> None:
        """What follows is another file, of which the first ``skip`` entries are left out."""
        ...

    def locate(self, file: LogFile, count: int) -> tuple[int, int, int]:
        """Where the last ``count`` entries of a file begin: an offset, and the entries to skip
        behind it. The third number is how many there are.
        """
        ...


def view(form: str, selection: Selection) -> View:
    """The view for a form of log."""
    return JsonView(selection) if form == JSON else BlockView(selection)


class LogLine(msgspec.Struct):
    """One object of a file."""

    log: str = ""
    stream: str = "stdout"
    time: str = ""
    attrs: dict[str, str] = {}


class JsonView:
    """See ``View``."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._wanted = {
            name: number
            for name, number in _STREAMS.items()
            if (selection.stdout, selection.stderr)[number - 1]
        }
        self._rest = b""
        self._skip = 0
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """See ``View``."""
        cut = data.rfind(_NEWLINE) + 1
        if not cut:
            self._rest = (self._rest + data)[-_LONGEST_LINE:]
            return b""
        complete, self._rest = self._rest + data[:cut], data[cut:]
        lines = _decode(complete)
        if self._skip:
            self._skip, lines = max(0, self._skip - len(lines)), lines[self._skip :]
        chosen = self._selection
        if chosen.since or chosen.until or chosen.timestamps or chosen.details or not chosen.framed:
            return b"".join(self._render(lines))
        return b"".join(self._frames(lines))

    def next_file(self, skip: int = 0) -> None:
        """See ``View``."""
        self._rest = b""
        self._skip = skip

    def locate(self, file: LogFile, count: int) -> tuple[int, int, int]:
        """See ``View``."""
        if not file.compressed:
            offset, found = _seek_back(file, count)
            return offset, 0, found
        lines = 0
        while block := file.read(BLOCK):
            lines += block.count(_NEWLINE)
        return 0, max(0, lines - count), min(lines, count)

    def _frames(self, lines: Iterable[LogLine]) -> Iterator[bytes]:
        """The common case, which is to be fast."""
        wanted, pack = self._wanted, _HEADER.pack
        for line in lines:
            stream = wanted.get(line.stream)
            if stream is not None:
                text = line.log.encode("utf-8", "replace")
                yield pack(stream, len(text)) + text

    def _render(self, lines: Iterable[LogLine]) -> Iterator[bytes]:
        chosen = self._selection
        bounded = bool(chosen.since or chosen.until)
        since = timestamps.rfc3339_fixed(chosen.since)
        until = timestamps.rfc3339_fixed(chosen.until) if chosen.until else "9"
        for line in lines:
            if bounded:
                # In UTC with all digits, moments compare as text: that is far faster.
                moment = utc_time(line.time)
                if moment > until:
                    self.finished = True
                    return
                if moment < since:
                    continue
            stream = self._wanted.get(line.stream)
            if stream is None:
                continue
            text = line.log.encode("utf-8", "replace")
            if chosen.timestamps or chosen.details:
                text = self._prefix(line) + text
            yield frame(stream, text) if chosen.framed else text

    def _prefix(self, line: LogLine) -> bytes:
        prefix = ""
        if self._selection.timestamps:
            prefix = fixed_time(line.time) + " "
        if self._selection.details:
            pairs = sorted(line.attrs.items())
            prefix += ",".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in pairs) + " "
        return prefix.encode("utf-8", "replace")


class BlockView:
    """See ``View``."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._wanted = (selection.stdout, selection.stderr)
        self._rest = b""
        self._skip = 0
        self._torn = False
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """See ``View``."""
        if self._torn:
            return b""
        data = self._rest + data
        out: list[bytes] = []
        position = 0
        while not self.finished and (block := blocklog.parse(data, position)) is not None:
            position += block.size
            out += self._render(block)
        self._rest = data[position:]
        length = blocklog.first_length(self._rest)
        whole = len(self._rest) >= length + blocklog.OVERHEAD
        self._torn = len(self._rest) >= blocklog.HEAD.size and (length < 0 or whole)
        return b"".join(out)

    def next_file(self, skip: int = 0) -> None:
        """See ``View``."""
        self._rest = b""
        self._skip = skip
        self._torn = False

    def locate(self, file: LogFile, count: int) -> tuple[int, int, int]:
        """See ``View``."""
        if file.compressed:
            total = sum(block.entries for block in _blocks(file))
            return 0, max(0, total - count), min(total, count)
        offset, found = file.size, 0
        while found < count and offset > 0:
            tail = file.read_at(max(0, offset - blocklog.TAIL.size), blocklog.TAIL.size)
            size = blocklog.last_length(tail) + blocklog.OVERHEAD
            block = blocklog.parse(file.read_at(offset - size, size)) if size <= offset else None
            if block is None:
                break
            offset -= block.size
            found += block.entries
        return offset, max(0, found - count), min(found, count)

    def _render(self, block: blocklog.Block) -> list[bytes]:
        chosen = self._selection
        if chosen.until and block.time > chosen.until:
            self.finished = True
            return []
        if self._skip and block.entries <= self._skip:
            self._skip -= block.entries
            return []
        if block.time < chosen.since or not self._wanted[block.stream - 1]:
            self._skip = 0
            return []
        prefix = b""
        if chosen.timestamps:
            prefix = timestamps.rfc3339_fixed(block.time).encode() + b" "
        if chosen.details:
            prefix += b" "
        if not (prefix or chosen.framed or self._skip):
            return [block.data]
        *lines, last = block.data.split(_NEWLINE)
        texts = [b"%s%s\n" % (prefix, line) for line in lines]
        if last:
            texts.append(prefix + last)
        texts, self._skip = texts[self._skip :], 0
        if not chosen.framed:
            return texts
        pack, stream = _HEADER.pack, block.stream
        return [pack(stream, len(text)) + text for text in texts]


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


def _blocks(file: LogFile) -> Iterator[blocklog.Block]:
    rest = b""
    while data := file.read(BLOCK):
        data = rest + data
        position = 0
        while (block := blocklog.parse(data, position)) is not None:
            position += block.size
            yield block
        rest = data[position:]


def _seek_back(file: LogFile, count: int) -> tuple[int, int]:
    """The offset of the ``count``-th complete line from the end, and how many lines follow it."""
    end = file.size
    position, found = end, 0
    if count <= 0:
        return end, 0
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        block = file.read_at(position, size)
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
