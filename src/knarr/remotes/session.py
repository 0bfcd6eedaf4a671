"""Speaking to one endpoint: authenticated, redirected, tried again.

Law of redirects: only reading is redirected; a few times at the most. Another origin gets no
credentials and no client certificate. From HTTPS to plain HTTP it goes only for what is checked
against a digest.

Law of second attempts: what failed by an overload (429, 5xx) or a dropped connection is asked
again, later each time, when asking twice does no harm. A mirror is asked once: there is a next.
A host that has never answered is not waited for: most of the time its name is wrong.
"""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError
from knarr.remotes import challenge as challenges
from knarr.remotes import failure
from knarr.remotes.authorization import Authorization
from knarr.remotes.failure import DroppedError, RefusedError, RegistryUnauthorizedError
from knarr.remotes.transport import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.remotes.cancellation import Cancellation
    from knarr.remotes.credentials import Credentials
    from knarr.remotes.endpoint import Endpoint
    from knarr.remotes.tokens import Application, Token, Tokens
    from knarr.remotes.transport import Answer, Body, Transport
    from knarr.remotes.urls import Url
    from knarr.remotes.values import Patience

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ERROR_BODY = 64 << 10
_ATTEMPTS_OF_429 = 2
_AGENT = "knarr"


class Request(NamedTuple):
    """What is asked of a registry.

    ``where`` is an address, a path behind ``/v2/``, or with a slash in front a path on the host.
    ``scopes`` are the rights that it takes. ``is_checked``: the answer is compared with a digest.
    ``once``: never to be sent twice.
    """

    method: str
    where: Url | str
    scopes: frozenset[str] = frozenset()
    headers: Mapping[str, str] = {}
    body: Body | None = None
    length: int | None = None
    is_checked: bool = False
    once: bool = False


