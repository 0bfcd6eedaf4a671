"""Images, their names, and the rows of the content behind them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from knarr.errors import NotFoundError
from knarr.metadata.reachability import doom_unreachable
from knarr.oci.digest import Digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from knarr.metadata.access import Access
    from knarr.oci.digest import DiffID

T = TypeVar("T")


class NewImage(NamedTuple):
    """An image to record; ``id`` is the digest of its config, ``layers`` stand lowest first."""

    id: Digest
    layers: tuple[DiffID, ...]
    created_ns: int
    manifests: tuple[Digest, ...] = ()
    parent: Digest | None = None


class Content(NamedTuple):
    """What is in the stores and gets rows: sizes in bytes by name, and which blob names which."""

    blobs: Mapping[Digest, int]
    layers: Mapping[DiffID, int]
    edges: Iterable[tuple[Digest, Digest]] = ()


class RefRow(NamedTuple):
    """A name: its canonical form, the image, and the manifest or index behind it, if known."""

    name: str
    image_id: Digest
    target: Digest | None = None


class ImageRow(NamedTuple):
    """An image as stored. ``size`` is the sum of its layers' tar bytes."""

    id: Digest
    parent: Digest | None
    created_ns: int
    tagged_ns: int | None
    layers: tuple[DiffID, ...]
    size: int


