"""What every layer store does the same: a tar goes in, and it shows the tree of that tar."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knarr.errors import InvalidArgumentError, NotFoundError
from knarr.oci.digest import DiffID
from knarr.snapshots import DigestMismatchError
from support import images, tars, trees
from support.tars import archive, directory, file, hardlink, symlink

from .conftest import Stores

pytestmark = [pytest.mark.needs_root]
CAPABILITY = b"\x01\x00\x00\x02\x00\x20\x00\x00" + bytes(12)  # cap_net_raw=ep


def diff_id(tar: bytes) -> DiffID:
    return DiffID("sha256:" + hashlib.sha256(tar).hexdigest())


def ingest(stores: Stores, tar: bytes) -> Path:
    info = stores.layers.ingest(io.BytesIO(tar), expected=diff_id(tar))
    assert info == (diff_id(tar), len(tar))
    return stores.layers.mounted(info.diff_id)


def rich_tree(base: Path) -> Path:
    """Files of every kind that a layer can have."""
    root = base / "rich"
    root.mkdir(mode=0o751)
    (root / "plain").write_bytes(os.urandom(5000))
    (root / "empty").touch()
    (root / "setuid").write_bytes(b"#!")
    (root / "big").write_bytes(os.urandom(3_000_001))
    (root / "dir").mkdir()
    (root / "dir" / "one").write_text("1")
    os.link(root / "dir" / "one", root / "dir" / "two")
    os.link(root / "dir" / "one", root / "three")
    (root / "many").mkdir()
    for number in range(1500):
        (root / "many" / f"file-{number}").write_text(str(number))
    (root / "link").symlink_to("dir/one")
    (root / "long").symlink_to("x" * 300 + "/" + "y" * 3000)
    (root / "medium").symlink_to("z" * 449)
    os.mkfifo(root / "fifo", 0o622)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "big-numbers", stat.S_IFBLK | 0o660, os.makedev(300, 70000))
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(5_000_000)
        sparse.seek(1 << 20)
        sparse.write(b"in the middle" * 1000)
        sparse.seek(4_999_000)
        sparse.write(b"at the end")
    with (root / "hole").open("wb") as hole:
        hole.truncate(1 << 24)
    odd = os.fsencode(root) + b"/not \xff\xfe utf-8"
    Path(os.fsdecode(odd)).write_text("odd")
    deep = root / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    (deep / ("f" * 255)).write_text("deep")
    os.setxattr(root / "plain", "user.note", b"\x00binary\xff")
    os.setxattr(root / "plain", "user.empty", b"")
    os.setxattr(root / "plain", "trusted.mark", b"t" * 2000)
    os.setxattr(root / "dir", "user.dir", b"d")
    os.setxattr(root / "setuid", "security.capability", CAPABILITY)
    os.setxattr(root / "link", "trusted.link", b"l", follow_symlinks=False)
    os.setxattr(root / "fifo", "security.test", b"f")
    os.chown(root / "plain", 1000, 70000)
    os.chown(root / "link", 3_000_000_000, 5, follow_symlinks=False)
    (root / "setuid").chmod(0o6755)
    (root / "dir").chmod(0o1777)
    os.utime(root / "plain", ns=(0, 1_234_567_890_123_456_789))
    os.utime(root / "empty", ns=(0, -5_000_000_001))
    os.utime(root / "link", ns=(0, 999_999_999), follow_symlinks=False)
    os.utime(root / "dir", ns=(0, 1_600_000_000_000_000_007))
    os.utime(root, ns=(0, 1_500_000_000_000_000_001))
    return root


@pytest.mark.parametrize("sparse", ["0.0", "0.1", "1.0"])
def test_tree_is_what_gnu_tar_packed(stores: Stores, tmp_path: Path, sparse: str) -> None:
    root = rich_tree(tmp_path)
    command = ["tar", "--xattrs", "--xattrs-include=*", "--format=posix", "--numeric-owner", "-S"]
    command += [f"--sparse-version={sparse}", "-C", str(root), "-cf", "-", "."]
    tar = subprocess.run(command, check=True, capture_output=True).stdout
    shown = trees.walk(ingest(stores, tar))
    assert not trees.differences(trees.walk(root), shown)


def test_tree_is_what_gnu_tar_packed_in_its_own_format(stores: Stores, tmp_path: Path) -> None:
    root = rich_tree(tmp_path)
    command = ["tar", "--format=gnu", "--numeric-owner", "-S", "-C", str(root), "-cf", "-", "."]
    tar = subprocess.run(command, check=True, capture_output=True).stdout
    expected = trees.walk(root)
    shown = trees.walk(ingest(stores, tar))
    for facts in (*expected.values(), *shown.values()):  # that format has neither
        facts["mtime"] //= 10**9
        facts["xattrs"] = {}
    assert not trees.differences(expected, shown)


def test_stream_comes_back_byte_for_byte(stores: Stores) -> None:
    tar = archive([file("a", b"x" * 3_000_000)]) + b"trailing rubbish, not a full block"
    ingest(stores, tar)
    with stores.layers.open_tar(diff_id(tar)) as stream:
        assert stream.read() == tar
        stream.seek(-10, os.SEEK_END)
        assert stream.read() == tar[-10:]
        assert stream.read() == b""
        stream.seek(512)
        assert stream.read(3) == tar[512:515]


def test_layer_that_is_there_is_found_and_its_stream_not_read(stores: Stores) -> None:
    tar = archive([file("a", b"x")])
    ingest(stores, tar)
    unread = io.BytesIO(b"anything")
    info = stores.layers.ingest(unread, expected=diff_id(tar))
    assert info == stores.layers.find(diff_id(tar)) == (diff_id(tar), len(tar))
    assert unread.tell() == 0
    again = stores.layers.ingest(io.BytesIO(tar), expected=None)
    assert again == info
    assert stores.layers.all() == [diff_id(tar)]
    assert stores.left() == []


def test_wrong_digest_leaves_nothing(stores: Stores) -> None:
    tar = archive([file("a", b"x")])
    with pytest.raises(DigestMismatchError, match="layer verification failed"):
        stores.layers.ingest(io.BytesIO(tar), expected=diff_id(b"other"))
    assert stores.layers.all() == stores.left() == []
    assert stores.layers.find(diff_id(tar)) is None


@pytest.mark.parametrize("cut", [100, 512, 700, 1_000_000, 2_500_000])
def test_truncated_stream_leaves_nothing(stores: Stores, cut: int) -> None:
    tar = archive([directory("d"), file("d/a", b"x" * 3_000_000), file("d/b", b"y")])
    if cut == 512:
        cut = len(tar) - 10240 + 300  # inside of the last data
    with pytest.raises(InvalidArgumentError):
        stores.layers.ingest(io.BytesIO(tar[:cut]), expected=None)
    assert stores.layers.all() == stores.left() == []


def test_missing_layer_is_said_to_be_missing(stores: Stores) -> None:
    nobody = diff_id(b"nobody")
    assert stores.layers.find(nobody) is None
    for method in (stores.layers.open_tar, stores.layers.mounted, stores.layers.disk_usage):
        with pytest.raises(NotFoundError, match="does not exist"):
            method(nobody)
    stores.layers.remove(nobody)


def test_removed_layer_is_gone(stores: Stores) -> None:
    tar = archive([file("a", b"x" * 100_000)])
    shown = ingest(stores, tar)
    assert (shown / "a").stat().st_size == 100_000
    assert stores.layers.disk_usage(diff_id(tar)) >= 100_000
    stores.layers.remove(diff_id(tar))
    assert not (shown / "a").exists()
    assert stores.layers.all() == []
    assert ingest(stores, tar) == shown


def test_reader_of_a_removed_layer_can_go_on(stores: Stores) -> None:
    tar = archive([file("a", b"content")])
    shown = ingest(stores, tar)
    with (shown / "a").open("rb") as reader:
        stores.layers.remove(diff_id(tar))
        assert reader.read() == b"content"


def test_same_layer_from_many_threads_at_once(stores: Stores) -> None:
    tar = archive([file(f"f{number}", b"x" * 10_000) for number in range(200)])
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(lambda _: ingest(stores, tar), range(8)))
    assert len(set(shown)) == 1
    assert len(list(shown[0].iterdir())) == 200
    assert stores.left() == []


def test_empty_tar_is_an_empty_layer(stores: Stores) -> None:
    shown = ingest(stores, bytes(1024))
    assert list(shown.iterdir()) == []
    assert stores.layers.implied(diff_id(bytes(1024))) == (b"",)


def test_later_entries_replace_earlier_ones(stores: Stores) -> None:
    tar = archive(
        [
            file("f", b"old"),
            hardlink("keeps-old", "f"),
            file("f", b"new"),
            directory("d"),
            file("d/in", b"1"),
            symlink("d", "elsewhere"),
            file("was-file", b"x"),
            directory("was-file", mode=0o700),
            directory("twice", mode=0o700),
            file("twice/stays", b"s"),
            directory("twice", mode=0o711, uid=5),
        ]
    )
    shown = ingest(stores, tar)
    assert (shown / "f").read_bytes() == b"new"
    assert (shown / "keeps-old").read_bytes() == b"old"
    assert (shown / "d").readlink() == Path("elsewhere")
    assert (shown / "was-file").is_dir()
    assert (shown / "twice/stays").read_bytes() == b"s"
    assert (shown / "twice").stat().st_uid == 5


def test_parents_that_are_links_of_the_layer_are_followed_inside_the_root(stores: Stores) -> None:
    tar = archive(
        [
            directory("usr"),
            directory("usr/lib"),
            symlink("lib", "usr/lib"),
            file("lib/a", b"a"),
            symlink("up", "../../../usr"),
            file("up/b", b"b"),
            symlink("abs", "/usr/lib"),
            file("abs/c", b"c"),
            symlink("fresh", "made/here"),
            file("fresh/d", b"d"),
        ]
    )
    shown = ingest(stores, tar)
    assert (shown / "usr/lib/a").read_bytes() == b"a"
    assert (shown / "usr/b").read_bytes() == b"b"
    assert (shown / "usr/lib/c").read_bytes() == b"c"
    assert (shown / "made/here/d").read_bytes() == b"d"
    assert stores.layers.implied(diff_id(tar)) == (b"", b"made", b"made/here")


def test_names_are_cleaned_as_docker_does(stores: Stores) -> None:
    tar = archive([file("/abs"), file("./dot"), file("a//b"), file("x/../y"), directory("z/./")])
    shown = ingest(stores, tar)
    names = sorted(os.path.relpath(path, shown) for path in shown.rglob("*"))
    assert names == ["a", "a/b", "abs", "dot", "y", "z"]


def test_unaligned_sparse_runs_are_read_right(stores: Stores) -> None:
    runs = [(10, b"begin"), (600, b"m" * 700), (100_000, b"end")]
    size = 200_003
    text = ",".join(f"{start},{len(data)}" for start, data in runs)
    data = b"".join(data for _, data in runs)
    info, _ = file("sparse", data)
    info.pax_headers = {
        "GNU.sparse.map": text,
        "GNU.sparse.size": str(size),
        "GNU.sparse.name": "the/name",
    }
    shown = ingest(stores, archive([(info, data)]))
    expected = bytearray(size)
    for start, piece in runs:
        expected[start : start + len(piece)] = piece
    assert (shown / "the/name").read_bytes() == bytes(expected)


@pytest.mark.slow
@pytest.mark.needs_peer("mmdebstrap")
def test_debian_is_debian(stores: Stores, tmp_path: Path) -> None:
    cache = images.debian_root()
    plain = tmp_path / "plain"
    plain.mkdir()
    subprocess.run(["tar", "-C", plain, "--numeric-owner", "-xpf", cache], check=True)
    with cache.open("rb") as stream:
        info = stores.layers.ingest(stream, expected=None)
    shown = stores.layers.mounted(info.diff_id)
    assert not trees.differences(trees.walk(plain), trees.walk(shown))


def test_old_formats(stores: Stores) -> None:
    long = "long/" * 30 + "name"
    members = [file(long, b"1"), symlink("s", "t" * 150), file("u", b"2", uid=2_097_151)]
    gnu = ingest(stores, archive(members, tarfile.GNU_FORMAT))
    assert (gnu / long).read_bytes() == b"1"
    assert (gnu / "s").readlink() == Path("t" * 150)
    ustar = ingest(stores, archive([members[0], members[2]], tarfile.USTAR_FORMAT))
    assert (ustar / long).read_bytes() == b"1"
    assert (ustar / "u").stat().st_uid == 2_097_151


def test_garbage_is_no_layer(stores: Stores) -> None:
    with pytest.raises(InvalidArgumentError, match="not a tar archive"):
        stores.layers.ingest(io.BytesIO(b"g" * 4096), expected=None)
    assert stores.left() == []
    assert tars.END


def test_names_links_and_attributes_of_every_length(stores: Stores, tmp_path: Path) -> None:
    """Blocks of 512 bytes have many borders that an inode, a name or a value can meet."""
    root = tmp_path / "lengths"
    root.mkdir()
    for length in range(1, 256):
        (root / ("n" * length)).write_bytes(b"x" * length * 7)
    for length in range(1, 700, 3):
        (root / f"link-{length}").symlink_to("t" * length)
        carrier = root / f"xattr-{length}"
        carrier.mkdir()
        os.setxattr(carrier, "user.value", b"v" * length)
        for child in range(length % 40):
            (carrier / ("c" * (length // 4 + 1) + str(child))).touch()
        (root / f"both-{length}").symlink_to("u" * (length // 2 + 1))
        os.setxattr(root / f"both-{length}", "trusted.v", b"w" * length, follow_symlinks=False)
    command = ["tar", "--xattrs", "--xattrs-include=*", "--format=posix", "-C", str(root)]
    tar = subprocess.run([*command, "-cf", "-", "."], check=True, capture_output=True).stdout
    assert not trees.differences(trees.walk(root), trees.walk(ingest(stores, tar)))