class Session:
    """One endpoint with one set of credentials; thread-safe."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None,
        *,
        transport: Transport,
        tokens: Tokens,
        patience: Patience,
        cancellation: Cancellation,
    ) -> None:
        self.endpoint = endpoint
        self.patience = patience
        self.cancellation = cancellation
        self._transport = transport
        self.authorization = Authorization(endpoint, credentials, tokens, self._token)

    def send(self, request: Request) -> Answer:
        """The answer, if its status is 2xx; its body is still to be read.

        Raises ``RefusedError``, ``DroppedError``, and what authorization raises.
        """
        attempt = 0
        while True:
            attempt += 1
            self._settle()
            try:
                answer = self._authorized(request)
                if answer.status // 100 == 2:
                    return answer
                raise self.refused(answer)
            except (RefusedError, DroppedError) as error:
                if not self.may_repeat(error, attempt, once=request.once):
                    raise
                self.pause(error, attempt)

    def may_repeat(
        self, error: RefusedError | DroppedError, attempt: int, *, once: bool = False
    ) -> bool:
        """Whether the request that failed as the ``attempt``-th is to be made again."""
        if once or self.endpoint.is_mirror or attempt >= self.patience.attempts:
            return False
        if isinstance(error, RefusedError):
            if error.status == 429 and error.retry_after is None and attempt >= _ATTEMPTS_OF_429:
                return False  # a limit for hours, most likely
            return error.is_temporary and (error.retry_after or 0.0) <= self.patience.obeyed
        return not error.is_permanent and (error.reached or self.endpoint.is_known)

    def pause(self, error: RefusedError | DroppedError, attempt: int) -> None:
        """Wait before the next attempt."""
        wanted = error.retry_after if isinstance(error, RefusedError) else None
        own = self.patience.pause(attempt, random.random())  # noqa: S311 - jitter
        self.cancellation.sleep(max(own, wanted or 0.0))

    def refused(self, answer: Answer) -> RefusedError:
        """The error that an answer is; reads its body."""
        found = challenges.parse(answer.headers.getlist("WWW-Authenticate"))
        try:
            body = answer.document(_ERROR_BODY) or b""
        except DroppedError:
            body = b""
        secrets = self.authorization.secrets()
        faults = failure.faults(answer.status, found, body, secrets)
        return RefusedError(answer.status, faults, retry_after=_retry_after(answer))

    def _authorized(self, request: Request) -> Answer:
        used = self.authorization.header(request.scopes)
        answer = self._followed(request, used)
        if answer.status != 401 or answer.url.origin != self.endpoint.root.origin:
            return answer
        found = challenges.parse(answer.headers.getlist("WWW-Authenticate"))
        if not found:
            return answer
        refusal = self.refused(answer)
        try:
            may_be_better = self.authorization.challenged(found, request.scopes, used)
        except RegistryUnauthorizedError as error:
            asked = f'{request.method.capitalize()} "{answer.url.shown}"'
            raise RegistryUnauthorizedError(f"{asked}: {error.message}") from error
        if not may_be_better:
            raise refusal
        return self._followed(request, self.authorization.header(request.scopes))

    def _followed(self, request: Request, authorization: str) -> Answer:
        url = self._url(request)
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._exchanged(request, url, authorization)
            if answer.status not in _REDIRECTS or request.method not in ("GET", "HEAD"):
                return answer
            location = answer.header("Location")
            answer.close()
            url = self._redirected(url, location, request)
        raise InvalidArgumentError(
            f'{request.method.capitalize()} "{self._url(request).shown}": stopped after '
            f"{_MOST_REDIRECTS} redirects"
        )

    def _url(self, request: Request) -> Url:
        where = request.where
        if not isinstance(where, str):
            return where
        if where.startswith("/"):
            return self.endpoint.root._replace(target=where)
        return self.endpoint.url(where)

    def _redirected(self, url: Url, location: str, request: Request) -> Url:
        asked = f'{request.method.capitalize()} "{self._url(request).shown}"'
        try:
            target = url.joined(location)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{asked}: redirect: {error.message}") from error
        is_downgrade = target.origin.scheme == "http" and url.origin.scheme == "https"
        if is_downgrade and not (request.is_checked or self.endpoint.insecure):
            raise InvalidArgumentError(f"{asked}: redirect from https to {target.origin} refused")
        return target

    def _exchanged(self, request: Request, url: Url, authorization: str) -> Answer:
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **request.headers}
        mine, tls = self.endpoint.root.origin, self.endpoint.tls
        if url.origin == mine:
            if authorization:
                headers["Authorization"] = authorization
        elif url.origin.host != mine.host:
            tls = tls.for_other_hosts()
        is_slow = request.method not in ("GET", "HEAD")
        exchange = Exchange(request.method, url, headers, request.body, request.length, is_slow)
        answer = self._transport.exchange(exchange, tls, self.cancellation)
        self.endpoint.is_known = True
        return answer

    def _token(self, application: Application) -> Token:
        """Ask a token service, several times if it must be."""
        return application.ask(self._asked)

    def _asked(self, method: str, url: Url, headers: dict[str, str], body: bytes | None) -> Answer:
        authorization = headers.pop("Authorization", "")
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self._token_exchange(method, url, headers, body, authorization)
                if answer.status // 100 == 2:
                    return answer
                raise self.refused(answer)
            except (RefusedError, DroppedError) as error:
                if not self.may_repeat(error, attempt):
                    raise
                self.pause(error, attempt)

    def _token_exchange(
        self,
        method: str,
        url: Url,
        headers: dict[str, str],
        body: bytes | None,
        authorization: str,
    ) -> Answer:
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers}
        if authorization:
            headers["Authorization"] = authorization
        tls = self.endpoint.tls
        if url.origin.host != self.endpoint.root.origin.host:
            tls = tls.for_other_hosts()
        return self._transport.exchange(
            Exchange(method, url, headers, body), tls, self.cancellation
        )

    def _settle(self) -> None:
        """Find out whether an insecure registry speaks HTTPS."""
        endpoint = self.endpoint
        if not endpoint.is_open():
            return
        with endpoint.lock:
            if endpoint.is_open():
                try:
                    self._try("https")
                except DroppedError:
                    self._try("http")

    def _try(self, scheme: str) -> None:
        root = self.endpoint.root_by(scheme)
        exchange = Exchange("GET", self.endpoint.url("", root), {"User-Agent": _AGENT})
        self._transport.exchange(exchange, self.endpoint.tls, self.cancellation).close()
        self.endpoint.settle(root)


def _retry_after(answer: Answer) -> float | None:
    """The seconds of ``Retry-After``, written as such or as a date."""
    text = answer.header("Retry-After").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
