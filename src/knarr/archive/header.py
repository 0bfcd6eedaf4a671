"""The 512-byte header block of a tar archive.

Scope: one block to its fields; what several blocks mean together is ``tarstream``'s business.
Sources: POSIX pax "ustar Interchange Format"; GNU tar manual "Basic Tar Format"; star(5). Where
readers differ this one reads as Go's ``archive/tar``, because that is what Docker reads with.
"""

from __future__ import annotations

import functools
import re
import struct
import zlib
from typing import NamedTuple

from .failure import BadArchiveError, shown

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_BLANKS = 8 * 32  # the checksum field counts as eight spaces
_ADLER_PRIME = 65521
_OCTAL = re.compile(rb"[0-7]+")
_STAR_TRAILER = 508  # "tar\0" here: the prefix is 131 bytes long (star(5))


class Header(NamedTuple):
    """The fields of a header; ``name`` already has its ustar prefix."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    typeflag: bytes
    link: bytes
    major: int
    minor: int


def parse(block: bytes) -> Header:
    """Read a header block. Raises BadArchiveError when its checksum or a number is wrong."""
    (name, mode, uid, gid, size, mtime, check, typeflag, link, magic, _, _, _, major, minor,
     prefix, _) = _FIELDS.unpack(block)  # fmt: skip
    _verify(block, check)
    name = name.partition(b"\0")[0]
    if magic == b"ustar\0" and prefix[0]:
        if block[_STAR_TRAILER:] == b"tar\0":
            prefix = prefix[:131]
        name = prefix.partition(b"\0")[0] + b"/" + name
    devices = typeflag in b"34" and magic.startswith(b"ustar")
    try:
        return Header(
            name,
            number(mode),
            number(uid),
            number(gid),
            number(size),
            number(mtime),
            typeflag,
            link.partition(b"\0")[0],
            number(major) if devices else 0,
            number(minor) if devices else 0,
        )
    except BadArchiveError as error:
        raise BadArchiveError(f"tar header of {shown(name)} is damaged: {error}") from None


@functools.lru_cache(4096)  # the entries of an archive have few owners, modes and times
def number(field: bytes) -> int:
    """A number of a header: octal digits, or base 256 when the first bit is set (GNU, star)."""
    if field[0] & 0x80:
        return _base256(field)
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    if _OCTAL.fullmatch(digits):  # int() alone would take signs and underscores too
        return int(digits, 8)
    raise BadArchiveError(f"{digits!r} is not a number")


def _base256(field: bytes) -> int:
    """Two's complement, big-endian, after the marker bit."""
    value = int.from_bytes(field, "big")
    bits = 8 * len(field) - 1
    value &= (1 << bits) - 1  # the marker
    return value - (1 << bits) if field[0] & 0x40 else value


def _verify(block: bytes, field: bytes) -> None:
    """Compare the checksum; old tars added the bytes up as signed ones.

    The lower half of Adler-32 is the sum of the bytes plus one, modulo a prime just below 65536,
    and thirty times as fast as ``sum``.
    """
    try:
        wanted = number(field)
    except BadArchiveError:
        wanted = -1
    rest = wanted + sum(field) - _BLANKS  # the sum of the block when it is right
    if (zlib.adler32(block) & 0xFFFF) == (rest + 1) % _ADLER_PRIME:
        return
    if sum(byte - 256 if byte > 127 else byte for byte in block) != rest:
        raise BadArchiveError("this is not a tar archive, or it is damaged: wrong header checksum")
