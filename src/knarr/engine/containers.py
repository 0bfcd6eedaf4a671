"""The use cases of containers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from knarr.api.containers import ContainerPrune, DriverData, WaitError, WaitResponse
from knarr.containers import names, scaffold, users
from knarr.containers.record import Status
from knarr.errors import ConflictError, InvalidArgumentError, KnarrError, NotFoundError
from knarr.runtime.cgroups import Cgroup

from . import (
    about,
    attaching,
    explanation,
    imagenames,
    inspection,
    joining,
    listing,
    logstream,
    selecting,
    sizes,
    stats,
    updating,
)
from .logwatch import LogWatch
from .ps import top
from .services import LogStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from knarr.api.containers import (
        ContainerCreateRequest,
        ContainerCreateResponse,
        ContainerInspect,
        ContainerSummary,
        TopResponse,
        UpdateResponse,
    )
    from knarr.api.host_config import ContainerUpdateRequest
    from knarr.api.stats import StatsResponse

    from .creation import Creation
    from .ending import Ending
    from .lifecycle import Lifecycle
    from .live import LiveContainer, Outcome
    from .parts import Parts
    from .preparation import Preparation
    from .removal import Removal
    from .services import Attachment, AttachOptions, LogOptions

    Filters = Mapping[str, Sequence[str]]

_NO_NAME = "error when allocating new name"
_CONDITIONS = frozenset({"", "not-running", "next-exit", "removed"})


class Wait:
    """A wait that has begun."""

    def __init__(self, future: asyncio.Future[Outcome]) -> None:
        self._future = future

    async def result(self) -> WaitResponse:
        """How the container ended, when it has."""
        outcome = await self._future
        error = WaitError(message=outcome.error) if outcome.error else None
        return WaitResponse(status_code=outcome.exit_code, error=error)


class Containers:
    """The containers of one engine; the methods are those of ``services.ContainerService``."""

    def __init__(
        self,
        parts: Parts,
        *,
        preparation: Preparation,
        creation: Creation,
        lifecycle: Lifecycle,
        ending: Ending,
        removal: Removal,
    ) -> None:
        self._parts = parts
        self._log_watch = LogWatch()
        self._preparation = preparation
        self._creation = creation
        self._lifecycle = lifecycle
        self._ending = ending
        self._removal = removal
        self._sampler = stats.Sampler(parts, preparation)

    def _get(self, ref: str) -> LiveContainer:
        return self._parts.containers.get(ref)

    def _publish(self, live: LiveContainer, action: str, **more: str) -> None:
        attributes = about.container(live.record, **more)
        self._parts.events.publish("container", action, live.id, attributes)

    async def create(
        self,
        name: str,
        request: ContainerCreateRequest,
        platform: str | None = None,
        *,
        shallow_read_only: bool = False,
    ) -> ContainerCreateResponse:
        """Make a container; an empty name is generated."""
        return await self._creation.create(
            name, request, platform, shallow_read_only=shallow_read_only
        )

    async def start(self, ref: str, *, detach_keys: str | None = None) -> None:
        """Start it; ``NotModifiedError`` when it runs."""
        del detach_keys  # they belong to the attach that goes with the start
        await self._lifecycle.start(self._get(ref))

    async def stop(self, ref: str, *, grace: int | None = None, signal: str = "") -> None:
        """Send the stop signal, then SIGKILL after ``grace`` seconds."""
        await self._ending.stop(self._get(ref), grace=grace, signal=signal)

    async def restart(self, ref: str, *, grace: int | None = None, signal: str = "") -> None:
        """Stop it if it runs, and start it; one that is removed at its end stays."""
        live = self._get(ref)
        if live.record.is_running or live.is_restarting:
            with live.kept():
                await self._ending.stop(live, grace=grace, signal=signal)
        await self._lifecycle.start(live)
        self._publish(live, "restart")

    async def kill(self, ref: str, *, signal: str = "KILL") -> None:
        """Send a signal, by name or number."""
        try:
            live = self._get(ref)
        except NotFoundError as error:
            raise NotFoundError(f"cannot kill container: {ref}: {error.message}") from None
        await self._ending.kill(live, signal)

    async def pause(self, ref: str) -> None:
        """Freeze all processes."""
        live = self._get(ref)
        async with live.lock:
            if live.record.state.status is Status.PAUSED:
                raise ConflictError(f"container {live.id} is already paused")
            live.require_running()
            await self._parts.supervisor.pause(live.id)
            live.record.state.status = Status.PAUSED
            if live.monitor is not None:
                live.monitor.stop()
            await self._parts.containers.note(live)
        self._publish(live, "pause")

    async def unpause(self, ref: str) -> None:
        """Thaw all processes."""
        live = self._get(ref)
        async with live.lock:
            if live.record.state.status is not Status.PAUSED:
                raise ConflictError(f"container {live.id} is not paused")
            await self._parts.supervisor.resume(live.id)
            live.record.state.status = Status.RUNNING
            if live.monitor is not None:
                live.monitor.resume()
            await self._parts.containers.note(live)
        self._publish(live, "unpause")

    async def wait(self, ref: str, *, condition: str = "") -> Wait:
        """Begin to wait for ``not-running`` (default), ``next-exit`` or ``removed``."""
        if condition not in _CONDITIONS:
            raise InvalidArgumentError(f'invalid condition: "{condition}"')
        live = self._get(ref)
        if condition == "removed":
            return Wait(live.removal())
        if condition == "next-exit" or live.record.is_running or live.is_restarting:
            return Wait(live.asked_exit())
        live.stop_lingering()
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        done.set_result(live.outcome()._replace(error=""))
        return Wait(done)

    async def remove(
        self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        """Remove it, with ``volumes`` its anonymous volumes too."""
        if link:
            raise NotFoundError(f"Could not get parent for {ref}: links do not exist")
        live = self._get(ref)
        if force:
            with live.kept():
                await self._ending.end(live)
        await self._removal.remove(live, volumes=volumes)

    async def rename(self, ref: str, name: str) -> None:
        """Give it another name."""
        live = self._get(ref)
        if not name:
            raise InvalidArgumentError("Neither old nor new names may be empty")
        try:
            new = names.check(name)
        except InvalidArgumentError as error:
            words = error.message.replace(f"({name})", f"(/{name})")
            raise InvalidArgumentError(f"{_NO_NAME}: {words}") from None
        old = live.name
        if new == old:
            raise InvalidArgumentError(
                "Renaming a container with the same name as its current name"
            )
        async with live.lock:
            try:
                await self._parts.containers.rename(live, new)
            except ConflictError as error:
                raise ConflictError(f"{_NO_NAME}: {error.message}") from None
        self._publish(live, "rename", oldName=f"/{old}")

    async def list(
        self, *, every: bool = False, limit: int = 0, size: bool = False, filters: Filters
    ) -> Sequence[ContainerSummary]:
        """Running containers, or ``every`` one, newest first."""
        parts = self._parts
        wanted = filters.get("ancestor")
        ancestors = (
            await parts.workers.run(lambda: imagenames.descendants(parts, wanted))
            if wanted
            else None
        )
        found = listing.select(
            parts.containers, every=every, limit=limit, filters=filters, ancestors=ancestors
        )
        records = [live.record for live in found]
        shown = imagenames.shown_at_once(parts, records)
        if shown is None:
            shown = await parts.workers.run(lambda: imagenames.shown(parts, records))
        taken = await parts.workers.bulk(lambda: sizes.of(parts, records)) if size else {}
        return listing.summaries(found, images=shown, sizes=taken)

    async def inspect(self, ref: str, *, size: bool = False) -> ContainerInspect:
        """Everything about one."""
        live = self._get(ref)
        graph = DriverData(name=self._parts.layers.backend, data=None)
        found = inspection.inspect(
            live,
            containers_root=self._parts.paths.containers,
            files_owner=joining.files_owner(live.record, self._parts.containers),
            graph=graph,
        )
        if not size:
            return found
        taken = await self._parts.workers.bulk(lambda: sizes.of(self._parts, [live.record]))
        return msgspec.structs.replace(
            found, size_rw=taken[live.id].own, size_root_fs=taken[live.id].whole
        )

    async def logs(self, ref: str, options: LogOptions) -> LogStream:
        """Its log; errors are raised here, before the first chunk."""
        live = self._get(ref)
        if not (options.stdout or options.stderr):
            raise InvalidArgumentError("Bad parameters: you must choose at least one stream")
        tty = live.record.config.tty
        source = logstream.source(live.record, self._parts.paths.containers)
        chosen = logstream.selection(options, tty=tty)
        watch = self._log_watch if options.follow else None
        chunks = logstream.stream(live, source, chosen, self._parts.workers, watch=watch)
        return LogStream(tty, chunks)

    async def attach(self, ref: str, options: AttachOptions) -> Attachment:
        """Its standard streams; may come before ``start``."""
        return await attaching.attach(self._parts, self._get(ref), options)

    async def resize(self, ref: str, *, height: int, width: int) -> None:
        """Set the size of its terminal, in characters."""
        live = self._get(ref)
        if not live.record.is_running:
            raise ConflictError(f"container {live.id} is not running")
        await self._parts.supervisor.resize(live.id, None, height, width)
        self._publish(live, "resize", height=str(height), width=str(width))

    async def top(self, ref: str, ps_args: str = "") -> TopResponse:
        """Its processes, as ps(1) shows them."""
        live = self._get(ref)
        live.require_running()
        cgroup = self._preparation.cgroups_path(live.record)
        table = await self._parts.workers.run(
            # Another runtime may make no cgroup.
            lambda: top(
                Cgroup(cgroup, self._parts.facts.layout).processes() or [live.record.state.pid],
                ps_args,
            )
        )
        self._publish(live, "top")
        return table

    async def stats(
        self, ref: str, *, stream: bool = True, one_shot: bool = False
    ) -> AsyncIterator[StatsResponse]:
        """What it uses, once a second, or once."""
        return self._sampler.stats(self._get(ref), stream=stream, one_shot=one_shot)

    async def update(self, ref: str, request: ContainerUpdateRequest) -> UpdateResponse:
        """Change limits and the restart policy."""
        live = self._get(ref)
        answer = await updating.update(self._parts, self._preparation, live, request)
        self._publish(live, "update")
        return answer

    async def prune(self, filters: Filters) -> ContainerPrune:
        """Remove all that are stopped."""
        parts = self._parts
        prunable = selecting.prunable(parts.containers, filters)
        taken = await parts.workers.bulk(
            lambda: sizes.of(parts, [each.record for each in prunable])
        )
        deleted: list[str] = []
        for live in prunable:
            try:
                await self._removal.remove(live, volumes=False)
            except KnarrError:
                continue  # started or removed by someone else meanwhile
            deleted.append(live.id)
        reclaimed = sum(taken[key].own for key in deleted)
        parts.events.publish("container", "prune", "", {"reclaimed": str(reclaimed)})
        return ContainerPrune(containers_deleted=deleted or None, space_reclaimed=reclaimed)

    async def explain(self, request: ContainerCreateRequest) -> Sequence[str]:
        """The plan of the start, one operation a line; nothing is made."""
        parts = self._parts
        image = await self._creation.image(request)
        checked = self._creation.check(names.new_id(), "explained", request, image)

        def describe() -> list[str]:
            record = checked.record
            record.mounts = checked.requested
            known = self._preparation.users_of_image(record.layers)
            user = users.resolve(
                record.config.user, known, group_add=record.host_config.group_add or ()
            )
            described = self._preparation.describe(
                record, joining.of(record, parts.containers), user
            )
            layers = parts.snapshots.planned(
                record.id, record.layers, volatile=record.host_config.auto_remove
            )
            rootfs = scaffold.below(layers, str(parts.paths.scaffold))
            words = parts.settings.runtime_words(record.host_config.runtime)
            if words is not None:
                place = str(parts.paths.external_root(record.id).parent)
                return explanation.of_program(words, described, place, rootfs, parts.facts.layout)
            bundle = str(parts.paths.bundles / record.id)
            return explanation.lines(described, bundle, rootfs, parts.facts.layout)

        return await parts.workers.run(describe)
