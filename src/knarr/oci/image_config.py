"""The config of an image: what its root filesystem is made of, and how it is run by default.

Law: the digest of the raw config is the image's id. ``config`` (Cmd, Env, ...) stays raw here; its
form is the Engine API's, where it is decoded (``knarr.api.images.ImageConfig``).

Sources: OCI image-spec config.md; Docker image specification v1.2. ``rootfs`` and ``history`` are
in snake case there, the rest of the top level in lower case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.errors import InvalidArgumentError
from knarr.oci import digest as digests
from knarr.oci.platform import Platform

if TYPE_CHECKING:
    from knarr.oci.digest import DiffID, Digest

LARGEST = 8 << 20
"""The most bytes of a config; real ones have a few thousand."""

MOST_LAYERS = 500
"""The most layers of an image: overlayfs stacks no more (OVL_MAX_STACK)."""


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step that made the image; ``empty_layer`` True: it added no layer."""

    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class RootFS(msgspec.Struct, frozen=True, kw_only=True):
    """The layers by diff_id, lowest first."""

    type: str = "layers"
    diff_ids: list[str] | None = None


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The document. Times are RFC 3339 strings."""

    created: str | None = None
    author: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os: str | None = None
    os_version: str | None = msgspec.field(default=None, name="os.version")
    comment: str | None = None
    docker_version: str | None = None
    config: msgspec.Raw = msgspec.Raw()
    rootfs: RootFS | None = None
    history: list[History] | None = None


class ConfigFile(NamedTuple):
    """A config with the bytes it came from; ``digest`` is the image's id."""

    raw: bytes
    digest: Digest
    view: ImageConfig
    diff_ids: tuple[DiffID, ...]

    @property
    def platform(self) -> Platform:
        """What the image runs on; Docker takes a missing system for ``linux``."""
        return Platform(
            os=self.view.os or "linux",
            architecture=self.view.architecture or "",
            os_version=self.view.os_version or "",
            variant=self.view.variant or "",
        )


_DECODER = msgspec.json.Decoder(ImageConfig)


def parse(raw: bytes) -> ConfigFile:
    """Read a config; raises InvalidArgumentError when no root filesystem can be made of it."""
    if len(raw) > LARGEST:
        raise InvalidArgumentError(
            f"invalid image JSON: {len(raw)} bytes, more than the {LARGEST} allowed"
        )
    try:
        view = _DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"invalid image JSON: {error}") from error
    if view.rootfs is None:
        raise InvalidArgumentError("invalid image JSON, no RootFS key")
    if view.rootfs.type not in {"layers", ""}:
        raise InvalidArgumentError(f'invalid image JSON: unknown rootfs type "{view.rootfs.type}"')
    diff_ids = tuple(digests.parse_diff_id(each) for each in view.rootfs.diff_ids or ())
    if len(diff_ids) > MOST_LAYERS:
        raise InvalidArgumentError(
            f"max depth exceeded: the image has {len(diff_ids)} layers, at most {MOST_LAYERS} work"
        )
    return ConfigFile(raw, digests.of_bytes(raw), view, diff_ids)


def encode(view: ImageConfig) -> ConfigFile:
    """A new config; the same view gives the same bytes."""
    return parse(msgspec.json.encode(view))
