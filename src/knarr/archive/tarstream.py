"""Tar archives as a stream of entries with exact byte offsets.

Scope: ustar, base-256 numbers, GNU long names and sparse files, PAX records local and global. The
archive comes in chunks of any size; the data of files are passed over and not looked at, unless the
caller asks for those of the entry at hand, so the work is per entry and per chunk. What is done
with the entries is the caller's business: names are given exactly as they stand in the archive.

Laws: a damaged, ambiguous or truncated archive raises BadArchiveError, and nothing of it is
guessed; every number of the archive that costs memory is limited; where readers differ this one
reads as Go's ``archive/tar``, with which Docker reads (a size of a link or a directory is ignored,
the archive ends at two zero blocks or at the end of the stream), except that global PAX records
count, as POSIX says.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from . import claims, header, pax, sparse
from .entry import HARDLINK, NO_XATTRS, Entry, Extent
from .failure import BadArchiveError, TruncatedArchiveError, shown
from .header import BLOCK, ZERO_BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .header import Header

MAX_EXTENDED = 1 << 20
"""The largest extended header or long name, in bytes; Go has the same limit."""

_TYPES = {
    b"0": stat.S_IFREG,
    b"\0": stat.S_IFREG,
    b"7": stat.S_IFREG,
    b"S": stat.S_IFREG,
    b"1": HARDLINK,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
    b"D": stat.S_IFDIR,
}
_WITHOUT_DATA = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
_VOLUME_LABEL = b"V"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_LOCAL, _GLOBAL, _SOLARIS = b"x", b"g", b"X"
_PREFIXES = frozenset((_LONG_NAME, _LONG_LINK, _LOCAL, _GLOBAL, _SOLARIS))
_NO_RECORDS: dict[bytes, bytes] = {}
_SECOND = 1_000_000_000
_MAX_SIZE = (1 << 63) - 1
_MAX_ID = (1 << 32) - 2  # the last one means "unchanged" to chown(2)


class TarStream:
    """The entries of one archive, in order; to be iterated once.

    ``chunks`` is the archive in pieces. After the iteration ``drain`` passes over what stands
    behind the end mark; ``position`` is the number of bytes that were passed. With ``holes`` it
    looks at the data of files that say where they have holes (see ``claims``); ``self.holes`` are
    those in the archive, start and length, and ``data`` gives nothing of these files.
    """

    def __init__(self, chunks: Iterable[bytes], *, holes: bool = False) -> None:
        self.holes: list[tuple[int, int]] = []
        self._looks_for_holes = holes
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0
        self._base = 0
        self._globals: dict[bytes, bytes] = {}
        self._last = b""
        self._unread = 0
        self._padding = 0

    @property
    def position(self) -> int:
        """How many bytes of the archive have been passed."""
        return self._base + self._at

    def __iter__(self) -> Iterator[Entry]:
        while (block := self._next_header()) is not None:
            head = header.parse(block)
            records = _NO_RECORDS
            if head.typeflag in _PREFIXES:
                extended = self._extensions(head)
                if extended is None:
                    return
                head, records, block = extended
            if head.typeflag == _VOLUME_LABEL:
                self._skip_data(head.size)
                continue
            if self._globals:
                records = self._globals | records
            yield self._entry(head, records, block)
            if self._unread or self._padding:
                self._skip(self._unread + self._padding)
                self._unread = self._padding = 0

    def data(self) -> Iterator[bytes]:
        """The data of the entry that was given last, as they stand in the archive: of a sparse
        file its runs, one after the other. To be read before the next entry is asked for.
        """
        while self._unread:
            if self._at == len(self._chunk):
                self._must_refill()
            piece = self._chunk[self._at : self._at + self._unread]
            self._at += len(piece)
            self._unread -= len(piece)
            yield piece

    def _extensions(self, head: Header) -> tuple[Header, dict[bytes, bytes], bytes] | None:
        """The header behind the extended ones that begin with ``head``, and its records.

        None when there is no entry any more, which is in order behind global records only.
        """
        long_name, long_link, records = b"", b"", _NO_RECORDS
        while True:
            data = self._extended(head)
            if head.typeflag == _LONG_NAME:
                long_name = data.partition(b"\0")[0]
            elif head.typeflag == _LONG_LINK:
                long_link = data.partition(b"\0")[0]
            elif head.typeflag == _GLOBAL:
                self._globals.update(pax.parse(data))
            else:
                records = pax.parse(data)
            block = self._next_header()
            if block is None:
                if head.typeflag == _GLOBAL:
                    return None
                raise TruncatedArchiveError("the tar archive ends behind an extended header")
            head = header.parse(block)
            if head.typeflag not in _PREFIXES:
                named = head._replace(name=long_name or head.name, link=long_link or head.link)
                return named, records, block

    def drain(self) -> None:
        """Pass over everything that is left."""
        while self._refill():
            pass
        self._at = len(self._chunk)

    def _entry(self, head: Header, records: dict[bytes, bytes], block: bytes) -> Entry:
        """Make the entry, and pass its data."""
        self._last = head.name
        kind = _TYPES.get(head.typeflag)
        if kind is None:
            what = head.typeflag.decode("latin-1")
            raise BadArchiveError(f"{shown(head.name)} is a tar entry of unknown type {what!r}")
        if head.typeflag == b"\0" and head.name.endswith(b"/"):
            kind = stat.S_IFDIR  # older than the type of directories
        mtime = head.mtime * _SECOND
        xattrs = NO_XATTRS
        if records:
            head, mtime = _overridden(head, records, mtime)
            xattrs = pax.xattrs(records)
        _check_numbers(head, mtime)
        size, extents = head.size, None
        offset = self._base + self._at
        if head.typeflag in _WITHOUT_DATA:
            size = 0
        elif head.typeflag == b"S":
            size, extents = self._old_sparse(block, head)
            offset = self.position
            self._hold(head.size)
        elif records and _is_sparse(records):
            head, size, extents = self._pax_sparse(head, records)
        else:
            self._hold(size)
            if self._looks_for_holes and records and kind == stat.S_IFREG and size:
                extents = self._claimed(records, size, offset)
        return Entry(
            head.name,
            kind,
            head.mode & 0o7777,
            head.uid,
            head.gid,
            size if kind == stat.S_IFREG else 0,
            mtime,
            head.link,
            _device(head) if head.major or head.minor else 0,
            xattrs,
            offset,
            extents,
        )

    def _old_sparse(self, block: bytes, head: Header) -> tuple[int, tuple[Extent, ...]]:
        size, runs = sparse.old_gnu(block, self._take, head.name)
        _check_size(size, head.name)
        placed = sparse.extents(
            runs, size=size, offset=self.position, stored=head.size, name=head.name
        )
        return size, placed

    def _pax_sparse(
        self, head: Header, records: dict[bytes, bytes]
    ) -> tuple[Header, int, tuple[Extent, ...]]:
        """The real name, size and runs of a sparse file in one of the PAX formats."""
        name = records.get(b"GNU.sparse.name", head.name)
        stored = head.size
        if records.get(b"GNU.sparse.major") == b"1":
            size = pax.decimal(records.get(b"GNU.sparse.realsize", b""), b"GNU.sparse.realsize")
            used, runs = sparse.pax_1(self._take, name)
            stored -= used
        else:
            size, runs = sparse.pax_0(records, name)
        _check_size(size, name)
        if stored < 0:
            raise BadArchiveError(f"the sparse map of {shown(name)} does not match its data")
        offset = self.position
        self._hold(stored)
        placed = sparse.extents(runs, size=size, offset=offset, stored=stored, name=name)
        return head._replace(name=name), size, placed

    def _claimed(
        self, records: dict[bytes, bytes], size: int, offset: int
    ) -> tuple[Extent, ...] | None:
        """The runs of a file that lies whole here, if it says of its holes what is true."""
        runs = claims.decode(records.get(claims.RECORD), size)
        if runs is None:
            return None
        holes = claims.gaps(runs, size)
        if not claims.hold(self.data(), holes):
            return None
        self.holes += [(offset + start, length) for start, length in holes]
        return tuple(Extent(start, offset + start, length) for start, length in runs)

    def _extended(self, head: Header) -> bytes:
        if not 0 <= head.size <= MAX_EXTENDED:
            raise BadArchiveError(f"an extended tar header is {head.size} bytes long")
        data = self._take(head.size)
        self._skip(-head.size % BLOCK)
        return data

    def _next_header(self) -> bytes | None:
        """The next header block; None at the end mark or at the end of the stream."""
        if self._at == len(self._chunk) and not self._refill():
            return None
        block = self._take(BLOCK)
        if block != ZERO_BLOCK:
            return block
        if self._at == len(self._chunk) and not self._refill():
            return None
        if self._take(BLOCK) != ZERO_BLOCK:
            raise BadArchiveError("the tar archive is damaged: one zero block between entries")
        return None

    def _hold(self, size: int) -> None:
        """Data come next; they are passed over when the entry has been dealt with."""
        self._unread = size
        self._padding = -size % BLOCK

    def _skip_data(self, size: int) -> None:
        self._skip(size + -size % BLOCK)

    def _take(self, count: int) -> bytes:
        """Exactly the next ``count`` bytes."""
        end = self._at + count
        if end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at = end
            return data
        pieces = []
        while count:
            if self._at == len(self._chunk):
                self._must_refill()
            piece = self._chunk[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _skip(self, count: int) -> None:
        self._at += count
        while self._at > len(self._chunk):
            over = self._at - len(self._chunk)
            self._at = len(self._chunk)
            self._must_refill()
            self._at = over

    def _must_refill(self) -> None:
        if not self._refill():
            behind = f" at {shown(self._last)}" if self._last else ""
            raise TruncatedArchiveError(f"the tar archive is truncated{behind}")

    def _refill(self) -> bool:
        """Go on to the next chunk; False when there is none."""
        for chunk in self._chunks:
            if chunk:
                self._base += len(self._chunk)
                self._chunk = chunk
                self._at = 0
                return True
        return False


def _overridden(head: Header, records: dict[bytes, bytes], mtime: int) -> tuple[Header, int]:
    """The header with what its PAX records say instead; an empty value says nothing."""

    def decimal(key: bytes, before: int) -> int:
        value = records.get(key)
        return pax.decimal(value, key) if value else before

    changed = head._replace(
        name=records.get(b"path") or head.name,
        link=records.get(b"linkpath") or head.link,
        size=decimal(b"size", head.size),
        uid=decimal(b"uid", head.uid),
        gid=decimal(b"gid", head.gid),
    )
    if value := records.get(b"mtime"):
        mtime = pax.time_ns(value, b"mtime")
    return changed, mtime


def _is_sparse(records: dict[bytes, bytes]) -> bool:
    return pax.SPARSE_PAIRS in records or records.get(b"GNU.sparse.major") == b"1"


def _device(head: Header) -> int:
    """The device number in the kernel's encoding of 12 bits major and 20 bits minor."""
    if not (0 <= head.major < 1 << 12 and 0 <= head.minor < 1 << 20):
        raise BadArchiveError(f"{shown(head.name)} has no valid device number")
    return (head.minor & 0xFF) | head.major << 8 | (head.minor & ~0xFF) << 12


def _check_numbers(head: Header, mtime: int) -> None:
    if not 0 <= head.size <= _MAX_SIZE:
        raise _bad_size(head.size, head.name)
    if not (0 <= head.uid <= _MAX_ID and 0 <= head.gid <= _MAX_ID):
        owner = f"{head.uid}:{head.gid}"
        raise BadArchiveError(f"{shown(head.name)} has an owner that cannot be: {owner}")
    if not -_MAX_SIZE <= mtime // _SECOND <= _MAX_SIZE:
        raise BadArchiveError(f"{shown(head.name)} has a time that cannot be")


def _check_size(size: int, name: bytes) -> None:
    if not 0 <= size <= _MAX_SIZE:
        raise _bad_size(size, name)


def _bad_size(size: int, name: bytes) -> BadArchiveError:
    return BadArchiveError(f"{shown(name)} has a size that cannot be: {size}")
