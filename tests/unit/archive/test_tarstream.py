"""The tar parser against archives of Python's tarfile and of GNU tar, and bytes made by hand."""

from __future__ import annotations

import io
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from knarr.archive.entry import HARDLINK, Entry, Extent
from knarr.archive.failure import BadArchiveError, TruncatedArchiveError
from knarr.archive.tarstream import TarStream
from support.tars import (
    END,
    archive,
    device,
    directory,
    file,
    hardlink,
    padded,
    raw_header,
    symlink,
)


def entries(data: bytes, chunk: int = 1 << 20) -> list[Entry]:
    pieces = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    return list(TarStream(pieces))


def one(data: bytes) -> Entry:
    (entry,) = entries(data)
    return entry


MEMBERS = [
    directory("dir", mode=0o1777, uid=1, gid=2),
    file("dir/file", b"content" * 300, mode=0o4755),
    file("empty"),
    symlink("link", "dir/file"),
    hardlink("hard", "dir/file"),
    device("null", 1, 3),
    device("disk", 8, 17, tarfile.BLKTYPE),
    device("fifo", 0, 0, tarfile.FIFOTYPE),
    file("n" * 90 + "/" + "m" * 90, b"long"),
    symlink("far", "t" * 200),
]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("chunk", [1, 7, 512, 513, 1 << 20])
def test_reads_what_tarfile_writes(form: int, chunk: int) -> None:
    data = archive(MEMBERS, form)
    found = entries(data, chunk)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = tar.getmembers()
    assert [entry.name for entry in found] == [info.name.encode() for info in expected] or [
        entry.name.rstrip(b"/") for entry in found
    ] == [info.name.encode() for info in expected]
    for entry, info in zip(found, expected, strict=True):
        assert (entry.mode, entry.uid, entry.gid) == (info.mode, info.uid, info.gid)
        assert entry.mtime == info.mtime * 10**9
        assert entry.link == info.linkname.encode()
        if info.isreg():
            assert (entry.offset, entry.size) == (info.offset_data, info.size)
            assert data[entry.offset :].startswith(b"content" if info.size > 10 else b"")
    kinds = [stat.S_IFDIR, stat.S_IFREG, stat.S_IFREG, stat.S_IFLNK, HARDLINK, stat.S_IFCHR]
    assert [entry.type for entry in found[:6]] == kinds
    assert [entry.rdev for entry in found[5:8]] == [0x103, 0x811, 0]


def test_position_and_drain() -> None:
    data = archive([file("a", b"x")]) + b"behind"
    stream = TarStream([data[:600], data[600:]])
    assert len(list(stream)) == 1
    assert stream.position == 512 + 512 + 1024
    stream.drain()
    assert stream.position == len(data)


def test_pax_records_override_the_header() -> None:
    entry = one(
        archive(
            [
                file(
                    "a",
                    b"x",
                    pax_headers={
                        "path": "p" * 300,
                        "uid": "3000000000",
                        "gid": "7",
                        "mtime": "1700000000.000000001",
                        "SCHILY.xattr.user.a": "v",
                        "LIBARCHIVE.xattr.user.b%2Fc": "d3g",
                    },
                )
            ]
        )
    )
    assert entry.name == b"p" * 300
    assert (entry.uid, entry.gid) == (3_000_000_000, 7)
    assert entry.mtime == 1_700_000_000_000_000_001
    assert entry.xattrs == {b"user.a": b"v", b"user.b/c": b"wx"}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("-1.5", -1_500_000_000),
        ("0.1234567899", 123_456_789),
        ("12.", 12_000_000_000),
        ("7", 7_000_000_000),
    ],
)
def test_times(text: str, ns: int) -> None:
    assert one(archive([file("a", pax_headers={"mtime": text})])).mtime == ns


def test_global_records_count_until_they_are_changed() -> None:
    def pax(typeflag: bytes, body: bytes) -> bytes:
        return raw_header(b"pax", typeflag, size=len(body)) + padded(body)

    data = pax(b"g", b"9 uid=42\n") + raw_header(b"a") + pax(b"x", b"8 uid=7\n") + raw_header(b"b")
    data += pax(b"g", b"9 uid=43\n") + raw_header(b"c") + END
    assert [entry.uid for entry in entries(data)] == [42, 7, 43]


