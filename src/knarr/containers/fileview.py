"""The files of a container as its own processes see them, for whoever copies them.

Of a container that runs this is the root of its first process, in its own mount namespace, which
is kept alive by a descriptor for as long as the view is. Of any other it is put together from the
writable layer, the volumes and the binds (see ``assembly``).

Laws: a process id is believed only when the process is in the container's cgroup, for it may be
another's by now. File systems that the kernel makes up (``/proc``, ``/sys``...) and the devices of
``/dev`` are shown as empty directories, as in Docker, whose view has no such mounts.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.containers import assembly, scaffold
from knarr.containers.assembly import Graft
from knarr.containers.record import MountKind
from knarr.errors import ConflictError, NotFoundError
from knarr.sys import statfs
from knarr.sys.openat2 import openat2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from knarr.containers.record import MountRecord, Record
    from knarr.containers.spec import ManagedFiles
    from knarr.mount import Mount

_NODE = os.O_PATH | os.O_CLOEXEC
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ_ONLY = os.ST_RDONLY


class View:
    """The root of a container as a descriptor. Closed by ``close``, or when nobody has it."""

    def __init__(self, root: int, *others: int, hidden: frozenset[tuple[int, int]] = frozenset()):
        self.root = root
        self._descriptors = [root, *others]
        self._hidden = hidden

    def close(self) -> None:
        """Give up the view; again is a success."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def enters(self, fd: int) -> bool:
        """Whether what is in the directory ``fd`` is shown."""
        info = os.fstat(fd)
        return (info.st_dev, info.st_ino) not in self._hidden and not statfs.is_kernels(fd)

    def open(self, path: str, *, follow: bool) -> int:
        """What is at a path, opened with O_PATH; the caller closes it. Raises OSError.

        A path that ends with a slash or ``/.`` is that of a directory, or of a link to one.
        ``NotFoundError``: it is below something that is not shown.
        """
        flags = _NODE if follow else _NODE | os.O_NOFOLLOW
        if path.endswith(("/", "/.")):
            flags = _FOLDER
        fd = openat2(self.root, path.lstrip("/") or ".", flags)
        try:
            _check_shown(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def is_read_only(self, fd: int) -> bool:
        """Whether nothing can be written where ``fd`` is."""
        return bool(os.fstatvfs(fd).f_flag & _READ_ONLY)

    def is_root_filesystem(self, fd: int) -> bool:
        """Whether ``fd`` is on the file system of the root, and in no volume."""
        return os.fstat(fd).st_dev == os.fstat(self.root).st_dev


def _check_shown(fd: int, path: str) -> None:
    if not statfs.is_kernels(fd):
        return
    info = os.fstat(fd)
    if stat.S_ISDIR(info.st_mode) and os.stat("..", dir_fd=fd).st_dev != info.st_dev:
        return  # the mount point itself
    raise NotFoundError(f"{path} is made up by the kernel")


def of_process(record: Record) -> View:
    """The view of a container that runs. Raises ``ConflictError`` when it has just ended."""
    ended = ConflictError(f"container {record.id} is not running")
    with contextlib.ExitStack() as opened:

        def keep(path: str, flags: int, dir_fd: int | None = None) -> int:
            fd = os.open(path, flags | os.O_CLOEXEC, dir_fd=dir_fd)
            opened.callback(os.close, fd)
            return fd

        try:
            process = keep(f"/proc/{record.state.pid}", _FOLDER)
            namespace = keep("ns/mnt", os.O_RDONLY, process)
            root = keep("root", _FOLDER, process)
            belongs = _belongs(process, record.id)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise ended from error
        if not belongs:
            raise ended
        view = View(root, namespace, process, hidden=frozenset(_devices(root, record.mounts)))
        opened.pop_all()
        return view


def _belongs(process: int, container_id: str) -> bool:
    fd = os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
    with open(fd, "rb") as lines:  # noqa: PTH123 - a descriptor
        return container_id.encode() in lines.read()


def _devices(root: int, mounts: Sequence[MountRecord]) -> Iterator[tuple[int, int]]:
    """The identity of ``/dev``, if it is the one that every container has."""
    if any(mount.target == "/dev" for mount in mounts):
        return
    with contextlib.suppress(OSError):
        fd = openat2(root, "dev", _FOLDER | os.O_NOFOLLOW)
        try:
            info = os.fstat(fd)
        finally:
            os.close(fd)
        if info.st_dev != os.fstat(root).st_dev:
            yield info.st_dev, info.st_ino


class Stopped:
    """What the view of a container that does not run is made of."""

    def __init__(
        self,
        record: Record,
        rootfs: Sequence[Mount],
        *,
        scaffolding: Path,
        managed: ManagedFiles,
        images: dict[str, Mount],
        place: Path,
    ) -> None:
        self._root = scaffold.below(rootfs, str(scaffolding))[0]
        self._record = record
        self._managed = managed
        self._images = images
        self._place = place

    def view(self, *, writable: bool) -> View:
        """Put it together. A ``writable`` one excludes a start, and every other such view."""
        locked = self._record.host_config.readonly_rootfs
        tree = assembly.assemble(
            self._root, list(self._grafts()), self._place, writable=writable, locked=locked
        )
        return View(tree)

    def _grafts(self) -> Iterator[Graft]:
        own = {mount.target for mount in self._record.mounts}
        for target, source in (
            ("/etc/resolv.conf", self._managed.resolv_conf),
            ("/etc/hostname", self._managed.hostname),
            ("/etc/hosts", self._managed.hosts),
        ):
            if target not in own and Path(source).exists():
                yield Graft(target, source)
        for mount in self._record.mounts:
            if mount.kind is MountKind.TMPFS:
                continue
            if mount.make_source and mount.kind is MountKind.BIND:
                _make(Path(mount.source))
            view = self._images[mount.target] if mount.kind is MountKind.IMAGE else None
            yield Graft(
                mount.target,
                mount.device if mount.fstype == "bind" else mount.source,
                view=view,
                part=mount.subpath,
                read_only=mount.read_only or view is not None,
                recursive=mount.recursive,
                shallow=mount.shallow,
            )


def _make(source: Path) -> None:
    """Make a directory of the host where nothing is, as a start would."""
    with contextlib.suppress(FileExistsError):  # a file, or a link that leads nowhere
        source.mkdir(parents=True, exist_ok=True)
