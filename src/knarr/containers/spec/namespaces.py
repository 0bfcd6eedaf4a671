"""Which namespaces a container has of its own, and the kernel parameters that live in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from knarr.api.host_config import HostConfig
    from knarr.oci.runtime_spec import Namespace

    from .inputs import SpecInputs


def namespaces(inputs: SpecInputs) -> list[Namespace]:
    """One entry for each namespace that is not the host's."""
    host = inputs.record.host_config
    wanted: list[Namespace] = [{"type": "mount"}]
    for kind, mode, path in (
        ("network", host.network_mode, inputs.join.network),
        ("pid", host.pid_mode, inputs.join.pid),
        ("ipc", host.ipc_mode, inputs.join.ipc),
        ("uts", host.uts_mode, ""),
        ("cgroup", host.cgroupns_mode, ""),
    ):
        if mode == "host":
            continue
        namespace: Namespace = {"type": kind}
        if path:
            namespace["path"] = path
        wanted.append(namespace)
    return wanted


def sysctls(host: HostConfig) -> dict[str, str]:
    """Kernel parameters: Docker lets every user ping and bind low ports in its own network."""
    given = dict(host.sysctls or {})
    if host.network_mode == "host" or host.network_mode.startswith("container:"):
        return given
    defaults = {
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": "0 2147483647",
    }
    return defaults | given
