"""Writing tar archives: ustar with PAX records where ustar cannot say it.

Law: the same entries give the same bytes. A record is written only where the plain header loses
something (a long name, a fraction of a second, a large number, attributes), so that every reader
gets along with most entries. Names are bytes and go out as they are, also in records: no charset is
announced, as in the archives of Docker, because GNU tar complains about the announcement.
"""

from __future__ import annotations

import functools
import stat
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

from . import claims, pax
from .entry import HARDLINK
from .header import BLOCK, ZERO_BLOCK, Header

if TYPE_CHECKING:
    from .entry import Entry, Extent

_TYPEFLAGS = {
    stat.S_IFREG: b"0",
    HARDLINK: b"1",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
_NAME, _PREFIX = 100, 155
_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777
_SECOND = 1_000_000_000
_LAYOUT = struct.Struct("100s8s8s8s12s12s8s1s100s72s8s8s155s12x")
_SUM_AT = 148
_COPY = 1 << 20
HUGE = 1 << 30
"""Holes of so many bytes are worth a form that not every program can handle."""

_SPARSE_FOLDER = b"GNUSparseFile.0/"
"""Where a reader that does not know the format puts the file; GNU tar has its process id there."""
_EXTENDED = Header(b"././@PaxHeader", 0o644, 0, 0, 0, 0, b"x", b"", 0, 0)


class TarWriter:
    """Writes entries to ``out``, which stays the caller's."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def add(self, entry: Entry, data: BinaryIO | None = None) -> None:
        """Write an entry; ``data`` gives the content of a regular file.

        Should ``data`` be shorter than the entry says (someone truncated the file meanwhile), the
        rest is zeros; should it be longer, the rest is left out. An entry with ``extents`` is
        written whole with a record of them (see ``claims``); one with very large holes in GNU's
        sparse format 1.0, which has only these runs.
        """
        records = _records(entry)
        if entry.extents is not None and data is not None:
            if entry.size - sum(run.length for run in entry.extents) >= HUGE:
                self._sparse(entry, entry.extents, data)
                return
            if (record := claims.encode(entry.extents)) is not None:
                records[claims.RECORD] = record
        self._head(entry, records)
        if data is not None and entry.size:
            self._copy(data, entry.size)
            self._out.write(bytes(-entry.size % BLOCK))

    def _head(self, entry: Entry, records: dict[bytes, bytes]) -> None:
        if records:
            body = pax.encode(sorted(records.items()))
            self._out.write(_extended_header(len(body)) + body + bytes(-len(body) % BLOCK))
        self._out.write(_entry_header(entry))

    def _sparse(self, entry: Entry, extents: tuple[Extent, ...], data: BinaryIO) -> None:
        runs = [(run.start, run.length) for run in extents] + [(entry.size, 0)]
        numbers = [len(runs), *(number for run in runs for number in run)]
        head = b"".join(b"%d\n" % number for number in numbers)
        head += bytes(-len(head) % BLOCK)
        folder, slash, name = entry.name.rpartition(b"/")
        stored = sum(run.length for run in extents)
        shown = entry._replace(
            name=folder + slash + _SPARSE_FOLDER + name, size=len(head) + stored, extents=None
        )
        self._head(
            shown,
            _records(shown)
            | {
                b"GNU.sparse.major": b"1",
                b"GNU.sparse.minor": b"0",
                b"GNU.sparse.name": entry.name,
                b"GNU.sparse.realsize": b"%d" % entry.size,
            },
        )
        self._out.write(head)
        for run in extents:
            data.seek(run.start)
            self._copy(data, run.length)
        self._out.write(bytes(-stored % BLOCK))

    def close(self) -> None:
        """Write the end mark."""
        self._out.write(ZERO_BLOCK * 2)

    def _copy(self, data: BinaryIO, size: int) -> None:
        left = size
        while left:
            chunk = data.read(min(left, _COPY)) or bytes(min(left, _COPY))
            self._out.write(chunk)
            left -= len(chunk)


def _records(entry: Entry) -> dict[bytes, bytes]:
    """The PAX records that the entry needs."""
    found: dict[bytes, bytes] = {}
    if _split(entry.name) is None:
        found[b"path"] = entry.name
    if len(entry.link) > _NAME:
        found[b"linkpath"] = entry.link
    seconds, nanoseconds = divmod(entry.mtime, _SECOND)
    if nanoseconds or not 0 <= seconds <= _OCTAL_11:
        found[b"mtime"] = _time(entry.mtime)
    if entry.size > _OCTAL_11:
        found[b"size"] = str(entry.size).encode()
    for key, owner in ((b"uid", entry.uid), (b"gid", entry.gid)):
        if owner > _OCTAL_7:
            found[key] = str(owner).encode()
    for name, attribute in entry.xattrs.items():
        found[pax.SCHILY_XATTR + name] = attribute
    return found


def _time(ns: int) -> bytes:
    seconds, nanoseconds = divmod(abs(ns), _SECOND)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{'-' if ns < 0 else ''}{seconds}{fraction}".encode()


def _entry_header(entry: Entry) -> bytes:
    name, prefix = _split(entry.name) or (entry.name[:_NAME], b"")
    seconds = entry.mtime // _SECOND
    fields = Header(
        name,
        entry.mode,
        min(entry.uid, _OCTAL_7),
        min(entry.gid, _OCTAL_7),
        min(entry.size, _OCTAL_11),
        seconds if 0 <= seconds <= _OCTAL_11 else 0,
        _TYPEFLAGS[entry.type],
        entry.link[:_NAME],
        entry.rdev >> 8 & 0xFFF,
        (entry.rdev & 0xFF) | (entry.rdev >> 12 & 0xFFF00),
    )
    return _block(fields, prefix)


@functools.lru_cache(256)
def _extended_header(size: int) -> bytes:
    """The header of PAX records; most entries of an archive have equally many bytes of them."""
    return _block(_EXTENDED._replace(size=size))


def _block(fields: Header, prefix: bytes = b"") -> bytes:
    block = _LAYOUT.pack(
        fields.name,
        b"%07o" % fields.mode,
        b"%07o" % fields.uid,
        b"%07o" % fields.gid,
        b"%011o" % fields.size,
        b"%011o" % fields.mtime,
        b"        ",  # where the sum will stand
        fields.typeflag,
        fields.link,
        b"ustar\x0000",
        b"%07o" % fields.major,
        b"%07o" % fields.minor,
        prefix,
    )
    return b"%b%06o\0%b" % (block[:_SUM_AT], _sum(block), block[_SUM_AT + 7 :])


def _sum(block: bytes) -> int:
    """The sum of the bytes; Adler-32 has it in its lower half where that is large enough."""
    return (zlib.adler32(block) & 0xFFFF) - 1 if block.isascii() else sum(block)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """The name as ustar's name and prefix; None when it does not fit."""
    if len(name) <= _NAME:
        return name, b""
    cut = name.rfind(b"/", 0, min(_PREFIX + 1, len(name) - 1))
    if cut <= 0 or not 0 < len(name) - cut - 1 <= _NAME:
        return None
    return name[cut + 1 :], name[:cut]
