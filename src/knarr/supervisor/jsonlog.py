r"""Docker's json-file log: entries, and the files that hold them.

An entry is one line: ``{"log":"text\n","stream":"stdout","time":"2024-05-01T10:00:00.5Z"}``.

Law, as Docker's: an entry is one line of output; a line of more than 16 KiB is cut into entries
without a newline at their end; bytes that are no UTF-8 become U+FFFD, one each; the time is when
the line was read, RFC 3339 with nanoseconds without trailing zeros. All lines of one chunk have
the same time. A file is rotated when it has reached ``max_size``, between two entries:
``x-json.log`` becomes ``x-json.log.1`` and so on up to ``max_file - 1``.

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

    from knarr.supervisor.messages import LogConfig

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


class LogFiles:
    """The present file, and those that were rotated away. ``size`` is that of the present one."""

    def __init__(self, config: LogConfig) -> None:
        self._path = config.path
        self._max_size = config.max_size
        self._max_file = max(1, config.max_file)
        self._fd = -1
        self.size = 0
        self.inode = 0
        self._open()

    @property
    def full(self) -> bool:
        """Whether the next entry belongs into another file."""
        return self.size > 0 and 0 <= self._max_size <= self.size

    @property
    def room(self) -> int | None:
        """Bytes until the file has to be rotated; None when never."""
        return None if self._max_size < 0 else self._max_size - self.size

    def append(self, data: bytes) -> None:
        """Write entries; all of them or, with ``OSError``, none."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self.truncate(self.size)
            raise
        self.size += len(data)

    def truncate(self, size: int) -> None:
        """Cut off what was written after ``size``."""
        os.ftruncate(self._fd, size)
        self.size = size

    def measure(self) -> int:
        """Look at the file again: somebody else may have emptied it."""
        self.size = os.fstat(self._fd).st_size
        return self.size

    def rotate(self) -> None:
        """Begin a new file.

        When it is killed half-way the next call finds a gap in the numbers and does not move
        the files behind it again. After an ``OSError`` the present file stays in use.
        """
        if self._max_file == 1:
            self.truncate(0)
            return
        numbers = range(1, self._max_file)
        gap = next((n for n in numbers if not os.path.exists(f"{self._path}.{n}")), numbers[-1])
        for number in range(gap, 1, -1):
            os.rename(f"{self._path}.{number - 1}", f"{self._path}.{number}")
        if os.path.exists(self._path):
            os.rename(self._path, f"{self._path}.1")
        self._open()

    def close(self) -> None:
        """Close the present file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def mend(self) -> None:
        """Cut off an entry that a crash of the host has torn."""
        window = min(self.size, _TAIL_WINDOW)
        tail = os.pread(self._fd, window, self.size - window)
        if not tail.endswith(b"\n"):
            self.truncate(self.size - window + tail.rfind(b"\n") + 1)

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._path, flags, 0o640)
        self.close()
        self._fd = fd
        status = os.fstat(fd)
        self.size, self.inode = status.st_size, status.st_ino
