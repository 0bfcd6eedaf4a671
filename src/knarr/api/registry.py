"""Registries: logging in, asking for an image, searching.

Source: Engine API v1.51, definitions ``AuthConfig``, ``SystemAuthResponse``,
``DistributionInspect``, ``ImageSearchResponseItem``.
"""

from __future__ import annotations

import msgspec

from knarr.api.message import Message, always, null
from knarr.oci.platform import Platform


class AuthConfig(Message, frozen=True, kw_only=True, rename="lower"):
    """Who asks a registry: the body of ``POST /auth``, and ``X-Registry-Auth`` in Base64.

    ``auth`` is ``username:password`` in Base64, for those who send it so. Its text shows no secret.
    """

    username: str = ""
    password: str = ""
    auth: str = ""
    email: str = ""
    server_address: str = msgspec.field(default="", name="serveraddress")
    identity_token: str = msgspec.field(default="", name="identitytoken")
    registry_token: str = msgspec.field(default="", name="registrytoken")

    def __repr__(self) -> str:
        return f"AuthConfig(username={self.username!r}, server_address={self.server_address!r})"


class AuthResponse(Message, frozen=True, kw_only=True):
    """The answer of ``POST /auth``."""

    identity_token: str = always(str)
    status: str = always(lambda: "Login Succeeded")


class Descriptor(Message, frozen=True, kw_only=True, rename="camel"):
    """A document in a registry."""

    media_type: str
    digest: str
    size: int


class DistributionInspect(Message, frozen=True, kw_only=True):
    """``GET /distribution/{name}/json``: what a name means on its registry now."""

    descriptor: Descriptor
    platforms: list[Platform] | None = always(null)


class SearchResult(Message, frozen=True, kw_only=True, rename=None):
    """An entry of ``GET /images/search``."""

    star_count: int = always(int)
    is_official: bool = always(bool)
    name: str
    is_automated: bool = always(bool)
    description: str = always(str)
