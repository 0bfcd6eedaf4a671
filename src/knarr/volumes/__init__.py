"""Volumes: named directories that outlive containers.

Scope: the ``local`` driver; see ``options`` for volumes that show something else. On disk::

    <data-root>/volumes/<name>/_data     what containers see

Law: the row in the database is made after the directory and deleted before it, so a crash leaves at
most a directory without a row, which the next start moves to the trash. Who uses a volume is the
engine's knowledge: it asks before it removes one.
"""

from .filling import fill, is_empty
from .local import VolumeStore

__all__ = ["VolumeStore", "fill", "is_empty"]
