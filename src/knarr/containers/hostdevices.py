"""Devices of the host that a container is given: looked up when it starts.

Source: moby ``oci/devices_linux.go``; the device numbers come from stat(2), never from a name.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.containers.spec import MappedDevice
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.api.host_config import DeviceMapping, HostConfig, Resources
    from knarr.oci.runtime_spec import Device

_DEV = Path("/dev")
#: What lies below /dev and is made anew for each container, or is no device of the machine.
_OWN = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
_OWN_NODES = frozenset(
    f"/dev/{name}"
    for name in ("console", "null", "zero", "full", "random", "urandom", "tty", "ptmx")
)


def mapped(host: HostConfig) -> tuple[MappedDevice, ...]:
    """The nodes that the container gets: those of ``--device``, or all of them if privileged.

    Raises ``InvalidArgumentError`` when a path is no device and no directory of devices.
    """
    found = {device.node["path"]: device for device in _of_host()} if host.privileged else {}
    for mapping in host.devices or ():
        for device in _of_mapping(mapping):
            found[device.node["path"]] = device
    return tuple(found.values())


def block_numbers(host: Resources) -> dict[str, tuple[int, int]]:
    """Major and minor of each block device that the I/O limits name."""
    paths = [
        *(item.path for item in host.blkio_weight_device or ()),
        *(item.path for item in host.blkio_device_read_bps or ()),
        *(item.path for item in host.blkio_device_write_bps or ()),
        *(item.path for item in host.blkio_device_read_iops or ()),
        *(item.path for item in host.blkio_device_write_iops or ()),
    ]
    return {path: _block_number(path) for path in paths}


def _block_number(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidArgumentError(f"stat {path}: {(reason or '').lower()}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidArgumentError(f'"{path}" is not a block device')
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _of_mapping(mapping: DeviceMapping) -> Iterator[MappedDevice]:
    source = Path(mapping.path_on_host)
    target = mapping.path_in_container or mapping.path_on_host
    access = mapping.cgroup_permissions or "rwm"
    try:
        real = source.resolve(strict=True)
        status = real.stat()
        if stat.S_ISDIR(status.st_mode):
            inside = list(_below(real))
            for path in inside:
                yield MappedDevice(_node(path, f"{target}/{path.relative_to(real)}"), access)
            if inside:
                return
        elif _is_device(real):
            yield MappedDevice(_node(real, target), access)
            return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _bad_device(mapping.path_on_host, (reason or "").lower()) from error
    raise _bad_device(mapping.path_on_host, "not a device node")


def _bad_device(path: str, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'error gathering device information while adding custom device "{path}": {reason}'
    )


def _of_host() -> Iterable[MappedDevice]:
    for path in _below(_DEV):
        if str(path) not in _OWN_NODES:
            yield MappedDevice(_node(path, str(path)), "rwm")


def _below(directory: Path) -> Iterator[Path]:
    """The devices in a directory and below it, but for those that every container has anew."""
    for folder, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if name not in _OWN)
        for name in sorted(files):
            path = Path(folder, name)
            if not path.is_symlink() and _is_device(path):
                yield path


def without_weights(host: Resources) -> list[str]:
    """The devices with a weight in ``host`` whose I/O scheduler knows none."""
    return [item.path for item in host.blkio_weight_device or () if not _has_weights(item.path)]


def _has_weights(path: str) -> bool:
    major, minor = _block_number(path)
    device = Path(f"/sys/dev/block/{major}:{minor}")
    if (device / "partition").exists():
        device /= ".."
    try:
        schedulers = (device / "queue/scheduler").read_text()
    except OSError:
        return False
    return any(f"[{name}]" in schedulers for name in ("bfq", "cfq"))


def _is_device(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _node(path: Path, target: str) -> Device:
    status = path.stat()
    return {
        "type": "b" if stat.S_ISBLK(status.st_mode) else "c",
        "path": target,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
