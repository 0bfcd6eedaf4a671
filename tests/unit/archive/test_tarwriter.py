"""Archives that are written read back the same, here and by other programs."""

from __future__ import annotations

import io
import stat
import subprocess
import tarfile

import pytest

from knarr.archive import claims, tarwriter
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


def test_a_very_sparse_file_reads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarwriter, "HUGE", 1 << 20)
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


def test_a_sparse_file_is_whole_for_others() -> None:
    size = 1 << 20
    content = bytearray(size)
    content[4096:8192] = b"a" * 4096
    extents = (Extent(4096, 0, 4096),)
    out = io.BytesIO()
    writer = TarWriter(out)
    writer.add(PLAIN._replace(size=size, extents=extents), io.BytesIO(content))
    writer.add(PLAIN, io.BytesIO(b"12345"))
    writer.close()
    data = out.getvalue()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        first = tar.extractfile("file")
        assert first is not None
        assert [each.size for each in tar] == [size, 5]
    whole, after = TarStream([data])
    assert (whole.size, whole.extents, after.size) == (size, None, 5)
    stream = TarStream((data[at : at + 5000] for at in range(0, len(data), 5000)), holes=True)
    found, after = stream
    assert found.extents == (Extent(4096, found.offset + 4096, 4096),)
    assert after.size == 5
    assert stream.holes == [(found.offset, 4096), (found.offset + 8192, size - 8192)]
    lie = bytearray(data)
    lie[found.offset + 8192] = 1
    for step in (512, 5000, size * 2):
        stream = TarStream(
            (bytes(lie[at : at + step]) for at in range(0, len(lie), step)), holes=True
        )
        assert [each.extents for each in stream] == [None, None], "it is not what it says"
        assert not stream.holes


@pytest.mark.parametrize(
    "record",
    [
        b"0",
        b"0,5,5",
        b"5,1,0,1",
        b"0,0",
        b"0,101",
        b"99,2",
        b"-1,2",
        b"a,b",
        b",",
        b"1,2,",
        b" 1,2",
    ],
)
def test_claims_that_cannot_be(record: bytes) -> None:
    assert claims.decode(record, 100) is None


def test_claims_that_can_be() -> None:
    assert claims.decode(None, 100) is None
    assert claims.decode(b"", 100) == []
    assert claims.decode(b"0,10,10,90", 100) == [(0, 10), (10, 90)]
    assert claims.gaps([], 100) == [(0, 100)]
    assert claims.gaps([(0, 10), (20, 5), (25, 5)], 100) == [(10, 10), (30, 70)]
    assert claims.gaps([(0, 100)], 100) == []


@pytest.mark.parametrize("step", [1, 3, 10, 100])
@pytest.mark.parametrize("bad", [None, 0, 9, 10, 19, 20, 29, 30, 99])
def test_holes_are_looked_at(step: int, bad: int | None) -> None:
    data = bytearray(b"x" * 10 + bytes(10) + b"y" * 10 + bytes(70))
    if bad is not None:
        data[bad] = 1
    pieces = [bytes(data[at : at + step]) for at in range(0, len(data), step)]
    true = bad is None or bad < 10 or 20 <= bad < 30
    assert claims.hold(iter(pieces), [(10, 10), (30, 70)]) is true
