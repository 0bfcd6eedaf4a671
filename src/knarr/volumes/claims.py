"""Who is about to use a volume, and which volumes are about to go.

Law: a container that is being made claims its volumes until it is among the containers, where a
removal can see it; a removal claims a volume before it looks for containers that use it. So one of
the two finds the other's claim and fails. Claims never wait, and are made in any thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from typing import TYPE_CHECKING

from knarr.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Claims:
    """The claims on the volumes of one engine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()
        self._going: set[str] = set()

    @contextlib.contextmanager
    def using(self) -> Iterator[Use]:
        """The claims of one user, to be added to; they end together."""
        use = Use(self)
        try:
            yield use
        finally:
            with self._lock:
                self._users.subtract(use.names)
                self._users += Counter()  # drops those that nobody claims

    @contextlib.contextmanager
    def removing(self, name: str) -> Iterator[None]:
        """Claim a volume in order to remove it; raises ``ConflictError`` when that is too late."""
        with self._lock:
            if name in self._going:
                raise ConflictError(f"remove {name}: volume is being removed already")
            if self._users[name]:
                raise ConflictError(f"remove {name}: volume is in use - a container is being made")
            self._going.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._going.discard(name)

    def add(self, use: Use, name: str) -> None:
        """Claim a volume for a user; raises ``ConflictError`` when it is being removed."""
        with self._lock:
            if name in self._going:
                raise ConflictError(f"volume {name} is being removed")
            if name not in use.names:
                self._users[name] += 1
                use.names.add(name)

    def is_alone(self, use: Use, name: str) -> bool:
        """Whether no other user has claimed the volume."""
        with self._lock:
            return self._users[name] - (name in use.names) == 0


class Use:
    """The volumes that one user has claimed."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self.names: set[str] = set()

    def claim(self, name: str) -> None:
        """Claim one more; raises ``ConflictError`` when it is being removed."""
        self._claims.add(self, name)

    def is_alone(self, name: str) -> bool:
        """Whether nobody else has claimed it."""
        return self._claims.is_alone(self, name)