def test_numbers_in_base_256() -> None:
    big = b"\x80" + (1 << 33).to_bytes(11, "big")
    negative = b"\xff" + (-5).to_bytes(11, "big", signed=True)
    uid = b"\x80" + (3_000_000_000).to_bytes(7, "big")
    entry = one(raw_header(b"a", b"2", size=0, mtime=negative, uid=uid, link=b"x") + END)
    assert (entry.mtime, entry.uid) == (-5_000_000_000, 3_000_000_000)
    with pytest.raises(TruncatedArchiveError, match='truncated at "a"'):
        entries(raw_header(b"a", at_124=big) + b"short")


def test_old_kinds_of_headers() -> None:
    v7 = raw_header(b"old/", b"\0", magic=bytes(8))
    assert one(v7 + END).type == stat.S_IFDIR
    ustar = raw_header(b"name", prefix=b"some/prefix")
    assert one(ustar + END).name == b"some/prefix/name"
    gnu = raw_header(b"name", magic=b"ustar  \0", prefix=b"12345670123\0")
    assert one(gnu + END).name == b"name"
    star = raw_header(b"name", prefix=b"p" * 131 + b"00000000000 00000000000 ", at_508=b"tar\0")
    assert one(star + END).name == b"p" * 131 + b"/name"
    spaces = raw_header(b"a", mode=b"   644 \0", mtime=b" 14524770400")
    assert one(spaces + END).mode == 0o644


def test_checksum_of_signed_bytes_is_accepted() -> None:
    block = bytearray(raw_header(b"caf\xc3\xa9"))
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + 256
    block[148:156] = b"%06o\0 " % signed
    assert one(bytes(block) + END).name == b"caf\xc3\xa9"


def test_sizes_of_links_and_directories_are_ignored() -> None:
    data = raw_header(b"d/", b"5", size=1024) + raw_header(b"h", b"1", size=512, link=b"x") + END
    assert [entry.size for entry in entries(data)] == [0, 0]


def test_ends() -> None:
    data = raw_header(b"a")
    assert len(entries(data)) == 1, "no end mark at all"
    assert len(entries(data + bytes(512))) == 1, "half an end mark"
    assert entries(b"") == []
    with pytest.raises(BadArchiveError, match="one zero block"):
        entries(data + bytes(512) + data)


@pytest.mark.parametrize(
    "data",
    [
        b"not a tar archive at all".ljust(512, b"x"),
        raw_header(b"a", mode=b"0000_44\0"),
        raw_header(b"a", mode=b"+000644\0"),
        raw_header(b"a", size=0, at_124=b"\xff" * 12),
        raw_header(b"a", uid=b"\xff" * 8),
        raw_header(b"a", uid=b"\x80\0\0\1\0\0\0\0"),
        raw_header(b"a", b"M"),
        raw_header(b"a", b"N"),
        raw_header(b"a", b"Z"),
        raw_header(b"dev", b"3", major=b"0077777\0"),
        raw_header(b"x", b"x", size=2 << 20),
        raw_header(b"L", b"L", size=2 << 20),
    ],
    ids=range(12),
)
def test_bad_headers_are_refused(data: bytes) -> None:
    with pytest.raises(BadArchiveError):
        entries(data + bytes(4 << 20))


@pytest.mark.parametrize(
    "body",
    [
        b"path=a\n",
        b"99 path=a\n",
        b"9 path=a\n\n",
        b"10 path a\n",
        b"5 =a\n",
        b"00000000000000000000009 path=a\n",
        b"11 path=a\0b\n",
        b"9 uid=-1\n",
        b"11 uid=0x10\n",
        b"14 mtime=later\n",
        b"22 GNU.sparse.offset=1\n",
        b"-9 path=a\n",
    ],
)
def test_bad_extended_headers_are_refused(body: bytes) -> None:
    with pytest.raises(BadArchiveError):
        entries(raw_header(b"x", b"x", size=len(body)) + padded(body) + raw_header(b"a") + END)


