"""Mounts that a request asks for: ``-v``, ``--mount``, ``--tmpfs`` and the image's ``VOLUME``.

Law: pure, no file is looked at: whether a source exists is for the caller. Each target is mounted
once; ``--mount``, ``-v`` and ``--tmpfs`` for the same target contradict each other, each of them
takes the place of what ``--volumes-from`` brings, and all of that the place of the image's volume.

Source: moby ``volume/mounts/linux_parser.go`` and ``daemon/volumes.go`` for the grammar, the order
and the words.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.containers import mountspecs
from knarr.containers.record import MountKind, MountRecord
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.api.containers import ContainerConfig
    from knarr.api.host_config import HostConfig

_LABELS = frozenset({"z", "Z"})
_CONSISTENCY = frozenset({"consistent", "cached", "delegated", "default"})
_TMPFS_FLAGS = frozenset(
    (
        *("ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec"),
        *("sync", "async", "dirsync", "mand", "nomand", "defaults"),
        *("atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime"),
        *("strictatime", "nostrictatime", "unbindable", "runbindable"),
        *mountspecs.PROPAGATIONS,
    )
)
_TMPFS_VALUES = frozenset({"mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "size"})
_PLAIN_VALUE = re.compile(r"[^,\0]*")


class Donor(NamedTuple):
    """A container whose mounts are taken over by ``--volumes-from``."""

    mounts: tuple[MountRecord, ...]
    read_only: bool = False


def requested(
    config: ContainerConfig, host: HostConfig, donors: Iterable[Donor] = ()
) -> tuple[MountRecord, ...]:
    """All mounts of a container, parents before what lies below them.

    Raises ``InvalidArgumentError`` in Docker's words, ``UnimplementedError`` for kinds that knarr
    has not.
    """
    found: dict[str, MountRecord] = {}
    for mount in _explicit(host):
        if mount.target in found:
            raise InvalidArgumentError(f"Duplicate mount point: {mount.target}")
        found[mount.target] = mount
    inherited = {mount.target: mount for donor in donors for mount in _of_donor(donor)}
    found = inherited | found
    for target in config.volumes or {}:
        # Relative to the root if it is relative, as VOLUME of a Dockerfile may be.
        clean = mountspecs.target(f"/{target.lstrip('/')}", "volume")
        if clean not in found:
            found[clean] = MountRecord(
                kind=MountKind.VOLUME, target=clean, anonymous=True, copy=True
            )
    return tuple(sorted(found.values(), key=_depth))


def shallow(mounts: Iterable[MountRecord]) -> tuple[MountRecord, ...]:
    """The mounts, but what is mounted below a read-only directory of the host stays writable."""
    return tuple(
        msgspec.structs.replace(mount, shallow=True) if mount.kind is MountKind.BIND else mount
        for mount in mounts
    )


def _depth(mount: MountRecord) -> tuple[int, str]:
    return mount.target.count("/"), mount.target


def _explicit(host: HostConfig) -> Iterable[MountRecord]:
    for text in host.binds or ():
        bind = parse_bind(text)
        if bind.kind is MountKind.VOLUME and host.volume_driver:
            mountspecs.check_driver(bind.name, host.volume_driver)
        yield bind
    for mount in host.mounts or ():
        yield mountspecs.parse(mount)
    for target, options in (host.tmpfs or {}).items():
        yield MountRecord(
            kind=MountKind.TMPFS,
            target=mountspecs.checked_target(target),
            options=_tmpfs_options(options),
        )


def _tmpfs_options(text: str) -> tuple[str, ...]:
    """The options of ``--tmpfs``: those that cannot do more than shape a tmpfs."""
    options = tuple(option for option in text.split(",") if option)
    for option in options:
        key, separator, value = option.partition("=")
        known = _TMPFS_VALUES if separator else _TMPFS_FLAGS
        if key not in known or not _PLAIN_VALUE.fullmatch(value):
            raise InvalidArgumentError(f'invalid tmpfs option ["{option}"]')
    return options


def volumes_from(text: str) -> tuple[str, bool]:
    """The container that ``--volumes-from text`` names, and whether its mounts are read-only."""
    if not text:
        raise InvalidArgumentError("volumes-from specification cannot be an empty string")
    name, _, mode = text.partition(":")
    words = _mode_words(mode)
    if words is None or any(_kind_of(word) in {"propagation", "copy"} for word in words):
        raise InvalidArgumentError(f"invalid mode: {mode}")
    return name, "ro" in words


def _of_donor(donor: Donor) -> Iterable[MountRecord]:
    """What a container has but for the files of each container and ``--tmpfs``."""
    for mount in donor.mounts:
        if mount.kind is MountKind.TMPFS and not mount.specified:
            continue
        yield msgspec.structs.replace(
            mount, read_only=mount.read_only or donor.read_only, copy=False, mode=""
        )


def parse_bind(text: str) -> MountRecord:
    """The mount that ``-v text`` asks for."""
    parts = text.split(":")
    invalid = f"invalid volume specification: '{text}'"
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise InvalidArgumentError(invalid)
    if len(parts) == 1:
        target = mountspecs.target(text, "volume", f"{invalid}: ")
        return MountRecord(kind=MountKind.VOLUME, target=target, anonymous=True, copy=True)
    source, mode = parts[0], parts[2] if len(parts) == 3 else ""
    words = _mode_words(mode)
    if words is None:
        raise InvalidArgumentError(f"invalid mode: {mode}")
    if len(parts) == 2 and _mode_words(parts[1]) is not None:
        raise InvalidArgumentError(invalid)  # a mode where the target should be
    kind = "bind" if source.startswith("/") else "volume"
    target = mountspecs.target(parts[1], kind, f"{invalid}: ")
    read_only = "ro" in words
    propagation = next((word for word in words if word in mountspecs.PROPAGATIONS), "")
    if kind == "bind":
        return MountRecord(
            kind=MountKind.BIND,
            target=target,
            source=posixpath.normpath(source),
            read_only=read_only,
            propagation=propagation or "rprivate",
            mode=mode,
        )
    if propagation:
        raise InvalidArgumentError(
            f'{invalid}: invalid mount config for type "volume": field BindOptions must not be '
            "specified"
        )
    return MountRecord(
        kind=MountKind.VOLUME,
        target=target,
        name=mountspecs.check_volume_name(source),
        read_only=read_only,
        mode=mode or "z",
        copy="nocopy" not in words,
    )


def _mode_words(mode: str) -> Sequence[str] | None:
    """The words of the third part of ``-v``, each kind of word once; None if it is no mode."""
    words = mode.split(",") if mode else []
    kinds = [_kind_of(word) for word in words]
    if "" in kinds or len(set(kinds)) != len(kinds):
        return None
    return words


def _kind_of(word: str) -> str:
    if word in {"rw", "ro"}:
        return "access"
    if word in mountspecs.PROPAGATIONS:
        return "propagation"
    if word in _LABELS:
        return "label"
    if word in _CONSISTENCY:
        return "consistency"
    return "copy" if word == "nocopy" else ""


def missing_source(mount: MountRecord) -> InvalidArgumentError:
    """The error for a directory of the host that must be there and is not."""
    return InvalidArgumentError(
        'invalid mount config for type "bind": bind source path does not exist: ' + mount.source
    )
