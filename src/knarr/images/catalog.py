"""Reads images out of the stores; what was read once is remembered, since an id never changes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import NotFoundError
from knarr.images import naming
from knarr.images.image import Image, container_config
from knarr.oci import image_config

if TYPE_CHECKING:
    from knarr.api.images import ImageConfig
    from knarr.images.stores import Stores
    from knarr.metadata import ImageRow, RefRow
    from knarr.oci.digest import Digest
    from knarr.oci.image_config import ConfigFile

_REMEMBERED = 512


class _Parsed(NamedTuple):
    file: ConfigFile
    config: ImageConfig


class Catalog:
    """Images by name or id; safe to use from several threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._parsed: dict[Digest, _Parsed] = {}
        #: What names mean, and the ``changes`` of the database for which it holds.
        self._found: tuple[int, dict[str, Image]] = (-1, {})

    def known(self, name: str) -> Image | None:
        """What ``get`` would say, if it was asked before and nothing was written since.

        Waits for nothing, so that an event loop may ask.
        """
        changes, found = self._found
        return found.get(name) if changes == self._stores.db.images.changes else None

    def get(self, name: str) -> Image:
        """The image that ``name`` means; raises NotFoundError, InvalidArgumentError."""
        changes = self._stores.db.images.changes
        image = self._get(name)
        with self._lock:
            if changes > self._found[0] or len(self._found[1]) >= _REMEMBERED:
                self._found = (changes, {})
            if changes == self._found[0]:
                self._found[1][name] = image
        return image

    def _get(self, name: str) -> Image:
        image_id = naming.find_id(self._stores, name)
        row = self._stores.db.images.find(image_id)
        if row is None:
            raise NotFoundError(f"No such image: {name}")
        return self._image(row, self._stores.db.images.names(image_id))

    def all(self) -> list[Image]:
        """Every image, in the order of the ids."""
        names: dict[Digest, list[RefRow]] = {}
        for name in self._stores.db.images.names():
            names.setdefault(name.image_id, []).append(name)
        found = []
        for row in self._stores.db.images.all():
            try:
                found.append(self._image(row, names.get(row.id, [])))
            except NotFoundError:
                continue  # removed between the two reads
        return found

    def _image(self, row: ImageRow, names: list[RefRow]) -> Image:
        parsed = self._parse(row.id)
        return Image(
            id=row.id,
            config=parsed.config,
            file=parsed.file,
            layers=row.layers,
            references=tuple(each.name for each in names),
            size=row.size,
            created_ns=row.created_ns,
            parent=row.parent,
            tagged_ns=row.tagged_ns,
        )

    def _parse(self, image_id: Digest) -> _Parsed:
        with self._lock:
            known = self._parsed.get(image_id)
        if known is not None:
            return known
        file = image_config.parse(self._stores.blobs.read(image_id, image_config.LARGEST))
        parsed = _Parsed(file, container_config(file))
        with self._lock:
            if len(self._parsed) >= _REMEMBERED:
                self._parsed.pop(next(iter(self._parsed)))
            self._parsed[image_id] = parsed
        return parsed
