"""What a container sees of a stack of layers, and how its changes become a layer."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from knarr.archive.tarstream import TarStream
from knarr.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from knarr.oci.digest import DiffID
from support import trees
from support.overlays import mounted
from support.tars import archive, directory, file, hardlink, symlink

from .conftest import Stores

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


def add(stores: Stores, *members: object) -> DiffID:
    tar = archive(members)  # type: ignore[arg-type]
    return stores.layers.ingest(io.BytesIO(tar), expected=None).diff_id


def listing(root: Path) -> list[str]:
    return sorted(os.path.relpath(path, root) for path in root.rglob("*"))


def base(stores: Stores) -> DiffID:
    return add(
        stores,
        directory("./", mode=0o711),
        directory("tmp", mode=0o1777),
        directory("etc", mode=0o750, uid=3, gid=4, mtime_ns=1_600_000_000_123_456_789),
        file("etc/passwd", b"root"),
        file("etc/gone", b"g"),
        directory("usr"),
        directory("usr/share", xattrs={"user.note": "n"}),
        file("usr/share/doc", b"d"),
    )


def test_whiteouts_hide_what_is_below_and_nothing_else(stores: Stores, tmp_path: Path) -> None:
    lower = add(
        stores,
        file("a", b"1"),
        directory("d"),
        file("d/x", b"x"),
        directory("o"),
        file("o/old", b"o"),
        directory("w"),
        file("w/below", b"b"),
        file("f", b"lower"),
    )
    upper = add(
        stores,
        file(".wh.a"),
        file("d/.wh.x"),
        directory("o"),
        file("o/before", b"n"),
        file("o/.wh..wh..opq"),
        file("o/after", b"n"),
        file(".wh.w"),
        directory("w"),
        file("w/here", b"h"),
        file("f", b"upper"),
        file(".wh.f"),
        file(".wh.never-was"),
        directory("alone"),
        file("alone/.wh.nothing"),
        file("alone/something", b"s"),
        directory(".wh..wh.plnk"),
        file(".wh..wh.plnk/1.2", b"aufs"),
        hardlink("linked", ".wh..wh.plnk/1.2"),
    )
    (view,) = stores.snapshots.view([lower, upper])
    with mounted(view, tmp_path / "m") as root:
        wanted = ["alone", "alone/something", "d", "f", "linked", "o", "o/after", "o/before"]
        assert listing(root) == [*wanted, "w", "w/here"]
        assert (root / "f").read_bytes() == b"upper"
        assert (root / "linked").read_bytes() == b"aufs"
        assert (root / "linked").stat().st_nlink == 1
        assert os.listxattr(root / "o") == []


def test_one_layer_alone_shows_no_whiteouts(stores: Stores, tmp_path: Path) -> None:
    only = add(stores, file(".wh.a"), directory("d"), file("d/.wh.b"), file("d/c", b"c"))
    (view,) = stores.snapshots.view([only])
    with mounted(view, tmp_path / "m") as root:
        assert listing(root) == ["d", "d/c"]
    (mount,) = stores.snapshots.prepare("k", [only])
    with mounted(mount, tmp_path / "m") as root:
        assert listing(root) == ["d", "d/c"]


def test_implied_directories_keep_the_attributes_below(stores: Stores, tmp_path: Path) -> None:
    lower = base(stores)
    upper = add(
        stores,
        file("tmp/new", b"n"),
        file("etc/more/deep", b"d"),
        file("usr/share/man", b"m"),
        file("fresh/dir/file", b"f"),
    )
    top = add(stores, file("etc/top", b"t"), directory("usr/share", mode=0o700), file("fresh/x"))
    expected = {
        "tmp": (0o1777, 0, 0),
        "etc": (0o750, 3, 4),
        "usr": (0o755, 0, 0),
        "usr/share": (0o700, 0, 0),
        "etc/more": (0o755, 0, 0),
        "fresh/dir": (0o755, 0, 0),
        ".": (0o711, 0, 0),
    }
    for key, layers in {"a": [lower, upper, top], "b": [lower, upper, top, upper]}.items():
        (mount,) = stores.snapshots.prepare(key, layers)
        with mounted(mount, tmp_path / "m") as root:
            for path, wanted in expected.items():
                info = (root / path).stat()
                assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == wanted, path
            assert (root / "etc").stat().st_mtime_ns == 1_600_000_000_123_456_789
            assert {"passwd", "gone", "more", "top"} == {p.name for p in (root / "etc").iterdir()}
            assert (root / "usr/share/doc").read_bytes() == b"d"
    (view,) = stores.snapshots.view([lower, upper])
    with mounted(view, tmp_path / "m") as root:
        assert os.getxattr(root / "usr/share", "user.note") == b"n"
        assert stat.S_IMODE(root.stat().st_mode) == 0o711


def test_implied_directory_that_hides_the_lower_one_takes_nothing(
    stores: Stores, tmp_path: Path
) -> None:
    lower = base(stores)
    upper = add(
        stores,
        file(".wh.etc"),
        file("etc/only", b"o"),
        file("usr/.wh..wh..opq"),
        file("usr/share/x", b"x"),
    )
    (view,) = stores.snapshots.view([lower, upper])
    with mounted(view, tmp_path / "m") as root:
        assert listing(root) == ["etc", "etc/only", "tmp", "usr", "usr/share", "usr/share/x"]
        assert stat.S_IMODE((root / "etc").stat().st_mode) == 0o755
        assert os.listxattr(root / "usr/share") == []


def test_keys_and_layers_that_are_not_there(stores: Stores) -> None:
    layer = base(stores)
    stores.snapshots.prepare("k", [layer])
    with pytest.raises(AlreadyExistsError):
        stores.snapshots.prepare("k", [layer])
    for call in (stores.snapshots.usage, stores.snapshots.upper):
        with pytest.raises(NotFoundError):
            call("other")
    with pytest.raises(NotFoundError):
        stores.snapshots.mounts("other", [layer])
    with pytest.raises(NotFoundError, match="does not exist"):
        stores.snapshots.prepare("new", [DiffID("sha256:" + "0" * 64)])
    assert stores.snapshots.all() == ["k"]
    for key in ("", "../k", ".hidden", "a/b", "x" * 200):
        with pytest.raises(InvalidArgumentError):
            stores.snapshots.prepare(key, [layer])


def test_snapshot_without_layers_is_an_empty_root(stores: Stores, tmp_path: Path) -> None:
    (mount,) = stores.snapshots.prepare("k", [])
    with mounted(mount, tmp_path / "m") as root:
        assert listing(root) == []
        assert stat.S_IMODE(root.stat().st_mode) == 0o755
        (root / "new").write_text("n")
    assert listing(stores.snapshots.upper("k")) == ["new"]


def test_changes_stay_until_the_snapshot_is_removed(stores: Stores, tmp_path: Path) -> None:
    layer = base(stores)
    (mount,) = stores.snapshots.prepare("k", [layer])
    with mounted(mount, tmp_path / "m") as root:
        (root / "etc/new").write_bytes(b"x" * 1000)
        os.link(root / "etc/new", root / "etc/again")
    assert stores.snapshots.usage("k") == 1000
    for volatile in (True, False, True):
        (mount,) = stores.snapshots.mounts("k", [layer], volatile=volatile)
        assert ("volatile" in mount.options) == volatile
        with mounted(mount, tmp_path / "m") as root:
            assert (root / "etc/new").stat().st_size == 1000
    stores.snapshots.remove("k")
    stores.snapshots.remove("k")
    assert stores.snapshots.all() == []
    (mount,) = stores.snapshots.prepare("k", [layer])
    with mounted(mount, tmp_path / "m") as root:
        assert not (root / "etc/new").exists()


def change(root: Path) -> None:
    """What a container might do to ``base``."""
    (root / "etc/gone").unlink()
    (root / "etc/passwd").write_bytes(b"changed")
    (root / "new").mkdir(mode=0o700)
    (root / "new/file").write_bytes(b"n" * 5000)
    os.link(root / "new/file", root / "also")
    (root / "link").symlink_to("target" * 50)
    os.setxattr(root / "new/file", "user.x", b"\x00\xff")
    os.mkfifo(root / "fifo")
    os.mknod(root / "dev", stat.S_IFCHR | 0o600, os.makedev(5, 300))
    (root / "usr/share/doc").unlink()
    (root / "usr/share").rmdir()
    (root / "usr/share").mkdir()
    (root / "usr/share/fresh").write_bytes(b"f")
    odd = Path(os.fsdecode(os.fsencode(root) + b"/bad\xff" + b"name" * 40))
    odd.write_bytes(b"o")
    os.utime(odd, ns=(0, 1_111_111_111_111_111_111))
    os.chown(odd, 4_000_000_000, 3_000_000)
    deep = root / ("p" * 120) / ("q" * 120)
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(b"l")


def test_diff_made_a_layer_gives_the_same_tree(stores: Stores, tmp_path: Path) -> None:
    layer = base(stores)
    (mount,) = stores.snapshots.prepare("k", [layer])
    with mounted(mount, tmp_path / "m") as root:
        change(root)
        expected = trees.walk(root)
        del expected[b"."]["mtime"]  # only a root whose owner or mode changed is in a diff
        first, again = io.BytesIO(), io.BytesIO()
        stores.snapshots.diff("k", [layer], first)
    stores.snapshots.diff("k", [layer], again)
    assert first.getvalue() == again.getvalue()
    names = [entry.name for entry in TarStream([first.getvalue()])]
    assert b"etc/.wh.gone" in names
    assert b"usr/share/.wh..wh..opq" in names
    assert b"new/.wh..wh..opq" not in names, "nothing below is hidden there"
    made = stores.layers.ingest(io.BytesIO(first.getvalue()), expected=None).diff_id
    assert [path for path in stores.layers.implied(made) if path] == []
    (copy,) = stores.snapshots.prepare("copy", [layer, made])
    with mounted(copy, tmp_path / "m") as root:
        shown = trees.walk(root)
        del shown[b"."]["mtime"]
        assert not trees.differences(expected, shown)


def test_diff_of_an_unchanged_snapshot_is_empty(stores: Stores) -> None:
    layer = base(stores)
    stores.snapshots.prepare("k", [layer])
    out = io.BytesIO()
    stores.snapshots.diff("k", [layer], out)
    assert out.getvalue() == bytes(1024)


def test_diff_has_the_root_only_when_it_was_changed(stores: Stores, tmp_path: Path) -> None:
    layer = base(stores)
    (mount,) = stores.snapshots.prepare("k", [layer])
    with mounted(mount, tmp_path / "m") as root:
        root.chmod(0o500)
    out = io.BytesIO()
    stores.snapshots.diff("k", [layer], out)
    (entry,) = TarStream([out.getvalue()])
    assert (entry.name, entry.mode) == (b"./", 0o500)


def test_files_named_like_whiteouts_are_refused(stores: Stores, tmp_path: Path) -> None:
    (mount,) = stores.snapshots.prepare("k", [])
    with mounted(mount, tmp_path / "m") as root:
        (root / ".wh.trap").touch()
    with pytest.raises(InvalidArgumentError, match="means a whiteout"):
        stores.snapshots.diff("k", [], io.BytesIO())


def test_sockets_are_left_out(stores: Stores, tmp_path: Path) -> None:
    (mount,) = stores.snapshots.prepare("k", [])
    with mounted(mount, tmp_path / "m") as root:
        os.mknod(root / "socket", stat.S_IFSOCK | 0o600)
    out = io.BytesIO()
    stores.snapshots.diff("k", [], out)
    assert out.getvalue() == bytes(1024)


def test_sixty_layers_are_one_root(stores: Stores, tmp_path: Path) -> None:
    layers = [
        add(stores, directory("d", mode=0o700 + n % 64), file(f"d/{n}", b"x"), symlink("l", str(n)))
        for n in range(60)
    ]
    (mount,) = stores.snapshots.prepare("k", layers)
    assert len(mount.lower) == 60
    with mounted(mount, tmp_path / "m") as root:
        assert len(list((root / "d").iterdir())) == 60
        assert (root / "l").readlink() == Path("59")
        assert stat.S_IMODE((root / "d").stat().st_mode) == 0o700 + 59


def test_root_is_one_file_system_to_programs(stores: Stores, tmp_path: Path) -> None:
    layers = [
        add(stores, file("a", b"x"), hardlink("b", "a"), directory("d")),
        add(stores, file("c", b"y"), file("d/e", b"z")),
    ]
    (mount,) = stores.snapshots.prepare("k", layers)
    with mounted(mount, tmp_path / "m") as root:
        (root / "new").touch()
        before = (root / "c").stat().st_ino
        with (root / "c").open("ab") as copied_up:
            copied_up.write(b"more")
        every = [root, *root.rglob("*")]
        assert len({path.lstat().st_dev for path in every}) == 1
        assert (root / "c").stat().st_ino == before
        numbers = [path.lstat().st_ino for path in every if path.name != "b"]
        assert len(set(numbers)) == len(numbers)
        listed = {entry.name: entry.inode() for entry in os.scandir(root)}
        assert listed == {name: (root / name).stat().st_ino for name in listed}


def test_links_below_are_followed_by_what_a_layer_puts_behind_them(
    stores: Stores, tmp_path: Path
) -> None:
    lower = add(
        stores,
        directory("usr"),
        directory("usr/lib", mode=0o750, mtime_ns=1_600_000_000_000_000_003),
        file("usr/lib/libc", b"c"),
        symlink("lib", "usr/lib64", uid=7),
        symlink("usr/lib64", "lib"),
        directory("etc"),
        directory("opt"),
        symlink("opt/abs", "/etc"),
        symlink("away", "../../nowhere/yet"),
        directory("hidden"),
        symlink("hidden/l", "../etc"),
    )
    upper = add(
        stores,
        file("lib/modules/m", b"m"),
        hardlink("lib/again", "lib/modules/m"),
        file("lib/.wh.libc"),
        file("opt/abs/conf", b"conf"),
        file("away/f", b"f"),
        file("plain", b"p" * 5000),
        directory("hidden"),
        file("hidden/.wh..wh..opq"),
        file("hidden/l/own", b"o"),
    )
    top = add(stores, directory("usr"), directory("usr/lib", mode=0o700), file("usr/lib/t"))
    for layers, mode in (([lower, upper], 0o750), ([lower, upper, top], 0o700)):
        for _ in range(2):  # the second time it is there already
            (view,) = stores.snapshots.view(layers)
        with mounted(view, tmp_path / "m") as root:
            assert (root / "lib").readlink() == Path("usr/lib64")
            assert (root / "lib").lstat().st_uid == 7
            assert (root / "lib/modules/m").read_bytes() == b"m"
            assert (root / "usr/lib/again").stat().st_nlink == 2
            assert not (root / "usr/lib/libc").exists()
            assert stat.S_IMODE((root / "usr/lib").stat().st_mode) == mode
            assert (root / "etc/conf").read_bytes() == b"conf"
            assert (root / "nowhere/yet/f").read_bytes() == b"f"
            assert (root / "plain").stat().st_size == 5000
            assert (root / "hidden/l/own").read_bytes() == b"o"
            assert not (root / "hidden/l").is_symlink()
    assert stores.layers.all() == sorted([lower, upper, top])
    assert len(stores.left()) == 1
    stores.layers.remove(upper)
    stores.layers.remove(top)
    assert stores.left() == []
