"""Tokens: a signed statement of what its bearer may do for a few minutes.

The form is ``payload.signature``, both base64url, signed with HMAC-SHA-256. Servers that share the
key take each other's tokens; nobody else can make one or needs to read one.

Source for what goes over the wire: Docker's token authentication specification.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import time
from typing import TYPE_CHECKING

import msgspec

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path

_KEY_BYTES = 32
_LONGEST = 16 << 10


class Token(msgspec.Struct, frozen=True):
    """What a token says: the user, until when (seconds since 1970), actions by repository."""

    user: str
    until: float
    access: dict[str, list[str]]

    def may(self, action: str, repository: str) -> bool:
        """Whether it was granted."""
        return action in self.access.get(repository, ())


_DECODER = msgspec.json.Decoder(Token)


class Signer:
    """Makes and checks tokens with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, token: Token) -> str:
        """The token as it is handed out."""
        payload = _encode(msgspec.json.encode(token))
        return f"{payload}.{_encode(self._signature(payload))}"

    def check(self, text: str) -> Token | None:
        """What a token says, None for one that is not ours or too old."""
        payload, dot, signature = text.partition(".")
        if not dot or len(text) > _LONGEST:
            return None
        try:
            if not hmac.compare_digest(_decode(signature), self._signature(payload)):
                return None
            token = _DECODER.decode(_decode(payload))
        except (binascii.Error, msgspec.DecodeError, ValueError):
            return None
        return token if token.until > time.time() else None

    def _signature(self, payload: str) -> bytes:
        return hmac.digest(self._key, payload.encode(errors="surrogateescape"), hashlib.sha256)


def load_key(path: Path) -> bytes:
    """The key in a file, which is made if it is not there.

    Raises ``InvalidArgumentError`` for a file that others may read.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(_KEY_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise InvalidArgumentError(f'others may read the key in "{path}"', hint=f"chmod 600 {path}")
    key = path.read_bytes().strip()
    if len(key) < _KEY_BYTES:
        raise InvalidArgumentError(f'the key in "{path}" is shorter than {_KEY_BYTES} bytes')
    return key


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
