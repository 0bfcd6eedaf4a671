"""A request to the engine as a value, and what its answer means."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from knarr.api import requests, timestamps
from knarr.client import http
from knarr.client.address import variable
from knarr.errors import KnarrError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from knarr.client.http import Head

    Parameter = str | int | bool | None
    Filters = Mapping[str, str | bool | Sequence[str]]
    Moment = str | float | datetime

T = TypeVar("T")
In = TypeVar("In")
Out = TypeVar("Out")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)

BODY_LIMIT = 256 * 1024 * 1024
"""The most bytes that an answer may have which is held in memory."""


class Request(NamedTuple):
    """A request. ``upgrade`` asks to make a two-way stream of the connection."""

    method: str
    path: str
    query: tuple[tuple[str, str | int | bool], ...] = ()
    body: bytes = b""
    content_type: str = ""
    upgrade: bool = False
    more_headers: tuple[tuple[str, str], ...] = ()

    @property
    def target(self) -> str:
        """The path with its query; ``DOCKER_API_VERSION`` puts a version in front of it."""
        pinned = variable("DOCKER_API_VERSION")
        return (f"/v{pinned}" if pinned else "") + self.path + http.query(self.query)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All but those of the connection and the length."""
        headers = [("Content-Type", self.content_type)] if self.content_type else []
        headers += self.more_headers
        if self.upgrade:
            headers += [("Connection", "Upgrade"), ("Upgrade", "tcp")]
        return headers


class Answer(NamedTuple):
    """A whole answer whose status is below 400."""

    head: Head
    body: bytes


class Operation(NamedTuple, Generic[T]):
    """A request that is answered at once.

    ``patience``: seconds that the engine may take longer than usual; None: as long as it likes.
    """

    request: Request
    parse: Callable[[Answer], T]
    patience: float | None = 0.0


class Decoder(Protocol[In_contra, Out_co]):
    """Makes items of what arrives."""

    def feed(self, data: In_contra, /) -> Iterable[Out_co]:
        """The items that ``data`` completes."""

    def end(self) -> Iterable[Out_co]:
        """The items that the end completes."""


class Streaming(NamedTuple, Generic[T]):
    """A request whose answer goes on, and what makes items of it."""

    request: Request
    decoder: Callable[[Head], Decoder[bytes, T]]


class Pump(Generic[In, Out]):
    """Holds the items that are decoded and were not asked for yet."""

    def __init__(self, decoder: Decoder[In, Out]) -> None:
        self._decoder = decoder
        self._ready: Iterator[Out] = iter(())
        self.ended = False

    def take(self) -> Out | None:
        """The next item, or None if more must be pushed. Raises what decoding raises."""
        return next(self._ready, None)

    def push(self, data: In) -> None:
        """Give the decoder what arrived."""
        self._ready = iter(self._decoder.feed(data))

    def finish(self) -> None:
        """Tell the decoder that nothing more arrives."""
        self.ended = True
        self._ready = iter(self._decoder.end())


# What requests are made of.


def query(parameters: Mapping[str, Parameter]) -> tuple[tuple[str, str | int | bool], ...]:
    """The parameters that say something: not None, not false, not empty."""
    return tuple(
        (name, value)
        for name, value in parameters.items()
        if value is not None and value is not False and value != ""
    )


def posting(
    path: str, message: object, parameters: tuple[tuple[str, str | int | bool], ...] = ()
) -> Request:
    """A POST that carries a message."""
    return Request("POST", path, parameters, msgspec.json.encode(message), "application/json")


def filters(given: Filters | None) -> str:
    """The ``filters`` parameter; values are a text, true or false, or several texts."""
    if not given:
        return ""
    lists = {name: _texts(value) for name, value in given.items()}
    return msgspec.json.encode(lists).decode()


def _texts(value: str | bool | Sequence[str]) -> list[str]:  # noqa: FBT001 (a value, not a switch)
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [value] if isinstance(value, str) else list(value)


def moment(when: Moment | None) -> str:
    """A moment as Unix seconds. A text is what ``--since`` takes (``10m``, ``2026-01-31``).

    Errors: ``InvalidArgumentError`` for a text that is none.
    """
    if when is None or when == "":
        return ""
    if isinstance(when, str):
        return timestamps.unix(timestamps.parse(when, now=time.time_ns()))
    seconds = when.timestamp() if isinstance(when, datetime) else when
    return f"{seconds:.6f}"


# What answers are read with.


def nothing(_answer: Answer) -> None:
    """The answer says nothing."""


def message(kind: type[T]) -> Callable[[Answer], T]:
    """The answer is a message of this type."""
    return lambda answer: decode(kind, answer.body)


def many(kind: type[T]) -> Callable[[Answer], tuple[T, ...]]:
    """The answer is a list of messages of this type; null is an empty list."""

    def parse(answer: Answer) -> tuple[T, ...]:
        found: list[T] | None = decode(list[kind] | None, answer.body)  # type: ignore[valid-type,arg-type]
        return tuple(found or ())

    return parse


def decode(kind: type[T], raw: bytes) -> T:
    """A message; other engines send null where the type has a zero value.

    Errors: ``UnavailableError`` if the answer is no such message.
    """
    try:
        return requests.decode(kind, raw)
    except KnarrError as error:
        problem = f"the engine sent an answer that is not understood: {error.message}"
        raise UnavailableError(problem, detail=raw[:1000].decode("utf-8", "replace")) from error
