"""Where containers of other OCI runtimes are made, and the bundle that such a runtime gets.

::

    <exec-root>/external/              a private mount of itself while anything is below it
        <container id>/
            config.json                the specification, as a runtime of a command line takes it
            rootfs/                    the root filesystem, mounted here
            mounts/                    what the runtime cannot mount itself, see ``ocimounts``
            cgroup                     the path of the container's cgroup
            pid                        its process, as the runtime tells it
            state/                     the --root of the runtime: one for each container
            log-..., console           of the call that is under way
            exec-<exec id>.json ...

The program of another runtime takes a directory as the root filesystem and no ``Mount`` values, so
it is mounted for it, in the host's mount namespace; ``external`` is private so that the mounts do
not spread to others.

Law: a container's folder is made first and removed last, so that after a kill at any moment
``remove`` finds everything. A ``--root`` of its own for each container makes what a runtime leaves
behind removable without knowing it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import TYPE_CHECKING

from knarr.errors import ConflictError, InternalError, NotFoundError
from knarr.runtime import rlimits
from knarr.sys import mount

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from knarr.oci.runtime_spec import Process, Resources, Root, Spec, SpecMount
    from knarr.runtime.facts import Facts

FOLDER = "external"
_READ_ONLY = "rro"  # recursively
_READ_LIMIT = 64 * 1024
_lock = threading.Lock()


class Place:
    """The folder of one container; making the value makes nothing."""

    def __init__(self, exec_root: str, container_id: str) -> None:
        self._root = f"{exec_root}/{FOLDER}"
        self.path = f"{self._root}/{container_id}"
        self.rootfs = f"{self.path}/rootfs"
        self.mounts = f"{self.path}/mounts"
        self.state = f"{self.path}/state"

    @property
    def exists(self) -> bool:
        """Whether there is anything of the container."""
        return os.path.lexists(self.path)

    def make(self, spec: Spec) -> None:
        """Make the folder with the bundle; ``ConflictError`` when it is there."""
        with _lock:
            # Nobody else may come to the programs in there that run as their owner.
            os.makedirs(self._root, 0o700, exist_ok=True)
            _make_private(self._root)
            try:
                os.mkdir(self.path, 0o711)
            except FileExistsError:
                raise ConflictError(f'"{self.path}" is in use') from None
        self.write("cgroup", (spec.get("linux") or {}).get("cgroupsPath") or "")
        self.write("config.json", encoded(spec))
        os.mkdir(self.rootfs, 0o711)
        os.mkdir(self.mounts, 0o711)
        os.mkdir(self.state, 0o700)

    def write(self, name: str, content: str) -> str:
        """Write a file that only root may read (it may hold the environment); its path."""
        path = f"{self.path}/{name}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    def read(self, name: str) -> str:
        """The content of a file, of a long one its end; empty when it is not there."""
        try:
            with open(f"{self.path}/{name}", "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - _READ_LIMIT))
                return file.read(_READ_LIMIT).decode(errors="replace")
        except FileNotFoundError:
            return ""

    def discard(self, *names: str) -> None:
        """Remove files; it is no error when they are not there."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.path}/{name}")

    def cgroup(self) -> str:
        """The path of the container's cgroup; ``NotFoundError`` when the container is unknown."""
        path = self.read("cgroup")
        if not path:
            raise NotFoundError(f'container "{os.path.basename(self.path)}" does not exist')
        return path

    def remove(self) -> None:
        """Unmount and remove everything; it is no error when nothing is there."""
        with _lock:
            if self.exists:
                _unmount(self.rootfs)
                _unmount(self.mounts)
                _remove_tree(self.path)
            if os.path.isdir(self._root) and not os.listdir(self._root):
                _unmount(self._root)
                os.rmdir(self._root)


def encoded(value: Spec | Process | Resources) -> str:
    """A document for a runtime, as JSON."""
    return json.dumps(value)


def adapted(
    spec: Spec, facts: Facts, mount_options: Callable[[], Collection[str]]
) -> tuple[Spec, tuple[str, ...]]:
    """The specification as another runtime can carry it out here, and what it must leave out.

    Our own runtime keeps what the kernel grants of limits; others fail instead. Some do not know
    recursive options of mounts, which ``mount_options`` tells when there are any.
    """
    process, warnings = adapted_process(spec.get("process") or {}, facts)
    root: Root = {**(spec.get("root") or {}), "path": "rootfs"}
    changed: Spec = {**spec, "process": process, "root": root}
    mounts = spec.get("mounts") or []
    used = any(_READ_ONLY in (each.get("options") or ()) for each in mounts)
    if used and _READ_ONLY not in mount_options():
        changed["mounts"] = [_plainly_read_only(each) for each in mounts]
        warnings += ("mounts below a read-only one stay writable: the runtime has no rro",)
    return changed, warnings


def _plainly_read_only(mount: SpecMount) -> SpecMount:
    options = ["ro" if each == _READ_ONLY else each for each in mount.get("options") or ()]
    return {**mount, "options": options}


def adapted_process(process: Process, facts: Facts) -> tuple[Process, tuple[str, ...]]:
    """As ``adapted``, for a process that is executed later."""
    result: Process = {**process}
    warnings: list[str] = []
    if limits := result.get("rlimits"):
        result["rlimits"], warnings = rlimits.granted_limits(
            limits, facts.hard_limits, may_raise=facts.may_raise_limits
        )
    if "oomScoreAdj" in result and not facts.may_raise_limits:
        # Writing even the present value is refused where it is below the least that was allowed.
        score = result.pop("oomScoreAdj")
        if score > 0:
            result["oomScoreAdj"] = score
        elif score < 0:
            warnings.append(f"oom_score_adj cannot be lowered to {score}")
    return result, tuple(warnings)


def _make_private(path: str) -> None:
    if _is_mount(path):
        return
    tree = mount.open_tree(mount.AT_FDCWD, path)
    try:
        mount.mount_setattr(tree, "", propagation=mount.MS_PRIVATE)
        mount.move_mount(tree, path)
    finally:
        os.close(tree)


def _unmount(path: str) -> None:
    while _is_mount(path):
        try:
            mount.umount2(path, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
        except OSError as error:
            raise InternalError(f'unmount "{path}": {error.strerror}') from error


def _is_mount(path: str) -> bool:
    """Whether something is mounted there; by the mount table, for a mount of itself shows less."""
    encoded = path
    for character, escape in (("\\", "\\134"), (" ", "\\040"), ("\t", "\\011"), ("\n", "\\012")):
        encoded = encoded.replace(character, escape)
    with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return any(line.split(" ", 5)[4] == encoded for line in table)


def _remove_tree(path: str) -> None:
    """Remove a folder of ours; never crosses into another filesystem."""
    device = os.lstat(path).st_dev
    with os.scandir(path) as found:
        entries = list(found)
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
        elif entry.stat(follow_symlinks=False).st_dev == device:
            _remove_tree(entry.path)
        else:
            _unmount(entry.path)
            _remove_tree(entry.path)
    os.rmdir(path)
