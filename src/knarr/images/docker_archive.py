"""``manifest.json``: what ``docker save``, ``podman save`` and skopeo write.

Source: Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
Layers may be links to other files of the archive, and may be compressed.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import msgspec

from knarr.archive.failure import BadArchiveError
from knarr.errors import InvalidArgumentError
from knarr.images.plan import Found
from knarr.oci import image_config, reference

if TYPE_CHECKING:
    from knarr.images.intake import Archive, Stored
    from knarr.images.plan import Plan
    from knarr.oci.image_config import ConfigFile
    from knarr.oci.reference import Reference

MANIFEST = "manifest.json"

MOST_IMAGES = 10_000
"""The most images of one archive."""


class Entry(msgspec.Struct, frozen=True, rename="pascal"):
    """One image; paths are relative to the root of the archive."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None


_DECODER = msgspec.json.Decoder(list[Entry])


def entries(archive: Archive) -> list[Entry] | None:
    """The images that ``manifest.json`` tells of, or None when the archive has none."""
    raw = archive.document(MANIFEST)
    if raw is None:
        return None
    try:
        found = _DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"invalid manifest.json: {error}") from error
    if len(found) > MOST_IMAGES:
        raise InvalidArgumentError(f"manifest.json has more than {MOST_IMAGES} images")
    return found


def plan(archive: Archive, found: list[Entry], into: Plan) -> None:
    """Add all images of ``manifest.json``."""
    for entry in found:
        file = config_of(archive, entry)
        layers = [_layer(archive, path) for path in entry.layers or ()]
        into.add_image(Found(file, names_of(entry)), layers)


def config_of(archive: Archive, entry: Entry) -> ConfigFile:
    """The config of one image; raises BadArchiveError when it is not in the archive."""
    raw = archive.document(_key(entry.config))
    if raw is None:
        raise BadArchiveError(f'the config "{entry.config}" is not in the archive')
    return image_config.parse(raw)


def names_of(entry: Entry) -> tuple[Reference, ...]:
    """The tags of one image; raises InvalidArgumentError in Docker's words."""
    names = []
    for text in entry.repo_tags or ():
        name = reference.parse_normalized(text)
        if name.tag is None or name.digest is not None:
            raise InvalidArgumentError(f'invalid tag "{text}"')
        names.append(name)
    return tuple(names)


def _layer(archive: Archive, path: str) -> Stored:
    stored = archive.file(_key(path))
    if stored is None:
        raise BadArchiveError(f'the layer "{path}" is not in the archive')
    return stored


def _key(path: str) -> str:
    return posixpath.normpath(path)
