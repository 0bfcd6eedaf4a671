"""Extended headers of POSIX tar: records of ``length key=value``.

Source: POSIX pax "pax Extended Header". Values are bytes: names need not be UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from typing import TYPE_CHECKING

from .failure import BadArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHILY_XATTR = b"SCHILY.xattr."
_LIBARCHIVE_XATTR = b"LIBARCHIVE.xattr."
_SPARSE_PAIR = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
SPARSE_PAIRS = b"GNU.sparse.map"

_DECIMAL = re.compile(rb"[0-9]{1,19}")
_TIME = re.compile(rb"(-?)([0-9]{1,19})(?:\.([0-9]*))?")
_NO_NUL = frozenset((b"path", b"linkpath"))


def parse(data: bytes) -> dict[bytes, bytes]:
    """The records of one extended header; of two with the same key the later one counts.

    The repeated offset/numbytes pairs of GNU sparse format 0.0 come as one ``GNU.sparse.map``,
    the form of 0.1. Raises BadArchiveError for what is not a list of records.
    """
    records: dict[bytes, bytes] = {}
    pairs: list[bytes] = []
    position, end = 0, len(data)
    while position < end:
        key, value, position = _record(data, position)
        if key in _SPARSE_PAIR:
            if key != _SPARSE_PAIR[len(pairs) % 2]:
                raise BadArchiveError("the sparse map of a tar entry is damaged")
            pairs.append(value)
        else:
            records[key] = value
    if pairs:
        records[SPARSE_PAIRS] = b",".join(pairs)
    return records


def _record(data: bytes, position: int) -> tuple[bytes, bytes, int]:
    space = data.find(b" ", position, position + 20)
    digits = data[position:space] if space > 0 else b""
    if not _DECIMAL.fullmatch(digits):
        raise BadArchiveError("an extended tar header is damaged: a record has no length")
    end = position + int(digits)
    key, equals, value = data[space + 1 : end - 1].partition(b"=")
    if end > len(data) or data[end - 1 : end] != b"\n" or not equals or not key:
        raise BadArchiveError("an extended tar header is damaged: a record is not key=value")
    if key in _NO_NUL and b"\0" in value:
        raise BadArchiveError("an extended tar header is damaged: a name contains a NUL byte")
    return key, value, end


def decimal(value: bytes, key: bytes) -> int:
    """A number without sign."""
    if not _DECIMAL.fullmatch(value):
        raise BadArchiveError(f"extended tar header: {key.decode()} is not a number: {value!r}")
    return int(value)


def time_ns(value: bytes, key: bytes) -> int:
    """A time as nanoseconds; digits below the nanosecond are cut off."""
    match = _TIME.fullmatch(value)
    if match is None:
        raise BadArchiveError(f"extended tar header: {key.decode()} is not a time: {value!r}")
    sign, seconds, fraction = match.groups()
    nanoseconds = int(seconds) * 1_000_000_000 + int(((fraction or b"") + b"0" * 9)[:9])
    return -nanoseconds if sign else nanoseconds


def xattrs(records: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The extended attributes among ``records``, as star and GNU tar, or bsdtar, write them."""
    found = {}
    for key, value in records.items():
        if key.startswith(_LIBARCHIVE_XATTR):
            name = urllib.parse.unquote_to_bytes(key[len(_LIBARCHIVE_XATTR) :])
            try:
                found[name] = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
            except binascii.Error:
                raise BadArchiveError(f"extended tar header: {key!r} is not base64") from None
    for key, value in records.items():
        if key.startswith(SCHILY_XATTR):
            found[key[len(SCHILY_XATTR) :]] = value
    return found


def encode(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The data of an extended header with these records, in the given order."""
    return b"".join(_encode_record(key, value) for key, value in records)


def _encode_record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while True:  # the length counts its own digits
        total = len(body) + len(str(length))
        if total == length:
            return str(length).encode() + body
        length = total
