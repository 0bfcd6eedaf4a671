"""Things that this program makes, and that the end of an ``async with`` block removes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from .transport import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from types import TracebackType

    from .transport import Transport


class Pending(Generic[Made]):
    """Something that will be made: ``await`` makes it; ``async with`` also removes it again."""

    def __init__(self, transport: Transport, make: Callable[[], Coroutine[Any, Any, Made]]) -> None:
        self._transport = transport
        self._make = make
        self._made: Made | None = None

    def __await__(self) -> Generator[Any, None, Made]:
        return self._transport.make(self._make()).__await__()

    async def __aenter__(self) -> Made:
        self._made = await self
        return self._made

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        made, self._made = self._made, None
        if made is not None:
            await self._transport.settle(made.discard())
