"""Which content is needed, and the rows of what is not.

Roots: the config of every image, the manifests it was made from, what a reference points to, the
layers of images and of containers, what leases hold. From there ``edges`` lead from an index to
its manifests and from a manifest to its config and layers. A blob that is an uncompressed layer
may be kept as a layer only, because its digest is its diff_id: so a digest that is reached keeps
both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_LIVE = """
    INSERT INTO temp.live (digest)
    WITH RECURSIVE reached (digest) AS (
        SELECT id FROM images
        UNION SELECT digest FROM image_manifests
        UNION SELECT target FROM image_refs WHERE target IS NOT NULL
        UNION SELECT key FROM lease_resources
        UNION SELECT edges.child FROM reached JOIN edges ON edges.parent = reached.digest
    )
    SELECT digest FROM reached
    UNION SELECT diff_id FROM image_layers
    UNION SELECT diff_id FROM container_layers
"""

_UNREACHED = "NOT IN (SELECT digest FROM temp.live)"
_DOOM = f"""
    INSERT OR IGNORE INTO doomed (kind, key)
        SELECT 'blob', digest FROM blobs WHERE digest {_UNREACHED};
    INSERT OR IGNORE INTO doomed (kind, key)
        SELECT 'layer', diff_id FROM layers WHERE diff_id {_UNREACHED};
    DELETE FROM blobs WHERE digest {_UNREACHED};
    DELETE FROM layers WHERE diff_id {_UNREACHED};
    DELETE FROM edges WHERE parent {_UNREACHED}
""".split(";")  # noqa: S608 - no value of anyone's is in it


def doom_unreachable(connection: sqlite3.Connection) -> None:
    """Move the rows of content that no root reaches to ``doomed``; part of a write."""
    _mark(connection)
    for statement in _DOOM:
        connection.execute(statement)


def doom_leased(connection: sqlite3.Connection, held: list[tuple[str, str]]) -> None:
    """Doom those of ``held`` (kind, key) that no root reaches; they may have no rows yet."""
    _mark(connection)
    connection.executemany(
        "INSERT OR IGNORE INTO doomed (kind, key)"
        " SELECT ?1, ?2 WHERE ?2 NOT IN (SELECT digest FROM temp.live)",
        held,
    )
    for statement in _DOOM:
        connection.execute(statement)


def live(connection: sqlite3.Connection) -> frozenset[str]:
    """All digests and diff_ids that a root reaches; part of a write."""
    _mark(connection)
    return frozenset(row[0] for row in connection.execute("SELECT digest FROM temp.live"))


def _mark(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS live (digest TEXT PRIMARY KEY)")
    connection.execute("DELETE FROM temp.live")
    connection.execute(_LIVE)
