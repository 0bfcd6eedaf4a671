"""All containers of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.sdk.core import containers as requests
from knarr.sdk.core import execs, failures, options
from knarr.sdk.core.values import Result

from .attachment import Deadline, open_attachment
from .container import Container, MadeContainer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from knarr.api.containers import (
        ContainerPrune,
        ContainerSummary,
    )
    from knarr.sdk.core.options import ContainerOptions
    from knarr.sdk.core.request import Filters

    from .transport import Transport


class Containers:
    """All containers of the engine."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        **how: Unpack[ContainerOptions],
    ) -> MadeContainer:
        """Make a container; it is not started.

        A command that is one text is split as a shell splits words.
        """
        return self._create(image, command, how, attached=False)

    def run(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        **how: Unpack[ContainerOptions],
    ) -> MadeContainer:
        """Make a container and start it; one that does not start is removed again."""
        container = self.create(image, command, **how)
        try:
            container.start()
        except BaseException:
            container.discard()
            raise
        return container

    def run_to_end(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        *,
        input: bytes | str | None = None,  # noqa: A002 (as in subprocess.run)
        check: bool = False,
        timeout: float | None = None,
        **how: Unpack[ContainerOptions],
    ) -> Result:
        """Run a container to its end and remove it.

        Errors: ``CommandFailedError`` with ``check`` if its exit code is not 0;
        ``EngineTimeoutError`` after ``timeout`` seconds (it is killed and removed).
        """
        data = execs.checked_input(input)
        deadline = Deadline(timeout)
        wanted = how | {"stdin": data is not None, "auto_remove": False}
        with self._create(image, command, wanted, attached=True) as container:
            streaming = requests.attach_new(
                container.id, stdin=data is not None, tty=how.get("tty", False)
            )
            with open_attachment(self._transport, streaming) as stream:
                container.start()
                output = stream.communicate(data, timeout=deadline.left())
            result = Result(container.wait(timeout=deadline.left()), *output)
        return failures.checked(command or (image,), result, check=check)

    def get(self, name: str) -> Container:
        """The container of this name or id. Raises ``NotFoundError``."""
        return Container(self._transport, self._transport.call(requests.inspect(name)).id)

    def list(
        self, *, every: bool = False, limit: int | None = None, filters: Filters | None = None
    ) -> tuple[Container, ...]:
        """Those that run; with ``every`` all; newest first."""
        found = self.summaries(every=every, limit=limit, filters=filters)
        return tuple(Container(self._transport, each.id) for each in found)

    def summaries(
        self,
        *,
        every: bool = False,
        limit: int | None = None,
        size: bool = False,
        filters: Filters | None = None,
    ) -> tuple[ContainerSummary, ...]:
        """What ``docker ps`` shows of them."""
        operation = requests.summaries(every=every, limit=limit, size=size, chosen=filters)
        return self._transport.call(operation)

    def prune(self, filters: Filters | None = None) -> ContainerPrune:
        """Remove all that do not run."""
        return self._transport.call(requests.prune(filters))

    def _create(
        self,
        image: str,
        command: str | Sequence[str] | None,
        how: ContainerOptions,
        *,
        attached: bool,
    ) -> MadeContainer:
        request = options.create_request(image, command, how, attached=attached)
        operation = requests.create(
            request, name=how.get("name", ""), platform=how.get("platform", "")
        )
        made = self._transport.call(operation)
        return MadeContainer(self._transport, made.id, made.warnings)
