"""Volumes: names, and what was said when they were made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import NotFoundError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from knarr.metadata.access import Access


class VolumeRow(NamedTuple):
    """A volume as stored; ``created_ns`` is nanoseconds since 1970."""

    name: str
    labels: dict[str, str]
    options: dict[str, str]
    created_ns: int


class VolumeTable:
    """The named volumes of the engine."""

    def __init__(self, database: Access) -> None:
        self._database = database

    def insert(
        self, name: str, labels: Mapping[str, str], options: Mapping[str, str], created_ns: int
    ) -> bool:
        """Add a volume; False (and nothing changed) when one of that name exists."""

        def body(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "INSERT INTO volumes (name, labels, options, created_ns) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (name, json.dumps(dict(labels)), json.dumps(dict(options)), created_ns),
            )
            return cursor.rowcount == 1

        return self._database.write(body)

    def find(self, name: str) -> VolumeRow | None:
        """The volume of that name, or None."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT name, labels, options, created_ns FROM volumes WHERE name = ?", (name,)
            ).fetchone()
        return None if row is None else _row(row)

    def delete(self, name: str) -> None:
        """Forget the volume; raises NotFoundError."""

        def body(connection: sqlite3.Connection) -> None:
            if connection.execute("DELETE FROM volumes WHERE name = ?", (name,)).rowcount != 1:
                raise NotFoundError(f"get {name}: no such volume")

        self._database.write(body)

    def all(self) -> list[VolumeRow]:
        """Every volume, by name."""
        with self._database.reading() as connection:
            return [
                _row(row)
                for row in connection.execute(
                    "SELECT name, labels, options, created_ns FROM volumes ORDER BY name"
                )
            ]


def _row(row: tuple[str, str, str, int]) -> VolumeRow:
    return VolumeRow(row[0], json.loads(row[1]), json.loads(row[2]), row[3])
