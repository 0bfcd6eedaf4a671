"""All containers of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.sdk.core import containers as requests
from knarr.sdk.core import execs, failures, options
from knarr.sdk.core.values import Result

from .container import AsyncContainer
from .making import Pending
from .output import AsyncAttachment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from knarr.api.containers import (
        ContainerCreateRequest,
        ContainerPrune,
        ContainerSummary,
    )
    from knarr.sdk.core.options import ContainerOptions
    from knarr.sdk.core.request import Filters

    from .transport import Transport


class AsyncContainers:
    """All containers of the engine."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        **how: Unpack[ContainerOptions],
    ) -> Pending[AsyncContainer]:
        """Make a container; it is not started.

        A command that is one text is split as a shell splits words.
        """
        request = options.create_request(image, command, how)
        return Pending(self._transport, lambda: self._create(request, how))

    def run(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        **how: Unpack[ContainerOptions],
    ) -> Pending[AsyncContainer]:
        """Make a container and start it; one that does not start is removed again."""
        request = options.create_request(image, command, how)

        async def make() -> AsyncContainer:
            container = await self._create(request, how)
            try:
                await container.start()
            except BaseException:
                await container.discard()
                raise
            return container

        return Pending(self._transport, make)

    async def run_to_end(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        *,
        input: bytes | str | None = None,  # noqa: A002 (as in subprocess.run)
        check: bool = False,
        **how: Unpack[ContainerOptions],
    ) -> Result:
        """Run a container to its end and remove it; if this is cancelled, it is killed.

        Errors: ``CommandFailedError`` with ``check`` if its exit code is not 0.
        """
        data = execs.checked_input(input)
        wanted = how | {"stdin": data is not None, "auto_remove": False}
        request = options.create_request(image, command, wanted, attached=True)
        async with Pending(self._transport, lambda: self._create(request, how)) as container:
            streaming = requests.attach_new(
                container.id, stdin=data is not None, tty=how.get("tty", False)
            )
            async with AsyncAttachment(self._transport, streaming) as stream:
                await container.start()
                output = await stream.communicate(data)
            result = Result(await container.wait(), *output)
        return failures.checked(command or (image,), result, check=check)

    async def get(self, name: str) -> AsyncContainer:
        """The container of this name or id. Raises ``NotFoundError``."""
        found = await self._transport.call(requests.inspect(name))
        return AsyncContainer(self._transport, found.id)

    async def list(
        self, *, every: bool = False, limit: int | None = None, filters: Filters | None = None
    ) -> tuple[AsyncContainer, ...]:
        """Those that run; with ``every`` all; newest first."""
        found = await self.summaries(every=every, limit=limit, filters=filters)
        return tuple(AsyncContainer(self._transport, each.id) for each in found)

    async def summaries(
        self,
        *,
        every: bool = False,
        limit: int | None = None,
        size: bool = False,
        filters: Filters | None = None,
    ) -> tuple[ContainerSummary, ...]:
        """What ``docker ps`` shows of them."""
        operation = requests.summaries(every=every, limit=limit, size=size, chosen=filters)
        return await self._transport.call(operation)

    async def prune(self, filters: Filters | None = None) -> ContainerPrune:
        """Remove all that do not run."""
        return await self._transport.call(requests.prune(filters))

    async def _create(
        self, request: ContainerCreateRequest, how: ContainerOptions
    ) -> AsyncContainer:
        operation = requests.create(
            request, name=how.get("name", ""), platform=how.get("platform", "")
        )
        made = await self._transport.call(operation)
        return AsyncContainer(self._transport, made.id, made.warnings)
