"""The requests of further processes in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api.exec import ExecCreateResponse, ExecInspect, ExecStartRequest
from knarr.client import paths
from knarr.errors import InvalidArgumentError

from . import decoders
from .request import Operation, Request, Streaming, message, nothing, posting, query

if TYPE_CHECKING:
    from knarr.api.exec import ExecCreateRequest

    from .values import Chunk

POLL = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Seconds between looks at a process that closed its output before its end; the last repeats."""


def create(container: str, request: ExecCreateRequest) -> Operation[ExecCreateResponse]:
    """Prepare a process."""
    return Operation(
        posting(paths.container(container, "exec"), request),
        message(ExecCreateResponse),
    )


def start(exec_id: str, *, tty: bool) -> Streaming[Chunk]:
    """Start it and take its streams."""
    request = posting(f"/exec/{exec_id}/start", ExecStartRequest(tty=tty))
    return Streaming(request._replace(upgrade=True), decoders.known_output(tty=tty))


def start_detached(exec_id: str) -> Operation[None]:
    """Start it and let it run."""
    request = posting(f"/exec/{exec_id}/start", ExecStartRequest(detach=True))
    return Operation(request, nothing)


def inspect(exec_id: str) -> Operation[ExecInspect]:
    """How it is."""
    return Operation(Request("GET", f"/exec/{exec_id}/json"), message(ExecInspect))


def resize(exec_id: str, *, height: int, width: int) -> Operation[None]:
    """Set the size of its terminal."""
    parameters = query({"h": height, "w": width})
    return Operation(Request("POST", f"/exec/{exec_id}/resize", parameters), nothing)


def checked_input(data: bytes | str | None) -> bytes | None:
    """What goes to a standard input; a text goes as UTF-8."""
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    raise InvalidArgumentError(f"input must be bytes or str, not {type(data).__name__}")
