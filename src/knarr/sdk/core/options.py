"""The options of a new container, of an update and of an exec, as typed keyword arguments.

Sizes are bytes, times seconds; what is left out has the engine's default. Names are those of the
command line's flags where there is one.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, TypedDict

from knarr.api.containers import ContainerCreateRequest, Empty
from knarr.api.exec import ExecCreateRequest
from knarr.api.host_config import (
    ContainerUpdateRequest,
    DeviceMapping,
    HostConfig,
    LogConfig,
    RestartPolicy,
    Ulimit,
)
from knarr.api.networks import PortBinding
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from knarr.api.containers import HealthConfig
    from knarr.api.mounts import Mount


class LimitOptions(TypedDict, total=False):
    """Limits, and when to start again: for a new container and for an update."""

    memory: int
    memory_reservation: int
    memory_swap: int
    cpus: float
    cpu_shares: int
    cpuset: str
    pids_limit: int
    restart: str
    """``no``, ``always``, ``unless-stopped``, ``on-failure`` or ``on-failure:N``."""


class ContainerOptions(LimitOptions, total=False):
    """The options of ``create`` and ``run``."""

    name: str
    platform: str
    entrypoint: str | Sequence[str]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    working_dir: str
    user: str
    hostname: str
    domainname: str
    tty: bool
    stdin: bool
    """Keep standard input open, so that it can be attached; it ends with the first client's."""
    stop_signal: str
    stop_timeout: int
    health: HealthConfig
    network: str
    """``bridge``, ``none``, ``host``, ``container:NAME`` or the name of a network."""
    ports: Mapping[str, int | tuple[str, int] | None]
    """``{"80/tcp": 8080}``; a value is a port of the host, or address and port, or None: any."""
    dns: Sequence[str]
    extra_hosts: Mapping[str, str]
    binds: Sequence[str]
    """``SOURCE:TARGET[:OPTIONS]``, as for ``-v``: a folder of the host or the name of a volume."""
    mounts: Sequence[Mount]
    tmpfs: Mapping[str, str]
    volumes_from: Sequence[str]
    read_only: bool
    privileged: bool
    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    security_opt: Sequence[str]
    devices: Sequence[str]
    """``SOURCE[:TARGET[:PERMISSIONS]]``."""
    group_add: Sequence[str]
    sysctls: Mapping[str, str]
    ulimits: Mapping[str, int | tuple[int, int]]
    """``{"nofile": 1024}``; a value is both limits, or soft and hard."""
    shm_size: int
    oom_score_adj: int
    ipc: str
    pid: str
    uts: str
    cgroupns: str
    userns: str
    init: bool
    auto_remove: bool
    log_driver: str
    log_options: Mapping[str, str]
    runtime: str
    annotations: Mapping[str, str]


class ExecOptions(TypedDict, total=False):
    """The options of an exec."""

    env: Mapping[str, str]
    working_dir: str
    user: str
    privileged: bool
    tty: bool


def words(command: str | Sequence[str] | None) -> list[str] | None:
    """A command as a list; a text is split as a shell splits words, and nothing else is done."""
    if command is None:
        return None
    return shlex.split(command) if isinstance(command, str) else list(command)


def create_request(
    image: str,
    command: str | Sequence[str] | None,
    options: ContainerOptions,
    *,
    attached: bool = False,
) -> ContainerCreateRequest:
    """The request that makes the container; ``attached``: for a client that reads its output.

    Errors: ``InvalidArgumentError`` for an option that cannot be understood.
    """
    given: dict[str, Any] = dict(options)
    host = _limits(given)
    host |= {field: given.pop(name) for name, field in _HOST_TEXTS.items() if name in given}
    host |= {field: list(given.pop(name)) for name, field in _HOST_LISTS.items() if name in given}
    host |= {field: dict(given.pop(name)) for name, field in _HOST_MAPS.items() if name in given}
    host |= _converted(given, _HOST_OTHERS)
    host["log_config"] = LogConfig(
        type=given.pop("log_driver", ""), config=dict(given.pop("log_options", {}))
    )
    stdin = given.pop("stdin", False)
    config: dict[str, Any] = {
        "open_stdin": stdin,
        "stdin_once": stdin,
        "attach_stdin": stdin and attached,
        "attach_stdout": attached,
        "attach_stderr": attached,
    }
    config |= {name: given.pop(name) for name in _CONFIG_TEXTS if name in given}
    config |= _converted(given, _CONFIG_OTHERS)
    ports = given.pop("ports", {})
    if ports:
        config["exposed_ports"] = {_port(name): Empty() for name in ports}
        host["port_bindings"] = {_port(name): _binding(to) for name, to in ports.items()}
    for name in ("name", "platform"):
        given.pop(name, None)
    _refuse_unknown(given)
    return ContainerCreateRequest(
        image=image, cmd=words(command), host_config=HostConfig(**host), **config
    )


