"""What a request may say: refusals and warnings in Docker's words.

Law: pure, over the merged configuration. An option that would change isolation or limits and that
knarr does not have is refused with ``UnimplementedError``; one that has no effect here but harms
nothing is accepted. A limit that this kernel cannot keep is dropped with a warning, as in Docker.

Source: moby ``daemon/container.go`` (verifyContainerSettings) and ``daemon/daemon_unix.go``.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

from knarr.containers import limits, logdrivers, security, sharing, signals
from knarr.errors import InvalidArgumentError, UnimplementedError
from knarr.network import modes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.api.containers import ContainerConfig
    from knarr.api.host_config import HostConfig, RestartPolicy
    from knarr.containers.facts import HostFacts

_OOM_SCORE_LIMIT = 1000
_IPC_SYSCTLS = frozenset(
    {
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    }
)
_UTS_SYSCTLS = frozenset({"kernel.domainname", "kernel.hostname"})


def config(wanted: ContainerConfig) -> None:
    """Check the part that is the same on every host."""
    if wanted.working_dir and not wanted.working_dir.startswith("/"):
        raise InvalidArgumentError(
            f"the working directory '{wanted.working_dir}' is invalid, it needs to be an "
            "absolute path"
        )
    for entry in wanted.env or ():
        if not entry.partition("=")[0] or "\0" in entry:
            raise InvalidArgumentError(f"invalid environment variable: {entry}")
    if wanted.stop_signal:
        signals.parse(wanted.stop_signal)
    if any("\0" in word for word in [*(wanted.cmd or ()), *(wanted.entrypoint or ())]):
        raise InvalidArgumentError("invalid command: it holds a null byte")
    for name in (wanted.hostname, wanted.domainname):
        if len(name) > 64 or not name.isprintable():
            raise InvalidArgumentError(f"invalid hostname format: {name}")


def host_config(
    wanted: HostConfig, facts: HostFacts, runtimes: Mapping[str, str]
) -> tuple[HostConfig, list[str]]:
    """The host configuration that can be kept here, and what the user should know.

    ``runtimes`` gives the runtime for each name of one.
    """
    restart_policy(wanted.restart_policy, auto_remove=wanted.auto_remove)
    sharing.modes(wanted)
    _refuse_unbuilt(wanted)
    if wanted.runtime not in runtimes:
        raise InvalidArgumentError(f"unknown or invalid runtime name: {wanted.runtime}")
    if wanted.shm_size < 0:
        raise InvalidArgumentError("SHM size can not be less than 0")
    if abs(wanted.oom_score_adj) > _OOM_SCORE_LIMIT:
        raise InvalidArgumentError(
            f"Invalid value {wanted.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )
    _extra_hosts(wanted)
    _sysctls(wanted)
    logdrivers.check(wanted.log_config)
    security.capabilities(wanted, facts.capabilities)
    security.parse_options(wanted)
    kept, warnings = limits.check(wanted, facts)
    kept = msgspec.structs.replace(kept, runtime=runtimes[wanted.runtime])
    if wanted.network_mode == "host" and wanted.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    if wanted.publish_all_ports and modes.has_ports(wanted.network_mode):
        warnings.append("Ports are not published yet: --publish-all has no effect")
    return kept, warnings


def restart_policy(policy: RestartPolicy, *, auto_remove: bool) -> None:
    """Check a policy; a container that is removed at its end cannot have one."""
    if policy.name not in {"no", "always", "on-failure", "unless-stopped"}:
        raise InvalidArgumentError(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', "
            "'on-failure', or 'unless-stopped'"
        )
    if policy.maximum_retry_count < 0:
        raise InvalidArgumentError("invalid restart policy: maximum retry count cannot be negative")
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise InvalidArgumentError(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if auto_remove and policy.name != "no":
        raise InvalidArgumentError("can't create 'AutoRemove' container with restart policy")


def _refuse_unbuilt(wanted: HostConfig) -> None:
    """What would change what the container can do or see, and is not there."""
    for given, option in (
        (wanted.links, "--link"),
        (wanted.cgroup, "--cgroup"),
        (wanted.port_bindings and modes.has_ports(wanted.network_mode), "--publish"),
    ):
        if given:
            raise UnimplementedError(f"{option} is not supported yet")
    for name, value in (wanted.storage_opt or {}).items():
        if name != "size":
            raise InvalidArgumentError(f"unknown option {name}")
        limits.parse_size(value)
    for request in wanted.device_requests or ():
        wishes = " ".join(f"[{' '.join(words)}]" for words in request.capabilities or ())
        raise InvalidArgumentError(
            f'could not select device driver "{request.driver}" with capabilities: [{wishes}]'
        )


def _extra_hosts(wanted: HostConfig) -> None:
    for entry in wanted.extra_hosts or ():
        name, _, address = entry.partition(":")
        if not name or not address:
            raise InvalidArgumentError(f'bad format for add-host: "{entry}"')
        try:
            ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            if address == "host-gateway":
                raise UnimplementedError(
                    "host-gateway in --add-host is not supported yet"
                ) from None
            raise InvalidArgumentError(f'invalid IP address in add-host: "{address}"') from None


def _sysctls(wanted: HostConfig) -> None:
    """Only parameters of namespaces that the container has for itself may be changed."""
    for key in wanted.sysctls or {}:
        name = key.replace("/", ".")
        shared = ""
        if name.startswith("net."):
            if wanted.network_mode == "host" or wanted.network_mode.startswith("container:"):
                shared = "network"
        elif name in _IPC_SYSCTLS or name.startswith("fs.mqueue."):
            shared = "ipc" if wanted.ipc_mode == "host" else ""
        elif name in _UTS_SYSCTLS:
            shared = "uts" if wanted.uts_mode == "host" else ""
        else:
            raise InvalidArgumentError(f'sysctl "{key}" is not in a separate kernel namespace')
        if shared:
            raise InvalidArgumentError(f'sysctl "{key}" not allowed in host {shared} namespace')
        if ".." in name:
            raise InvalidArgumentError(f'sysctl "{key}" is not in a separate kernel namespace')
