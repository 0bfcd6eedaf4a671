"""What proves to a registry who asks."""

from __future__ import annotations

from typing import NamedTuple


class Credentials(NamedTuple):
    """As in Docker's ``X-Registry-Auth``; its text never shows a secret.

    ``identity_token`` is a refresh token that stands for the password; ``registry_token`` is sent
    to the registry as it is.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"
