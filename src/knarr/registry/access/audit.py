"""The audit log: who did what, one JSON object in a line.

::

    {"time":"2026-01-02T03:04:05Z","user":"alice","peer":"10.0.0.7","method":"PUT",
     "path":"/v2/team/app/manifests/1","status":201}

Noted is what changes something, and what was refused. Queries are left out: they may hold tokens.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path

_READING = {"GET", "HEAD"}
_REFUSED = {401, 403, 429}
_LONGEST_PATH = 1024


class Audit:
    """An audit log in a file, which is opened for appending: it may be rotated by renaming it.

    Raises ``InvalidArgumentError`` for a file that cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor, self._inode = -1, 0
        try:
            self._open()
        except OSError as error:
            raise InvalidArgumentError(f'cannot write the audit log "{path}": {error}') from error

    def note(self, *, user: str, peer: str, method: str, path: str, status: int) -> None:
        """Note a request, if it is one of those that are noted."""
        if method in _READING and status not in _REFUSED:
            return
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "user": user,
            "peer": peer,
            "method": method,
            "path": path[:_LONGEST_PATH],
            "status": status,
        }
        self._follow()
        # One write of a short line to a file opened for appending is never mixed with another's.
        os.write(self._descriptor, msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        self._inode = os.fstat(self._descriptor).st_ino

    def _follow(self) -> None:
        """Open the file again when another one, or none, has its name."""
        try:
            if self._path.stat().st_ino == self._inode:
                return
        except FileNotFoundError:
            pass
        os.close(self._descriptor)
        self._open()
