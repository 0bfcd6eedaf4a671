"""Tar archives for tests, good ones and bad ones, entry by entry."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from typing import Any

MTIME = 1_700_000_000
Member = tuple[tarfile.TarInfo, bytes | None]


def member(name: str, kind: bytes, data: bytes | None = None, **attributes: Any) -> Member:
    """Any entry; ``xattrs`` and ``mtime_ns`` become PAX records, the rest TarInfo attributes."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mtime = MTIME
    info.mode = attributes.pop("mode", 0o755 if kind == tarfile.DIRTYPE else 0o644)
    info.size = len(data) if data is not None else 0
    for key, value in attributes.pop("xattrs", {}).items():
        info.pax_headers[f"SCHILY.xattr.{key}"] = value
    if (ns := attributes.pop("mtime_ns", None)) is not None:
        info.pax_headers["mtime"] = f"{ns // 10**9}.{ns % 10**9:09d}"
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def file(name: str, data: bytes = b"", **attributes: Any) -> Member:
    return member(name, tarfile.REGTYPE, data, **attributes)


def directory(name: str, **attributes: Any) -> Member:
    return member(name, tarfile.DIRTYPE, **attributes)


def symlink(name: str, target: str, **attributes: Any) -> Member:
    return member(name, tarfile.SYMTYPE, linkname=target, mode=0o777, **attributes)


def hardlink(name: str, target: str) -> Member:
    return member(name, tarfile.LNKTYPE, linkname=target)


def device(name: str, major: int, minor: int, kind: bytes = tarfile.CHRTYPE) -> Member:
    return member(name, kind, devmajor=major, devminor=minor)


def archive(members: Iterable[Member], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The archive of these members, as Python's ``tarfile`` writes it."""
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def raw_header(name: bytes, typeflag: bytes = b"0", *, size: int = 0, **fields: bytes) -> bytes:
    """A header block field by field, for what no tar program would write.

    ``fields`` are put over the ones made here: mode, uid, gid, size, mtime, link, magic, prefix,
    and ``at_N`` for bytes at offset N.
    """
    places = {"mode": 100, "uid": 108, "gid": 116, "size": 124, "mtime": 136, "link": 157}
    places |= {"magic": 257, "major": 329, "minor": 337, "prefix": 345}
    values = {
        "mode": b"0000644\0",
        "uid": b"0000000\0",
        "gid": b"0000000\0",
        "size": b"%011o\0" % size,
        "mtime": b"%011o\0" % MTIME,
        "magic": b"ustar\x0000",
    } | fields
    block = bytearray(512)
    block[: len(name)] = name
    block[156:157] = typeflag
    for key, value in values.items():
        at = int(key[3:]) if key.startswith("at_") else places[key]
        block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    """Data as they stand in an archive."""
    return data + bytes(-len(data) % 512)


END = bytes(1024)
