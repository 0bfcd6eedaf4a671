"""The tables, and the steps from one version of them to the next.

Law: ``MIGRATIONS[n]`` leads from ``user_version`` n to n + 1, in one transaction. A step that was
released is never changed; a change of the schema is a new step.

What the tables mean::

    blobs, layers            content that is there (rows are written when an image is recorded)
    edges                    which blob names which (index -> manifest -> config and layers)
    images, image_layers     an image is its config; its layers, lowest first
    image_manifests          manifests (or indexes) that the image was made from
    image_refs               names: tag or digest -> image, and the manifest or index behind it
    leases, lease_resources  what an operation in flight needs, though nothing names it yet
    containers, container_layers
    volumes
    facts                    small things to remember (which first steps are done)
    doomed                   content whose rows are gone and whose files are not yet

Roots of garbage collection are images, image_manifests, image_refs, lease_resources and
container_layers; see gc.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import FailedPreconditionError

if TYPE_CHECKING:
    import sqlite3

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE blobs (
        digest TEXT PRIMARY KEY,
        size INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE layers (
        diff_id TEXT PRIMARY KEY,
        size INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE edges (
        parent TEXT NOT NULL,
        child TEXT NOT NULL,
        PRIMARY KEY (parent, child)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE images (
        id TEXT PRIMARY KEY,
        parent TEXT,
        created_ns INTEGER NOT NULL,
        tagged_ns INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX images_by_parent ON images (parent) WHERE parent IS NOT NULL;
    CREATE TABLE image_layers (
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        position INTEGER NOT NULL,
        diff_id TEXT NOT NULL,
        PRIMARY KEY (image_id, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE image_manifests (
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        digest TEXT NOT NULL,
        PRIMARY KEY (image_id, digest)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE image_refs (
        name TEXT PRIMARY KEY,
        image_id TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        target TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX image_refs_by_image ON image_refs (image_id);
    CREATE TABLE leases (
        id TEXT PRIMARY KEY,
        purpose TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE lease_resources (
        lease_id TEXT NOT NULL REFERENCES leases ON DELETE CASCADE,
        kind TEXT NOT NULL CHECK (kind IN ('blob', 'layer')),
        key TEXT NOT NULL,
        PRIMARY KEY (lease_id, kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE doomed (
        kind TEXT NOT NULL CHECK (kind IN ('blob', 'layer')),
        key TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        image_id TEXT NOT NULL,
        record BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE container_layers (
        container_id TEXT NOT NULL REFERENCES containers ON DELETE CASCADE,
        position INTEGER NOT NULL,
        diff_id TEXT NOT NULL,
        PRIMARY KEY (container_id, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE facts (
        name TEXT PRIMARY KEY,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        labels TEXT NOT NULL,
        options TEXT NOT NULL,
        created_ns INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to the newest version; nothing to do is success.

    Raises FailedPreconditionError when a newer knarr wrote the database.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise FailedPreconditionError(
            f"the database has schema version {version}, this knarr knows {len(MIGRATIONS)}",
            hint="it was written by a newer knarr",
        )
    for step in range(version, len(MIGRATIONS)):
        connection.executescript(
            f"BEGIN IMMEDIATE;{MIGRATIONS[step]};PRAGMA user_version = {step + 1};COMMIT;"
        )
