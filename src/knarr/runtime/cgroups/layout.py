"""Which cgroup hierarchies are mounted on this host, and which controller lives where.

Three kinds of host exist: *unified* (v2 only), *legacy* (v1 only) and *hybrid* (controllers on v1
and a v2 hierarchy beside them, often without controllers). A controller belongs to exactly one
hierarchy at a time. Source: cgroups(7), kernel Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import FailedPreconditionError
from knarr.runtime.cgroups import files

if TYPE_CHECKING:
    from collections.abc import Mapping

_STANDARD = "/sys/fs/cgroup"


class Layout(NamedTuple):
    """The cgroup mounts, as a value; make it once with ``detect`` and pass it on.

    ``unified`` is the mount point of the v2 hierarchy or "" when there is none, ``controllers``
    what that hierarchy offers at its root, by their v2 names. ``legacy`` gives the mount point of
    each v1 controller; controllers that are mounted together share one mount point.

    ``counts_io`` says whether blkio of v1 counts the I/O of a cgroup that it does not limit: from
    about Linux 6.10 on it does not, and is then left out for containers without such limits.
    """

    unified: str
    controllers: frozenset[str]
    legacy: Mapping[str, str]
    counts_io: bool = False

    @property
    def mode(self) -> str:
        """One of ``unified``, ``hybrid``, ``legacy``, as ``docker info`` tells v2 from v1."""
        if not self.unified:
            return "legacy"
        return "hybrid" if self.legacy else "unified"


def detect(mountinfo: str = "/proc/self/mountinfo") -> Layout:
    """Read the mount table and say where the controllers are.

    Raises ``FailedPreconditionError`` when no cgroup hierarchy is mounted at all.
    """
    unified, legacy = parse(files.read(mountinfo))
    if not unified and not legacy:
        raise FailedPreconditionError(
            "no cgroup hierarchy is mounted", hint="mount -t cgroup2 none /sys/fs/cgroup"
        )
    controllers: frozenset[str] = frozenset()
    if unified:
        controllers = frozenset(files.read(f"{unified}/cgroup.controllers").split())
    counts = files.find(f"{legacy.get('blkio')}/blkio.throttle.io_service_bytes") or ""
    return Layout(unified, controllers, legacy, counts_io=counts.count("\n") > 0)


def named_hierarchies(mountinfo: str = "/proc/self/mountinfo") -> list[str]:
    """The mount points of v1 hierarchies without a controller, as ``name=systemd``."""
    points = []
    for line in files.read(mountinfo).splitlines():
        front, _, back = line.partition(" - ")
        kind, _, rest = back.partition(" ")
        point = _unescape(front.split(" ")[4])
        if kind == "cgroup" and "name=" in rest and point.startswith(_STANDARD + "/"):
            points.append(point)
    return points


def parse(mountinfo: str) -> tuple[str, dict[str, str]]:
    """The v2 mount point ("" if none) and the mount point of each v1 controller.

    Of several mounts of one hierarchy the one below ``/sys/fs/cgroup`` is taken: the others are
    bind mounts of it into containers. Named v1 hierarchies limit nothing and are left out.
    """
    unified = ""
    legacy: dict[str, str] = {}
    for line in mountinfo.splitlines():
        front, _, back = line.partition(" - ")
        kind, _, rest = back.partition(" ")
        if kind not in {"cgroup", "cgroup2"}:
            continue
        point = _unescape(front.split(" ")[4])
        if kind == "cgroup2":
            unified = _better(unified, point)
            continue
        for option in rest.split(" ")[1].split(","):
            if option in _LEGACY_CONTROLLERS:
                legacy[option] = _better(legacy.get(option, ""), point)
    return unified, legacy


_LEGACY_CONTROLLERS = frozenset(
    ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "pids")
)


def _better(known: str, new: str) -> str:
    if not known:
        return new
    inside = new == _STANDARD or new.startswith(_STANDARD + "/")
    outside = known != _STANDARD and not known.startswith(_STANDARD + "/")
    return new if inside and outside else known


def _unescape(field: str) -> str:
    """Undo the octal escapes of proc(5) for blank, tab, newline and backslash."""
    if "\\" not in field:
        return field
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
