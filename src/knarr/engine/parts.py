"""What the services of one engine share; the composition root makes it once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from knarr.api.host_config import LogConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from knarr.containers.facts import HostFacts
    from knarr.images import ImageStore
    from knarr.metadata.database import Database
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


class Settings(NamedTuple):
    """What an administrator decides. ``runtimes``: name to the path of an OCI runtime program.

    ``stop_seconds`` is how long ``stop`` waits unless the container or the request says. ``init``
    gives every container an init that does not say otherwise.
    """

    log: LogConfig = LogConfig(type="json-file")
    runtimes: Mapping[str, str] = {}
    default_runtime: str = OWN_RUNTIME
    stop_seconds: int = 10
    labels: tuple[str, ...] = ()
    debug: bool = False
    init: bool = False

    def runtime_path(self, name: str) -> str | None:
        """The program of a runtime; None is knarr's own. The name is known to exist."""
        return self.runtimes.get(name)

    @property
    def runtime_names(self) -> frozenset[str]:
        """All runtimes that a container may name."""
        return frozenset({OWN_RUNTIME, *self.runtimes})


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
    containers: ContainerStore
    image_gate: Gate
