"""``update``: other limits and another restart policy for a container that exists.

Law: what the request leaves at zero stays. The kernel is asked first, the record follows: a limit
that is refused, or a record that cannot be stored, changes nothing.

Source: moby ``container/container_unix.go`` (UpdateContainer) for what contradicts, and the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.api.containers import UpdateResponse
from knarr.api.host_config import HostConfig
from knarr.containers import health, hostdevices, limits, validate
from knarr.containers.spec import resources
from knarr.errors import ConflictError, KnarrError
from knarr.runtime.cgroups import Cgroup

from .parts import OWN_RUNTIME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from knarr.api.host_config import ContainerUpdateRequest

    from .live import LiveContainer
    from .parts import Parts
    from .preparation import Preparation

#: What Docker changes of a container; it ignores all other limits.
_CHANGEABLE = (
    "blkio_weight",
    "cpu_period",
    "cpu_quota",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
    "cpu_shares",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_reservation",
    "memory_swap",
    "nano_cpus",
    "pids_limit",
)


async def update(
    parts: Parts, preparation: Preparation, live: LiveContainer, request: ContainerUpdateRequest
) -> UpdateResponse:
    """Change the container; raises ``InvalidArgumentError`` for values that contradict."""
    async with live.lock:
        if live.removing:
            raise _cannot(live, 'container is marked for removal and cannot be "update"')
        before = live.record.host_config
        asked, warnings = limits.check(_asked(before, request), parts.facts)
        _check_against(live, before, request)
        kept = _merged(before, asked, request)
        health.validate(live.record.config, kept)
        undo: Callable[[], Awaitable[None]] | None = None
        if live.record.is_running:
            undo = await _apply(parts, preparation, live, kept)
        live.record.host_config = kept
        try:
            await parts.containers.save(live)
        except BaseException:
            live.record.host_config = before
            if undo is not None:
                await undo()
            raise
    return UpdateResponse(warnings=warnings)


async def _apply(
    parts: Parts, preparation: Preparation, live: LiveContainer, kept: HostConfig
) -> Callable[[], Awaitable[None]] | None:
    """Tell the kernel, or the runtime that has made the container; what takes it back."""
    before = live.record.host_config
    changed, earlier = (
        resources.limits(each, hostdevices.block_numbers(each)) for each in (kept, before)
    )
    if changed == earlier:
        return None
    try:
        if before.runtime != OWN_RUNTIME:
            await parts.supervisor.update(live.id, changed)
            return lambda: parts.supervisor.update(live.id, earlier)
        cgroup = Cgroup(preparation.cgroups_path(live.record), parts.facts.layout)
        changes = await parts.workers.run(lambda: cgroup.update(changed))
    except KnarrError as error:
        error.message = f"Cannot update container {live.id}: {error.message}"
        raise
    return lambda: parts.workers.run(lambda: cgroup.restore(changes))


def _cannot(live: LiveContainer, why: str) -> ConflictError:
    return ConflictError(f"Cannot update container {live.id}: {why}")


def _check_against(live: LiveContainer, host: HostConfig, request: ContainerUpdateRequest) -> None:
    """Refuse what contradicts what the container has already, in Docker's words."""
    for new, old, what, other in (
        (request.nano_cpus, host.cpu_period, "Nano CPUs", "CPU Period"),
        (request.nano_cpus, host.cpu_quota, "Nano CPUs", "CPU Quota"),
        (request.cpu_period, host.nano_cpus, "CPU Period", "NanoCPUs"),
        (request.cpu_quota, host.nano_cpus, "CPU Quota", "NanoCPUs"),
    ):
        if new > 0 and old > 0:
            verb = "cannot be updated as"
            raise _cannot(live, f"Conflicting options: {what} {verb} {other} has already been set")
    if request.memory and request.memory > host.memory_swap and not request.memory_swap:
        raise _cannot(
            live,
            "Memory limit should be smaller than already set memoryswap limit, update the "
            "memoryswap at the same time",
        )
    policy = request.restart_policy
    if policy is not None and policy.name:
        validate.restart_policy(policy, auto_remove=False)
        if host.auto_remove and policy.name != "no":
            raise _cannot(
                live,
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            )


def _asked(host: HostConfig, request: ContainerUpdateRequest) -> HostConfig:
    """What is asked for, by itself: that is what is checked."""
    asked = HostConfig(**{name: getattr(request, name) for name in _CHANGEABLE})
    if request.memory_swap > 0 and not request.memory:
        asked = msgspec.structs.replace(asked, memory=host.memory)
    if request.pids_limit is not None and request.pids_limit <= 0:
        asked = msgspec.structs.replace(asked, pids_limit=0)  # every such number is "no limit"
    return asked


def _merged(host: HostConfig, asked: HostConfig, request: ContainerUpdateRequest) -> HostConfig:
    changes = {name: value for name in _CHANGEABLE if (value := getattr(asked, name))}
    if asked.pids_limit is not None:
        changes["pids_limit"] = asked.pids_limit
    if request.restart_policy is not None and request.restart_policy.name:
        changes["restart_policy"] = request.restart_policy
    if health.ON_FAILURE in (own := request.annotations or {}):
        annotations = {**(host.annotations or {}), health.ON_FAILURE: own[health.ON_FAILURE]}
        changes["annotations"] = annotations
    return msgspec.structs.replace(host, **changes)
