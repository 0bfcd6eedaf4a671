"""State in SQLite: the only package that knows sqlite3.

Scope: what exists, under which name, and what needs what. Documents whose meaning belongs to
another package (a container's record) are opaque bytes here. ``gc`` deletes content that nothing
needs any more.

Law: content is written before the rows that name it, and rows are deleted before the content they
named. So a kill at any moment leaves at most content without rows, which the next start deletes.
"""

from knarr.metadata.containers import ContainerRow, ContainerTable
from knarr.metadata.database import Database
from knarr.metadata.gc import Collector
from knarr.metadata.images import Content, ImageRow, ImageTable, NewImage, RefRow
from knarr.metadata.leases import LeaseTable
from knarr.metadata.volumes import VolumeRow, VolumeTable

__all__ = [
    "Collector",
    "ContainerRow",
    "ContainerTable",
    "Content",
    "Database",
    "ImageRow",
    "ImageTable",
    "LeaseTable",
    "NewImage",
    "RefRow",
    "VolumeRow",
    "VolumeTable",
]
