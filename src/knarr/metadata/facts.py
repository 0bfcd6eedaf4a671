"""Facts: small things that the engine must remember, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from knarr.metadata.access import Access


class FactTable:
    """Texts by name."""

    def __init__(self, database: Access) -> None:
        self._database = database

    def find(self, name: str) -> str | None:
        """The text of that name, or None."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT text FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, name: str, text: str) -> None:
        """Remember ``text``, durably, instead of what stood there."""

        def body(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO facts (name, text) VALUES (?1, ?2)"
                " ON CONFLICT (name) DO UPDATE SET text = ?2",
                (name, text),
            )

        self._database.write(body)
