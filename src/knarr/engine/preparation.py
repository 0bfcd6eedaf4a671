"""From a record to a request to the supervisor: all that is made on disk before a start.

Law: everything here blocks and belongs into a worker. A start that fails later leaves a bundle,
which the next start of the same container, its removal or the next engine takes away.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.containers import (
    binds,
    files,
    hostdevices,
    init,
    limits,
    logdrivers,
    propagation,
    rootview,
    scaffold,
    security,
    spec,
    users,
)
from knarr.containers.record import MountKind
from knarr.content.failure import translated
from knarr.errors import InvalidArgumentError, UnavailableError
from knarr.runtime import seccomp
from knarr.supervisor.client import StartRequest
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.api.host_config import HostConfig
    from knarr.containers.record import MountRecord, Record
    from knarr.containers.users import ResolvedUser, UserFiles
    from knarr.mount import Mount
    from knarr.oci.digest import DiffID
    from knarr.oci.runtime_spec import Seccomp, Spec

    from .parts import Parts

_CACHED_IMAGES = 256


class Prepared(NamedTuple):
    """A start that only the supervisor has still to do."""

    request: StartRequest
    spec: Spec


class Preparation:
    """Prepares the starts of one engine."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._image_users = functools.lru_cache(_CACHED_IMAGES)(self._read_image_users)

    def prepare(self, record: Record, join: spec.Join) -> Prepared:
        """Mount the layers, write the files and the bundle of the container."""
        with translated("prepare the files of the container"):
            return self._prepare(record, join)

    def _prepare(self, record: Record, join: spec.Join) -> Prepared:
        parts = self._parts
        layers = parts.snapshots.mounts(
            record.id, record.layers, volatile=record.host_config.auto_remove
        )
        rootfs = scaffold.below(layers, str(parts.paths.scaffold))
        self._make_sources(record.mounts)
        directory = files.ContainerDirectory(parts.paths.containers, record.id)
        directory.write(record)
        described = self.describe(record, join, self._user(record, rootfs))
        bundle = f"{parts.paths.bundles}/{record.id}"
        _make_directory(bundle, 0o711)
        _make_directory(f"{bundle}/rootfs", 0o711)
        _write_private(f"{bundle}/config.json", msgspec.json.encode(described))
        faults.point("start.bundle-written")
        return Prepared(self._request(record, bundle, rootfs, directory), described)

    def describe(self, record: Record, join: spec.Join, user: ResolvedUser) -> Spec:
        """The runtime spec of the container."""
        parts, host = self._parts, record.host_config
        options = security.parse_options(host)
        granted = tuple(security.capabilities(host, parts.facts.capabilities))
        return spec.build(
            spec.SpecInputs(
                record=record,
                user=user,
                files=files.ContainerDirectory(
                    parts.paths.containers, join.files_of or record.id
                ).managed,
                cgroups_path=self.cgroups_path(record),
                capabilities=granted,
                no_new_privileges=options.no_new_privileges,
                seccomp=_seccomp(options.seccomp, granted),
                devices=hostdevices.mapped(host),
                block_devices=hostdevices.block_numbers(host),
                join=join,
                open_files=parts.facts.open_files,
                images={
                    mount.target: parts.snapshots.view(mount.layers)[0]
                    for mount in record.mounts
                    if mount.kind is MountKind.IMAGE
                },
                init=self._init(host),
                writable_cgroups=options.writable_cgroups,
                addresses=_addresses(record.mounts),
            )
        )

    def _init(self, host: HostConfig) -> str:
        """The program for ``--init``; not where the container's first process is another's."""
        wanted = self._parts.settings.init if host.init is None else host.init
        return init.program() if wanted and not host.pid_mode else ""

    def cgroups_path(self, record: Record) -> str:
        """Where the cgroup of the container is."""
        parent = record.host_config.cgroup_parent or self._parts.paths.cgroup_parent
        return limits.cgroup_below(parent, record.id)

    def users_of_image(self, layers: Sequence[DiffID]) -> UserFiles:
        """The users that an image knows; read once for each image."""
        return self._image_users(tuple(layers))

    def discard(self, record: Record) -> None:
        """Take the bundle away again: three quick calls, which the loop may make."""
        bundle = f"{self._parts.paths.bundles}/{record.id}"
        with translated("remove the bundle"), contextlib.suppress(FileNotFoundError):
            os.unlink(f"{bundle}/config.json")
            os.rmdir(f"{bundle}/rootfs")
            os.rmdir(bundle)

    def _user(self, record: Record, rootfs: Sequence[Mount]) -> ResolvedUser:
        """Who the process runs as, by the container's own files if it may have changed them."""
        upper = self._parts.snapshots.upper(record.id)
        with os.scandir(upper) as entries:
            untouched = next(entries, None) is None
        if untouched:
            known = self.users_of_image(record.layers)
        else:
            with rootview.of_mounts(rootfs) as root:
                known = rootview.user_files(root)
        return users.resolve(
            record.config.user, known, group_add=record.host_config.group_add or ()
        )

    def _read_image_users(self, layers: tuple[DiffID, ...]) -> UserFiles:
        mounts = self._parts.snapshots.view(layers)
        with rootview.of_mounts(mounts) as root:
            return rootview.user_files(root)

    def _make_sources(self, mounts: Sequence[MountRecord]) -> None:
        """Make what ``-v`` names and is not there; ``--mount`` was checked at ``create``."""
        for mount in mounts:
            if mount.kind is MountKind.BIND and not os.path.lexists(mount.source):
                if not mount.make_source:
                    raise binds.missing_source(mount)
                _make_source(Path(mount.source))
            if mount.kind is MountKind.BIND and mount.propagation != "rprivate":
                propagation.check(mount)
            elif mount.fstype == "bind" and not os.path.lexists(mount.device):
                raise InvalidArgumentError(
                    f"error while mounting volume '{mount.source}': failed to mount local volume: "
                    f"mount {mount.device}:{mount.source}: no such file or directory"
                )
            elif mount.kind is MountKind.VOLUME and not Path(mount.source).is_dir():
                raise UnavailableError(f'directory "{mount.source}" of volume is not there')

    def _request(
        self,
        record: Record,
        bundle: str,
        rootfs: tuple[Mount, ...],
        directory: files.ContainerDirectory,
    ) -> StartRequest:
        host, config = record.host_config, record.config
        height, width = host.console_size
        return StartRequest(
            id=record.id,
            bundle=bundle,
            rootfs=rootfs,
            runtime=self._parts.settings.runtime_words(host.runtime),
            terminal=config.tty,
            open_stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            log=logdrivers.destination(record, directory, self._parts.facts.hostname),
            console_size=(height, width) if height and width else None,
        )


def _addresses(mounts: Sequence[MountRecord]) -> dict[str, str]:
    """The addresses of the servers whose file systems volumes show: the kernel knows no names."""
    names = {
        option[5:]
        for mount in mounts
        if mount.fstype.startswith(("nfs", "cifs"))
        for option in mount.options
        if option.startswith("addr=")
    }
    found = {}
    for name in names:
        try:
            found[name] = str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
        except OSError as error:
            raise UnavailableError(
                f'error resolving passed in network volume address: "{name}"'
            ) from error
    return found


def _make_directory(path: str, mode: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)


def _write_private(path: str, content: bytes) -> None:
    """Write a file that only root may read: a spec holds the environment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _make_source(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgumentError(
            f"error while creating mount source path '{path}': mkdir {error.filename}: "
            f"{(error.strerror or '').lower()}"
        ) from error


@functools.lru_cache(64)
def _seccomp(profile: str, capabilities: tuple[str, ...]) -> Seccomp | None:
    """The filter in the form of the runtime spec; equal requests share one value."""
    if profile == "unconfined":
        return None
    chosen = seccomp.default_profile() if profile == "builtin" else seccomp.parse(profile)
    return seccomp.resolve(chosen, capabilities)
