r"""Docker's json-file form of a log.

An entry is one line: ``{"log":"text\n","stream":"stdout","time":"2024-05-01T10:00:00.5Z"}``.

Law, as Docker's: an entry is one line of output; a line of more than 16 KiB is cut into entries
without a newline at their end; bytes that are no UTF-8 become U+FFFD, one each; the time is when
the line was read, RFC 3339 with nanoseconds without trailing zeros. All lines of one chunk have
the same time.

Unlike Docker a long line is never cut inside a character.

Source: moby ``daemon/logger`` (copier, loggerutils, jsonfilelog), by its behaviour.
"""

from __future__ import annotations

import codecs
import os
import time
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 16 * 1024
_HEAD = b'{"log":"'
_BACKSLASH = ord("\\")
_ESCAPES = {
    code: encode_basestring(chr(code))[1:-1].encode()
    for code in (*range(0x20), ord('"'), _BACKSLASH)
    if code != ord("\n")
}
_PLAIN = bytes(code for code in range(256) if code not in _ESCAPES)
_CONTINUATION = 0x80
_TAIL_WINDOW = 256 * 1024
_NAMES = {1: "stdout", 2: "stderr"}


def _one_for_each_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("knarr-log", _one_for_each_byte)


def segments(data: bytes, *, final: bool) -> Iterator[tuple[int, int]]:
    """The parts of ``data`` (which begins a line) that can be logged now, as (start, stop).

    A part is whole lines with at most one unfinished line at its end, which has reached the
    longest length or, when ``final``, the end of all output. What comes after the last part waits
    for the rest of its line.
    """
    start = position = 0
    size = len(data)
    while size - position >= LONGEST:
        newline = data.rfind(b"\n", position, position + LONGEST)
        if newline >= 0:
            position = newline + 1
            continue
        position = _between_characters(data, position, position + LONGEST)
        yield start, position
        start = position
    newline = data.rfind(b"\n", position)
    if newline >= 0:
        position = newline + 1
    stop = size if final else position
    if stop > start:
        yield start, stop


def _between_characters(data: bytes, start: int, cut: int) -> int:
    """``cut``, or the beginning of the UTF-8 character that it would cut."""
    for back in range(1, 4):
        byte = data[cut - back]
        if byte & 0xC0 == _CONTINUATION:
            continue
        length = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4
        return cut - back if byte >= 0xC0 and length > back and cut - back > start else cut
    return cut


def entries(data: bytes, stream: str, stamp: str, extra: str = "") -> bytes:
    """The entries for whole lines (and perhaps an unfinished one at the end) of ``stream``.

    ``extra`` is what ``attributes`` made.
    """
    tail = f'","stream":"{stream}"{extra},"time":"{stamp}"}}\n'.encode()
    body = _escaped(data).replace(b"\n", b"\\n" + tail + _HEAD)
    if data.endswith(b"\n"):
        return _HEAD + body[: -len(_HEAD)]
    return _HEAD + body + tail


def _escaped(data: bytes) -> bytes:
    """As the inside of a JSON string, but for newlines; valid UTF-8.

    Passes over the bytes are cheap and Python's steps are not: this is some ten times faster than
    encoding each line, or the whole block as a string.
    """
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            data = data.decode("utf-8", "knarr-log").encode()
    # The backslash comes first, because the others bring more of them.
    for special in sorted(set(data.translate(None, _PLAIN)), key=_BACKSLASH.__ne__):
        data = data.replace(bytes((special,)), _ESCAPES[special])
    return data


def attributes(pairs: tuple[tuple[str, str], ...]) -> str:
    """The ``attrs`` of an entry, ready to be put in; empty when there are none."""
    if not pairs:
        return ""
    inside = ",".join(
        f"{encode_basestring(key)}:{encode_basestring(value)}" for key, value in pairs
    )
    return f',"attrs":{{{inside}}}'


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 with nanoseconds, as Go's RFC3339Nano: no zeros at the end of the fraction."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + digits + "Z"


class JsonForm:
    """Makes entries; see ``logfiles.Form``."""

    def __init__(self, attrs: tuple[tuple[str, str], ...]) -> None:
        self._extra = attributes(attrs)

    def pack(self, stream: int, data: bytes, now: int, room: int | None) -> tuple[bytes, int]:
        """See ``logfiles.Form``."""
        written = entries(data, _NAMES[stream], timestamp(now), self._extra)
        if room is None or len(written) <= room:
            return written, len(data)
        cut = written.find(b"\n", max(room, 1) - 1) + 1
        return written[:cut], _end_of_line(data, written.count(b"\n", 0, cut))

    def whole(self, fd: int, size: int) -> int:
        """See ``logfiles.Form``."""
        window = min(size, _TAIL_WINDOW)
        tail = os.pread(fd, window, size - window)
        return size if tail.endswith(b"\n") else size - window + tail.rfind(b"\n") + 1


def _end_of_line(data: bytes, count: int) -> int:
    """The offset behind the ``count``-th line of ``data``."""
    position = 0
    for _ in range(count):
        position = data.find(b"\n", position) + 1
        if position == 0:
            return len(data)
    return position
