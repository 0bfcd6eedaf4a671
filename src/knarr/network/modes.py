"""Network modes of containers, as far as knarr has networks: none, host, another container's.

Law: ``bridge`` is accepted, because it is what a request without a mode means, and answered with
a warning: such a container has the loopback device only until networks are built.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from knarr.api.networks import EndpointSettings
from knarr.errors import InvalidArgumentError, UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.api.networks import NetworkingConfig

BUILT_IN = ("bridge", "host", "none")
#: The networks that can be seen, with their drivers; ``bridge`` is not shown before it works.
DRIVERS: Mapping[str, str] = {"host": "host", "none": "null"}
NO_BRIDGE = (
    'The "bridge" network is not built yet: the container has the loopback device only. '
    "Say --network none or --network host to choose."
)
_OTHER = "container:"


def network_id(name: str) -> str:
    """The id of a built-in network: the same on every host."""
    return hashlib.sha256(f"knarr network {name}".encode()).hexdigest()


def has_ports(mode: str) -> bool:
    """Whether ports can be published from there: a container has addresses of its own."""
    return mode not in DRIVERS and not mode.startswith(_OTHER)


def check(mode: str) -> list[str]:
    """Warnings about a mode; raises ``InvalidArgumentError`` for a network that does not exist.

    Not 404: to that, docker answers by pulling the image.
    """
    if mode == "bridge":
        return [NO_BRIDGE]
    if mode not in BUILT_IN and not mode.startswith(_OTHER):
        raise InvalidArgumentError(f"network {mode} not found")
    return []


def endpoints(mode: str, wanted: NetworkingConfig | None) -> dict[str, EndpointSettings]:
    """The endpoints of a new container, by network name.

    Raises ``UnimplementedError`` for addresses and for more networks than the mode's own.
    """
    if (mode.startswith(_OTHER) or mode == "host") and any(
        each and each.mac_address for each in ((wanted and wanted.endpoints_config) or {}).values()
    ):
        raise InvalidArgumentError("conflicting options: mac-address and the network mode")
    if mode.startswith(_OTHER):
        return {}
    asked = dict((wanted.endpoints_config if wanted else None) or {})
    own = asked.pop(mode, None) or asked.pop("default", None) or EndpointSettings()
    if asked:
        raise UnimplementedError(
            f"networks are not built yet: cannot connect to {', '.join(sorted(asked))}"
        )
    ipam = own.ipam_config
    if ipam and (ipam.ipv4_address or ipam.ipv6_address or ipam.link_local_ips):
        raise InvalidArgumentError(
            f"invalid config for network {mode}: invalid endpoint settings:\n"
            "user specified IP address is supported on user defined networks only"
        )
    if own.links or (own.mac_address and mode != "none"):
        raise UnimplementedError("addresses and links of containers cannot be chosen yet")
    return {mode: msgspec.structs.replace(own, network_id=network_id(mode))}
