"""An image as other parts of knarr see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.api import requests, timestamps
from knarr.api.images import ImageConfig
from knarr.errors import InvalidArgumentError
from knarr.oci import reference

if TYPE_CHECKING:
    from knarr.oci.digest import DiffID, Digest
    from knarr.oci.image_config import ConfigFile
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference

UNKNOWN_TIME = 0
"""``created_ns`` of an image that does not say when it was made."""


class Image(NamedTuple):
    """An image that is there.

    ``config`` is what containers inherit, ``file`` the whole document with its raw bytes,
    ``layers`` the diff_ids, lowest first. ``references`` are its names in full form, tags and
    digests. ``size`` is the bytes of the layers' tars.
    """

    id: Digest
    config: ImageConfig
    file: ConfigFile
    layers: tuple[DiffID, ...]
    references: tuple[str, ...]
    size: int
    created_ns: int
    parent: Digest | None = None
    tagged_ns: int | None = None

    @property
    def raw(self) -> bytes:
        """The config as it was received; its digest is ``id``."""
        return self.file.raw

    @property
    def platform(self) -> Platform:
        """What the image runs on."""
        return self.file.platform

    def tags(self) -> list[str]:
        """The tags in short form, as ``RepoTags`` shows them."""
        return [each.familiar() for each in self._parsed() if each.digest is None]

    def digests(self) -> list[str]:
        """The digest references in short form, as ``RepoDigests`` shows them."""
        return [each.familiar() for each in self._parsed() if each.digest is not None]

    def _parsed(self) -> list[Reference]:
        return [reference.parse_canonical(each) for each in self.references]


def container_config(file: ConfigFile) -> ImageConfig:
    """The ``config`` of an image config, read as leniently as Docker reads it.

    Raises InvalidArgumentError when it is of another form.
    """
    raw = file.view.config
    if bytes(raw) in {b"", b"null"}:
        return ImageConfig()
    try:
        return msgspec.json.decode(raw, type=ImageConfig)
    except msgspec.ValidationError:
        # Go's nulls and single strings.
        return requests.decode(ImageConfig, bytes(raw))
    except msgspec.DecodeError as error:
        raise InvalidArgumentError(f"invalid image JSON: {error}") from error


def created_ns(file: ConfigFile) -> int:
    """When the image says that it was made, in nanoseconds since 1970."""
    return moment_ns(file.view.created)


def moment_ns(text: str | None) -> int:
    """An RFC 3339 time of an image; UNKNOWN_TIME for none and for one that cannot be told."""
    if not text:
        return UNKNOWN_TIME
    try:
        return timestamps.parse(text, now=0)
    except InvalidArgumentError:
        return UNKNOWN_TIME
