"""A gate between many and one: images are taken by many creates, or deleted by one removal.

Law: while someone is ``inside``, nobody is ``alone``, and the other way round. Who waits to be
alone holds back those who come later, so that it is not starved.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Gate:
    """Shared or exclusive; on the loop only."""

    def __init__(self) -> None:
        self._entry = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """Shared with others."""
        async with self._entry:
            self._inside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Exclusive."""
        async with self._entry:
            await self._empty.wait()
            yield
