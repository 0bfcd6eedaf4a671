"""What a registry knows a user by, and the keys under which it is kept."""

from __future__ import annotations

import base64
import binascii
import json
from typing import NamedTuple

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
"""The key of Docker Hub, for historical reasons."""

_HUB_NAMES = frozenset({"", HUB, "index.docker.io", "registry-1.docker.io", HUB_KEY})


class Login(NamedTuple):
    """A user of one registry; its text shows no secret.

    ``identity_token`` stands for the password where a registry gave one at the login.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Login(username={self.username!r})"

    def __bool__(self) -> bool:
        return any(tuple(self))

    def header(self, key: str) -> tuple[str, str]:
        """The header by which a request tells the engine who asks."""
        fields = {
            "username": self.username,
            "password": self.password,
            "identitytoken": self.identity_token,
            "registrytoken": self.registry_token,
        }
        said = {name: value for name, value in fields.items() if value}
        raw = json.dumps({**said, "serveraddress": key}).encode()
        return "X-Registry-Auth", base64.urlsafe_b64encode(raw).decode()


def key_of_server(address: str) -> str:
    """The key of a registry that a person named, maybe with a scheme and a path."""
    if address in _HUB_NAMES or host_of(address) in _HUB_NAMES:
        return HUB_KEY
    return host_of(address)


def key_of_image(name: str) -> str:
    """The key of the registry that an image's name means."""
    first, slash, _ = name.partition("/")
    is_host = slash and (
        first == "localhost" or "." in first or ":" in first or first.lower() != first
    )
    return key_of_server(first if is_host else HUB)


def host_of(key: str) -> str:
    """``host[:port]`` of a key, which may be a URL."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def encode_pair(username: str, password: str) -> str:
    """A name and a password as the file keeps them."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def decode_pair(text: str) -> tuple[str, str]:
    """The name and the password; raises ``ValueError``."""
    try:
        name, colon, password = base64.b64decode(text).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("invalid auth configuration file") from error
    if not colon:
        raise ValueError("invalid auth configuration file")
    return name, password.rstrip("\0")
