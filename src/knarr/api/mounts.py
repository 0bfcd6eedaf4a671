"""Mounts as a client asks for them (``Mount``) and as they are reported (``MountPoint``).

Source: Engine API v1.51, definitions ``Mount`` and ``MountPoint``.
"""

from __future__ import annotations

from knarr.api.message import Message, always


class BindOptions(Message, frozen=True, kw_only=True):
    """Options of a ``bind`` mount. ``propagation`` is one of [r]private, [r]shared, [r]slave."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeDriver(Message, frozen=True, kw_only=True):
    """The driver that makes a volume that does not exist yet, and its options."""

    name: str = ""
    options: dict[str, str] | None = None


class VolumeOptions(Message, frozen=True, kw_only=True):
    """Options of a ``volume`` mount; ``no_copy`` suppresses filling it from the image."""

    no_copy: bool = False
    labels: dict[str, str] | None = None
    subpath: str = ""
    driver_config: VolumeDriver | None = None


class ImageOptions(Message, frozen=True, kw_only=True):
    """Options of an ``image`` mount."""

    subpath: str = ""


class TmpfsOptions(Message, frozen=True, kw_only=True):
    """Options of a ``tmpfs`` mount: size in bytes (0: unlimited), mode as a decimal number."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class Mount(Message, frozen=True, kw_only=True):
    """One ``--mount`` of a create request. ``type``: bind, volume, tmpfs, image, npipe, cluster."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    cluster_options: dict[str, object] | None = None


class MountPoint(Message, frozen=True, kw_only=True):
    """A mount of a container, as ``inspect`` and ``ps`` show it."""

    type: str = ""
    name: str = ""
    source: str = always(str)
    destination: str = always(str)
    driver: str = ""
    mode: str = always(str)
    rw: bool = always(bool, name="RW")
    propagation: str = always(str)
