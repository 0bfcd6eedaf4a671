"""Putting the parts of an engine together, and taking them apart again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from knarr.api.host_config import LogConfig
from knarr.containers import facts, logdrivers, scaffold, security
from knarr.content import BlobStore
from knarr.engine.archives import Archives
from knarr.engine.containers import Containers
from knarr.engine.creation import Creation
from knarr.engine.ending import Ending
from knarr.engine.engine import Engine
from knarr.engine.eventbus import EventBus
from knarr.engine.execs import Execs
from knarr.engine.gate import Gate
from knarr.engine.health import Healths
from knarr.engine.images import Images
from knarr.engine.lifecycle import Lifecycle
from knarr.engine.live import ContainerStore
from knarr.engine.networks import Networks
from knarr.engine.parts import Parts, Paths, Settings
from knarr.engine.preparation import Preparation
from knarr.engine.probing import Probing
from knarr.engine.registries import Registries
from knarr.engine.removal import Removal
from knarr.engine.restore import Restore
from knarr.engine.system import System
from knarr.engine.volumes import Volumes
from knarr.engine.workers import Workers
from knarr.errors import KnarrError
from knarr.images import ImageStore
from knarr.metadata import Database
from knarr.network.ready import ReadyNamespaces
from knarr.remotes import Remotes
from knarr.runtime import seccomp
from knarr.runtime.cgroups import Cgroup
from knarr.snapshots import Trash, open_stores
from knarr.supervisor.client import SupervisorClient
from knarr.volumes import VolumeStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .options import Options

_log = logging.getLogger(__name__)


def settings(options: Options) -> Settings:
    """What the administrator decided; raises ``InvalidArgumentError``."""
    log = LogConfig(type=options.log_driver, config=options.log_options or None)
    logdrivers.check_default(log)
    return Settings(
        log=log,
        runtimes=options.runtimes,
        default_runtime=options.default_runtime,
        labels=options.labels,
        debug=options.log_level == "debug",
        init=options.init,
    )


@contextlib.asynccontextmanager
async def running_engine(options: Options) -> AsyncIterator[Engine]:
    """An engine with its state restored; containers go on when it is left.

    Raises ``KnarrError`` when a part cannot be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        workers = Workers()
        stack.callback(workers.close)
        # Beside the rest: a supervisor that must be started takes as long as all of that.
        connecting = asyncio.create_task(
            SupervisorClient.ensure(options.exec_root, data_root=options.data_root)
        )
        stack.push_async_callback(_let_supervisor_go, connecting)
        paths = Paths(options.data_root, options.exec_root)
        database = Database(options.data_root / "knarr.db")
        stack.callback(database.close)
        trash = Trash(options.data_root)
        layers, snapshots = await workers.run(
            lambda: open_stores(
                options.data_root, options.exec_root, backend=options.backend, trash=trash
            )
        )
        images = ImageStore(database, BlobStore(options.data_root / "content"), layers)
        await workers.run(images.recover)
        await workers.run(images.ensure_hello)
        await workers.run(lambda: scaffold.ensure(paths.scaffold))
        events = EventBus()
        stack.callback(events.close)
        remotes = Remotes(options.rules)
        stack.callback(remotes.close)
        namespaces = ReadyNamespaces()
        stack.callback(namespaces.close)
        supervisor = await connecting
        parts = Parts(
            paths=paths,
            settings=settings(options),
            facts=facts.gather(),
            workers=workers,
            events=events,
            database=database,
            images=images,
            layers=layers,
            snapshots=snapshots,
            trash=trash,
            volumes=VolumeStore(database, options.data_root / "volumes", trash),
            supervisor=supervisor,
            namespaces=namespaces,
            containers=ContainerStore(database.containers, workers),
            image_gate=Gate(),
            remotes=remotes,
        )
        stack.push_async_callback(_let_go, parts)
        preparation = Preparation(parts)
        removal = Removal(parts, preparation)
        execs, ending = Execs(parts), Ending(parts)
        healths = Healths(parts.containers, events, Probing(execs, supervisor), ending)
        lifecycle = Lifecycle(parts, preparation, removal, healths)
        stack.push_async_callback(lifecycle.close)
        stack.push_async_callback(healths.close)
        await Restore(parts, lifecycle, removal, healths).run()
        lifecycle.spawn(_warm(parts))
        yield _engine(parts, preparation, lifecycle, removal, execs, ending)


def _engine(
    parts: Parts,
    preparation: Preparation,
    lifecycle: Lifecycle,
    removal: Removal,
    execs: Execs,
    ending: Ending,
) -> Engine:
    volumes = Volumes(parts)
    return Engine(
        containers=Containers(
            parts,
            preparation=preparation,
            creation=Creation(parts),
            lifecycle=lifecycle,
            ending=ending,
            removal=removal,
        ),
        execs=execs,
        images=Images(parts),
        volumes=volumes,
        networks=Networks(parts),
        system=System(parts, volumes),
        archives=Archives(parts),
        registries=Registries(parts),
    )


async def _warm(parts: Parts) -> None:
    """Compile the default system call filter now, so that the first start need not."""

    def compile_default() -> None:
        filter_ = seccomp.resolve(seccomp.default_profile(), security.DEFAULT_CAPABILITIES)
        seccomp.compile(filter_)

    try:
        await parts.workers.bulk(compile_default)
    except (KnarrError, OSError) as error:
        _log.warning("compiling the default seccomp profile failed: %s", error)


async def _let_go(parts: Parts) -> None:
    """Leave nothing unsaid; when nothing runs, mounts of layers and parent cgroup need not stay."""
    parts.containers.flush()
    if any(live.record.is_running for live in parts.containers):
        return

    def clear() -> None:
        parts.layers.close()
        with contextlib.suppress(KnarrError):
            Cgroup(parts.paths.cgroup_parent, parts.facts.layout).remove(named=True)

    await parts.workers.run(clear)


async def _let_supervisor_go(connecting: asyncio.Task[SupervisorClient]) -> None:
    """End the supervisor if nothing runs, else only the connection to it.

    Also when the start of the engine failed before it was needed.
    """
    try:
        supervisor = await connecting
    except (KnarrError, OSError):
        return  # told where it was awaited, or another failure came first
    try:
        await supervisor.shutdown()
    except KnarrError as error:
        _log.debug("the supervisor goes on: %s", error)
    await supervisor.close()
