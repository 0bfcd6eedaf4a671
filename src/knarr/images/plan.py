"""What an archive asks to be recorded: images, names, and the content behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError
from knarr.images.image import created_ns
from knarr.metadata import Content, NewImage, RefRow

if TYPE_CHECKING:
    from knarr.images.intake import Stored
    from knarr.oci.digest import DiffID, Digest
    from knarr.oci.image_config import ConfigFile
    from knarr.oci.reference import Reference


class Found(NamedTuple):
    """An image of the archive.

    ``documents`` are the manifests that it was made from, ``target`` the one that its names point
    to (the index, where there is one), None when the archive has no manifest for it. ``parent`` is
    the image that it was made on top of here.
    """

    file: ConfigFile
    names: tuple[Reference, ...]
    documents: tuple[Digest, ...] = ()
    target: Digest | None = None
    parent: Digest | None = None


class Plan:
    """Collects what one transaction records."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.documents: dict[Digest, bytes] = {}
        self._blobs: dict[Digest, int] = {}
        self._layers: dict[DiffID, int] = {}
        self._edges: list[tuple[Digest, Digest]] = []

    def add_document(self, digest: Digest, raw: bytes) -> None:
        """Keep a config, manifest, index or other document as a blob."""
        self.documents[digest] = raw
        self._blobs[digest] = len(raw)

    def add_edges(self, edges: list[tuple[Digest, Digest]]) -> None:
        """Let one blob keep others."""
        self._edges.extend(edges)

    def add_file(self, stored: Stored) -> None:
        """Keep a file that the intake stored: as a layer when it is one as it stands."""
        if stored.layer is None or str(stored.layer.diff_id) != stored.digest:
            self._blobs[stored.digest] = stored.size
        else:
            self._layers[stored.layer.diff_id] = stored.layer.size

    def add_image(self, found: Found, layers: list[Stored]) -> None:
        """Add an image whose layers are ``layers``, lowest first.

        Raises InvalidArgumentError in Docker's words when they are not those of its config.
        """
        diff_ids = found.file.diff_ids
        if len(layers) != len(diff_ids):
            raise InvalidArgumentError(
                "invalid manifest, layers length mismatch: "
                f"expected {len(layers)}, got {len(diff_ids)}"
            )
        for position, (stored, diff_id) in enumerate(zip(layers, diff_ids, strict=True)):
            if stored.layer is None:
                raise stored.failure or InvalidArgumentError(
                    f"layer {position} ({stored.digest}) is not a tar archive"
                )
            if stored.layer.diff_id != diff_id:
                raise InvalidArgumentError(
                    f'invalid diffID for layer {position}: expected "{diff_id}", '
                    f'got "{stored.layer.diff_id}"'
                )
            self._layers[diff_id] = stored.layer.size
        self.add_document(found.file.digest, found.file.raw)
        self.found.append(found)

    def images(self) -> list[NewImage]:
        """The images to record."""
        return [
            NewImage(
                each.file.digest,
                each.file.diff_ids,
                created_ns(each.file),
                each.documents,
                each.parent,
            )
            for each in self.found
        ]

    def names(self) -> list[RefRow]:
        """The names to record; of the same name the last one counts."""
        rows = {
            name.canonical(): RefRow(name.canonical(), each.file.digest, each.target)
            for each in self.found
            for name in each.names
        }
        return list(rows.values())

    def content(self) -> Content:
        """The content to record."""
        return Content(self._blobs, self._layers, self._edges)
