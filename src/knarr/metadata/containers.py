"""Containers: one row each, with a record that only ``knarr.containers`` understands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import ConflictError, NotFoundError
from knarr.metadata.reachability import doom_unreachable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from concurrent.futures import Future

    from knarr.metadata.access import Access
    from knarr.oci.digest import DiffID


class ContainerRow(NamedTuple):
    """A container as stored; ``layers`` are diff_ids, lowest first."""

    id: str
    name: str
    image_id: str
    layers: tuple[str, ...]
    record: bytes


class ContainerTable:
    """The containers of the engine.

    Law: a row keeps the layers of its container from garbage collection, also when the image is
    gone. Names are unique and stand without a slash.
    """

    def __init__(self, database: Access) -> None:
        self._database = database

    def insert(
        self,
        container_id: str,
        name: str,
        image_id: str,
        layers: Sequence[DiffID],
        record: bytes,
        *,
        durable: bool = True,
    ) -> None:
        """Add a container, whose layers are needed from now on.

        ``durable`` False is for one that does not outlive its process.
        Raises ConflictError in Docker's words when the name is taken, NotFoundError when the
        layers went since the image was looked up.
        """

        def body(connection: sqlite3.Connection) -> None:
            _refuse_taken(connection, name, container_id)
            _require_layers(connection, image_id, layers)
            connection.execute(
                "INSERT INTO containers (id, name, image_id, record) VALUES (?, ?, ?, ?)",
                (container_id, name, image_id, record),
            )
            connection.executemany(
                "INSERT INTO container_layers (container_id, position, diff_id) VALUES (?, ?, ?)",
                [(container_id, position, layer) for position, layer in enumerate(layers)],
            )

        self._database.write(body, durable=durable)

    def update(self, container_id: str, record: bytes, *, durable: bool = True) -> None:
        """Replace the record; raises NotFoundError.

        ``durable`` False is for what the next start finds out by itself (running or not).
        """
        self.update_later(container_id, record, durable=durable).result()

    def update_later(
        self, container_id: str, record: bytes, *, durable: bool = True
    ) -> Future[None]:
        """As ``update``, with a future that is done after the commit; later calls come later."""

        def body(connection: sqlite3.Connection) -> None:
            cursor = connection.execute(
                "UPDATE containers SET record = ? WHERE id = ?", (record, container_id)
            )
            _require_one(cursor, container_id)

        return self._database.submit(body, durable=durable)

    def rename(self, container_id: str, name: str, record: bytes | None = None) -> None:
        """Give a new name, and with ``record`` a new record in the same transaction.

        Raises ConflictError when the name is taken, NotFoundError.
        """

        def body(connection: sqlite3.Connection) -> None:
            _refuse_taken(connection, name, container_id)
            cursor = connection.execute(
                "UPDATE containers SET name = ?, record = coalesce(?, record) WHERE id = ?",
                (name, record, container_id),
            )
            _require_one(cursor, container_id)

        self._database.write(body)

    def delete(self, container_id: str, *, durable: bool = True) -> bool:
        """Forget the container; not there is success. True: a sweep may find doomed content.

        ``durable`` False is for one whose files are gone, so that the next start would finish.
        Layers that only it needed are doomed. That is looked for only when its image is gone:
        otherwise the image still needs them, and removing a container stays cheap.
        """

        def body(connection: sqlite3.Connection) -> bool:
            image = connection.execute(
                "SELECT images.id FROM containers LEFT JOIN images"
                " ON images.id = containers.image_id WHERE containers.id = ?",
                (container_id,),
            ).fetchone()
            connection.execute("DELETE FROM containers WHERE id = ?", (container_id,))
            if image is None or image[0] is not None:
                return False
            doom_unreachable(connection)
            return True

        return self._database.write(body, durable=durable)

    def all(self) -> list[ContainerRow]:
        """Every container, in the order of the ids."""
        with self._database.reading() as connection:
            layers: dict[str, list[str]] = {}
            for container_id, diff_id in connection.execute(
                "SELECT container_id, diff_id FROM container_layers ORDER BY container_id, position"
            ):
                layers.setdefault(container_id, []).append(diff_id)
            return [
                ContainerRow(row[0], row[1], row[2], tuple(layers.get(row[0], ())), row[3])
                for row in connection.execute(
                    "SELECT id, name, image_id, record FROM containers ORDER BY id"
                )
            ]


def _refuse_taken(connection: sqlite3.Connection, name: str, own_id: str) -> None:
    row = connection.execute("SELECT id FROM containers WHERE name = ?", (name,)).fetchone()
    if row is not None and row[0] != own_id:
        raise ConflictError(
            f'Conflict. The container name "/{name}" is already in use by container "{row[0]}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )


def _require_layers(
    connection: sqlite3.Connection, image_id: str, layers: Sequence[DiffID]
) -> None:
    for diff_id in layers:
        row = connection.execute("SELECT 1 FROM layers WHERE diff_id = ?", (diff_id,)).fetchone()
        if row is None:
            raise NotFoundError(f"No such image: {image_id}", detail=f"layer {diff_id} is gone")


def _require_one(cursor: sqlite3.Cursor, container_id: str) -> None:
    if cursor.rowcount != 1:
        raise NotFoundError(f"No such container: {container_id}")
