"""Reading a container's files without trusting it, and filling volumes from images."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from knarr.containers import rootview
from knarr.errors import ResourceExhaustedError, UnavailableError
from knarr.mount import Mount
from knarr.volumes import fill, is_empty

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


@pytest.fixture(autouse=True, params=[True, False], ids=["one by one", "by mount"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of this kernel, and that of a kernel before 6.7, which every kernel knows."""
    if not request.param:
        monkeypatch.setattr(rootview, "_takes_layers_one_by_one", lambda: False)


def test_names_may_be_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200) / ("e" * 200)
    for name in ("low", "mid,:\\x"):
        (deep / name / "etc").mkdir(parents=True)
    (deep / "low/etc/passwd").write_text("long")
    mount = Mount("overlay", lower=(str(deep / "mid,:\\x"), str(deep / "low")))
    with rootview.of_mounts((mount,)) as root:
        assert rootview.read_file(root, "/etc/passwd") == b"long"


@pytest.fixture
def stack(tmp_path: Path) -> tuple[Mount, ...]:
    """A writable layer on two layers, with a whiteout and everything that could lead out."""
    for name in ("low", "mid", "upper", "work"):
        (tmp_path / name / "etc").mkdir(parents=True)
    (tmp_path / "low/etc/passwd").write_text("low:x:1:1::/:\n")
    (tmp_path / "low/etc/group").write_text("low:x:1:\n")
    (tmp_path / "mid/etc/passwd").write_text("mid:x:2:2::/:\n")
    os.mknod(tmp_path / "upper/etc/group", stat.S_IFCHR, os.makedev(0, 0))
    (tmp_path / "upper/out").symlink_to("/etc/hostname")
    (tmp_path / "upper/up").symlink_to("../../../../../../etc/passwd")
    os.mkfifo(tmp_path / "upper/fifo")
    (tmp_path / "upper/large").write_bytes(b"")
    os.truncate(tmp_path / "upper/large", 1 << 30)
    lower = (str(tmp_path / "mid"), str(tmp_path / "low"))
    upper, work = str(tmp_path / "upper"), str(tmp_path / "work")
    return (Mount("overlay", lower=lower, upper=upper, work=work),)


def test_shows_what_the_container_would_see(stack: tuple[Mount, ...]) -> None:
    with rootview.of_mounts(stack) as root:
        files = rootview.user_files(root)
    assert files.passwd == b"mid:x:2:2::/:\n"
    assert files.group == b"", "the writable layer has removed it"


def test_nothing_leads_out_or_hangs(stack: tuple[Mount, ...]) -> None:
    with rootview.of_mounts(stack) as root:
        assert rootview.read_file(root, "/out") == b""
        assert rootview.read_file(root, "/up") == b"mid:x:2:2::/:\n"
        assert rootview.read_file(root, "../../../etc/passwd") == b"mid:x:2:2::/:\n"
        assert rootview.read_file(root, "/fifo") == b""
        assert rootview.read_file(root, "/etc") == b""
        assert rootview.read_file(root, "/absent") == b""
        with pytest.raises(UnavailableError, match="too large"):
            rootview.read_file(root, "/large")


def test_views_are_in_no_mount_table_and_read_only(stack: tuple[Mount, ...]) -> None:
    # Others may mount overlays meanwhile, but not at such places.
    with rootview.of_mounts(stack) as root:
        assert "/knarr-view-" not in Path("/proc/self/mountinfo").read_text()
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir("new", dir_fd=root)


def test_a_single_layer_and_a_directory(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("x")
    for mount in (Mount("overlay", lower=(str(tmp_path),)), Mount("bind", source=str(tmp_path))):
        with rootview.of_mounts((mount,)) as root:
            assert rootview.read_file(root, "/etc/passwd") == b"x"


def test_a_process_shows_its_root() -> None:
    with rootview.of_process(os.getpid()) as root:
        assert rootview.user_files(root).passwd.startswith(b"root:")


def listing(directory: Path) -> list[str]:
    script = (
        "find . -printf '%P %y %m %U %G %T@ %l %n\\n' | sort;"
        " find . -type f -exec md5sum {} + | sort"
    )
    done = subprocess.run(["bash", "-c", script], cwd=directory, capture_output=True, check=True)
    lines = done.stdout.decode(errors="surrogateescape").splitlines()
    for path in sorted(directory.rglob("*")):
        names = sorted(os.listxattr(path, follow_symlinks=False))
        lines += [f"{path.name} {name} {os.getxattr(path, name).hex()}" for name in names]
    return lines


def test_filling_keeps_everything(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep/er").mkdir(parents=True)
    target.mkdir()
    (source / "file").write_bytes(os.urandom(3 << 20))
    os.link(source / "file", source / "deep/same")
    os.link(source / "file", source / "deep/er/same")
    (source / "deep/er/link").symlink_to("/etc/passwd")
    (source / "odd\udcff name").write_text("x")
    os.mkfifo(source / "fifo", 0o640)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.chown(source / "deep", 12, 34)
    (source / "file").chmod(0o4711)
    os.chown(source / "deep/er/link", 5, 6, follow_symlinks=False)
    os.setxattr(source / "deep", "user.note", b"yes")
    os.setxattr(
        source / "file",
        "security.capability",
        bytes.fromhex("0100000200200000000000000000000000000000"),
    )
    for path in (
        source / "deep/er/link",
        source / "file",
        source / "deep/er",
        source / "deep",
        source,
    ):
        os.utime(path, ns=(10**18, 10**18 + 5), follow_symlinks=False)
    assert is_empty(target)
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    fill(fd, target)
    os.close(fd)
    assert not is_empty(target)
    assert listing(target) == listing(source)


def test_filling_refuses_what_is_too_deep(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    deep = "/".join(["d"] * 400)
    subprocess.run(["mkdir", "-p", deep], cwd=source, check=True)
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(ResourceExhaustedError, match="too deeply"):
        fill(fd, target)
    os.close(fd)
