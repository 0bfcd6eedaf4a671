"""How each registry is to be spoken to, as the administrator decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class RegistryRule(NamedTuple):
    """What holds for one registry, as ``[registries."HOST"]`` of the configuration says it.

    ``mirrors`` are URLs that are read from first, in order. ``insecure`` lets its certificate be
    unverified and plain HTTP be used. ``ca``, ``client_cert`` and ``client_key`` are files in PEM.
    """

    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""


class Rules(NamedTuple):
    """The rules of all registries: by ``host[:port]``, and the insecure ones by name or CIDR."""

    registries: Mapping[str, RegistryRule] = {}
    insecure: tuple[str, ...] = ()
