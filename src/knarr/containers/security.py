"""``--security-opt``, ``--cap-add``, ``--cap-drop``, ``--privileged``: what a process may do.

Law: pure. What is asked for and cannot be given is refused, never ignored; labels are, as on a
host without SELinux.

Source: moby ``daemon/daemon_unix.go`` (parseSecurityOpt) and ``oci/caps``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError, UnimplementedError
from knarr.runtime import seccomp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.api.host_config import HostConfig

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

_CAPABILITY_WORDS = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""
#: All capabilities by number, capabilities(7).
CAPABILITY_NAMES = tuple(f"CAP_{word}" for word in _CAPABILITY_WORDS.split())

_ALL = "ALL"


class SecurityOptions(NamedTuple):
    """``seccomp`` is ``builtin``, ``unconfined`` or the JSON of a profile."""

    seccomp: str = "builtin"
    no_new_privileges: bool = False
    writable_cgroups: bool = False


def capabilities(host: HostConfig, available: Sequence[str]) -> list[str]:
    """The capabilities of a container, by name; ``available`` are those that the host can give.

    Raises ``InvalidArgumentError`` for one that does not exist.
    """
    if host.privileged:
        return list(available)
    add = _normalized(host.cap_add or (), "CapAdd")
    drop = _normalized(host.cap_drop or (), "CapDrop")
    if _ALL in add:
        return [name for name in available if name not in drop]
    if _ALL in drop:
        return add
    kept = [name for name in DEFAULT_CAPABILITIES if name not in drop]
    return kept + [name for name in add if name not in kept]


def _normalized(names: Sequence[str], option: str) -> list[str]:
    found: list[str] = []
    for given in names:
        name = given.upper()
        if name != _ALL and not name.startswith("CAP_"):
            name = f"CAP_{name}"
        if name == "CAP_ALL":
            name = _ALL
        elif name != _ALL and name not in CAPABILITY_NAMES:
            raise InvalidArgumentError(f'invalid {option}: unknown capability: "{name}"')
        if name not in found:
            found.append(name)
    return found


def parse_options(host: HostConfig) -> SecurityOptions:
    """What ``--security-opt`` asks for, checked."""
    filter_ = "unconfined" if host.privileged else "builtin"
    no_new_privileges = writable_cgroups = False
    for option in host.security_opt or ():
        key, value = _split(option)
        match key:
            case "no-new-privileges":
                no_new_privileges = _boolean(value, option)
            case "seccomp":
                filter_ = _seccomp(value)
            case "apparmor":
                _refuse_profile(value)
            case "label":
                pass
            case "writable-cgroups":
                writable_cgroups = _boolean(value, option)
            case "systempaths":
                raise UnimplementedError(f"--security-opt {key} is not supported")
            case _:
                raise InvalidArgumentError(f'invalid --security-opt 2: "{option}"')
    return SecurityOptions(filter_, no_new_privileges, writable_cgroups)


def _split(option: str) -> tuple[str, str]:
    """Key and value; ``:`` is the old separator, and a bare ``no-new-privileges`` is true."""
    if option == "no-new-privileges":
        return option, "true"
    separator = "=" if "=" in option else ":"
    key, found, value = option.partition(separator)
    if not found:
        raise InvalidArgumentError(f'invalid --security-opt 1: "{option}"')
    return key, value


def _boolean(value: str, option: str) -> bool:
    if value.lower() in {"true", "1", "t"}:
        return True
    if value.lower() in {"false", "0", "f"}:
        return False
    raise InvalidArgumentError(f'invalid --security-opt 2: "{option}"')


def _seccomp(value: str) -> str:
    if value in {"builtin", "unconfined"}:
        return value
    seccomp.parse(value)
    return value


def _refuse_profile(value: str) -> None:
    if value not in {"unconfined", ""}:
        raise UnimplementedError(
            f'AppArmor profile "{value}" cannot be applied', hint="knarr applies none"
        )