class ImageTable:
    """The images of the engine and their names.

    Law: an image stays until ``remove`` names it, whether it has names or not. Removing rows
    moves what nothing needs any more to ``doomed`` in the same transaction.
    """

    def __init__(self, database: Access) -> None:
        self._database = database
        self._changes = 0
        self._counting = threading.Lock()

    @property
    def changes(self) -> int:
        """Differs from an earlier value when images or names have been written since.

        What was read after asking is as new as that number, or newer.
        """
        return self._changes

    def record(
        self, images: Sequence[NewImage], names: Sequence[RefRow], content: Content
    ) -> dict[str, Digest]:
        """Add images, content and names in one durable transaction; what is there is success.

        Returns the names that pointed to another image before, with that image. The content must
        be in the stores and held by a lease.
        """

        def body(connection: sqlite3.Connection) -> dict[str, Digest]:
            _insert_content(connection, content)
            for image in images:
                _insert_image(connection, image)
            return _point_names(connection, names)

        return self._write(body)

    def point(self, names: Sequence[RefRow]) -> dict[str, Digest]:
        """Let names point to images; as ``record`` without new content.

        Raises NotFoundError when an image is not there.
        """
        return self._write(lambda connection: _point_names(connection, names))

    def attach(
        self, image_id: str, manifest: Digest, names: Iterable[str], content: Content
    ) -> bool:
        """Let an image have one more manifest, which ``names`` (digest references) point to.

        Durable, in one step; False, and nothing is written, when the image is gone by now.
        """
        rows = [RefRow(name, Digest(image_id), manifest) for name in names]

        def body(connection: sqlite3.Connection) -> bool:
            if not _images(connection, image_id):
                return False
            _insert_content(connection, content)
            connection.execute(
                "INSERT OR IGNORE INTO image_manifests (image_id, digest) VALUES (?, ?)",
                (image_id, manifest),
            )
            connection.executemany(
                "INSERT INTO image_refs (name, image_id, target) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (name) DO UPDATE SET image_id = ?2, target = ?3",
                rows,
            )
            return True

        return self._write(body)

    def remove(self, names: Iterable[str], image_ids: Iterable[str]) -> None:
        """Delete names and images (with all names they have left), durably, in one step.

        Not there is success. Content that only they needed is doomed; ``Collector.sweep`` deletes
        it.
        """
        gone_names = [(name,) for name in names]
        gone_ids = [(image_id,) for image_id in image_ids]

        def body(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM image_refs WHERE name = ?", gone_names)
            connection.executemany("DELETE FROM images WHERE id = ?", gone_ids)
            doom_unreachable(connection)

        self._write(body)

    def find_name(self, name: str) -> RefRow | None:
        """The reference of that canonical name, or None."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT name, image_id, target FROM image_refs WHERE name = ?", (name,)
            ).fetchone()
        return None if row is None else RefRow(*row)

    def names(self, image_id: str | None = None) -> list[RefRow]:
        """All references, or those of one image, by name."""
        with self._database.reading() as connection:
            return [
                RefRow(*row)
                for row in connection.execute(
                    "SELECT name, image_id, target FROM image_refs"
                    " WHERE ?1 IS NULL OR image_id = ?1 ORDER BY name",
                    (image_id,),
                )
            ]

    def ids_beginning(self, prefix: str, limit: int = 2) -> list[Digest]:
        """At most ``limit`` ids of images that begin with ``prefix`` (``sha256:`` and hex)."""
        with self._database.reading() as connection:
            return [
                row[0]
                for row in connection.execute(
                    "SELECT id FROM images WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT ?2",
                    (prefix, limit),
                )
            ]

    def find(self, image_id: str) -> ImageRow | None:
        """The image, or None."""
        with self._database.reading() as connection:
            rows = _images(connection, image_id)
        return rows[0] if rows else None

    def all(self) -> list[ImageRow]:
        """Every image, by id."""
        with self._database.reading() as connection:
            return _images(connection, None)

    def children(self, image_id: str) -> list[Digest]:
        """The images that were made on top of this one (commit, build), by id."""
        with self._database.reading() as connection:
            return [
                row[0]
                for row in connection.execute(
                    "SELECT id FROM images WHERE parent = ? ORDER BY id", (image_id,)
                )
            ]

    def manifests(self, image_id: str) -> list[Digest]:
        """The manifests and indexes that the image was made from, by digest."""
        with self._database.reading() as connection:
            return [
                row[0]
                for row in connection.execute(
                    "SELECT digest FROM image_manifests WHERE image_id = ? ORDER BY digest",
                    (image_id,),
                )
            ]

    def stacks(self) -> list[tuple[str, list[DiffID]]]:
        """The layers of every image and every container, lowest first, by its id."""
        stacks: dict[str, list[DiffID]] = {}
        with self._database.reading() as connection:
            for owner, diff_id in connection.execute(
                "SELECT owner, diff_id FROM ("
                " SELECT image_id AS owner, position, diff_id FROM image_layers"
                " UNION ALL SELECT container_id, position, diff_id FROM container_layers"
                ") ORDER BY owner, position"
            ):
                stacks.setdefault(owner, []).append(diff_id)
        return list(stacks.items())

    def layer_sizes(self) -> dict[DiffID, int]:
        """Every layer that has a row, with the bytes of its tar."""
        with self._database.reading() as connection:
            return dict(connection.execute("SELECT diff_id, size FROM layers"))

    def _write(self, body: Callable[[sqlite3.Connection], T]) -> T:
        """Counts after the commit: what was read before it cannot pass for what comes after."""
        try:
            return self._database.write(body)
        finally:
            with self._counting:
                self._changes += 1


def _insert_content(connection: sqlite3.Connection, content: Content) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO blobs (digest, size) VALUES (?, ?)", list(content.blobs.items())
    )
    connection.executemany(
        "INSERT OR IGNORE INTO layers (diff_id, size) VALUES (?, ?)", list(content.layers.items())
    )
    connection.executemany(
        "INSERT OR IGNORE INTO edges (parent, child) VALUES (?, ?)", list(content.edges)
    )


def _insert_image(connection: sqlite3.Connection, image: NewImage) -> None:
    connection.execute(
        "INSERT INTO images (id, parent, created_ns) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET parent = coalesce(parent, excluded.parent)",
        (image.id, image.parent, image.created_ns),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO image_layers (image_id, position, diff_id) VALUES (?, ?, ?)",
        [(image.id, position, diff_id) for position, diff_id in enumerate(image.layers)],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO image_manifests (image_id, digest) VALUES (?, ?)",
        [(image.id, digest) for digest in image.manifests],
    )


def _point_names(connection: sqlite3.Connection, names: Sequence[RefRow]) -> dict[str, Digest]:
    moved: dict[str, Digest] = {}
    now = time.time_ns()
    for name in names:
        old = connection.execute(
            "SELECT image_id FROM image_refs WHERE name = ?", (name.name,)
        ).fetchone()
        if old is not None and old[0] != name.image_id:
            moved[name.name] = old[0]
        cursor = connection.execute(
            "UPDATE images SET tagged_ns = ? WHERE id = ?", (now, name.image_id)
        )
        if cursor.rowcount != 1:
            raise NotFoundError(f"No such image: {name.image_id}")
        connection.execute(
            "INSERT INTO image_refs (name, image_id, target) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (name) DO UPDATE SET image_id = ?2, target = ?3",
            name,
        )
    return moved


def _images(connection: sqlite3.Connection, image_id: str | None) -> list[ImageRow]:
    layers: dict[str, list[DiffID]] = {}
    sizes: dict[str, int] = {}
    for owner, diff_id, size in connection.execute(
        "SELECT image_id, diff_id, size FROM image_layers LEFT JOIN layers USING (diff_id)"
        " WHERE ?1 IS NULL OR image_id = ?1 ORDER BY image_id, position",
        (image_id,),
    ):
        layers.setdefault(owner, []).append(diff_id)
        sizes[owner] = sizes.get(owner, 0) + (size or 0)
    return [
        ImageRow(image, parent, created, tagged, tuple(layers.get(image, ())), sizes.get(image, 0))
        for image, parent, created, tagged in connection.execute(
            "SELECT id, parent, created_ns, tagged_ns FROM images"
            " WHERE ?1 IS NULL OR id = ?1 ORDER BY id",
            (image_id,),
        )
    ]
