"""Further processes in containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.sdk.core import execs

from .attachment import Attachment

if TYPE_CHECKING:
    from knarr.api.exec import ExecInspect
    from knarr.sdk.core.request import Decoder
    from knarr.sdk.core.values import Chunk

    from .attachment import Wire
    from .transport import Transport


class ExecStream(Attachment):
    """A further process in a container: its streams, its terminal, its end."""

    def __init__(
        self, transport: Transport, exec_id: str, wire: Wire, decoder: Decoder[bytes, Chunk]
    ) -> None:
        super().__init__(wire, decoder)
        self._transport = transport
        self.id = exec_id

    def inspect(self) -> ExecInspect:
        """How it is."""
        return self._transport.call(execs.inspect(self.id))

    def exit_code(self) -> int | None:
        """Its exit code; None while it runs. When the output has ended, it is there."""
        return self.inspect().exit_code

    def resize(self, *, height: int, width: int) -> None:
        """Set the size of its terminal."""
        self._transport.call(execs.resize(self.id, height=height, width=width))
