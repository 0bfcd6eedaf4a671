"""Which namespaces a container shares, and what cannot be chosen beside that.

Law: pure; over the request as it came, before the image's configuration is merged in. Docker's
words.

Source: moby ``runconfig/hostconfig_unix.go`` and ``runconfig/hostconfig.go``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from knarr.api.containers import ContainerConfig
    from knarr.api.host_config import HostConfig

OTHER = "container:"

_UNDEFINED = "This would result in undefined behavior"


def conflicts(config: ContainerConfig, host: HostConfig) -> None:
    """Refuse options that contradict the network or the UTS mode."""
    if host.network_mode == "container" or host.network_mode.startswith(OTHER):
        _with_the_network_of_another(config, host)
    if host.uts_mode == "host" and config.hostname:
        raise InvalidArgumentError("conflicting options: hostname and the UTS mode")
    if host.network_mode == "host" and host.links:
        raise InvalidArgumentError(
            f"conflicting options: host type networking can't be used with links. {_UNDEFINED}"
        )


def _with_the_network_of_another(config: ContainerConfig, host: HostConfig) -> None:
    if not host.network_mode.removeprefix(OTHER) or host.network_mode == "container":
        raise InvalidArgumentError(
            "invalid network mode: invalid container format container:<name|id>"
        )
    for given, what in (
        (config.hostname, "hostname and the network mode"),
        (host.links, f"container type network can't be used with links. {_UNDEFINED}"),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (
            host.port_bindings or host.publish_all_ports,
            "port publishing and the container type network mode",
        ),
        (config.exposed_ports, "port exposing and the container type network mode"),
        (config.mac_address, "mac-address and the network mode"),
    ):
        if given:
            raise InvalidArgumentError(f"conflicting options: {what}")


def modes(host: HostConfig) -> None:
    """Refuse modes that do not exist."""
    if host.pid_mode not in {"", "host"} and not _names_a_container(host.pid_mode):
        raise InvalidArgumentError(f"invalid PID mode: {host.pid_mode}")
    if host.ipc_mode not in {"private", "shareable", "none", "host"} and not _names_a_container(
        host.ipc_mode
    ):
        raise InvalidArgumentError(f"invalid IPC mode: {host.ipc_mode}")
    if host.uts_mode not in {"", "host"}:
        raise InvalidArgumentError(f"invalid UTS mode: {host.uts_mode}")
    if host.userns_mode not in {"", "host"}:
        raise InvalidArgumentError(f"invalid USER mode: {host.userns_mode}")
    if host.cgroupns_mode not in {"private", "host"}:
        raise InvalidArgumentError(f"invalid cgroup namespace mode: {host.cgroupns_mode}")
    if host.isolation not in {"", "default"}:
        raise InvalidArgumentError(
            f"invalid isolation ({host.isolation}): linux only supports 'default'"
        )


def _names_a_container(mode: str) -> bool:
    return mode.startswith(OTHER) and mode != OTHER
