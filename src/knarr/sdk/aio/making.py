"""Things that this program makes, and that the end of an ``async with`` block removes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from knarr.sdk.core import failures

from .transport import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from types import TracebackType

    from .transport import Transport


class Pending(Generic[Made]):
    """Something that will be made: ``await`` makes it; ``async with`` also removes it again.

    Cancelled, it is made to the end and removed; what ``breaks_off`` is not made at all then.
    """

    def __init__(
        self,
        transport: Transport,
        make: Callable[[], Coroutine[Any, Any, Made]],
        *,
        breaks_off: bool = False,
    ) -> None:
        self._transport = transport
        self._make = make
        self._breaks_off = breaks_off
        self._made: Made | None = None

    def __await__(self) -> Generator[Any, None, Made]:
        making = self._make()
        return (making if self._breaks_off else self._transport.make(making)).__await__()

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
            with failures.noted(error, made):
                await self._transport.settle(made.discard())
