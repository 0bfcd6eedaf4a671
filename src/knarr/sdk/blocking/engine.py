"""The engine, as a program with threads sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.sdk import finding
from knarr.sdk.core import system as requests

from . import streams
from .containers import Containers
from .images import Images
from .transport import Transport
from .volumes import Volumes

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from knarr.api.events import Event
    from knarr.api.system import DiskUsage, SystemInfo, Version
    from knarr.client.address import Address
    from knarr.sdk.core.request import Filters, Moment
    from knarr.sdk.core.values import Ping

    from .streams import Stream


class Engine:
    """A running engine. Any number of threads may use it."""

    def __init__(self, address: Address, *, timeout: float | None) -> None:
        self._transport = Transport(address, timeout)
        self.containers = Containers(self._transport)
        self.images = Images(self._transport)
        self.volumes = Volumes(self._transport)

    @property
    def host(self) -> str:
        """Its address."""
        return self._transport.address.text

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host}>"

    def open(self) -> None:
        """Connect now, not at the first request. Raises ``NoEngineError``."""
        self._transport.open()

    def close(self) -> None:
        """Close its connections but those of streams. A further request connects anew."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_transport"):
            self.close()

    def ping(self) -> Ping:
        """See whether it answers."""
        return self._transport.call(requests.ping())

    def version(self) -> Version:
        """Which one it is."""
        return self._transport.call(requests.version())

    def info(self) -> SystemInfo:
        """What it is and has."""
        return self._transport.call(requests.info())

    def disk_usage(self) -> DiskUsage:
        """What takes how much room."""
        return self._transport.call(requests.disk_usage())

    def events(
        self,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        filters: Filters | None = None,
    ) -> Stream[Event]:
        """What happens from now on; with ``since`` also what happened; to ``until`` or for ever.

        Nothing that happens after the call is missed.
        """
        wanted = requests.events(since=since, until=until, chosen=filters)
        return streams.open_stream(self._transport, wanted)


def connect(
    host: str | None = None, *, timeout: float | None = 60.0, start: bool = False
) -> Engine:
    """A running engine: at ``host``, ``KNARR_HOST``, ``DOCKER_HOST``, or the default socket.

    ``timeout``: after so many seconds without an answer, a request fails; what may take long by
    its nature (``wait``, streams, archives) has no limit. ``start``: if nobody named an engine and
    none answers, start one in the background, as the command line does; for root.

    Errors: ``NoEngineError`` if none answers, ``PermissionDeniedError``,
    ``InvalidArgumentError`` for an address that cannot be understood.
    """
    address = finding.find(host)
    if start:
        finding.start_if_silent(address)
    engine = Engine(address, timeout=timeout)
    engine.open()
    return engine
