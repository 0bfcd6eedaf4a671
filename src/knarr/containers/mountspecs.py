"""Mounts in the structured form of the API, ``--mount`` of the command line.

Law: pure; a field that belongs to another type of mount is refused, never ignored.

Source: Engine API, definition ``Mount``; moby ``volume/mounts/linux_parser.go`` for the words.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from knarr.containers.record import MountKind, MountRecord
from knarr.errors import InvalidArgumentError, UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.api.mounts import Mount, TmpfsOptions

PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})

_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_TMPFS_OPTIONS = frozenset({"exec", "noexec"})
_UNITS = (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10))


def check_volume_name(name: str) -> str:
    """The name if a local volume may have it."""
    if not _VOLUME_NAME.fullmatch(name):
        raise InvalidArgumentError(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
            "use absolute path"
        )
    return name


def check_driver(volume: str, driver: str) -> None:
    """Refuse a volume of a driver that is not there."""
    if driver != "local":
        raise InvalidArgumentError(
            f'create {volume}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        )


def checked_target(path: str) -> str:
    """The clean path of a mount point inside the container; never the root."""
    if not path.startswith("/"):
        raise InvalidArgumentError(
            f"invalid mount path: '{path}' mount path must be absolute"
            if posixpath.normpath(path) != "."
            else "invalid specification: destination can't be '/'"
        )
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean == "/" or "\0" in clean:
        raise InvalidArgumentError("invalid specification: destination can't be '/'")
    return clean


def target(path: str, kind: str, before: str = "") -> str:
    """The same for a mount of type ``kind``, which the message names after ``before``."""
    try:
        return checked_target(path)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f'{before}invalid mount config for type "{kind}": {error.message}'
        ) from None


def parse(mount: Mount) -> MountRecord:
    """The mount that the message asks for."""
    if not mount.target:
        raise _invalid(mount, "field Target must not be empty")
    point = target(mount.target, mount.type)
    match mount.type:
        case "bind":
            return _bind(mount, point)
        case "volume":
            return _volume(mount, point)
        case "tmpfs":
            return _tmpfs(mount, point)
        case "image":
            return _image(mount, point)
        case "npipe" | "cluster":
            raise UnimplementedError(f'mounts of type "{mount.type}" are not supported')
        case _:
            raise _invalid(mount, "mount type unknown")


def _only(mount: Mount, own: str) -> None:
    """Refuse the options of other types of mounts."""
    for given, name in (
        (mount.bind_options, "BindOptions"),
        (mount.volume_options, "VolumeOptions"),
        (mount.image_options, "ImageOptions"),
        (mount.tmpfs_options, "TmpfsOptions"),
        (mount.cluster_options, "ClusterOptions"),
    ):
        if given is not None and name != own:
            raise _invalid(mount, f"field {name} must not be specified")


def _bind(mount: Mount, point: str) -> MountRecord:
    if not mount.source:
        raise _invalid(mount, "field Source must not be empty")
    _only(mount, "BindOptions")
    options = mount.bind_options
    propagation = options.propagation if options else ""
    if propagation and propagation not in PROPAGATIONS:
        raise _invalid(mount, f"invalid propagation mode: {propagation}")
    if not mount.source.startswith("/"):
        raise _invalid(mount, f"invalid mount path: '{mount.source}' mount path must be absolute")
    shallow = bool(options and options.read_only_non_recursive)
    if shallow and options and options.read_only_force_recursive:
        raise _invalid(
            mount, "ReadOnlyNonRecursive and ReadOnlyForceRecursive contradict each other"
        )
    return MountRecord(
        kind=MountKind.BIND,
        target=point,
        source=posixpath.normpath(mount.source),
        read_only=mount.read_only,
        propagation=propagation or "rprivate",
        recursive=not (options and options.non_recursive),
        make_source=bool(options and options.create_mountpoint),
        shallow=shallow,
        specified=True,
    )


def _volume(mount: Mount, point: str) -> MountRecord:
    _only(mount, "VolumeOptions")
    options = mount.volume_options
    subpath = _subpath(mount, options.subpath if options else "")
    if subpath and not mount.source:
        raise _invalid(mount, "must not set Subpath when using anonymous volumes")
    if mount.read_only and not mount.source:
        raise _invalid(mount, "must not set ReadOnly mode when using anonymous volumes")
    driver = options.driver_config if options else None
    if driver and driver.name:
        check_driver(mount.source, driver.name)
    return MountRecord(
        kind=MountKind.VOLUME,
        target=point,
        name=check_volume_name(mount.source) if mount.source else "",
        read_only=mount.read_only,
        mode="z",
        anonymous=not mount.source,
        copy=not (options and options.no_copy),
        subpath=subpath,
        specified=True,
        labels=dict((options.labels if options else None) or {}),
        driver_options=dict((driver.options if driver else None) or {}),
    )


def _image(mount: Mount, point: str) -> MountRecord:
    """An image as a directory: always read-only."""
    if not mount.source:
        raise _invalid(mount, "field Source must not be empty")
    _only(mount, "ImageOptions")
    subpath = mount.image_options.subpath if mount.image_options else ""
    return MountRecord(
        kind=MountKind.IMAGE,
        target=point,
        source=mount.source,
        read_only=True,
        subpath=_subpath(mount, subpath),
        specified=True,
    )


def _subpath(mount: Mount, path: str) -> str:
    """A path that stays below where it starts, whatever it names there."""
    if not path:
        return ""
    clean = posixpath.normpath(path)
    if path.startswith("/") or clean == ".." or clean.startswith("../") or "\0" in path:
        raise _invalid(mount, "subpath must be a relative path within the volume")
    return "" if clean == "." else clean


def _tmpfs(mount: Mount, point: str) -> MountRecord:
    _only(mount, "TmpfsOptions")
    if mount.source:
        raise _invalid(mount, "field Source must not be specified")
    return MountRecord(
        kind=MountKind.TMPFS,
        target=point,
        read_only=mount.read_only,
        options=tuple(_tmpfs_options(mount, mount.tmpfs_options)) if mount.tmpfs_options else (),
        specified=True,
    )


def _tmpfs_options(mount: Mount, wanted: TmpfsOptions) -> Sequence[str]:
    if wanted.size_bytes < 0:
        raise _invalid(mount, "the size of a tmpfs cannot be negative")
    options = []
    if wanted.mode:
        options.append(f"mode={wanted.mode:o}")
    if wanted.size_bytes:
        options.append(f"size={_size(wanted.size_bytes)}")
    for words in wanted.options or ():
        if not 1 <= len(words) <= 2:
            raise _invalid(mount, "invalid option array length")
        if words[0] not in _TMPFS_OPTIONS:
            raise _invalid(mount, f"invalid option: {words[0]}")
        options.append(words[0])
    return options


def _size(number: int) -> str:
    return next(
        (f"{number // unit}{name}" for name, unit in _UNITS if not number % unit), f"{number}"
    )


def _invalid(mount: Mount, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(f'invalid mount config for type "{mount.type}": {reason}')
