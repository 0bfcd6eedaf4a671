"""What the tables need of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

T = TypeVar("T")


class Access(Protocol):
    """Transactions that write and snapshots to read from; see ``Database``."""

    def write(self, body: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run ``body`` in a transaction and return what it returns, once committed."""
        ...

    def submit(self, body: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> Future[T]:
        """As ``write``, but answers at once; writes are done in the order of the calls."""
        ...

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection inside one consistent snapshot."""
        ...
