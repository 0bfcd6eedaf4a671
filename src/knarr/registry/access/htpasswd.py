"""Passwords in a file as Apache's htpasswd writes it, with bcrypt (``htpasswd -B``).

The file is read again when it has changed. To check a password takes a tenth of a second by
design, so one that was right is remembered for a minute, as a keyed hash. An unknown user takes as
long as a wrong password.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from pathlib import Path
from typing import NamedTuple

from knarr.errors import InvalidArgumentError, UnavailableError

_LARGEST_FILE = 16 << 20
_LONGEST_PASSWORD = 72  # bytes; bcrypt looks at no more
_REMEMBERED_SECONDS = 60.0
_MOST_REMEMBERED = 10_000
#: Of no password: what an unknown user is compared with.
_NOBODY = b"$2b$10$abcdefghijklmnopqrstuuXyJmMjfZq5v0V8mT1Jm9n8zYxWvTqHe"


class _Read(NamedTuple):
    version: tuple[int, int, int]
    users: dict[str, bytes]


class Htpasswd:
    """The users of one file. Blocks; safe to use from several threads.

    Raises ``InvalidArgumentError`` for a file that cannot be used.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, float] = {}
        self._file = self._load()

    def check(self, user: str, password: str) -> bool:
        """Whether this is the password of the user."""
        import bcrypt  # noqa: PLC0415 - only a registry with passwords needs it

        self._reload()
        stored = self._file.users.get(user)
        given = password.encode()
        if len(given) > _LONGEST_PASSWORD or b"\0" in given:
            given, stored = b"", None
        proof = hmac.digest(
            self._key, b"\0".join((user.encode(), given, stored or b"")), hashlib.sha256
        )
        now = time.monotonic()
        if stored is not None and self._right.get(proof, 0) > now:
            return True
        try:
            is_right = bcrypt.checkpw(given, stored or _NOBODY) and stored is not None
        except ValueError:
            return False
        if is_right:
            if len(self._right) >= _MOST_REMEMBERED:
                self._right.clear()
            self._right[proof] = now + _REMEMBERED_SECONDS
        return is_right

    def _reload(self) -> None:
        try:
            if _version(self._path) != self._file.version:
                self._file = self._load()
        except (OSError, InvalidArgumentError) as error:
            # Who was let in before is not let in on the word of a file that is gone.
            raise UnavailableError(
                f'cannot read the passwords in "{self._path}": {error}'
            ) from error

    def _load(self) -> _Read:
        try:
            version = _version(self._path)
            if version[1] > _LARGEST_FILE:
                raise InvalidArgumentError(f'"{self._path}" is too large')
            text = self._path.read_text()
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(
                f'cannot read the passwords in "{self._path}": {error}'
            ) from error
        users = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            user, colon, stored = line.strip().partition(":")
            if not colon or not stored.startswith(("$2a$", "$2b$", "$2y$")):
                raise InvalidArgumentError(
                    f'line {number} of "{self._path}" has no bcrypt password', hint="htpasswd -B"
                )
            users[user] = stored.encode()
        return _Read(version, users)


def _version(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
