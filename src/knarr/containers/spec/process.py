"""The process of a container: arguments, environment, identity, rights and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.api.host_config import HostConfig
    from knarr.containers.users import ResolvedUser
    from knarr.oci.runtime_spec import Capabilities, Process, Rlimit, User

    from .inputs import SpecInputs

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Where the init of ``--init`` is in a container: Docker's place.
INIT = "/sbin/docker-init"


def process(inputs: SpecInputs) -> Process:
    """The first process of the container."""
    record = inputs.record
    host, config = record.host_config, record.config
    described: Process = {
        "terminal": config.tty,
        "user": user(inputs.user),
        "args": [*_before(inputs), record.path, *record.args],
        "env": environment(
            config.env or (), hostname=config.hostname, tty=config.tty, home=inputs.user.home
        ),
        "cwd": config.working_dir or "/",
        "capabilities": capability_sets(inputs.capabilities, uid=inputs.user.uid),
        "rlimits": rlimits(host, inputs.open_files),
        "noNewPrivileges": inputs.no_new_privileges,
        "oomScoreAdj": host.oom_score_adj,
    }
    height, width = host.console_size
    if config.tty and height and width:
        described["consoleSize"] = {"height": height, "width": width}
    return described


def _before(inputs: SpecInputs) -> Sequence[str]:
    """What stands before the program: the init of ``--init``."""
    return (INIT, "--") if inputs.init else ()


def user(resolved: ResolvedUser) -> User:
    """The numeric identity.

    The primary group is among the supplementary ones: without it, a process could leave a group
    whose members are denied something (CVE-2022-36109).
    """
    groups = [resolved.gid, *(group for group in resolved.groups if group != resolved.gid)]
    return {
        "uid": resolved.uid,
        "gid": resolved.gid,
        "additionalGids": groups,
    }


def environment(own: Iterable[str], *, hostname: str, tty: bool, home: str) -> list[str]:
    """Docker's defaults, overridden and completed by ``own``.

    An entry without ``=`` takes the variable away. HOME is the user's home directory unless it
    is given; a user without one gets ``/``.
    """
    defaults = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}"]
    if tty:
        defaults.append("TERM=xterm")
    merged = override(defaults, own)
    if not any(entry.startswith("HOME=") for entry in merged):
        merged.append(f"HOME={home or '/'}")
    return merged


def override(base: Sequence[str], changes: Iterable[str]) -> list[str]:
    """``base`` with every variable of ``changes`` in its place, or at the end if it is new."""
    values = {entry.partition("=")[0]: entry for entry in base}
    for change in changes:
        name, assigned, _ = change.partition("=")
        if assigned:
            values[name] = change
        else:
            values.pop(name, None)
    return list(values.values())


def capability_sets(names: Sequence[str], *, uid: int) -> Capabilities:
    """The sets as execve(2) would leave them: a user other than root has only the bound.

    Nothing is inheritable: those would leak into programs with file capabilities
    (CVE-2022-24769).
    """
    effective = list(names) if uid == 0 else []
    return {
        "bounding": list(names),
        "effective": effective,
        "permitted": list(effective),
        "inheritable": [],
        "ambient": [],
    }


def rlimits(host: HostConfig, open_files: tuple[int, int] | None) -> list[Rlimit]:
    """The limits of ``--ulimit``; -1 is unlimited.

    Open files get the limit of the engine, as in Docker: the parent of the container, the
    supervisor, has raised its own, and programs that close every possible descriptor would suffer.
    """
    unlimited = 2**64 - 1
    asked: list[Rlimit] = [
        {
            "type": f"RLIMIT_{limit.name.upper()}",
            "soft": unlimited if limit.soft == -1 else limit.soft,
            "hard": unlimited if limit.hard == -1 else limit.hard,
        }
        for limit in host.ulimits or ()
    ]
    if open_files and not any(limit["type"] == "RLIMIT_NOFILE" for limit in asked):
        soft, hard = open_files
        asked.append({"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard})
    return asked
