"""Mounts that another OCI runtime cannot make: they are made for it, and it binds them.

Those are mounts with options of our own (``X-``: a part of a volume, a mount of another container)
and filesystems that are not every runtime's (an image, a volume on NFS). They are made below one
directory of the container's place, by the operations of our own runtime.

Law: nothing is handed on that a runtime might silently understand otherwise. Pure.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from knarr.runtime import furnish, rootfs
from knarr.runtime.process import Stdio
from knarr.runtime.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.oci.runtime_spec import Spec, SpecMount
    from knarr.runtime.facts import Facts
    from knarr.runtime.ops import Operation

_EVERYONES = frozenset(
    ("bind", "tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "none", "")
)


def split(spec: Spec, folder: str) -> tuple[Spec, list[SpecMount]]:
    """The specification with binds of what is made in ``folder``, and what is to be made there."""
    made: list[SpecMount] = []
    mounts: list[SpecMount] = []
    for mount in spec.get("mounts") or ():
        if _is_everyones(mount):
            mounts.append(mount)
            continue
        name = f"/{len(made)}"
        made.append({**mount, "destination": name})
        access = "ro" if {"ro", "rro"}.intersection(mount.get("options") or ()) else "rw"
        mounts.append(
            {
                "destination": mount["destination"],
                "type": "bind",
                "source": folder + name,
                "options": ["rbind", "rprivate", access],
            }
        )
    return ({**spec, "mounts": mounts} if made else spec), made


def operations(
    made: Sequence[SpecMount], folder: str, bundle: str, facts: Facts
) -> list[Operation]:
    """What makes the mounts in the existing directory ``folder``; nothing when there are none."""
    if not made:
        return []
    wanted: Spec = {"mounts": list(made)}
    return [
        *furnish.shared_binds(wanted, bundle),
        rootfs.directory(posixpath.normpath(folder)),
        *furnish.mounted(wanted, bundle, facts, frozenset(), Wiring(Stdio(-1, -1, -1))),
    ]


def _is_everyones(mount: SpecMount) -> bool:
    options = mount.get("options") or ()
    kind = mount.get("type") or ""
    return not any(each[:2] in {"X-", "x-"} for each in options) and (
        kind in _EVERYONES or "bind" in options or "rbind" in options
    )
