"""The files of an image archive, read from a stream that cannot be rewound.

Scope: the tar around an image (docker-archive, OCI layout), not the tars of layers. Nothing is
ever written to a path that the archive names: names are only keys.

Law: everything that costs memory is limited here, before it is read: headers by ``archive``'s
limits, the number of files by ``MOST_MEMBERS``.

Sources: POSIX pax; GNU tar long names. Sparse files do not occur in image archives: refused.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from knarr.archive import header, pax
from knarr.archive.failure import BadArchiveError, TruncatedArchiveError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_MEMBERS = 100_000
"""The most files of an archive; an image has at most three per layer."""

_LARGEST_EXTENDED = 1 << 20
_CHUNK = 1 << 20
_REGULAR = frozenset((b"0", b"\0", b"7"))
_LINKS = frozenset((b"1", b"2"))
_LONG_NAME, _LONG_LINK, _LOCAL, _GLOBAL = b"L", b"K", b"x", b"g"


class Member:
    """One regular file; to be read before the next member is asked for."""

    def __init__(self, source: BinaryIO, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._source = source
        self._left = size

    def read(self, count: int = -1) -> bytes:
        """Up to ``count`` bytes, empty at the end; raises TruncatedArchiveError."""
        wanted = self._left if count < 0 else min(count, self._left)
        if not wanted:
            return b""
        data = self._source.read(wanted)
        if not data:
            raise TruncatedArchiveError(f'the archive ends in the middle of "{self.name}"')
        self._left -= len(data)
        return data

    def drain(self) -> None:
        """Pass over what was not read."""
        while self.read(_CHUNK):
            pass


class Link(NamedTuple):
    """A symbolic or hard link; ``target`` is the name of another member."""

    name: str
    target: str


def members(source: BinaryIO) -> Iterator[Member | Link]:
    """All files and links of the tar ``source``, in order; directories are passed over.

    Names come normalized and relative to the root of the archive. Raises BadArchiveError.
    """
    for count, (head, size) in enumerate(_heads(source)):
        if count == MOST_MEMBERS:
            raise BadArchiveError(f"the archive has more than {MOST_MEMBERS} files")
        name = _inside(head.name, b"")
        if head.typeflag in _REGULAR:
            member = Member(source, name, size)
            yield member
            member.drain()
        elif head.typeflag in _LINKS:
            # A hard link names its target from the root, a symbolic one from where it stands.
            base = head.name if head.typeflag == b"2" else b""
            yield Link(name, _inside(head.link, base))
        elif head.typeflag != b"5":
            raise BadArchiveError(
                f"{shown(head.name)} has a type that does not occur in image archives"
            )
        _pass_padding(source, size)


def _heads(source: BinaryIO) -> Iterator[tuple[header.Header, int]]:
    """Headers with their long names, and how many bytes of data follow each."""
    name = link = b""
    records: dict[bytes, bytes] = {}
    shared: dict[bytes, bytes] = {}
    while (block := _block(source)) is not None:
        head = header.parse(block)
        if head.typeflag in (_LONG_NAME, _LONG_LINK, _LOCAL, _GLOBAL):
            data = _extended(source, head.size)
            if head.typeflag == _LONG_NAME:
                name = data.partition(b"\0")[0]
            elif head.typeflag == _LONG_LINK:
                link = data.partition(b"\0")[0]
            elif head.typeflag == _LOCAL:
                records = pax.parse(data)
            else:
                shared |= pax.parse(data)
            continue
        said = shared | records
        if any(key.startswith(b"GNU.sparse.") for key in said):
            raise BadArchiveError(f"{shown(head.name)} is sparse inside an image archive")
        head = head._replace(
            name=said.get(b"path") or name or head.name,
            link=said.get(b"linkpath") or link or head.link,
        )
        size = pax.decimal(said[b"size"], b"size") if said.get(b"size") else head.size
        if size < 0:
            raise BadArchiveError(f"{shown(head.name)} has a size that cannot be: {size}")
        yield head, size if head.typeflag in _REGULAR else 0
        name = link = b""
        records = {}


def _block(source: BinaryIO) -> bytes | None:
    """The next header; None at the end mark or at the end of the stream."""
    block = _exactly(source, header.BLOCK, or_nothing=True)
    return block if block and block != header.ZERO_BLOCK else None


def _extended(source: BinaryIO, size: int) -> bytes:
    if not 0 <= size <= _LARGEST_EXTENDED:
        raise BadArchiveError(f"an extended tar header is {size} bytes long")
    data = _exactly(source, size)
    _pass_padding(source, size)
    return data


def _pass_padding(source: BinaryIO, size: int) -> None:
    _exactly(source, -size % header.BLOCK)


def _exactly(source: BinaryIO, count: int, *, or_nothing: bool = False) -> bytes:
    pieces: list[bytes] = []
    left = count
    while left:
        piece = source.read(left)
        if not piece:
            if or_nothing and left == count:
                return b""
            raise TruncatedArchiveError("the archive is truncated")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _inside(name: bytes, base: bytes) -> str:
    """``name`` as seen from where ``base`` stands, normalized; refuses what leads out."""
    try:
        text, start = name.decode(), base.decode()
    except UnicodeDecodeError:
        raise BadArchiveError(f"{shown(name)} is no name of an image archive") from None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(start), text))
    if path == ".." or path.startswith(("/", "../")) or "\0" in path:
        raise BadArchiveError(f"{shown(name)} leads out of the image archive")
    return path