@pytest.mark.parametrize("cut", [1, 511, 513, 1023, 1024, 1535, 1537])
def test_truncation_is_noticed(cut: int) -> None:
    data = archive([file("name", b"x" * 600, pax_headers={"comment": "c"})])
    with pytest.raises(TruncatedArchiveError):
        entries(data[:cut])


OLD_SPARSE = raw_header(
    b"sparse",
    b"S",
    size=1024,
    magic=b"ustar  \0",
    at_386=b"%011o\0%011o\0" % (1024, 512) + b"%011o\0%011o\0" % (4096, 512),
    at_483=b"%011o\0" % 10000,
)


def test_old_gnu_sparse_files() -> None:
    entry = one(OLD_SPARSE + bytes(1024) + END)
    assert (entry.size, entry.extents) == (10000, (Extent(1024, 512, 512), Extent(4096, 1024, 512)))


def test_old_gnu_sparse_files_with_further_blocks() -> None:
    runs = b"".join(b"%011o\0%011o\0" % (n * 1024, 512) for n in range(4))
    more = b"".join(b"%011o\0%011o\0" % (n * 1024, 512) for n in range(4, 25))
    last = b"%011o\0%011o\0" % (25 * 1024, 512)
    head = raw_header(
        b"sparse",
        b"S",
        size=26 * 512,
        magic=b"ustar  \0",
        at_386=runs,
        at_482=b"\1",
        at_483=b"%011o\0" % (26 * 1024),
    )
    blocks = more.ljust(504, b"\0") + b"\1" + bytes(7) + last.ljust(512, b"\0")
    entry = one(head + blocks + bytes(26 * 512) + END)
    assert entry.extents is not None
    assert entry.extents[-1] == Extent(25 * 1024, 3 * 512 + 25 * 512, 512)


@pytest.mark.parametrize("size", [512, 1536])
def test_sparse_map_must_match_its_data(size: int) -> None:
    head = bytearray(OLD_SPARSE)
    head[124:136] = b"%011o\0" % size
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    with pytest.raises(BadArchiveError, match="does not match"):
        entries(bytes(head) + bytes(size) + END)


@pytest.mark.parametrize("runs", ["512,512,0,512", "0,1024,512,512", "0,2000", "1,2,3", "0,x"])
def test_bad_sparse_maps_are_refused(runs: str) -> None:
    headers = {"GNU.sparse.map": runs, "GNU.sparse.size": "1024", "GNU.sparse.name": "s"}
    with pytest.raises(BadArchiveError):
        entries(archive([file("s", b"x" * 1024, pax_headers=headers)]))


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_sparse_files_of_gnu_tar(tmp_path: Path, version: str) -> None:
    with (tmp_path / "s").open("wb") as out:
        for at in range(0, 4 << 20, 64 << 10):
            out.seek(at)
            out.write(b"%07d" % at)
        out.truncate(5 << 20)
    command = ["tar", "-S", "--format=posix", f"--sparse-version={version}", "-C", tmp_path]
    data = subprocess.run([*command, "-cf", "-", "s"], check=True, capture_output=True).stdout
    entry = one(data)
    assert (entry.name, entry.size) == (b"s", 5 << 20)
    assert entry.extents is not None
    whole = bytearray(entry.size)
    for extent in entry.extents:
        piece = data[extent.offset : extent.offset + extent.length]
        whole[extent.start : extent.start + extent.length] = piece
    assert bytes(whole) == (tmp_path / "s").read_bytes()


def test_data_of_entries_on_request() -> None:
    members = [("a", b"1" * 1000), ("b", b""), ("c", b"2" * 513), ("d", b"3" * 512)]
    data = archive([file(name, content) for name, content in members])
    for step in (7, 512, 1 << 20):
        stream = TarStream(data[at : at + step] for at in range(0, len(data), step))
        found = []
        for entry in stream:
            taken = stream.data()
            if entry.name == b"a":
                next(taken)  # and the rest is passed over
                continue
            found.append((entry.name.decode(), b"".join(taken)))
        assert found == members[1:]
