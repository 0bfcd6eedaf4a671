"""Who a request wants to be for a registry: the header ``X-Registry-Auth``.

Law: what is in it is never logged and in no error.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from knarr.api import requests
from knarr.api.registry import AuthConfig
from knarr.errors import KnarrError
from knarr.remotes import Credentials

if TYPE_CHECKING:
    from .call import Call

HEADER = "X-Registry-Auth"
_LONGEST = 64 << 10


def of(call: Call) -> Credentials | None:
    """The credentials of the header; None for none, and, as in Docker, for what is none."""
    text = call.request.headers.get(HEADER, "")
    if not text or len(text) > _LONGEST:
        return None
    try:
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
        return from_config(requests.decode(AuthConfig, raw))
    except (binascii.Error, ValueError, KnarrError):
        return None


def from_config(config: AuthConfig) -> Credentials | None:
    """The credentials of a message; None when it says nothing."""
    username, password = config.username, config.password
    if config.auth and not (username or password):
        try:
            pair = base64.b64decode(config.auth).decode()
        except (binascii.Error, ValueError):
            pair = ""
        username, _, password = pair.rstrip("\0").partition(":")
    made = Credentials(username, password, config.identity_token, config.registry_token)
    return made if any(made) else None