def update_request(options: LimitOptions) -> ContainerUpdateRequest:
    """The request that changes a container's limits. Errors: as ``create_request``."""
    given: dict[str, Any] = dict(options)
    limits = _limits(given)
    _refuse_unknown(given)
    return ContainerUpdateRequest(**limits)


def exec_request(
    command: str | Sequence[str], options: ExecOptions, *, stdin: bool
) -> ExecCreateRequest:
    """The request that prepares a further process."""
    given: dict[str, Any] = dict(options)
    if "env" in given:
        given["env"] = _pairs("=")(given["env"])
    return ExecCreateRequest(
        cmd=words(command), attach_stdin=stdin, attach_stdout=True, attach_stderr=True, **given
    )


_HOST_TEXTS = {
    "network": "network_mode",
    "read_only": "readonly_rootfs",
    "privileged": "privileged",
    "shm_size": "shm_size",
    "oom_score_adj": "oom_score_adj",
    "ipc": "ipc_mode",
    "pid": "pid_mode",
    "uts": "uts_mode",
    "cgroupns": "cgroupns_mode",
    "userns": "userns_mode",
    "init": "init",
    "auto_remove": "auto_remove",
    "runtime": "runtime",
}
_HOST_LISTS = {
    "dns": "dns",
    "binds": "binds",
    "mounts": "mounts",
    "volumes_from": "volumes_from",
    "cap_add": "cap_add",
    "cap_drop": "cap_drop",
    "security_opt": "security_opt",
    "group_add": "group_add",
}
_HOST_MAPS = {"tmpfs": "tmpfs", "sysctls": "sysctls", "annotations": "annotations"}
_CONFIG_TEXTS = (
    "working_dir",
    "user",
    "hostname",
    "domainname",
    "tty",
    "stop_signal",
    "stop_timeout",
)


def _pairs(between: str) -> Callable[[Mapping[str, str]], list[str]]:
    return lambda given: [f"{key}{between}{value}" for key, value in given.items()]


def _ulimits(given: Mapping[str, int | tuple[int, int]]) -> list[Ulimit]:
    both = {name: (each, each) if isinstance(each, int) else each for name, each in given.items()}
    return [Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in both.items()]


def _devices(given: Iterable[str]) -> list[DeviceMapping]:
    return [_device(each) for each in given]


def _device(text: str) -> DeviceMapping:
    source, _, rest = text.partition(":")
    target, _, permissions = rest.partition(":")
    return DeviceMapping(
        path_on_host=source,
        path_in_container=target or source,
        cgroup_permissions=permissions or "rwm",
    )


_HOST_OTHERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "extra_hosts": ("extra_hosts", _pairs(":")),
    "ulimits": ("ulimits", _ulimits),
    "devices": ("devices", _devices),
}
_CONFIG_OTHERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "env": ("env", _pairs("=")),
    "labels": ("labels", dict),
    "health": ("healthcheck", lambda health: health),
    "entrypoint": ("entrypoint", words),
}


def _converted(
    given: dict[str, Any], table: dict[str, tuple[str, Callable[[Any], Any]]]
) -> dict[str, Any]:
    found = [name for name in table if name in given]
    return {table[name][0]: table[name][1](given.pop(name)) for name in found}


_LIMITS = {
    "memory": "memory",
    "memory_reservation": "memory_reservation",
    "memory_swap": "memory_swap",
    "cpu_shares": "cpu_shares",
    "cpuset": "cpuset_cpus",
    "pids_limit": "pids_limit",
}


def _limits(given: dict[str, Any]) -> dict[str, Any]:
    """The limits, taken out of ``given``."""
    fields = {field: given.pop(name) for name, field in _LIMITS.items() if name in given}
    if "cpus" in given:
        fields["nano_cpus"] = round(given.pop("cpus") * 1_000_000_000)
    if "restart" in given:
        fields["restart_policy"] = _restart(given.pop("restart"))
    return fields


def _restart(text: str) -> RestartPolicy:
    name, _, count = text.partition(":")
    if count and not count.isdecimal():
        raise InvalidArgumentError(f"invalid restart policy: {text}")
    return RestartPolicy(name=name, maximum_retry_count=int(count or 0))


def _port(name: str) -> str:
    return name if "/" in name else f"{name}/tcp"


def _binding(to: int | tuple[str, int] | None) -> list[PortBinding]:
    host, port = to if isinstance(to, tuple) else ("", to)
    return [PortBinding(host_ip=host, host_port="" if port is None else str(port))]


def _refuse_unknown(given: Mapping[str, object]) -> None:
    if given:
        raise TypeError(f"unknown option {', '.join(sorted(given))}")
