"""What the services of one engine share; the composition root makes it once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from knarr.api.host_config import LogConfig
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from knarr.containers.facts import HostFacts
    from knarr.images import ImageStore
    from knarr.metadata.database import Database
    from knarr.network.ready import ReadyNamespaces
    from knarr.remotes import Remotes
    from knarr.snapshots import LayerStore, Snapshotter
    from knarr.snapshots.trash import Trash
    from knarr.supervisor.client import SupervisorClient
    from knarr.volumes import VolumeStore

    from .eventbus import EventBus
    from .gate import Gate
    from .live import ContainerStore
    from .workers import Workers

DEFAULT_EXEC_ROOT = "/run/knarr"
OWN_RUNTIME = "knarr"
#: What Docker calls its own runtime: clients send it back to the engine that they took it from.
STOCK_RUNTIMES = ("runc", "io.containerd.runc.v2")


class Paths(NamedTuple):
    """The two roots of an engine, and the folders in them that the engine itself uses."""

    data_root: Path
    exec_root: Path

    @property
    def containers(self) -> Path:
        """Files of containers, see ``knarr.containers``."""
        return self.data_root / "containers"

    @property
    def scaffold(self) -> Path:
        """Mount points for all containers, see ``knarr.containers.scaffold``."""
        return self.data_root / "scaffold"

    @property
    def bundles(self) -> Path:
        """Bundles of running containers."""
        return self.exec_root / "bundles"

    def external_root(self, container_id: str) -> Path:
        """Where the root filesystem of a container with another runtime is mounted."""
        return self.exec_root / "external" / container_id / "rootfs"

    @property
    def views(self) -> Path:
        """Where the files of containers that do not run are put together for a moment."""
        return self.exec_root / "views"

    @property
    def instance(self) -> str:
        """What tells the kernel objects of this engine from those of others: "" for the default."""
        root = str(self.exec_root)
        if root == DEFAULT_EXEC_ROOT:
            return ""
        return hashlib.sha256(root.encode()).hexdigest()[:8]

    @property
    def cgroup_parent(self) -> str:
        """The cgroup below which those of the containers are made."""
        return f"/knarr-{self.instance}" if self.instance else "/knarr"


class RuntimeProgram(NamedTuple):
    """Another OCI runtime: its program, and the arguments that stand before every command."""

    path: str
    args: tuple[str, ...] = ()


class Settings(NamedTuple):
    """What an administrator decides. ``runtimes`` are other OCI runtimes by name.

    ``stop_seconds`` is how long ``stop`` waits unless the container or the request says. ``init``
    gives every container an init that does not say otherwise.
    """

    log: LogConfig = LogConfig(type="json-file")
    runtimes: Mapping[str, RuntimeProgram] = {}
    default_runtime: str = OWN_RUNTIME
    stop_seconds: int = 10
    labels: tuple[str, ...] = ()
    debug: bool = False
    init: bool = False

    def runtime_words(self, name: str) -> tuple[str, ...] | None:
        """The program of a runtime and its arguments; None is knarr's own.

        Raises ``InvalidArgumentError`` for one that is not, or no longer, configured.
        """
        if name == OWN_RUNTIME:
            return None
        program = self.runtimes.get(name)
        if program is None:
            raise InvalidArgumentError(f"unknown or invalid runtime name: {name}")
        return program.path, *program.args

    @property
    def runtime_names(self) -> Mapping[str, str]:
        """All names that a request may give, and the runtimes that they stand for."""
        stock = dict.fromkeys(STOCK_RUNTIMES, OWN_RUNTIME)
        return {**stock, OWN_RUNTIME: OWN_RUNTIME, **{name: name for name in self.runtimes}}


class Parts(NamedTuple):
    """The parts of one engine."""

    paths: Paths
    settings: Settings
    facts: HostFacts
    workers: Workers
    events: EventBus
    database: Database
    images: ImageStore
    layers: LayerStore
    snapshots: Snapshotter
    trash: Trash
    volumes: VolumeStore
    supervisor: SupervisorClient
    namespaces: ReadyNamespaces
    containers: ContainerStore
    image_gate: Gate
    remotes: Remotes
