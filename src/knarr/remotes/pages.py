"""Answers that come in pages: tags and referrers.

Law: a page leads only to another page of the same origin and the same kind, and to a bounded
number of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from knarr.errors import DataLossError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.remotes.session import Request, Session
    from knarr.remotes.transport import Answer
    from knarr.remotes.urls import Url

MOST_PAGES = 1000
LARGEST = 4 << 20
"""The most bytes of one page."""

_LINK = re.compile(r"\s*<([^<>]*)>((?:\s*;\s*[^;,=\s]+(?:\s*=\s*(?:\"[^\"]*\"|[^\";,\s]*))?)*)")
_NEXT = re.compile(r";\s*rel\s*=\s*\"?(?:[^\"]*\s)?next(?:\s[^\"]*)?\"?\s*(?:;|$)", re.IGNORECASE)


def pages(session: Session, request: Request) -> Iterator[tuple[bytes, Answer]]:
    """The body of every page, with the answer that it came in."""
    seen: set[Url] = set()
    while True:
        answer = session.send(request)
        body = answer.document(LARGEST)
        if body is None:
            raise DataLossError(f'"{answer.url.shown}" has more than {LARGEST} bytes')
        yield body, answer
        following = _following(answer)
        if following is None:
            return
        if following in seen:
            raise DataLossError(f'"{answer.url.shown}": the pages lead in a circle')
        seen.add(following)
        if len(seen) > MOST_PAGES:
            raise DataLossError(f'"{answer.url.shown}" has more than {MOST_PAGES} pages')
        request = request._replace(where=following)


def _following(answer: Answer) -> Url | None:
    """The page after this one, by its ``Link`` header (RFC 8288)."""
    for match in _LINK.finditer(answer.header("Link")):
        if not _NEXT.search(match[2]):
            continue
        asked = f'"{answer.url.shown}": the next page'
        try:
            url = answer.url.joined(match[1])
        except InvalidArgumentError as error:
            raise DataLossError(f"{asked}: {error.message}") from error
        if url.origin != answer.url.origin or _path(url) != _path(answer.url):
            raise DataLossError(f'{asked} is elsewhere, at "{url.shown}"')
        return url
    return None


def _path(url: Url) -> str:
    return url.target.partition("?")[0]
