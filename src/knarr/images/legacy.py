"""Archives from before Docker 1.10: ``repositories`` and ``<id>/{VERSION,json,layer.tar}``.

Each folder holds one layer and the configuration of the image that it completes; the folders form
chains by ``parent``. The config of today is made from them as Docker made it when it migrated, so
that the ids are the same.

Source: Docker image specification v1.0; the conversion of Docker's ``image/v1`` package.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from knarr.archive.failure import BadArchiveError
from knarr.errors import InvalidArgumentError
from knarr.images.plan import Found
from knarr.oci import image_config, reference

if TYPE_CHECKING:
    from knarr.images.intake import Archive, Stored
    from knarr.images.plan import Plan
    from knarr.oci.reference import Reference

T = TypeVar("T")

REPOSITORIES = "repositories"

_ID = re.compile(r"[a-f0-9]{64}")
_DROPPED = ("id", "parent", "Size", "parent_id", "layer_id", "throwaway")
_REPOSITORIES = msgspec.json.Decoder(dict[str, dict[str, str]])


class _Layer(msgspec.Struct, frozen=True):
    """What the history of a config takes from a layer's configuration."""

    parent: str = ""
    created: str | None = None
    author: str | None = None
    comment: str | None = None
    throwaway: bool = False
    container_config: _ContainerConfig | None = None


class _ContainerConfig(msgspec.Struct, frozen=True, rename="pascal"):
    cmd: list[str] | str | None = None


def plan(archive: Archive, into: Plan) -> None:
    """Add all images that ``repositories`` names."""
    raw = archive.document(REPOSITORIES)
    named: dict[str, list[Reference]] = {}
    for name, tags in _decode(_REPOSITORIES, raw or b"", REPOSITORIES).items():
        for tag, layer_id in tags.items():
            named.setdefault(layer_id, []).append(reference.parse_normalized(name).with_tag(tag))
    for layer_id, names in named.items():
        _plan_image(archive, layer_id, tuple(names), into)


def _plan_image(archive: Archive, layer_id: str, names: tuple[Reference, ...], into: Plan) -> None:
    chain: list[str] = []
    views: list[_Layer] = []
    current = layer_id
    while current:
        if not _ID.fullmatch(current):
            raise InvalidArgumentError(f'"{current}" is no layer id')
        if current in chain or len(chain) == image_config.MOST_LAYERS:
            raise BadArchiveError(f"the parents of layer {layer_id} do not end")
        chain.append(current)
        views.append(_decode(_VIEW, _document(archive, current), f"{current}/json"))
        current = views[-1].parent
    views.reverse()
    layers = [_file(archive, each) for each in reversed(chain)]
    file = image_config.parse(_config(_document(archive, layer_id), views, layers))
    kept = [stored for view, stored in zip(views, layers, strict=True) if not view.throwaway]
    into.add_image(Found(file, names), kept)


def _config(top: bytes, views: list[_Layer], layers: list[Stored]) -> bytes:
    """The config of today: the top layer's, without its old keys, with rootfs and history."""
    document = _decode(_OBJECT, top, "json")
    for key in _DROPPED:
        document.pop(key, None)
    diff_ids = [
        stored.layer.diff_id if stored.layer else ""
        for view, stored in zip(views, layers, strict=True)
        if not view.throwaway
    ]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    document["rootfs"] = msgspec.Raw(msgspec.json.encode(rootfs))
    document["history"] = msgspec.Raw(msgspec.json.encode([_history(view) for view in views]))
    # Go sorts the keys of a map, and escapes what could end a script element in HTML.
    text = msgspec.json.encode(dict(sorted(document.items())))
    for character in b"<>&":
        text = text.replace(bytes((character,)), b"\\u%04x" % character)
    return text


def _history(view: _Layer) -> dict[str, str | bool]:
    """One step, in the order in which Docker writes its fields."""
    command = view.container_config.cmd if view.container_config else None
    words = [command] if isinstance(command, str) else command or []
    fields: dict[str, str | bool | None] = {
        "created": view.created,
        "author": view.author,
        "created_by": " ".join(words),
        "comment": view.comment,
        "empty_layer": view.throwaway,
    }
    return {name: value for name, value in fields.items() if value}


def _document(archive: Archive, layer_id: str) -> bytes:
    raw = archive.document(f"{layer_id}/json")
    if raw is None:
        raise BadArchiveError(f"{layer_id}/json is not in the archive")
    return raw


def _file(archive: Archive, layer_id: str) -> Stored:
    stored = archive.file(f"{layer_id}/layer.tar")
    if stored is None:
        raise BadArchiveError(f"{layer_id}/layer.tar is not in the archive")
    return stored


_VIEW = msgspec.json.Decoder(_Layer)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _decode(decoder: msgspec.json.Decoder[T], raw: bytes, what: str) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"invalid {what}: {error}") from error
