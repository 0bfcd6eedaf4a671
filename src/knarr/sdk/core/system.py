"""The requests of the engine itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api.events import Event
from knarr.api.system import DiskUsage, SystemInfo, Version

from . import decoders
from .request import Operation, Request, Streaming, filters, message, moment, query
from .values import Ping

if TYPE_CHECKING:
    from .request import Answer, Filters, Moment


def ping() -> Operation[Ping]:
    """See whether it answers."""
    return Operation(Request("GET", "/_ping"), _ping)


def _ping(answer: Answer) -> Ping:
    headers = answer.head.headers
    return Ping(
        api_version=headers.get("api-version", ""),
        os_type=headers.get("ostype", ""),
        server=headers.get("server", ""),
    )


def version() -> Operation[Version]:
    """Which one it is."""
    return Operation(Request("GET", "/version"), message(Version))


def info() -> Operation[SystemInfo]:
    """What it is and has."""
    return Operation(Request("GET", "/info"), message(SystemInfo))


def disk_usage() -> Operation[DiskUsage]:
    """What takes how much room."""
    return Operation(Request("GET", "/system/df"), message(DiskUsage), None)


def events(
    *, since: Moment | None, until: Moment | None, chosen: Filters | None
) -> Streaming[Event]:
    """What happens, as it happens."""
    parameters = query({"since": moment(since), "until": moment(until), "filters": filters(chosen)})
    return Streaming(Request("GET", "/events", parameters), decoders.documents(Event))
