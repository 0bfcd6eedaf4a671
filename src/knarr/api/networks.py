"""Networks and endpoints.

``EndpointSettings`` is both what a client asks for when a container joins a network and what is
reported of the endpoint; only the first six fields are read from requests.

Source: Engine API v1.51, definitions ``EndpointSettings``, ``NetworkSettings``, ``Network``.
"""

from __future__ import annotations

import msgspec

from knarr.api.message import ZERO_TIME, Message, always, null


class EndpointIPAMConfig(Message, frozen=True, kw_only=True):
    """Addresses that the client wants for an endpoint."""

    ipv4_address: str = always(str, name="IPv4Address")
    ipv6_address: str = always(str, name="IPv6Address")
    link_local_ips: list[str] | None = always(null, name="LinkLocalIPs")


class EndpointSettings(Message, frozen=True, kw_only=True):
    """A container's endpoint in one network."""

    ipam_config: EndpointIPAMConfig | None = always(null, name="IPAMConfig")
    links: list[str] | None = always(null)
    aliases: list[str] | None = always(null)
    mac_address: str = always(str)
    driver_opts: dict[str, str] | None = always(null)
    gw_priority: int = always(int)
    network_id: str = always(str, name="NetworkID")
    endpoint_id: str = always(str, name="EndpointID")
    gateway: str = always(str)
    ip_address: str = always(str, name="IPAddress")
    ip_prefix_len: int = always(int, name="IPPrefixLen")
    ipv6_gateway: str = always(str, name="IPv6Gateway")
    global_ipv6_address: str = always(str, name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = always(int, name="GlobalIPv6PrefixLen")
    dns_names: list[str] | None = always(null, name="DNSNames")


class NetworkingConfig(Message, frozen=True, kw_only=True):
    """The networks that a new container joins, by network name."""

    endpoints_config: dict[str, EndpointSettings | None] | None = always(null)


class PortBinding(Message, frozen=True, kw_only=True):
    """A host address and port to which a container port is bound; both are strings in Docker."""

    host_ip: str = always(str)
    host_port: str = always(str)


class Address(Message, frozen=True, kw_only=True):
    """An IP address and the length of its prefix."""

    addr: str = always(str)
    prefix_len: int = always(int)


class NetworkSettings(Message, frozen=True, kw_only=True):
    """What ``inspect`` shows of a container's networks; the flat fields are those of ``bridge``."""

    bridge: str = always(str)
    sandbox_id: str = always(str, name="SandboxID")
    sandbox_key: str = always(str)
    ports: dict[str, list[PortBinding] | None] = always(dict)
    hairpin_mode: bool = always(bool)
    link_local_ipv6_address: str = always(str, name="LinkLocalIPv6Address")
    link_local_ipv6_prefix_len: int = always(int, name="LinkLocalIPv6PrefixLen")
    secondary_ip_addresses: list[Address] | None = always(null, name="SecondaryIPAddresses")
    secondary_ipv6_addresses: list[Address] | None = always(null, name="SecondaryIPv6Addresses")
    endpoint_id: str = always(str, name="EndpointID")
    gateway: str = always(str)
    global_ipv6_address: str = always(str, name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = always(int, name="GlobalIPv6PrefixLen")
    ip_address: str = always(str, name="IPAddress")
    ip_prefix_len: int = always(int, name="IPPrefixLen")
    ipv6_gateway: str = always(str, name="IPv6Gateway")
    mac_address: str = always(str)
    networks: dict[str, EndpointSettings] = always(dict)


class IPAMConfig(Message, frozen=True, kw_only=True):
    """One address pool of a network."""

    subnet: str = ""
    ip_range: str = msgspec.field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] | None = None


class IPAM(Message, frozen=True, kw_only=True):
    """How a network gives out addresses."""

    driver: str = always(lambda: "default")
    options: dict[str, str] | None = always(null)
    config: list[IPAMConfig] = always(list)


class NetworkContainer(Message, frozen=True, kw_only=True):
    """A container in a network, as ``network inspect`` shows it; addresses are in CIDR form."""

    name: str = always(str)
    endpoint_id: str = always(str, name="EndpointID")
    mac_address: str = always(str)
    ipv4_address: str = always(str, name="IPv4Address")
    ipv6_address: str = always(str, name="IPv6Address")


class ConfigReference(Message, frozen=True, kw_only=True):
    """The network whose configuration this one copies; knarr has none."""

    network: str = always(str)


class Network(Message, frozen=True, kw_only=True):
    """A network, as ``network ls`` and ``network inspect`` show it."""

    name: str
    id: str
    created: str = always(lambda: ZERO_TIME)
    scope: str = always(lambda: "local")
    driver: str
    enable_ipv4: bool = always(bool, name="EnableIPv4")
    enable_ipv6: bool = always(bool, name="EnableIPv6")
    ipam: IPAM = always(IPAM, name="IPAM")
    internal: bool = always(bool)
    attachable: bool = always(bool)
    ingress: bool = always(bool)
    config_from: ConfigReference = always(ConfigReference)
    config_only: bool = always(bool)
    containers: dict[str, NetworkContainer] = always(dict)
    options: dict[str, str] = always(dict)
    labels: dict[str, str] = always(dict)


class NetworkPrune(Message, frozen=True, kw_only=True):
    """``POST /networks/prune``: the names of what was deleted."""

    networks_deleted: list[str] | None = always(null)
