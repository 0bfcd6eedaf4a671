"""Containers in memory: the record, the lock, and who waits for what.

Law: everything here is used on the event loop only. A container's record is changed only while its
lock is held; it is read at any time. Whoever waits is told after the record says so too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

from knarr.containers import record as records
from knarr.containers.record import Status
from knarr.errors import ConflictError, InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from knarr.api.exec import ExecCreateRequest
    from knarr.containers.record import Record
    from knarr.engine.workers import Workers
    from knarr.metadata.containers import ContainerRow, ContainerTable


_SETTLE_SECONDS = 0.5
_LAZY_SECONDS = 0.1
_log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What a wait ends with."""

    exit_code: int
    error: str = ""


class Exec:
    """A further process in a container, from its request to the time after its end.

    ``exit_code`` is None until it has ended (or could not be started); ``pid`` 0 unless it runs.
    """

    def __init__(self, exec_id: str, request: ExecCreateRequest) -> None:
        self.id = exec_id
        self.request = request
        self.started = False
        self.running = False
        self.pid = 0
        self.exit_code: int | None = None
        self._ended = asyncio.Event()

    def end(self, exit_code: int) -> None:
        """It has ended, or could not be started."""
        self.running, self.pid, self.exit_code = False, 0, exit_code
        self._ended.set()

    async def ended(self) -> None:
        """Wait for its end."""
        await self._ended.wait()

    async def settle(self) -> None:
        """Wait for its end, which its streams show a little earlier; not for long.

        A process may close its streams and go on.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._ended.wait()


class Watch(Protocol):
    """Somebody who looks after a container's health while it runs."""

    def resume(self, since_ns: int = 0) -> None:
        """It runs: look from now on, first when the pause after ``since_ns`` is over."""
        ...

    def stop(self) -> None:
        """It is frozen: look no more. For a caller that holds its lock."""
        ...

    def leave(self) -> None:
        """Look no more, and change nothing: somebody else will go on."""
        ...


