"""The base of all Engine API messages, and Docker's rules for what a message always holds.

Law: names and null/empty conventions on the wire are Docker's. Go's ``encoding/json`` leaves out a
field only where its tag says ``omitempty``; everything else is sent, also when zero. Here a plain
default (``= ""``) means *omitempty* and ``= always(str)`` means *always sent*. A nil slice or map
of Go is sent as ``null``: such fields are ``X | None`` with ``always(null)``. Unknown fields of a
request are ignored, as in Docker.

Source: Docker Engine API v1.51 (``engine-api-v1.51.yaml``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: What Go prints for a ``time.Time`` that was never set.
ZERO_TIME = "0001-01-01T00:00:00Z"


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """A message of the Engine API; subclasses repeat ``frozen`` and ``kw_only``."""


def null() -> None:
    """The factory of ``null``: ``x: list[str] | None = always(null)``."""


def always(factory: Callable[[], T], *, name: str | None = None) -> T:
    """A field that may be missing in a request but is always sent in an answer.

    msgspec omits a field only if its value is the very default object, or if the factory is the
    builtin ``list``/``dict``/``set`` itself; a wrapped factory is therefore never omitted.
    """

    def wrapped() -> T:
        return factory()

    return msgspec.field(default_factory=wrapped, name=name)


def encode(message: object) -> bytes:
    """The JSON bytes of a message, or of a list or map of messages, as they go on the wire."""
    return _ENCODER.encode(message)


_ENCODER = msgspec.json.Encoder()
