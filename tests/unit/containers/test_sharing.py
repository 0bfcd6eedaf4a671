from __future__ import annotations

from typing import Any

import pytest

from knarr.api.containers import ContainerConfig, Empty
from knarr.api.host_config import HostConfig
from knarr.api.networks import PortBinding
from knarr.containers import sharing
from knarr.errors import InvalidArgumentError

CONFLICTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"hostname": "x"}, {}, "hostname and the network mode"),
    ({}, {"dns": ["1.1.1.1"]}, "dns and the network mode"),
    ({}, {"extra_hosts": ["a:1.1.1.1"]}, "custom host-to-IP mapping and the network mode"),
    ({"mac_address": "02:00:00:00:00:01"}, {}, "mac-address and the network mode"),
    (
        {},
        {"links": ["a:b"]},
        "container type network can't be used with links. This would result in undefined behavior",
    ),
    (
        {},
        {"port_bindings": {"80/tcp": [PortBinding()]}},
        "port publishing and the container type network mode",
    ),
    ({}, {"publish_all_ports": True}, "port publishing and the container type network mode"),
    (
        {"exposed_ports": {"80/tcp": Empty()}},
        {},
        "port exposing and the container type network mode",
    ),
]


@pytest.mark.parametrize(
    ("config", "host", "words"), CONFLICTS, ids=[words[:20] for _, _, words in CONFLICTS]
)
def test_conflicts_with_the_network_of_another(
    config: dict[str, Any], host: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        sharing.conflicts(
            ContainerConfig(**config), HostConfig(network_mode="container:other", **host)
        )
    assert caught.value.message == f"conflicting options: {words}"


def test_other_conflicts() -> None:
    with pytest.raises(InvalidArgumentError, match="hostname and the UTS mode"):
        sharing.conflicts(ContainerConfig(hostname="x"), HostConfig(uts_mode="host"))
    with pytest.raises(InvalidArgumentError, match="host type networking can't be used with links"):
        sharing.conflicts(ContainerConfig(), HostConfig(network_mode="host", links=["a:b"]))
    for mode in ("container", "container:"):
        with pytest.raises(InvalidArgumentError, match="invalid container format"):
            sharing.conflicts(ContainerConfig(), HostConfig(network_mode=mode))
