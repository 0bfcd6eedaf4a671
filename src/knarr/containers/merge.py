"""What a container inherits from its image, and the defaults of the host configuration.

Law: pure. What the request says counts; the image fills what it leaves open. Of ``Cmd`` the
image's is taken only if the request gives neither command nor entrypoint. The results hold no
"default": what ``inspect`` shows is what applies.

Source: moby ``daemon/commit.go`` (merge) and ``daemon/container_unix.go`` (adaptSettings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.api.host_config import LogConfig, RestartPolicy
from knarr.containers import health
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.api.containers import ContainerConfig
    from knarr.api.host_config import HostConfig
    from knarr.api.images import ImageConfig

DEFAULT_SHM_SIZE = 64 * 1024 * 1024

MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)


def with_image(config: ContainerConfig, image: ImageConfig) -> ContainerConfig:
    """The configuration with the image's values where it has none of its own.

    Raises ``InvalidArgumentError`` when there is nothing to run in the end.
    """
    entrypoint, cmd = _command(config, image)
    if not entrypoint and not cmd:
        raise InvalidArgumentError("no command specified")
    return msgspec.structs.replace(
        config,
        user=config.user or image.user,
        exposed_ports={**(image.exposed_ports or {}), **(config.exposed_ports or {})} or None,
        env=_environment(config.env or (), image.env or ()) or None,
        cmd=cmd,
        entrypoint=entrypoint,
        volumes={**(image.volumes or {}), **(config.volumes or {})} or None,
        working_dir=config.working_dir or image.working_dir,
        labels={**(image.labels or {}), **(config.labels or {})},
        stop_signal=config.stop_signal or image.stop_signal,
        healthcheck=health.inherited(config.healthcheck, image.healthcheck),
        on_build=None,
        shell=config.shell or image.shell,
    )


def _command(
    config: ContainerConfig, image: ImageConfig
) -> tuple[list[str] | None, list[str] | None]:
    """Entrypoint and command; ``[""]`` as entrypoint takes the image's away."""
    if not config.entrypoint:
        cmd = config.cmd or image.cmd
        return image.entrypoint or None, cmd or None
    entrypoint = None if config.entrypoint == [""] else config.entrypoint
    return entrypoint, config.cmd or None


def _environment(own: Sequence[str], inherited: Sequence[str]) -> list[str]:
    """Both, with the request's value where a name is in both; a name alone (``FOO``) counts."""
    names = {entry.partition("=")[0] for entry in own}
    return [*own, *(entry for entry in inherited if entry.partition("=")[0] not in names)]


def with_defaults(
    host: HostConfig, *, runtime: str, log: LogConfig, unified_cgroups: bool
) -> HostConfig:
    """The host configuration with everything that it leaves open decided.

    A privileged container sees the host's cgroups unless they are all in version 2, as in Docker.
    """
    shared_cgroups = host.privileged and not unified_cgroups
    return msgspec.structs.replace(
        host,
        shm_size=host.shm_size or DEFAULT_SHM_SIZE,
        memory_swappiness=None if host.memory_swappiness == -1 else host.memory_swappiness,
        memory_swap=host.memory_swap or (2 * host.memory if host.memory > 0 else 0),
        oom_kill_disable=host.oom_kill_disable or (None if unified_cgroups else False),
        ipc_mode=host.ipc_mode or "private",
        cgroupns_mode=host.cgroupns_mode or ("host" if shared_cgroups else "private"),
        network_mode=host.network_mode if host.network_mode not in {"", "default"} else "bridge",
        runtime=host.runtime or runtime,
        log_config=_log(host.log_config, log),
        restart_policy=host.restart_policy
        if host.restart_policy.name
        else RestartPolicy(name="no"),
        masked_paths=_paths(host.masked_paths, MASKED_PATHS, privileged=host.privileged),
        readonly_paths=_paths(host.readonly_paths, READONLY_PATHS, privileged=host.privileged),
    )


def _log(chosen: LogConfig, default: LogConfig) -> LogConfig:
    """The driver and its options; those of the default driver complete what is not given."""
    options = dict(chosen.config or {})
    if chosen.type in {"", default.type}:
        options = {**(default.config or {}), **options}
    elif chosen.type != "none":
        # What is kept of lines that are sent elsewhere is the same for all such drivers.
        cache = {k: v for k, v in (default.config or {}).items() if k.startswith("cache-")}
        options = {**cache, **options}
    return LogConfig(type=chosen.type or default.type, config=options)


def _paths(
    given: list[str] | None, default: Sequence[str], *, privileged: bool
) -> list[str] | None:
    """The list that applies: a privileged container has none unless it asks for one."""
    if given is not None:
        return given
    return None if privileged else list(default)


def labels(config: ContainerConfig) -> Mapping[str, str]:
    """The labels of a container, never None."""
    return config.labels or {}
