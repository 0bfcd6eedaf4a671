"""Archives and trees made to harm whoever unpacks and packs them: nothing outside is touched."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.archive import extraction, packing
from knarr.archive.failure import BadArchiveError
from support import trees
from support.tars import Member, archive, device, directory, file, hardlink, symlink

pytestmark = [pytest.mark.needs_root]

SWAPPER = """
import os, sys
folder, target = sys.argv[1:]
os.chdir(folder)
os.symlink(target, "link")
print("swapping", flush=True)
while True:
    os.rename("d", "real")
    os.rename("link", "d")
    os.rename("d", "link")
    os.rename("real", "d")
"""


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the root that nothing may touch; checked at the end."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "precious").write_text("precious")
    before = trees.walk(path)
    yield path
    assert not trees.differences(before, trees.walk(path))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root/dest").mkdir(parents=True)
    fd = os.open(tmp_path / "root", os.O_PATH)
    yield fd
    os.close(fd)


def escapes(outside: Path) -> list[list[Member]]:
    deep = "../" * 30
    return [
        [file(f"{deep}{outside}/evil", b"e")],
        [file(f"a/../{deep}{outside}/evil", b"e")],
        [file(str(outside / "evil"), b"absolute")],
        [symlink("s", str(outside)), file("s/evil", b"e")],
        [symlink("s", deep + str(outside)), file("s/precious", b"e")],
        [symlink("s", str(outside)), directory("s/sub"), file("s/sub/evil")],
        [symlink("a", "b"), symlink("b", str(outside)), file("a/evil")],
        [directory("d"), symlink("d/s", str(outside)), file("d/s/../evil")],
        [symlink("s", str(outside)), directory("s", mode=0o777)],
        [symlink("s", str(outside / "precious")), file("s", b"over")],
        [symlink("s", str(outside)), hardlink("h", "s/precious"), file("h", b"e")],
        [hardlink("h", f"{deep}{outside}/precious"), file("h", b"e")],
        [hardlink("h", str(outside / "precious")), file("h", b"e")],
        [symlink("proc", "/proc/self/root"), file(f"proc{outside}/evil")],
        [symlink("s", deep + str(outside)), device("s/evil", 1, 3)],
        [symlink("s", deep + str(outside / "precious")), device("s", 1, 3)],
    ]


@pytest.mark.parametrize("host", [False, True], ids=["container", "host"])
@pytest.mark.parametrize("number", range(16))
def test_nothing_leads_out(root: int, outside: Path, number: int, *, host: bool) -> None:
    tar = archive(escapes(outside)[number])
    rules = extraction.Rules(inside_links=host)
    try:
        extraction.extract([tar], root, b"/dest", rules)
    except (BadArchiveError, OSError):
        return
    found = outside.parent.joinpath("root").rglob("*")
    assert all(path.is_relative_to(outside.parent / "root") for path in found)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([file("../x")], '"../x" is outside of "/dest"'),
        ([file("a/../../x")], '"../x" is outside of "/dest"'),
        ([hardlink("h", "../x")], 'invalid hardlink "h" -> "../x"'),
        ([hardlink("h", "/etc/passwd")], "no such file or directory"),
        ([hardlink("h", "nothing/there")], "no such file or directory"),
        ([device("w", 0, 0)], "overlayfs"),
        ([file(".", b"x")], 'cannot overwrite directory "/dest" with non-directory "/dest"'),
        ([file("a"), file("a/b")], ""),
    ],
)
def test_refusals_say_why(root: int, members: list[Member], message: str) -> None:
    with pytest.raises((BadArchiveError, NotADirectoryError)) as caught:
        extraction.extract([archive(members)], root, b"/dest")
    assert message in str(caught.value)


def test_too_many_entries(root: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "MAX_ENTRIES", 3)
    with pytest.raises(BadArchiveError, match="more than 3 entries"):
        extraction.extract([archive([file(f"f{n}") for n in range(4)])], root, b"/dest")


def test_what_stands_in_the_way_is_not_followed(root: int, outside: Path) -> None:
    dest = outside.parent / "root/dest"
    (dest / "s").symlink_to(outside)
    (dest / "f").symlink_to(outside / "precious")
    (dest / "full/deep").mkdir(parents=True)
    (dest / "full/deep/link").symlink_to(outside)
    tar = archive([directory("s", mode=0o700), file("s/x", b"1"), file("f", b"2"), file("full")])
    extraction.extract([tar], root, b"/dest")
    assert (dest / "s/x").read_bytes() == b"1"
    assert (dest / "f").read_bytes() == b"2"
    assert stat.S_ISREG((dest / "full").lstat().st_mode)


def test_a_deep_tree_ends_in_an_error(root: int, tmp_path: Path) -> None:
    current = os.open(tmp_path / "root/dest", os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=current)
        below = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    with pytest.raises(BadArchiveError, match="nested too deeply"):
        packing.pack_below(root, io.BytesIO())
    subprocess.run(["rm", "-rf", tmp_path / "root/dest/d"], check=True)


def test_special_files_are_named_and_not_opened(root: int, tmp_path: Path) -> None:
    dest = tmp_path / "root/dest"
    os.mkfifo(dest / "fifo")
    os.mknod(dest / "device", stat.S_IFCHR | 0o600, os.makedev(10, 130))  # a watchdog
    out = io.BytesIO()
    packing.pack_below(root, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        assert {each.name: each.type for each in tar} == {
            "dest": tarfile.DIRTYPE,
            "dest/fifo": tarfile.FIFOTYPE,
            "dest/device": tarfile.CHRTYPE,
        }


@pytest.fixture(params=["relative", "absolute", "magic"])
def swapper(
    request: pytest.FixtureRequest, tmp_path: Path, root: int, outside: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that puts a link that leads out in the place of ``dest/d``, again and again."""
    del root  # made before
    (tmp_path / "root/dest/d").mkdir()
    (tmp_path / "root/dest/d/precious").write_text("inside")
    target = {
        "relative": "../" * 20 + str(outside).lstrip("/"),
        "absolute": str(outside),
        "magic": f"/proc/self/root{outside}",
    }[request.param]
    process = subprocess.Popen(
        [sys.executable, "-c", SWAPPER, tmp_path / "root/dest", target], stdout=subprocess.PIPE
    )
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("swapper")
def test_links_that_race(root: int, outside: Path) -> None:
    tar = archive([directory("d"), file("d/evil", b"e"), file("d/sub/evil", b"e")])
    done = 0
    end = time.monotonic() + 1
    while time.monotonic() < end or not done:
        for destination in (b"/dest", b"/dest/d"):
            try:
                rules = extraction.Rules(keeps_kinds=True)
                extraction.extract([tar], root, destination, rules)
                done += 1
            except (BadArchiveError, OSError):
                pass
        out = io.BytesIO()
        packing.pack_below(root, out)
        assert b"precious" not in out.getvalue().replace(b"/precious", b"")
    assert not (outside / "evil").exists()
