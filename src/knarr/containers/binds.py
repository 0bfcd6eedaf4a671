"""Mounts that a request asks for: ``-v``, ``--mount``, ``--tmpfs`` and the image's ``VOLUME``.

Law: ``parse`` is pure, it looks at no file: whether a source exists is for the caller. Each target
is mounted once; ``--mount`` and ``-v`` for the same target contradict each other, an explicit mount
takes the place of the image's volume.

Source: moby ``volume/mounts/linux_parser.go`` for the grammar and the words.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from knarr.containers.record import MountKind, MountRecord
from knarr.errors import InvalidArgumentError, UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.api.containers import ContainerConfig
    from knarr.api.host_config import HostConfig
    from knarr.api.mounts import Mount

_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_LABELS = frozenset({"z", "Z"})
_CONSISTENCY = frozenset({"consistent", "cached", "delegated", "default"})


class Requested(NamedTuple):
    """A mount and whether a missing source directory is made (``-v``) or an error (``--mount``)."""

    mount: MountRecord
    create_source: bool = False


def requested(config: ContainerConfig, host: HostConfig) -> tuple[Requested, ...]:
    """All mounts of a container, parents before what lies below them.

    Raises ``InvalidArgumentError`` in Docker's words, ``UnimplementedError`` for kinds that knarr
    has not.
    """
    if host.volumes_from:
        raise UnimplementedError("--volumes-from is not supported")
    found: dict[str, Requested] = {}
    for item in _explicit(host):
        if item.mount.target in found:
            raise InvalidArgumentError(f"Duplicate mount point: {item.mount.target}")
        found[item.mount.target] = item
    for target in config.volumes or {}:
        clean = _target(target, target)
        if clean not in found:
            volume = MountRecord(kind=MountKind.VOLUME, target=clean, anonymous=True, copy=True)
            found[clean] = Requested(volume)
    return tuple(sorted(found.values(), key=_depth))


def _depth(item: Requested) -> tuple[int, str]:
    return item.mount.target.count("/"), item.mount.target


def _explicit(host: HostConfig) -> Iterable[Requested]:
    for text in host.binds or ():
        yield parse_bind(text)
    for mount in host.mounts or ():
        yield _parse_mount(mount)
    for target, options in (host.tmpfs or {}).items():
        yield Requested(
            MountRecord(
                kind=MountKind.TMPFS,
                target=_target(target, target),
                options=tuple(option for option in options.split(",") if option),
            )
        )


def parse_bind(text: str) -> Requested:
    """The mount that ``-v text`` asks for."""
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise InvalidArgumentError(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        volume = MountRecord(
            kind=MountKind.VOLUME, target=_target(text, text), anonymous=True, copy=True
        )
        return Requested(volume)
    source, mode = parts[0], parts[2] if len(parts) == 3 else ""
    target = _target(parts[1], text, kind="bind" if source.startswith("/") else "volume")
    words = _mode_words(mode, text)
    read_only = "ro" in words
    propagation = next((word for word in words if word in _PROPAGATIONS), "")
    if source.startswith("/"):
        bind = MountRecord(
            kind=MountKind.BIND,
            target=target,
            source=posixpath.normpath(source),
            read_only=read_only,
            propagation=propagation or "rprivate",
            mode=mode,
        )
        return Requested(bind, create_source=True)
    if propagation:
        raise InvalidArgumentError(f"invalid volume specification: '{text}': invalid mode: {mode}")
    volume = MountRecord(
        kind=MountKind.VOLUME,
        target=target,
        name=check_volume_name(source),
        read_only=read_only,
        mode=mode or "z",
        copy="nocopy" not in words,
    )
    return Requested(volume)


def _mode_words(mode: str, text: str) -> list[str]:
    """The words of the third part of ``-v``; each kind of word may come once."""
    words = mode.split(",") if mode else []
    kinds = [_kind_of(word) for word in words]
    if "" in kinds or len(set(kinds)) != len(kinds):
        raise InvalidArgumentError(f"invalid volume specification: '{text}': invalid mode: {mode}")
    return words


def _kind_of(word: str) -> str:
    if word in {"rw", "ro"}:
        return "access"
    if word in _PROPAGATIONS:
        return "propagation"
    if word in _LABELS:
        return "label"
    if word in _CONSISTENCY:
        return "consistency"
    return "copy" if word == "nocopy" else ""


def check_volume_name(name: str) -> str:
    """The name if a local volume may have it."""
    if not _VOLUME_NAME.fullmatch(name):
        raise InvalidArgumentError(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
            "use absolute path"
        )
    return name


def _target(target: str, text: str, *, kind: str = "volume") -> str:
    if not target.startswith("/"):
        raise InvalidArgumentError(
            f"invalid volume specification: '{text}': invalid mount config for type \"{kind}\": "
            f"invalid mount path: '{target}' mount path must be absolute"
        )
    clean = posixpath.normpath("/" + target.lstrip("/"))
    if clean == "/" or "\0" in clean:
        raise InvalidArgumentError(
            f"invalid volume specification: '{text}': invalid specification: destination can't "
            "be '/'"
        )
    return clean


def _parse_mount(mount: Mount) -> Requested:
    if not mount.target:
        raise _invalid(mount, "field Target must not be empty")
    if not mount.target.startswith("/"):
        raise _invalid(mount, f"invalid mount path: '{mount.target}' mount path must be absolute")
    target = posixpath.normpath("/" + mount.target.lstrip("/"))
    if target == "/" or "\0" in target:
        raise _invalid(mount, "invalid specification: destination can't be '/'")
    match mount.type:
        case "bind":
            return _bind(mount, target)
        case "volume":
            return Requested(_volume(mount, target))
        case "tmpfs":
            return Requested(_tmpfs(mount, target))
        case "image" | "npipe" | "cluster":
            raise UnimplementedError(f'mounts of type "{mount.type}" are not supported')
        case _:
            raise _invalid(mount, "mount type unknown")


def _bind(mount: Mount, target: str) -> Requested:
    if not mount.source:
        raise _invalid(mount, "field Source must not be empty")
    if not mount.source.startswith("/"):
        raise _invalid(mount, f"invalid mount path: '{mount.source}' mount path must be absolute")
    for given, name in (
        (mount.volume_options, "VolumeOptions"),
        (mount.tmpfs_options, "TmpfsOptions"),
    ):
        if given is not None:
            raise _invalid(mount, f"field {name} must not be specified")
    options = mount.bind_options
    propagation = options.propagation if options else ""
    if propagation and propagation not in _PROPAGATIONS:
        raise _invalid(mount, f"invalid propagation mode: {propagation}")
    if options and (options.read_only_force_recursive or options.read_only_non_recursive):
        raise UnimplementedError("recursive read-only options of bind mounts are not supported")
    record = MountRecord(
        kind=MountKind.BIND,
        target=target,
        source=posixpath.normpath(mount.source),
        read_only=mount.read_only,
        propagation=propagation or "rprivate",
        recursive=not (options and options.non_recursive),
    )
    return Requested(record, create_source=bool(options and options.create_mountpoint))


def _volume(mount: Mount, target: str) -> MountRecord:
    for given, name in ((mount.bind_options, "BindOptions"), (mount.tmpfs_options, "TmpfsOptions")):
        if given is not None:
            raise _invalid(mount, f"field {name} must not be specified")
    options = mount.volume_options
    driver = options.driver_config if options else None
    if driver and (driver.name not in {"", "local"} or driver.options):
        raise UnimplementedError("volume drivers and their options are not supported")
    if options and options.subpath:
        raise UnimplementedError("subpaths of volumes are not supported")
    return MountRecord(
        kind=MountKind.VOLUME,
        target=target,
        name=check_volume_name(mount.source) if mount.source else "",
        read_only=mount.read_only,
        mode="z",
        anonymous=not mount.source,
        copy=not (options and options.no_copy),
    )


def _tmpfs(mount: Mount, target: str) -> MountRecord:
    if mount.source:
        raise _invalid(mount, "field Source must not be specified")
    options = []
    if mount.tmpfs_options:
        if mount.tmpfs_options.options:
            raise UnimplementedError("further options of tmpfs mounts are not supported")
        if mount.tmpfs_options.mode:
            options.append(f"mode={mount.tmpfs_options.mode:o}")
        if mount.tmpfs_options.size_bytes:
            options.append(f"size={mount.tmpfs_options.size_bytes}")
    return MountRecord(
        kind=MountKind.TMPFS, target=target, read_only=mount.read_only, options=tuple(options)
    )


def _invalid(mount: Mount, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(f'invalid mount config for type "{mount.type}": {reason}')
