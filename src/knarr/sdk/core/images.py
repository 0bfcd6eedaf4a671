"""The requests of images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from knarr.api.images import (
    DeleteItem,
    HistoryItem,
    ImageInspect,
    ImagePrune,
    ImageSummary,
    Progress,
)
from knarr.client import paths
from knarr.errors import InvalidArgumentError, UnavailableError
from knarr.oci import reference

from . import decoders
from .request import Operation, Request, Streaming, filters, many, message, nothing, query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .request import Filters

_LOADED = re.compile(r"^Loaded image(?: ID)?: (\S+)$", re.MULTILINE)


def summaries(*, every: bool, chosen: Filters | None) -> Operation[tuple[ImageSummary, ...]]:
    """List."""
    parameters = query({"all": every, "filters": filters(chosen)})
    return Operation(Request("GET", "/images/json", parameters), many(ImageSummary))


def names(found: Iterable[ImageSummary]) -> list[str]:
    """All names; the id of what has none."""
    return [name for each in found for name in each.repo_tags or [each.id]]


def inspect(name: str) -> Operation[ImageInspect]:
    """All about it."""
    return Operation(Request("GET", paths.image(name, "json")), message(ImageInspect))


def history(name: str) -> Operation[tuple[HistoryItem, ...]]:
    """How it was made, newest first."""
    return Operation(Request("GET", paths.image(name, "history")), many(HistoryItem))


def tag(name: str, repository: str, tag: str) -> Operation[None]:
    """Give it a further name."""
    parameters = query({"repo": repository, "tag": tag})
    return Operation(Request("POST", paths.image(name, "tag"), parameters), nothing)


def remove(name: str, *, force: bool, prune: bool) -> Operation[tuple[DeleteItem, ...]]:
    """Take a name away, and the image with its last one."""
    parameters = query({"force": force, "noprune": not prune})
    return Operation(Request("DELETE", paths.image(name), parameters), many(DeleteItem), None)


def prune(chosen: Filters | None) -> Operation[ImagePrune]:
    """Remove what nothing uses."""
    request = Request("POST", "/images/prune", query({"filters": filters(chosen)}))
    return Operation(request, message(ImagePrune), None)


def load(*, platform: str) -> Streaming[Progress]:
    """Take images in from an archive, which is sent behind it."""
    # Not quiet, given as a text because a false switch is left out.
    parameters = query({"quiet": "0", "platform": platform})
    request = Request("POST", "/images/load", parameters, content_type="application/x-tar")
    return Streaming(request, decoders.progress)


def loaded(lines: Iterable[Progress]) -> tuple[str, ...]:
    """The names, or ids, of the images that a load brought."""
    found = _LOADED.findall("".join(line.stream for line in lines))
    return tuple(dict.fromkeys(found))


def save(names: Sequence[str], *, platform: str) -> Streaming[bytes]:
    """Images as one archive."""
    parameters = (*(("names", name) for name in names), *query({"platform": platform}))
    return Streaming(Request("GET", "/images/get", parameters), decoders.raw)


def pull(
    name: str, *, every: bool, platform: str, headers: Sequence[tuple[str, str]]
) -> Streaming[Progress]:
    """Fetch a tag, a digest, or all tags of a repository; ``headers`` say who asks.

    Errors: ``InvalidArgumentError`` for what is no name to pull.
    """
    parsed = reference.parse_normalized(name)
    if every and not parsed.is_name_only:
        raise InvalidArgumentError("all tags were asked for, but the name has one")
    if not every:
        parsed = parsed.with_default_tag()
    parameters = query(
        {
            "fromImage": parsed.familiar_name,
            "tag": parsed.digest or parsed.tag or "",
            "platform": platform,
        }
    )
    request = Request("POST", "/images/create", parameters, more_headers=tuple(headers))
    return Streaming(request, decoders.progress)


def pulled(name: str) -> str:
    """The name of what was pulled by this one."""
    return reference.parse_normalized(name).with_default_tag().familiar()


def push(
    name: str, *, every: bool, platform: str, headers: Sequence[tuple[str, str]]
) -> Streaming[Progress]:
    """Send a tag, or all tags of a repository, to its registry; ``headers`` say who asks.

    Errors: ``InvalidArgumentError`` for what is no name to push.
    """
    parsed = reference.parse_normalized(name)
    if parsed.digest is not None:
        raise InvalidArgumentError("cannot push a digest reference")
    if every and parsed.tag is not None:
        raise InvalidArgumentError("all tags were asked for, but the name has one")
    tag = "" if every else parsed.with_default_tag().tag
    wanted = _platform(platform) if platform else ""
    request = Request(
        "POST",
        paths.image(parsed.familiar_name, "push"),
        query({"tag": tag, "platform": wanted}),
        more_headers=tuple(headers),
    )
    return Streaming(request, decoders.progress)


def pushed(lines: Iterable[Progress]) -> str:
    """The digest of the last tag that was sent; ``UnavailableError`` if it is not told."""
    digests = [line.aux.digest for line in lines if line.aux is not None and line.aux.digest]
    if not digests:
        raise UnavailableError("the engine did not say what it pushed")
    return digests[-1]


def _platform(text: str) -> str:
    """A platform as the API takes it where several are sent: JSON."""
    names = ("os", "architecture", "variant")
    return msgspec.json.encode(dict(zip(names, text.split("/"), strict=False))).decode()


def import_(
    *, repository: str, tag: str, comment: str, changes: Sequence[str], platform: str
) -> Streaming[Progress]:
    """Make an image of a filesystem's tar, which is sent behind it."""
    parameters = query(
        {"fromSrc": "-", "repo": repository, "tag": tag, "message": comment, "platform": platform}
    )
    parameters += tuple(("changes", each) for each in changes)
    request = Request("POST", "/images/create", parameters, content_type="application/x-tar")
    return Streaming(request, decoders.progress)


def imported(lines: Iterable[Progress]) -> str:
    """The id of the image that an import made. Raises ``UnavailableError`` if none is named."""
    for line in lines:
        if line.status.startswith("sha256:"):
            return line.status
    raise UnavailableError("the engine did not say which image it made")