class LiveContainer:
    """One container while the engine runs."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.lock = asyncio.Lock()
        self.execs: dict[str, Exec] = {}
        self.removing = False
        #: Whether supervisor and bundles may hold something of it: a process, or who attached.
        self.has_task = True
        self._keepers = 0
        #: While it has ended and is about to be removed: is set when that may be.
        self.lingering: asyncio.Event | None = None
        #: How many are about to end it and wait for that.
        self.ending = 0
        self.restart: asyncio.Task[None] | None = None
        #: Who watches its health, from the first start on; None where nothing is to be checked.
        self.monitor: Watch | None = None
        self._writers = 0
        self._unwritten = asyncio.Event()
        self._on_exit: set[asyncio.Future[Outcome]] = set()
        self._askers: set[asyncio.Future[Outcome]] = set()
        self._on_removal: set[asyncio.Future[Outcome]] = set()

    @property
    def id(self) -> str:
        """The full id."""
        return self.record.id

    @property
    def name(self) -> str:
        """The name, without a slash."""
        return self.record.name

    @property
    def is_restarting(self) -> bool:
        """Whether it will be started again by its restart policy."""
        return self.record.state.status is Status.RESTARTING

    def require_running(self) -> None:
        """Raise ``ConflictError`` unless its process exists, also when frozen."""
        if self.is_restarting:
            raise ConflictError(
                f"container {self.id} is restarting, wait until the container is running"
            )
        if not self.record.is_running:
            raise ConflictError(f"container {self.id} is not running")

    @property
    def is_kept(self) -> bool:
        """Whether somebody wants it to stay when it ends, though it has ``--rm``."""
        return self._keepers > 0

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Let it stay when it ends: the caller starts or removes it."""
        self._keepers += 1
        try:
            yield
        finally:
            self._keepers -= 1

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Somebody writes into its files from outside; the next start waits for the end of it."""
        self._writers += 1
        self._unwritten.clear()
        try:
            yield
        finally:
            self._writers -= 1
            if not self._writers:
                self._unwritten.set()

    async def written(self) -> None:
        """Wait until nobody writes into its files from outside."""
        if self._writers:
            await self._unwritten.wait()

    def outcome(self) -> Outcome:
        """How it ended last."""
        return Outcome(self.record.state.exit_code, self.record.state.error)

    def next_exit(self) -> asyncio.Future[Outcome]:
        """Is done when the container ends the next time."""
        return _register(self._on_exit)

    def removal(self) -> asyncio.Future[Outcome]:
        """Is done when the container is gone."""
        self.stop_lingering()
        return _register(self._on_removal)

    def asked_exit(self) -> asyncio.Future[Outcome]:
        """As ``next_exit``, for a client that wants to know how it ends."""
        future = self.next_exit()
        self._askers.add(future)
        future.add_done_callback(self._askers.discard)
        return future

    @property
    def is_asked_for(self) -> bool:
        """Whether a client waits for its end or its removal."""
        return bool(self._askers or self._on_removal)

    def stop_lingering(self) -> None:
        """Who had to know how it ended knows it."""
        if self.lingering is not None:
            self.lingering.set()

    def tell_exit(self) -> None:
        """It has ended: whoever waits for that goes on."""
        _tell(self._on_exit, self.outcome())

    def tell_removal(self) -> None:
        """It is gone: everyone who waits for anything goes on."""
        _tell(self._on_exit, self.outcome())
        _tell(self._on_removal, self.outcome()._replace(error=""))

    def tell_failed_removal(self, error: str) -> None:
        """It could not be removed: whoever waits for that is told why."""
        _tell(self._on_removal, Outcome(self.record.state.exit_code, error))


def _register(futures: set[asyncio.Future[Outcome]]) -> asyncio.Future[Outcome]:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    futures.add(future)
    future.add_done_callback(futures.discard)
    return future


def _tell(futures: set[asyncio.Future[Outcome]], outcome: Outcome) -> None:
    for future in list(futures):
        if not future.done():
            future.set_result(outcome)


def _report(written: Future[None]) -> None:
    error = written.exception()
    if error is not None and not isinstance(error, NotFoundError):  # else: removed meanwhile
        _log.warning("storing the state of a container failed: %s", error)


class ContainerStore:
    """All containers, by id and by name; writes go through to the database."""

    def __init__(self, table: ContainerTable, workers: Workers) -> None:
        self._table = table
        self._workers = workers
        self._by_id: dict[str, LiveContainer] = {}
        self._names: dict[str, str] = {}
        self._lazy: dict[str, asyncio.TimerHandle] = {}

    def restore(self, rows: Iterable[ContainerRow]) -> None:
        """Take over what the database holds. Raises ``DataLossError``."""
        for row in rows:
            self.add(LiveContainer(records.decode(row)))

    def __iter__(self) -> Iterator[LiveContainer]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def names(self) -> dict[str, str]:
        """Names to ids, those of containers that are being made included. Not to be changed."""
        return self._names

    def reserve(self, name: str, container_id: str) -> None:
        """Claim a name; raises ``ConflictError`` in Docker's words."""
        owner = self._names.get(name)
        if owner is not None:
            raise ConflictError(
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{owner}". You have to remove (or rename) that container to be able to reuse '
                "that name."
            )
        self._names[name] = container_id

    async def wait_for_name(self, name: str) -> None:
        """If a container that is going, or about to go, has this name, wait until it is gone."""
        live = self._by_id.get(self._names.get(name, ""))
        if live is not None and (live.removing or live.lingering is not None):
            await live.removal()

    def release(self, name: str) -> None:
        """Give a claimed name back."""
        self._names.pop(name, None)

    def add(self, live: LiveContainer) -> None:
        """A container that is complete and stored."""
        self._by_id[live.id] = live
        self._names[live.name] = live.id

    def discard(self, live: LiveContainer) -> None:
        """A container that is gone."""
        self._end_laziness(live)
        self._by_id.pop(live.id, None)
        if self._names.get(live.name) == live.id:
            del self._names[live.name]

    def find(self, ref: str) -> LiveContainer | None:
        """The container of this full id, name or unique prefix of an id, or None.

        Raises ``InvalidArgumentError`` when several ids begin like that.
        """
        exact = self._by_id.get(ref)
        if exact is not None:
            return exact
        named = self._names.get(ref.removeprefix("/"))
        if named is not None:
            return self._by_id.get(named)
        if not ref:
            return None
        begun = [live for key, live in self._by_id.items() if key.startswith(ref)]
        if len(begun) > 1:
            raise InvalidArgumentError(f"Multiple IDs found with provided prefix: {ref}")
        return begun[0] if begun else None

    def get(self, ref: str) -> LiveContainer:
        """As ``find``, but raises ``NotFoundError``."""
        live = self.find(ref)
        if live is None:
            raise NotFoundError(f"No such container: {ref}")
        return live

    async def save(self, live: LiveContainer) -> None:
        """Store the record as it is now; returns when it would survive a power cut."""
        await asyncio.wrap_future(self._update(live, durable=True))

    async def note(self, live: LiveContainer) -> None:
        """Store the record as it is now; returns when it would survive the engine's death."""
        await asyncio.wrap_future(self._update(live))

    def note_soon(self, live: LiveContainer) -> None:
        """As ``note``, without waiting: for what the next engine learns from the supervisor too."""
        self._update(live).add_done_callback(_report)

    def note_lazily(self, live: LiveContainer) -> None:
        """As ``note_soon``, but in a moment: what ends by then has been stored with its end."""
        self._end_laziness(live)
        loop = asyncio.get_running_loop()
        self._lazy[live.id] = loop.call_later(_LAZY_SECONDS, self.note_soon, live)

    def flush(self) -> None:
        """Store what is still to be noted; the end of the engine."""
        for container_id in list(self._lazy):
            self.note_soon(self._by_id[container_id])

    def _update(self, live: LiveContainer, *, durable: bool = False) -> Future[None]:
        self._end_laziness(live)
        return self._table.update_later(live.id, records.encode(live.record), durable=durable)

    def _end_laziness(self, live: LiveContainer) -> None:
        if (noting := self._lazy.pop(live.id, None)) is not None:
            noting.cancel()

    async def rename(self, live: LiveContainer, name: str) -> None:
        """Give and store another name; raises ``ConflictError``."""
        self.reserve(name, live.id)
        old = live.name
        live.record.name = name
        content = records.encode(live.record)
        try:
            await self._workers.run(lambda: self._table.rename(live.id, name, content))
        except BaseException:
            live.record.name = old
            self.release(name)
            raise
        self.release(old)
