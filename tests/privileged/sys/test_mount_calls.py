"""The wrappers of mount calls, openat2 and loop devices, on the real kernel."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from knarr.sys import loop, mount, openat2, writeback
from support import leaks

pytestmark = pytest.mark.needs_root


def tmpfs(target: Path, *, size: str = "1m") -> None:
    context = mount.fsopen("tmpfs")
    mount.fsconfig_set_string(context, "size", size)
    mount.fsconfig_create(context)
    tree = mount.fsmount(context, mount.MOUNT_ATTR_NOSUID)
    mount.move_mount(tree, str(target))
    os.close(tree)
    os.close(context)


def test_structures_have_the_kernels_size() -> None:
    assert ctypes.sizeof(mount._MountAttr) == 32
    assert ctypes.sizeof(openat2._OpenHow) == 24
    assert ctypes.sizeof(loop._LoopInfo64) == 232
    assert ctypes.sizeof(loop._LoopConfig) == 304


def test_mount_change_copy_and_unmount(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    tmpfs(first)
    (first / "file").write_text("x")
    copy = mount.open_tree(mount.AT_FDCWD, str(first))
    mount.mount_setattr(copy, "", attr_set=mount.MOUNT_ATTR_RDONLY)
    mount.move_mount(copy, str(second))
    os.close(copy)
    assert (second / "file").read_text() == "x"
    with pytest.raises(OSError, match="Read-only"):
        (second / "file").write_text("y")
    assert os.statvfs(second).f_flag & os.ST_NOSUID
    for path in (first, second):
        mount.umount2(str(path), 0)
    assert leaks.mounts(tmp_path) == []


def test_errors_name_the_call_and_what_the_kernel_wrote() -> None:
    with pytest.raises(OSError, match="No such device") as caught:
        mount.fsopen("no-such-fs")
    assert caught.value.__notes__ == ["fsopen(2) no-such-fs"]
    context = mount.fsopen("tmpfs")
    try:
        with pytest.raises(OSError, match="Unknown parameter 'colour'") as caught:
            mount.fsconfig_set_string(context, "colour", "blue")
        assert caught.value.errno == errno.EINVAL
    finally:
        os.close(context)
    with pytest.raises(FileNotFoundError) as missing:
        mount.umount2("/no/such/place", 0)
    assert missing.value.filename == "/no/such/place"


def test_detached_mount_is_gone_with_its_descriptor(tmp_path: Path) -> None:
    context = mount.fsopen("tmpfs")
    mount.fsconfig_create(context)
    tree = mount.fsmount(context)
    fd = os.open("f", os.O_CREAT | os.O_RDWR, dir_fd=tree)
    for each in (fd, tree, context):
        os.close(each)
    assert leaks.mounts(tmp_path) == []


def test_openat2_stays_in_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("inside")
    (root / "link").symlink_to("/etc/passwd")
    (root / "up").symlink_to("../../../../etc/passwd")
    fd = os.open(root, os.O_PATH)
    try:
        for path in ("link", "up", "/etc/passwd", "../../etc/passwd"):
            opened = openat2.openat2(fd, path, os.O_RDONLY)
            assert os.read(opened, 100) == b"inside"
            assert not os.get_inheritable(opened)
            os.close(opened)
        for path, resolve, number in (
            ("link", openat2.RESOLVE_NO_SYMLINKS, errno.ELOOP),
            ("../x", openat2.RESOLVE_BENEATH, errno.EXDEV),
            ("missing", openat2.RESOLVE_IN_ROOT, errno.ENOENT),
        ):
            with pytest.raises(OSError) as caught:  # noqa: PT011 # the number is compared below
                openat2.openat2(fd, path, os.O_RDONLY, resolve=resolve)
            assert (caught.value.errno, caught.value.filename) == (number, path)
    finally:
        os.close(fd)


@pytest.mark.needs_loop
def test_loop_device_lives_as_long_as_its_opener(tmp_path: Path) -> None:
    backing = tmp_path / "backing"
    backing.write_bytes(b"0123456789" * 1024)
    fd = os.open(backing, os.O_RDONLY)
    device = loop.attach(fd)
    os.close(fd)
    assert Path(device.path).is_block_device()
    assert os.pread(device.fd, 10, 0) == b"0123456789"
    with pytest.raises(OSError, match=r"Bad file descriptor|not permitted"):
        os.write(device.fd, b"x")
    assert len(leaks.loops(tmp_path)) == 1
    os.close(device.fd)
    assert leaks.loops(tmp_path) == []


def test_writeback(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as out:
        out.write(b"x" * 100_000)
        out.flush()
        writeback.start_writing(out.fileno(), 0, 100_000)
        writeback.syncfs(out.fileno())
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        writeback.syncfs(-1)
    assert caught.value.__notes__ == ["syncfs(2) fd=-1"]
