"""Layers made to harm: nothing outside of the store changes, and nothing of them is left."""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import InvalidArgumentError, KnarrError
from knarr.snapshots import LayerStore, open_stores
from support import trees
from support.tars import END, Member, archive, directory, file, hardlink, raw_header, symlink

pytestmark = [pytest.mark.needs_root]


@pytest.fixture(params=["erofs-file", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LayerStore]:
    layers, _ = open_stores(tmp_path / "data", tmp_path / "run", backend=request.param)
    yield layers
    layers.close()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory that no layer may touch; checked at the end."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "precious").write_text("precious")
    before = trees.walk(path)
    yield path
    assert not trees.differences(before, trees.walk(path))


def ingest(store: LayerStore, tar: bytes) -> Path:
    return store.mounted(store.ingest(io.BytesIO(tar), expected=None).diff_id)


def escapes(outside: Path) -> list[list[Member]]:
    deep = "../" * 30
    return [
        [file(f"{deep}{outside}/evil", b"e")],
        [file(f"a/../{deep}{outside}/evil", b"e")],
        [symlink("s", str(outside)), file("s/evil", b"e")],
        [symlink("s", deep + str(outside)), file("s/precious", b"e")],
        [symlink("s", str(outside)), directory("s/sub"), file("s/sub/evil")],
        [symlink("a", "b"), symlink("b", str(outside)), file("a/evil")],
        [directory("d"), symlink("d/s", str(outside)), file("d/s/../evil")],
        [symlink("s", str(outside)), directory("s", mode=0o777)],
        [symlink("s", str(outside / "precious")), file("s", b"over")],
        [hardlink("h", str(outside / "precious")), file("h", b"e")],
        [symlink("s", str(outside)), hardlink("h", "s/precious")],
        [hardlink("h", f"{deep}{outside}/precious")],
        [symlink("proc", "/proc/self/root"), file(f"proc{outside}/evil")],
        [file(str(outside / "precious"), b"absolute")],
        [symlink("s", str(outside)), file("s/.wh.precious")],
        [symlink("s", str(outside)), file("s/.wh..wh..opq")],
        [directory("d"), directory("d"), symlink("d", str(outside)), file("d/x"), directory("d")],
    ]


@pytest.mark.parametrize("number", range(17))
def test_nothing_escapes(store: LayerStore, outside: Path, number: int) -> None:
    tar = archive(escapes(outside)[number])
    try:
        shown = ingest(store, tar)
    except InvalidArgumentError:
        assert store.all() == []
        return
    for path in shown.rglob("*"):
        assert path.lstat().st_dev == shown.lstat().st_dev or path.is_symlink()


def test_expansion_in_a_header_does_not_take_memory(store: LayerStore) -> None:
    head = raw_header(b"x", b"x", size=0o77777777777) + bytes(100_000)
    with pytest.raises(InvalidArgumentError):
        ingest(store, head)
    sparse = raw_header(
        b"huge", b"S", size=512, magic=b"ustar  \0", at_386=b"%011o\0%011o\0" % (0, 512)
    )
    block = bytearray(sparse)
    block[483:495] = b"\x80" + (1 << 62).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(KnarrError):  # no file system takes it
        ingest(store, bytes(block) + b"x" * 512 + END)
    assert store.all() == []


def test_many_runs_in_a_huge_file(store: LayerStore) -> None:
    size = 1 << 40
    starts = [n * (size // 200) + n for n in range(200)]
    headers = {
        "GNU.sparse.map": ",".join(f"{start},3" for start in starts),
        "GNU.sparse.size": str(size),
        "GNU.sparse.name": "runs",
    }
    shown = ingest(store, archive([file("x", b"abc" * 200, pax_headers=headers)]))
    with (shown / "runs").open("rb") as runs:
        for start in starts:
            runs.seek(max(start - 1, 0))
            assert runs.read(5).strip(b"\0") == b"abc"


def test_set_id_and_devices_come_through_only_as_the_tar_says(store: LayerStore) -> None:
    shown = ingest(store, archive([file("s", b"#!", mode=0o6755, uid=7)]))
    assert (shown / "s").stat().st_mode & 0o7777 == 0o6755


def test_attributes_of_overlayfs_are_not_taken_from_an_image(store: LayerStore) -> None:
    attributes = {"trusted.overlay.redirect": "/secret", "trusted.overlay.metacopy": ""}
    shown = ingest(
        store, archive([directory("d", xattrs=attributes), file("f", xattrs=attributes)])
    )
    assert os.listxattr(shown / "d") == os.listxattr(shown / "f") == []


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_is_refused_or_harmless(store: LayerStore, outside: Path, seed: int) -> None:
    random_ = random.Random(seed)
    members = [directory("d"), symlink("d/s", str(outside)), file("d/f", b"x" * 700)]
    form = random_.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    tar = bytearray(archive([*members, file("p" * 120, b"y", mtime_ns=1)], form))
    for _ in range(random_.randint(1, 6)):
        at = random_.randrange(len(tar) - 2048)
        tar[at] = random_.randrange(256)
    try:
        shown = ingest(store, bytes(tar))
    except InvalidArgumentError:
        assert store.all() == []
        return
    trees.walk(shown)


NAMES = ["a", "b", "c", "a/b", "a/c", "b/a", "c/b/a", "a/b/c", "./a/", "b//c", "a/../c"]


def random_members(random_: random.Random) -> list[Member]:
    def one() -> Member:
        name = random_.choice(NAMES)
        kind = random_.randrange(10)
        if kind < 3:
            return file(
                name, random_.randbytes(random_.randrange(2000)), mode=random_.randrange(0o7777)
            )
        if kind < 5:
            return directory(name, mode=random_.randrange(0o7777), uid=random_.randrange(9))
        if kind < 6:
            return symlink(name, random_.choice([*NAMES, "/a", "../b", "."]))
        if kind < 7:
            return hardlink(name, random_.choice(NAMES))
        parent, _, base = name.rpartition("/")
        hidden = random_.choice([".wh." + (base or "a"), ".wh..wh..opq"])
        return file(f"{parent}/{hidden}")

    return [one() for _ in range(random_.randint(3, 14))]


@pytest.mark.needs_erofs
def test_back_ends_read_every_tar_alike(tmp_path: Path) -> None:
    image, _ = open_stores(tmp_path / "i", tmp_path / "i-run", backend="erofs-file")
    plain, _ = open_stores(tmp_path / "p", tmp_path / "p-run", backend="directory")
    accepted = 0
    try:
        for seed in range(400):
            tar = archive(random_members(random.Random(seed)))
            shown = []
            for store in (image, plain):
                try:
                    shown.append(trees.walk(ingest(store, tar), overlay=True))
                except InvalidArgumentError as error:
                    shown.append({b"": {"error": error.message}})
            assert not trees.differences(*shown), seed
            accepted += b"" not in shown[0]
    finally:
        image.close()
    assert accepted > 100
