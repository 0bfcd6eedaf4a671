"""The search of Docker Hub, and of hosts that have the same: ``/v1/search``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from knarr.errors import DataLossError, InvalidArgumentError
from knarr.remotes import urls
from knarr.remotes.failure import RefusedError, RegistryUnavailableError, shown
from knarr.remotes.session import Request
from knarr.remotes.values import SearchItem

if TYPE_CHECKING:
    from knarr.remotes.session import Session
    from knarr.remotes.urls import Url

HUB_SEARCH = "index.docker.io"
_LARGEST = 4 << 20
_LONGEST_TERM = 512


class _Item(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    star_count: int | None = None
    is_official: bool = False
    is_automated: bool = False
    is_trusted: bool = False


class _Body(msgspec.Struct):
    results: list[_Item] | None = None


def split(term: str) -> tuple[str, str]:
    """The host to search on, and what for."""
    first, slash, rest = term.partition("/")
    if "://" in term:
        raise InvalidArgumentError(
            f"invalid repository name: repository name ({shown(term)}) should not have a scheme"
        )
    if slash and (first == "localhost" or "." in first or ":" in first):
        is_hub = first in ("docker.io", HUB_SEARCH)
        host, term = (HUB_SEARCH if is_hub else first), rest
    else:
        host = HUB_SEARCH
    return host, term.removeprefix("library/") if host == HUB_SEARCH else term


def address(host: str, term: str, limit: int) -> Url:
    """Where to ask; raises InvalidArgumentError."""
    if not 1 <= limit <= 100:
        raise InvalidArgumentError(f"limit {limit} is outside the range of [1, 100]")
    if len(term) > _LONGEST_TERM:
        raise InvalidArgumentError(f"search term is longer than {_LONGEST_TERM} characters")
    root = urls.of_host("https", host)
    return root._replace(target=f"/v1/search?q={quote(term, safe='')}&n={limit}")


def found(session: Session, url: Url, limit: int) -> list[SearchItem]:
    """What the host finds."""
    try:
        answer = session.send(Request("GET", url.target, headers={"X-Docker-Token": "true"}))
    except RefusedError as error:
        if error.status < 500 and error.status not in (401, 403, 429):
            raise RegistryUnavailableError(f"Unexpected status code {error.status}") from error
        raise error.translated() from error
    body = answer.document(_LARGEST)
    try:
        items = msgspec.json.decode(body or b"", type=_Body).results or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataLossError(f'"{answer.url.shown}" is no result of a search: {error}') from error
    return [
        SearchItem(
            name=shown(item.name or ""),
            description=shown(item.description or ""),
            star_count=item.star_count or 0,
            is_official=item.is_official,
            is_automated=item.is_automated,
            is_trusted=item.is_trusted,
        )
        for item in items[:limit]
    ]
