"""``update``: other limits and another restart policy for a container that exists.

Law: what the request leaves at zero stays. The kernel is asked first, the record follows: a limit
that is refused changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.api.containers import UpdateResponse
from knarr.api.host_config import Resources
from knarr.containers import hostdevices, limits, validate
from knarr.containers.spec import resources
from knarr.errors import ConflictError
from knarr.runtime.cgroups import Cgroup, detect

from .parts import OWN_RUNTIME

if TYPE_CHECKING:
    from knarr.api.host_config import ContainerUpdateRequest, HostConfig

    from .live import LiveContainer
    from .parts import Parts
    from .preparation import Preparation


async def update(
    parts: Parts, preparation: Preparation, live: LiveContainer, request: ContainerUpdateRequest
) -> UpdateResponse:
    """Change the container; raises ``InvalidArgumentError`` for values that contradict."""
    async with live.lock:
        if live.removing:
            raise ConflictError(
                f"cannot update container {live.id}: container is marked for removal and cannot "
                'be "update"'
            )
        wanted = _merged(live.record.host_config, request)
        kept, warnings = limits.check(wanted, parts.facts)
        validate.restart_policy(kept.restart_policy, auto_remove=kept.auto_remove)
        if live.record.is_running:
            await _apply(parts, preparation, live, kept)
        live.record.host_config = kept
        await parts.containers.save(live)
    return UpdateResponse(warnings=warnings)


async def _apply(
    parts: Parts, preparation: Preparation, live: LiveContainer, kept: HostConfig
) -> None:
    """Tell the kernel, or the runtime that has made the container."""
    changed = resources.limits(kept, hostdevices.block_numbers(kept))
    if live.record.host_config.runtime != OWN_RUNTIME:
        before = live.record.host_config
        if changed != resources.limits(before, hostdevices.block_numbers(before)):
            await parts.supervisor.update(live.id, changed)
        return
    path = preparation.cgroups_path(live.record)
    await parts.workers.run(lambda: Cgroup(path, detect()).update(changed))


def _merged(host: HostConfig, request: ContainerUpdateRequest) -> HostConfig:
    changes = {
        name: value for name in Resources.__struct_fields__ if (value := getattr(request, name))
    }
    if request.memory and not request.memory_swap and 0 < host.memory_swap < request.memory:
        changes["memory_swap"] = 2 * request.memory
    if request.restart_policy is not None and request.restart_policy.name:
        changes["restart_policy"] = request.restart_policy
    return msgspec.structs.replace(host, **changes)
