"""Whether a directory of the host can be bound so that later mounts pass between both sides.

Law: that needs a mount that is shared (for both ways, or from the host, a slave): of any other, the
kernel would make a copy that nothing reaches, and nobody would be told.

Source: proc(5) for mountinfo; moby ``daemon/oci_linux.go`` for the words.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from knarr.containers.record import MountRecord

_SHARED = frozenset({"shared", "rshared"})
_SLAVE = frozenset({"slave", "rslave"})
_OCTAL = re.compile(rb"\\([0-7]{3})")
_MOUNTS = Path("/proc/self/mountinfo")


class _Mount(NamedTuple):
    point: str
    fields: tuple[str, ...]

    def has(self, *kinds: str) -> bool:
        return any(field.partition(":")[0] in kinds for field in self.fields)


def check(mount: MountRecord) -> None:
    """Refuse a propagation that the source of the bind mount cannot have."""
    if mount.propagation in _SHARED:
        kinds: tuple[str, ...] = ("shared",)
        words = "shared"
    elif mount.propagation in _SLAVE:
        kinds, words = ("shared", "master"), "shared or slave"
    else:
        return
    found = _of(os.path.realpath(mount.source), _MOUNTS.read_bytes())
    if found is not None and not found.has(*kinds):
        raise InvalidArgumentError(
            f"path {mount.source} is mounted on {found.point} but it is not a {words} mount"
        )


def _of(path: str, table: bytes) -> _Mount | None:
    """The mount that shows ``path``: of the deepest mount points the one that came last."""
    best: _Mount | None = None
    for line in table.splitlines():
        fields = line.split()
        point = _unescaped(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= len(best.point)):
            optional = fields[6 : fields.index(b"-", 6)]
            best = _Mount(point, tuple(each.decode() for each in optional))
    return best


def _unescaped(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field))
