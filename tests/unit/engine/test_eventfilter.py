"""The filters of ``events``; what Docker passes was seen on dockerd 20.10."""

from __future__ import annotations

import pytest

from knarr.api.events import Actor, event
from knarr.engine.eventfilter import matches

CONTAINER = {"name": "web", "image": "busybox:1", "tier": "front", "empty": ""}
EVENTS = {
    "start": ("container", "start", "c0ffee", CONTAINER),
    "probe": ("container", "exec_create: ls -l", "c0ffee", {**CONTAINER, "execID": "1"}),
    "exec": ("container", "exec_start: ls", "c0ffee", CONTAINER),
    "died": ("container", "exec_die", "c0ffee", CONTAINER),
    "well": ("container", "health_status: healthy", "c0ffee", CONTAINER),
    "ill": ("container", "health_status: unhealthy", "c0ffee", CONTAINER),
    "other": ("container", "start", "decaf", {"name": "web2", "image": "db.example:5/x/db:2"}),
    "tag": ("image", "tag", "sha256:11", {"name": "busybox:1"}),
    "mount": ("volume", "mount", "data", {"driver": "local", "container": "c0ffee"}),
    "connect": ("network", "connect", "f00", {"name": "none", "type": "null"}),
}
ALL = " ".join(EVENTS)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ALL),
        ({"colour": ["red"]}, ALL),
        ({"container": []}, ALL),
        ({"type": ["image", "volume"]}, "tag mount"),
        ({"event": ["start"]}, "start other"),
        ({"event": ["exec"]}, ""),
        ({"event": ["exec_create"]}, "probe"),
        ({"event": ["exec_create: ls -l"]}, "probe"),
        ({"event": ["exec_start", "exec_d"]}, "exec died"),
        ({"event": ["exec_d"]}, ""),
        ({"event": ["health_status"]}, "well ill"),
        ({"event": ["health_status: healthy"]}, "well"),
        ({"container": ["web2"]}, "other"),
        ({"container": ["web"], "event": ["start"]}, "start other"),
        ({"container": ["deca", "nosuch"]}, "other"),
        ({"container": ["busy"]}, "tag"),
        ({"volume": ["data"]}, "mount"),
        ({"network": ["none"], "type": ["network"]}, "connect"),
        ({"network": ["f0"]}, "connect"),
        ({"daemon": ["x"]}, ""),
        ({"image": ["busybox"], "event": ["start", "tag"]}, "start tag"),
        ({"image": ["busybox:1"], "event": ["start", "tag"]}, "start tag"),
        ({"image": ["db.example:5/x/db"]}, "other"),
        ({"image": ["db"]}, ""),
        ({"label": ["tier"], "event": ["start"]}, "start"),
        ({"label": ["tier=front", "empty="], "event": ["start"]}, "start"),
        ({"label": ["tier=back"]}, ""),
        ({"label": ["tier=front", "nosuch"]}, ""),
        ({"scope": ["local"]}, ALL),
        ({"scope": ["swarm"]}, ""),
    ],
)
def test_filters(filters: dict[str, list[str]], expected: str) -> None:
    passed = [
        key
        for key, (kind, action, actor, attributes) in EVENTS.items()
        if matches(event(kind, action, Actor(id=actor, attributes=attributes), time_ns=1), filters)
    ]
    assert " ".join(passed) == expected
