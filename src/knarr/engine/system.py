"""The engine itself: version, facts, disk usage, events.

Law: what is told is true. Fields that only make sense for Docker's own parts are empty.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from knarr import __version__
from knarr.api import timestamps
from knarr.api.system import (
    API_VERSION,
    MIN_API_VERSION,
    Component,
    DiskUsage,
    IndexInfo,
    Platform,
    Plugins,
    RegistryConfig,
    Runtime,
    SystemInfo,
    Version,
)
from knarr.containers import init, logdrivers
from knarr.containers.record import Status
from knarr.errors import InvalidArgumentError
from knarr.remotes.rules import HUB, network

from . import listing, sizes
from .parts import OWN_RUNTIME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from knarr.api.containers import ContainerSummary
    from knarr.api.events import Event
    from knarr.oci.digest import Digest
    from knarr.remotes import Rules

    from .parts import Parts
    from .volumes import Volumes

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_KINDS = ("container", "image", "volume", "build-cache")


class System:
    """The use cases of ``services.SystemService``."""

    def __init__(self, parts: Parts, volumes: Volumes) -> None:
        self._parts = parts
        self._volumes = volumes

    async def version(self) -> Version:
        """Versions of engine and parts."""
        facts = self._parts.facts
        details = {
            "ApiVersion": API_VERSION,
            "MinAPIVersion": MIN_API_VERSION,
            "Arch": _architecture(facts.architecture),
            "Experimental": "false",
            "Os": "linux",
            "KernelVersion": facts.kernel,
            "PythonVersion": platform.python_version(),
        }
        return Version(
            platform=Platform(name="knarr"),
            components=[Component(name="Engine", version=__version__, details=details)],
            version=__version__,
            os="linux",
            arch=details["Arch"],
            kernel_version=facts.kernel,
        )

    async def info(self) -> SystemInfo:
        """State and facts of engine and host."""
        parts, facts = self._parts, self._parts.facts
        identity, images, descriptors = await parts.workers.run(
            lambda: (_identity(parts.paths.data_root), parts.images.count(), _descriptors())
        )
        status = [live.record.state.status for live in parts.containers]
        running, paused = status.count(Status.RUNNING), status.count(Status.PAUSED)
        support = facts.cgroups
        return SystemInfo(
            id=identity,
            containers=len(status),
            containers_running=running,
            containers_paused=paused,
            containers_stopped=len(status) - running - paused,
            images=images,
            driver=parts.layers.backend,
            driver_status=[["Backing Filesystem", _filesystem(parts.paths.data_root)]],
            plugins=Plugins(
                volume=["local"], network=["host", "null"], log=list(logdrivers.DRIVERS)
            ),
            memory_limit=support.memory,
            swap_limit=support.swap,
            cpu_cfs_period=support.cpu_quota,
            cpu_cfs_quota=support.cpu_quota,
            cpu_shares=support.cpu_shares,
            cpu_set=support.cpuset,
            pids_limit=support.pids,
            ipv4_forwarding=_first_line("/proc/sys/net/ipv4/ip_forward") == "1",
            debug=parts.settings.debug,
            n_fd=descriptors,
            oom_kill_disable=support.oom_kill_disable,
            system_time=timestamps.rfc3339(time.time_ns()),
            logging_driver=parts.settings.log.type,
            cgroup_version="2" if facts.layout.mode == "unified" else "1",
            n_events_listener=parts.events.listeners,
            kernel_version=facts.kernel,
            operating_system=_os_release("PRETTY_NAME"),
            os_version=_os_release("VERSION_ID"),
            architecture=facts.architecture,
            registry_config=_registries(parts.remotes.rules),
            ncpu=facts.cpus,
            mem_total=facts.memory,
            docker_root_dir=str(parts.paths.data_root),
            name=facts.hostname,
            labels=list(parts.settings.labels),
            server_version=__version__,
            runtimes={
                OWN_RUNTIME: Runtime(path=_own_runtime()),
                **{
                    name: Runtime(path=program.path, runtime_args=list(program.args) or None)
                    for name, program in parts.settings.runtimes.items()
                },
            },
            default_runtime=parts.settings.default_runtime,
            live_restore_enabled=True,
            init_binary=init.NAME,
            security_options=["name=seccomp,profile=builtin", "name=cgroupns"],
            warnings=_warnings(parts) or None,
        )

    async def disk_usage(self, types: Sequence[str] = ()) -> DiskUsage:
        """What takes how much room; all kinds unless ``types`` are given."""
        for kind in types:
            if kind not in _KINDS:
                raise InvalidArgumentError(f"unknown object type: {kind}")
        parts = self._parts
        wanted = set(types or _KINDS)
        counts: dict[Digest, int] = {}
        for live in parts.containers:
            counts[live.record.image_id] = counts.get(live.record.image_id, 0) + 1
        total, images = 0, None
        if "image" in wanted:
            total, images = await parts.workers.bulk(lambda: parts.images.disk_usage(counts))
        return DiskUsage(
            layers_size=total,
            images=images,
            containers=await self._containers() if "container" in wanted else None,
            volumes=list(await self._volumes.usage()) if "volume" in wanted else None,
            build_cache=[] if "build-cache" in wanted else None,
        )

    async def _containers(self) -> list[ContainerSummary]:
        parts = self._parts
        every = list(parts.containers)
        taken = await parts.workers.bulk(lambda: sizes.of(parts, [live.record for live in every]))
        names = {live.id: live.record.image_name for live in every}
        return listing.summaries(every, images=names, sizes=taken)

    async def events(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        filters: Mapping[str, Sequence[str]],
    ) -> AsyncIterator[Event]:
        """Past events from ``since`` on, then those to come, to the moment ``until``."""
        return self._parts.events.stream(since=since, until=until, filters=filters)


def _own_runtime() -> str:
    """The program that is our runtime as a command line, where it is installed."""
    found = Path(sys.executable).with_name("knarr-runtime")
    return str(found) if found.exists() else "knarr-runtime"


def _architecture(machine: str) -> str:
    return _GO_ARCHITECTURES.get(machine, machine)


def _identity(data_root: Path) -> str:
    """The id of this engine, made at the first question."""
    path = data_root / "engine-id"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        made = str(uuid.uuid4())
        path.write_text(f"{made}\n")
        return made


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def _registries(rules: Rules) -> RegistryConfig:
    """The rules of registries, in the form of Docker's."""
    ranges = [each for each in rules.insecure if network(each) is not None]
    names = [each for each in rules.insecure if network(each) is None]
    configs = {
        name: IndexInfo(
            name=name,
            mirrors=[f"{mirror}/" for mirror in rules.of(name).mirrors],
            secure=not (name in names or rules.of(name).insecure),
            official=name == HUB,
        )
        for name in sorted({HUB, *names, *rules.registries})
    }
    return RegistryConfig(
        insecure_registry_cidrs=["::1/128", "127.0.0.0/8", *ranges],
        index_configs=configs,
        mirrors=configs[HUB].mirrors,
    )


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0]
    except OSError:
        return ""


def _os_release(key: str) -> str:
    try:
        return platform.freedesktop_os_release().get(key, "")
    except OSError:
        return ""


def _filesystem(path: Path) -> str:
    """The type of the filesystem that holds ``path``, from mountinfo (proc_pid_mountinfo(5))."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        if fields.split()[2] == wanted:
            return tail.split()[0]
    return "unknown"


def _warnings(parts: Parts) -> list[str]:
    support = parts.facts.cgroups
    found = []
    for supported, what in (
        (support.memory, "memory limit"),
        (support.swap, "swap limit"),
        (support.cpu_quota, "cpu cfs quota"),
        (support.cpu_shares, "cpu shares"),
        (support.cpuset, "cpuset"),
        (support.pids, "pids limit"),
    ):
        if not supported:
            found.append(f"WARNING: No {what} support")
    return found
