"""Archives that are written read back the same, here and by other programs."""

from __future__ import annotations

import io
import stat
import subprocess
import tarfile

import pytest

from knarr.archive.entry import HARDLINK, NO_XATTRS, Entry, Extent
from knarr.archive.tarstream import TarStream
from knarr.archive.tarwriter import TarWriter

PLAIN = Entry(b"file", stat.S_IFREG, 0o644, 0, 0, 5, 10**18, b"", 0, NO_XATTRS, 0)

ENTRIES = [
    PLAIN,
    PLAIN._replace(mtime=10**18 + 7),
    PLAIN._replace(mtime=-1_500_000_000),
    PLAIN._replace(name=b"n" * 100),
    PLAIN._replace(name=b"d" * 120 + b"/" + b"n" * 100),
    PLAIN._replace(name=b"n" * 101),
    PLAIN._replace(name=b"bad\xff" * 50),
    PLAIN._replace(uid=2_097_152, gid=4_294_967_294),
    PLAIN._replace(xattrs={b"user.a": b"=\n\0\xff", b"security.capability": bytes(20)}),
    PLAIN._replace(name=b"dir/", type=stat.S_IFDIR, mode=0o1777, size=0),
    PLAIN._replace(name=b"d" * 99 + b"/", type=stat.S_IFDIR, size=0),
    PLAIN._replace(name=b"p" * 90 + b"/" + b"d" * 90 + b"/", type=stat.S_IFDIR, size=0),
    PLAIN._replace(name=b"l", type=stat.S_IFLNK, link=b"t" * 100, size=0),
    PLAIN._replace(name=b"l", type=stat.S_IFLNK, link=b"t\xfe" * 100, size=0),
    PLAIN._replace(name=b"h", type=HARDLINK, link=b"file", size=0),
    PLAIN._replace(name=b"dev", type=stat.S_IFBLK, size=0, rdev=(0x11 | 300 << 8 | 0x111 << 20)),
    PLAIN._replace(name=b"fifo", type=stat.S_IFIFO, size=0),
]


def written(*entries: Entry, data: bytes = b"12345") -> bytes:
    out = io.BytesIO()
    writer = TarWriter(out)
    for entry in entries:
        writer.add(entry, io.BytesIO(data) if entry.size else None)
    writer.close()
    return out.getvalue()


@pytest.mark.parametrize("entry", ENTRIES, ids=range(len(ENTRIES)))
def test_reads_back(entry: Entry) -> None:
    data = written(entry)
    (found,) = TarStream([data])
    assert found._replace(offset=0) == entry
    if entry.size:
        assert data[found.offset : found.offset + 5] == b"12345"
    assert data == written(entry)


def test_gnu_tar_and_python_read_it() -> None:
    named = [entry._replace(name=b"%02d-" % n + entry.name) for n, entry in enumerate(ENTRIES)]
    named = [entry for entry in named if entry.type != HARDLINK]
    data = written(*named)
    done = subprocess.run(["tar", "-tf", "-"], input=data, capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == len(named)
    assert done.stderr == b""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info, entry in zip(tar, named, strict=True):
            assert info.name == entry.name.decode("utf-8", "surrogateescape").rstrip("/")
            assert (info.uid, info.gid, info.mode) == (entry.uid, entry.gid, entry.mode)


def test_plain_entries_need_no_extension() -> None:
    assert len(written(PLAIN)) == 512 + 512 + 1024


@pytest.mark.parametrize("data", [b"", b"123", b"1234567"])
def test_file_that_changed_its_length_keeps_the_archive_whole(data: bytes) -> None:
    packed = written(PLAIN, PLAIN, data=data)
    assert [entry.size for entry in TarStream([packed])] == [5, 5]
    assert packed[512:517] == data[:5].ljust(5, b"\0")


def test_a_sparse_file_reads_back() -> None:
    size = 3 << 20
    content = bytearray(size)
    content[4096:8192] = b"a" * 4096
    content[size - 5 :] = b"end.."
    extents = (Extent(4096, 0, 4096), Extent(size - 5, 0, 5))
    entry = PLAIN._replace(name=b"dir/" + b"n" * 90, size=size, extents=extents)
    out = io.BytesIO()
    writer = TarWriter(out)
    writer.add(entry, io.BytesIO(content))
    writer.add(PLAIN, io.BytesIO(b"12345"))
    writer.close()
    data = out.getvalue()
    assert len(data) < 20_000
    found, after = TarStream([data])
    assert (found.name, found.size) == (entry.name, size)
    assert found.extents is not None
    assert [(each.start, each.length) for each in found.extents] == [(4096, 4096), (size - 5, 5)]
    assert after.name == b"file"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        first = tar.extractfile(entry.name.decode())
        assert first is not None
        assert first.read() == content
    listed = subprocess.run(["tar", "tv"], input=data, capture_output=True, check=True).stdout
    assert f" {size} ".encode() in listed


def test_a_file_that_is_all_hole() -> None:
    entry = PLAIN._replace(size=1 << 30, extents=())
    out = io.BytesIO()
    TarWriter(out).add(entry, io.BytesIO())
    (found,) = TarStream([out.getvalue()])
    assert (found.size, found.extents) == (1 << 30, ())
