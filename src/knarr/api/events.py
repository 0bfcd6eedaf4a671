"""Events of the engine.

``status``, ``id`` and ``from`` repeat action, actor and image in the form that Docker had before
API 1.22, for container and image events only; docker still sends them and old clients read them.

Source: Engine API v1.51, definition ``EventMessage``.
"""

from __future__ import annotations

import msgspec

from knarr.api.message import Message, always


class Actor(Message, frozen=True, kw_only=True):
    """The object that did or suffered it."""

    id: str = msgspec.field(name="ID")
    attributes: dict[str, str] = always(dict)


class Event(Message, frozen=True, kw_only=True):
    """``type``: container, image, volume, network, daemon, ...; ``time`` in seconds and in ns."""

    status: str = msgspec.field(default="", name="status")
    id: str = msgspec.field(default="", name="id")
    from_: str = msgspec.field(default="", name="from")
    type: str
    action: str
    actor: Actor
    scope: str = msgspec.field(default="", name="scope")
    time: int = msgspec.field(default=0, name="time")
    time_nano: int = msgspec.field(default=0, name="timeNano")


def event(kind: str, action: str, actor: Actor, *, time_ns: int) -> Event:
    """An event as Docker words it, with the old fields filled where Docker fills them."""
    old = kind in ("container", "image")
    return Event(
        status=action if old else "",
        id=actor.id if old else "",
        from_=actor.attributes.get("image", "") if kind == "container" else "",
        type=kind,
        action=action,
        actor=actor,
        scope="local",
        time=time_ns // 1_000_000_000,
        time_nano=time_ns,
    )
