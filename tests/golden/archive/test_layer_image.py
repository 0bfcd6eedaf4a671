"""The layer file of a known tar, byte for byte.

When this fails, the format changed: every layer that is stored gets a different file than before.
That is allowed only with a new version in the header of the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path

from knarr.archive import layer
from knarr.archive.entry import HARDLINK, NO_XATTRS, Entry
from knarr.archive.erofs import header, image
from knarr.archive.tarwriter import TarWriter
from support.tars import END, raw_header

FILE = Entry(b"", stat.S_IFREG, 0o644, 0, 0, 0, 1_700_000_000 * 10**9, b"", 0, NO_XATTRS, 0)
DIRECTORY = FILE._replace(type=stat.S_IFDIR, mode=0o755)
XATTRS = {b"user.note": b"n", b"security.capability": b"c" * 20}
ENTRIES = [
    DIRECTORY._replace(name=b"etc/", mode=0o750, uid=1, gid=2, mtime=1_600_000_000_123_456_789),
    FILE._replace(name=b"etc/hostname", size=6, xattrs=XATTRS),
    FILE._replace(name=b"etc/again", type=HARDLINK, link=b"etc/hostname"),
    FILE._replace(name=b"short", type=stat.S_IFLNK, link=b"etc/hostname"),
    FILE._replace(name=b"long", type=stat.S_IFLNK, link=b"t" * 600),
    FILE._replace(name=b"null", type=stat.S_IFCHR, rdev=0x103),
    FILE._replace(name=b"etc/.wh.gone"),
    DIRECTORY._replace(name=b"opaque/"),
    FILE._replace(name=b"opaque/.wh..wh..opq"),
    FILE._replace(name=b"implied/empty", mtime=-1),
    *[FILE._replace(name=b"many/%04d" % number) for number in range(100)],
]
SPARSE = [  # one whose runs are used in place, and one whose runs must be copied
    raw_header(
        name,
        b"S",
        size=522,
        magic=b"ustar  \0",
        at_386=b"%011o\0%011o\0%011o\0%011o\0" % (start, 512, 65536, 10),
        at_483=b"%011o\0" % size,
    )
    + b"x" * 512
    + b"y" * 10
    + bytes(502)
    for name, start, size in ((b"in-place", 4096, 65546), (b"copied", 4000, 100_000))
]


def tar() -> bytes:
    out = io.BytesIO()
    writer = TarWriter(out)
    for entry in ENTRIES:
        writer.add(entry, io.BytesIO(b"knarr\n"))
    return out.getvalue() + b"".join(SPARSE) + END


def test_layer_file_is_always_the_same(tmp_path: Path) -> None:
    path = tmp_path / "layer.erofs"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    read = layer.read(io.BytesIO(tar()), fd, header.SIZE)
    size = image.write(fd, read.tree, tar_size=read.size, digest=read.digest)
    os.close(fd)
    data = path.read_bytes()
    assert len(data) == size
    assert data[4096 : 4096 + read.size] == tar()
    assert read.digest.hex() == EXPECTED_TAR
    assert hashlib.sha256(data).hexdigest() == EXPECTED_IMAGE


EXPECTED_TAR = "ff5f960e1535ca7fd9e8a71eae46421584a51804f127b73e2814b2f06af37d16"
EXPECTED_IMAGE = "53a2be887e2e6503e194a82df30bc403e715c3f2ac0095b4c8b7b87a24e12b1b"
