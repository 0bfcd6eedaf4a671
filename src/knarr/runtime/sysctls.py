"""Kernel parameters of the container's own namespaces. Pure.

Law: only parameters that belong to a namespace which the container does not share are written; any
other would be the host's. Sources: OCI runtime-spec config-linux.md "Sysctl", namespaces(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime import ops

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from knarr.runtime.ops import Operation

_IPC = frozenset(
    ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)


def write(wanted: Mapping[str, str], own: Collection[str]) -> list[Operation]:
    """The operations that set ``wanted``; ``own`` names the namespaces that are not the host's.

    Raises ``InvalidArgumentError`` for a parameter outside of them.
    """
    result = []
    for name, value in wanted.items():
        parts = split(name)
        needed = _namespace(parts)
        if needed not in own:
            raise InvalidArgumentError(f'sysctl "{name}" is not in a separate kernel namespace')
        path = "/proc/sys/" + "/".join(parts)
        result.append(ops.write_file(f"set sysctl {name}", path, value))
    return result


def split(name: str) -> list[str]:
    """The parts of ``name``. The first separator decides: in ``net/ipv4`` dots are plain dots,
    in ``net.ipv4.conf.eth0/1`` the slash stands for one, as sysctl(8) has it."""
    dot, slash = name.find("."), name.find("/")
    if dot >= 0 and (slash < 0 or dot < slash):
        name = name.translate({ord("."): "/", ord("/"): "."})
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise InvalidArgumentError(f'invalid sysctl "{name}"')
    return parts


def _namespace(parts: list[str]) -> str:
    if parts[0] == "net":
        return "network"
    if parts[0] == "kernel" and parts[1:] and parts[1] in _IPC:
        return "ipc"
    if parts[:2] == ["fs", "mqueue"]:
        return "ipc"
    if parts == ["kernel", "domainname"]:
        return "uts"
    return ""
