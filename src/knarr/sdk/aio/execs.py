"""Further processes in containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.sdk.core import execs

from .output import AsyncAttachment

if TYPE_CHECKING:
    from knarr.api.exec import ExecCreateRequest, ExecInspect

    from .transport import Transport


class AsyncExecStream(AsyncAttachment):
    """A further process in a container: its streams, its terminal, its end.

    ``id`` is known when the stream is open.
    """

    id: str

    def __init__(self, transport: Transport, container: str, request: ExecCreateRequest) -> None:
        super().__init__(transport, execs.start("", tty=request.tty))
        self._container = container
        self._request = request

    async def _prepare(self) -> None:
        operation = execs.create(self._container, self._request)
        self.id = (await self._transport.call(operation)).id
        self._streaming = execs.start(self.id, tty=self._request.tty)

    async def inspect(self) -> ExecInspect:
        """How it is."""
        return await self._transport.call(execs.inspect(self.id))

    async def exit_code(self) -> int | None:
        """Its exit code; None while it runs. When the output has ended, it is there."""
        return (await self.inspect()).exit_code

    async def resize(self, *, height: int, width: int) -> None:
        """Set the size of its terminal."""
        await self._transport.call(execs.resize(self.id, height=height, width=width))
