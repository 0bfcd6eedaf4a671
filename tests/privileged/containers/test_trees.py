"""Packing and unpacking keeps everything; comparing sees what can be seen."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.archive import changes, extraction, packing
from knarr.archive.failure import BadArchiveError
from knarr.containers import rootview
from knarr.containers.assembly import Graft, assemble
from knarr.mount import Mount
from knarr.sys import mount
from support import overlays, trees
from support.tars import archive, directory, file

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)


def furnish(base: Path) -> None:
    """Files of every kind below ``base``."""
    (base / "dir").mkdir(mode=0o1777)
    (base / "dir").chmod(0o1777)
    (base / "dir/file").write_bytes(b"content")
    (base / "dir/hard").hardlink_to(base / "dir/file")
    (base / "dir/set").write_bytes(b"#!")
    os.chown(base / "dir/set", 1000, 4_000_000_000)
    (base / "dir/set").chmod(0o6751)
    os.setxattr(base / "dir/set", "security.capability", CAPABILITY)
    os.setxattr(base / "dir/file", "user.color", b"\0blue=")
    os.setxattr(base / "dir", "trusted.note", b"on a directory")
    (base / "link").symlink_to("dir/file")
    (base / "broken").symlink_to("/no/where/\udcff")
    os.chown(base / "link", 7, 8, follow_symlinks=False)
    os.mkfifo(base / "fifo", 0o620)
    os.mknod(base / "device", stat.S_IFBLK | 0o640, os.makedev(7, 300))
    Path(os.fsdecode(os.fsencode(base) + b"/na\xffme\n")).write_bytes(b"odd")
    (base / ("n" * 200)).write_bytes(b"long")
    (base / "empty").mkdir()
    for path in sorted(base.rglob("*"), reverse=True):
        os.utime(path, ns=(1, 1_600_000_000_123_456_789), follow_symlinks=False)


def packed(path: Path, name: bytes | None = None) -> bytes:
    out = io.BytesIO()
    top = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if name is None:
            packing.pack_below(top, out)
        else:
            packing.pack(top, name, out)
    finally:
        os.close(top)
    return out.getvalue()


def unpack(tar: bytes, root: Path, destination: bytes = b"", **rules: bool) -> None:
    fd = os.open(root, os.O_PATH)
    try:
        extraction.extract([tar], fd, destination, extraction.Rules(**rules))
    finally:
        os.close(fd)


def test_everything_is_kept(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    furnish(tmp_path / "from")
    unpack(packed(tmp_path / "from"), tmp_path / "to")
    before, after = trees.walk(tmp_path / "from"), trees.walk(tmp_path / "to")
    before.pop(b"."), after.pop(b".")
    assert not trees.differences(before, after)


def test_gnu_tar_reads_it(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    furnish(tmp_path / "from")
    command = ["tar", "x", "--xattrs", "--xattrs-include=*", "-C", tmp_path / "to"]
    subprocess.run(command, input=packed(tmp_path / "from", b"."), check=True)
    before, after = trees.walk(tmp_path / "from"), trees.walk(tmp_path / "to")
    before.pop(b"."), after.pop(b".")
    assert not trees.differences(before, after)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        (b"new", ["new", "new/sub", "new/sub/x"]),
        (b".", [".", "./sub", "./sub/x"]),
        (b"", ["", "/sub", "/sub/x"]),
        (None, ["sub", "sub/x"]),
    ],
    ids=["named", "content", "root", "below"],
)
def test_names(tmp_path: Path, name: bytes | None, names: list[str]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/x").touch()
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path, name))) as tar:
        assert tar.getnames() == names


def test_a_file_that_shrinks_or_grows_keeps_its_size(tmp_path: Path) -> None:
    class Meddling(io.BytesIO):
        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            os.truncate(tmp_path / "shrinks", 10)
            with (tmp_path / "grows").open("ab") as grows:
                grows.write(b"more")
            return super().write(data)

    (tmp_path / "shrinks").write_bytes(b"x" * 3_000_000)
    (tmp_path / "grows").write_bytes(b"y" * 3_000_000)
    out = Meddling()
    top = os.open(tmp_path, os.O_PATH)
    packing.pack_below(top, out)
    os.close(top)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        sizes = {each.name: len(tar.extractfile(each).read()) for each in tar}  # type: ignore[union-attr]
    assert sizes["shrinks"] in (10, 3_000_000)
    assert sizes["grows"] % 4 == 0
    assert sizes["grows"] >= 3_000_000


def test_replacing(tmp_path: Path) -> None:
    (tmp_path / "d/full").mkdir(parents=True)
    (tmp_path / "f").write_text("old")
    tar = archive([file("d", b"now a file"), directory("f", mode=0o711)])
    with pytest.raises(BadArchiveError, match="cannot overwrite directory"):
        unpack(tar, tmp_path, keeps_kinds=True)
    unpack(tar, tmp_path)
    assert (tmp_path / "d").read_bytes() == b"now a file"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o711


def test_the_destination_keeps_what_it_has(tmp_path: Path) -> None:
    tmp_path.chmod(0o751)
    unpack(archive([directory(".", mode=0o700), file("./x")]), tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o751
    assert (tmp_path / "x").exists()


def test_missing_parents_belong_to_root(tmp_path: Path) -> None:
    unpack(archive([file("a/b/c", uid=5, gid=6)]), tmp_path)
    assert (tmp_path / "a").stat().st_uid == 0
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o755
    assert (tmp_path / "a/b/c").stat().st_uid == 5


def test_a_mount_point_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "root/d/volume").mkdir(parents=True)
    (tmp_path / "volume").mkdir()
    value = Mount("tmpfs", "tmpfs")
    with overlays.mounted(value, tmp_path / "root/d/volume") as volume:
        (volume / "precious").touch()
        with pytest.raises(OSError, match="busy"):
            unpack(archive([file("d", b"x")]), tmp_path / "root")
        assert (volume / "precious").exists()


@pytest.fixture
def layers(tmp_path: Path) -> Mount:
    for name in ("low", "upper", "work", "point"):
        (tmp_path / name).mkdir()
    low = tmp_path / "low"
    for name in ("same", "gone", "replaced", "touched", "emptied", "chmod"):
        (low / name).mkdir()
        (low / name / "file").write_text(name)
        os.utime(low / name / "file", ns=(1, 10**18 + 5))
    upper, work = str(tmp_path / "upper"), str(tmp_path / "work")
    return Mount("overlay", "overlay", lower=(str(low),), upper=upper, work=work)


@contextlib.contextmanager
def mounted(value: Mount, point: Path) -> Iterator[Path]:
    """The overlay, as every kernel can mount it."""
    tree = rootview.writable_overlay(value)
    mount.move_mount(tree, os.fspath(point))
    os.close(tree)
    try:
        yield point
    finally:
        mount.umount2(os.fspath(point))


def compared(value: Mount) -> list[str]:
    upper, lower = os.open(value.upper, os.O_PATH), os.open(value.lower[0], os.O_PATH)
    found = changes.compare(upper, lower)
    os.close(upper)
    os.close(lower)
    return [f"{'CAD'[each.kind]} {each.path.decode()}" for each in found]


def test_changes(layers: Mount, tmp_path: Path) -> None:
    with mounted(layers, tmp_path / "point") as top:
        subprocess.run(["rm", "-r", top / "gone", top / "replaced", top / "emptied/file"])
        (top / "replaced").write_text("a file now")
        (top / "touched/file").touch()
        (top / "chmod").chmod(0o700)
        (top / "same/file").write_text("same")
        os.utime(top / "same/file", ns=(1, 10**18 + 5))
        (top / "new/below").mkdir(parents=True)
        (top / "new/below/file").touch()
        (top / "came").touch()
        (top / "came").unlink()
    assert compared(layers) == [
        "C /chmod",
        "C /emptied",
        "D /emptied/file",
        "D /gone",
        "A /new",
        "A /new/below",
        "A /new/below/file",
        "C /replaced",
        "C /touched",
        "C /touched/file",
    ]


def test_changes_of_a_directory_made_anew(layers: Mount, tmp_path: Path) -> None:
    with mounted(layers, tmp_path / "point") as top:
        for name in ("gone", "same"):
            subprocess.run(["rm", "-r", top / name])
            (top / name).mkdir()
        (top / "same/other").touch()
    assert compared(layers) == [
        "C /gone",
        "D /gone/file",
        "C /same",
        "D /same/file",
        "A /same/other",
    ]


def test_a_tree_of_mounts(layers: Mount, tmp_path: Path) -> None:
    place = tmp_path / "views"
    (tmp_path / "volume/part").mkdir(parents=True)
    (tmp_path / "volume/part/x").write_text("x")
    (tmp_path / "hosts").write_text("127.0.0.1 me")
    (tmp_path / "low/abs").symlink_to("/same")
    (tmp_path / "low/out").symlink_to("../" * 30 + "tmp")
    grafts = [
        Graft("/abs/made/here", str(tmp_path / "volume")),
        Graft("/out/part", str(tmp_path / "volume"), part="part", read_only=True),
        Graft("/etc/hosts", str(tmp_path / "hosts")),
    ]
    for writable in (False, True):
        tree = assemble(layers, grafts, place, writable=writable)
        try:
            assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
            assert not list(place.iterdir())
            root = Path(f"/proc/self/fd/{tree}")
            assert (root / "same/made/here/part/x").read_text() == "x"
            assert (root / "tmp/part/x").read_text() == "x"
            assert (root / "etc/hosts").read_text() == "127.0.0.1 me"
            (root / "same/made/here/new").touch()
            with pytest.raises(OSError, match="Read-only"):
                (root / "tmp/part/new").touch()
            if writable:
                (root / "same/file").write_text("changed")
            else:
                with pytest.raises(OSError, match="Read-only"):
                    (root / "same/file").write_text("changed")
        finally:
            os.close(tree)
    assert (tmp_path / "volume/new").exists()
    assert (tmp_path / "upper/same/file").read_text() == "changed"
    assert not (tmp_path / "upper/same/made/here/part").exists()


def test_a_locked_tree(layers: Mount, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    grafts = [Graft("/data", str(tmp_path / "volume"))]
    tree = assemble(layers, grafts, tmp_path / "views", writable=True, locked=True)
    try:
        (Path(f"/proc/self/fd/{tree}") / "data/x").touch()
        with pytest.raises(OSError, match="Read-only"):
            (Path(f"/proc/self/fd/{tree}") / "x").touch()
    finally:
        os.close(tree)


def test_an_old_kernel_makes_the_same_tree(
    layers: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootview, "_takes_layers_one_by_one", lambda: False)
    test_a_tree_of_mounts(layers, tmp_path)
