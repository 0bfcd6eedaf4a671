"""Reading files out of a container's root filesystem, running or not, without trusting it.

Law: everything inside belongs to the image or the container. Paths are resolved by the kernel with
``RESOLVE_IN_ROOT``, so that no symlink leads out; only regular files are read, and only up to a
limit. Nothing becomes visible in the mount table: the view of a stopped container is a detached
mount that goes away with its descriptor (before Linux 6.7 it is in the table for a moment).
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.containers.users import UserFiles
from knarr.errors import InvalidArgumentError, UnavailableError
from knarr.sys import mount as mount_calls
from knarr.sys.openat2 import openat2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from knarr.mount import Mount

_LARGEST_FILE = 4 * 1024 * 1024


@contextlib.contextmanager
def of_process(pid: int) -> Iterator[int]:
    """The root directory of a running process, as a descriptor."""
    with of_directory(f"/proc/{pid}/root") as root:
        yield root


@contextlib.contextmanager
def of_directory(path: str | os.PathLike[str]) -> Iterator[int]:
    """A root filesystem that is mounted somewhere, as a descriptor."""
    root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield root
    finally:
        os.close(root)


@contextlib.contextmanager
def of_mounts(mounts: Sequence[Mount]) -> Iterator[int]:
    """The root filesystem that these mounts would make, read-only, as a descriptor.

    The writable layer is only one more layer here, so the container may be started meanwhile.
    """
    root = next((mount for mount in mounts if mount.target == ""), None)
    if root is None:
        raise UnavailableError("the root filesystem has no mount")
    descriptor = overlay(root) if root.type == "overlay" else _directory(root)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def overlay(root: Mount) -> int:
    """The overlay as a detached mount, read-only, its writable layer only one more layer.

    A single layer is given as its directory.
    """
    layers = [root.upper, *root.lower] if root.upper else list(root.lower)
    if len(layers) == 1:
        return os.open(layers[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return _mounted(layers, {}, mount_calls.MOUNT_ATTR_RDONLY)


def writable_overlay(root: Mount) -> int:
    """The overlay as a detached mount that can be written to; nobody else may have it so."""
    options = dict(option.partition("=")[::2] for option in root.options if "=" in option)
    return _mounted(root.lower, options, 0, upper=root.upper, work=root.work)


def _mounted(
    layers: Sequence[str], options: dict[str, str], attributes: int, **writable: str
) -> int:
    with contextlib.ExitStack() as opened:

        def short(path: str) -> str:
            """A name that is always short: fsconfig(2) takes 255 bytes, mount(2) a page for all."""
            handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, handle)
            return f"/proc/self/fd/{handle}"

        names = [short(layer) for layer in layers]
        options = options | {f"{key}dir": short(path) for key, path in writable.items()}
        if _takes_layers_one_by_one():
            return _overlay_detached(names, options, attributes)
        return _overlay_by_mount(names, options, attributes)


@functools.cache
def _takes_layers_one_by_one() -> bool:
    """Whether overlayfs knows ``lowerdir+``, as since Linux 6.7.

    Before 6.5 it looks at no option until the mount is made, so it takes a senseless one, too.
    """
    return _takes_option("lowerdir+", "/") and not _takes_option("knarr", "senseless")


def _takes_option(key: str, value: str) -> bool:
    context = mount_calls.fsopen("overlay")
    try:
        mount_calls.fsconfig_set_string(context, key, value)
    except OSError:
        return False
    finally:
        os.close(context)
    return True


def _overlay_detached(names: Sequence[str], options: dict[str, str], attributes: int) -> int:
    context = mount_calls.fsopen("overlay")
    try:
        for name in names:
            mount_calls.fsconfig_set_string(context, "lowerdir+", name)
        for key, value in options.items():
            mount_calls.fsconfig_set_string(context, key, value)
        mount_calls.fsconfig_create(context)
        return mount_calls.fsmount(context, attributes)
    finally:
        os.close(context)


def _overlay_by_mount(names: Sequence[str], options: dict[str, str], attributes: int) -> int:
    """The old way: it is mounted on a directory of root's own for a moment, and then detached."""
    point = tempfile.mkdtemp(prefix="knarr-view-")
    try:
        data = ",".join(
            [f"lowerdir={':'.join(names)}", *(f"{key}={value}" for key, value in options.items())]
        )
        flags = mount_calls.MS_RDONLY if attributes & mount_calls.MOUNT_ATTR_RDONLY else 0
        mount_calls.mount("overlay", point, "overlay", flags, data)
        try:
            flags = mount_calls.OPEN_TREE_CLONE | mount_calls.OPEN_TREE_CLOEXEC
            return mount_calls.open_tree(mount_calls.AT_FDCWD, point, flags)
        finally:
            mount_calls.umount2(point, mount_calls.MNT_DETACH)
    finally:
        Path(point).rmdir()


def _directory(root: Mount) -> int:
    return os.open(root.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def read_file(root: int, path: str) -> bytes:
    """The content of a regular file below ``root``; empty when there is none.

    Raises ``UnavailableError`` for a file that is unreasonably large.
    """
    try:
        # O_PATH first: opening a FIFO or a device for reading could block or do something.
        handle = openat2(root, path.lstrip("/"), os.O_PATH)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return b""
        with open(f"/proc/self/fd/{handle}", "rb") as file:  # noqa: PTH123 - a descriptor
            content = file.read(_LARGEST_FILE + 1)
    finally:
        os.close(handle)
    if len(content) > _LARGEST_FILE:
        raise UnavailableError(f'file "{path}" of the container is too large to be read')
    return content


@contextlib.contextmanager
def directory(root: int, path: str) -> Iterator[int | None]:
    """A directory below ``root``, opened for reading; None when there is nothing.

    Raises ``InvalidArgumentError`` when there is something else: no volume can be mounted there.
    """
    try:
        opened = openat2(root, path.lstrip("/"), os.O_RDONLY | os.O_DIRECTORY)
    except NotADirectoryError as error:
        raise InvalidArgumentError(
            f"cannot mount volume over existing file, file exists {path}"
        ) from error
    except OSError:
        yield None
        return
    try:
        yield opened
    finally:
        os.close(opened)


def user_files(root: int) -> UserFiles:
    """``/etc/passwd`` and ``/etc/group``."""
    return UserFiles(read_file(root, "/etc/passwd"), read_file(root, "/etc/group"))
