"""Leases: what an operation in flight needs, though nothing names it yet.

Law: a lease ends with its operation, or with the engine: none outlives a start.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Literal, NewType

from knarr.metadata.reachability import doom_leased, doom_unreachable, live

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from knarr.metadata.access import Access

LeaseID = NewType("LeaseID", str)
Kind = Literal["blob", "layer"]


class LeaseTable:
    """Leases, and the list of doomed content that they can save."""

    def __init__(self, database: Access) -> None:
        self._database = database

    def acquire(self, purpose: str) -> LeaseID:
        """Begin a lease; ``purpose`` is for people who look into the database."""
        lease_id = LeaseID(uuid.uuid4().hex)

        def body(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO leases (id, purpose) VALUES (?, ?)", (lease_id, purpose)
            )

        # A lease that a power cut takes away is one that the next start would end anyhow.
        self._database.write(body, durable=False)
        return lease_id

    def hold(self, lease_id: LeaseID, kind: Kind, keys: Iterable[str]) -> None:
        """Keep content, whether it is there yet or not; takes it off the list of the doomed."""
        rows = [(kind, key) for key in keys]

        def body(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO lease_resources (lease_id, kind, key) VALUES (?, ?, ?)",
                [(lease_id, *row) for row in rows],
            )
            connection.executemany("DELETE FROM doomed WHERE kind = ? AND key = ?", rows)

        self._database.write(body, durable=False)

    def release(self, lease_id: LeaseID) -> None:
        """End a lease; what it held and no root needs is doomed. Not there is success."""

        def body(connection: sqlite3.Connection) -> None:
            held = connection.execute(
                "SELECT kind, key FROM lease_resources WHERE lease_id = ?", (lease_id,)
            ).fetchall()
            connection.execute("DELETE FROM leases WHERE id = ?", (lease_id,))
            if held:
                doom_leased(connection, held)

        self._database.write(body, durable=False)

    def doomed(self) -> list[tuple[Kind, str]]:
        """The content whose rows are gone and whose files may still be there."""
        with self._database.reading() as connection:
            return connection.execute("SELECT kind, key FROM doomed ORDER BY kind, key").fetchall()

    def is_doomed(self, kind: Kind, key: str) -> bool:
        """True while nothing has taken this content off the list."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM doomed WHERE kind = ? AND key = ?", (kind, key)
            ).fetchone()
        return row is not None

    def forget_doomed(self, done: Iterable[tuple[Kind, str]]) -> None:
        """Take content off the list whose files are gone."""
        rows = list(done)

        def body(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM doomed WHERE kind = ? AND key = ?", rows)

        self._database.write(body, durable=False)

    def end_all(self) -> frozenset[str]:
        """End all leases and drop the rows of what nothing needs; returns all that is needed.

        Only for the start of an engine.
        """

        def body(connection: sqlite3.Connection) -> frozenset[str]:
            connection.execute("DELETE FROM leases")
            doom_unreachable(connection)
            return live(connection)

        return self._database.write(body)
