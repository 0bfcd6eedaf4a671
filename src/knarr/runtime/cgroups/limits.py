"""OCI resources as settings for the hierarchies of this host. Pure.

Each controller is asked for where it lives: on v2 if the v2 hierarchy has it, else on v1. What no
hierarchy offers is an error, unless it asks for what holds anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import FailedPreconditionError
from knarr.runtime.cgroups import v1, v2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.oci.runtime_spec import Resources
    from knarr.runtime.cgroups.layout import Layout
    from knarr.runtime.cgroups.setting import Setting


def settings(
    resources: Resources, layout: Layout, *, raise_swap_first: bool = False
) -> list[Setting]:
    """All settings that the resources ask for, in the order in which to write them.

    Raises ``InvalidArgumentError`` for contradictions and ``FailedPreconditionError`` for a
    controller that this host does not have.
    """
    wanted = []
    for setting in _all(resources, layout, raise_swap_first=raise_swap_first):
        where = setting.controller
        if where in layout.legacy or where in layout.controllers or where == "cgroup":
            wanted.append(setting)
        elif not setting.optional:
            raise FailedPreconditionError(
                f'the "{where}" cgroup controller is not available on this host,'
                f" {setting.file} cannot be set",
                hint=f"boot with cgroup_enable={where}, or enable it for this cgroup",
            )
    return wanted


def _all(resources: Resources, layout: Layout, *, raise_swap_first: bool) -> Iterator[Setting]:
    modern = layout.controllers
    if cpu := resources.get("cpu"):
        yield from v2.cpu(cpu) if "cpu" in modern else v1.cpu(cpu)
        yield from v1.cpuset(cpu)
    if memory := resources.get("memory"):
        if "memory" in modern:
            yield from v2.memory(memory)
        else:
            yield from v1.memory(memory, raise_swap_first=raise_swap_first)
    if pids := resources.get("pids"):
        yield from v1.pids(pids)
    if blkio := resources.get("blockIO"):
        yield from v2.io(blkio) if "io" in modern else v1.blkio(blkio)
    if unified := resources.get("unified"):
        if not layout.unified:
            raise FailedPreconditionError("unified resources need cgroup v2")
        yield from v2.unified(unified)
