"""``run --explain``: the plan of a start in words."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from knarr.runtime import creation, facts, furnish, plan
from knarr.runtime.cgroups import Cgroup
from knarr.runtime.process import Stdio
from knarr.runtime.wiring import Wiring
from knarr.supervisor import ocimounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.mount import Mount
    from knarr.oci.runtime_spec import Spec
    from knarr.runtime.cgroups import Layout


def lines(spec: Spec, bundle: str, rootfs: Sequence[Mount], layout: Layout) -> list[str]:
    """What is done to start a container of this spec, one operation a line; does nothing."""
    linux = spec["linux"]
    cgroup = Cgroup(linux["cgroupsPath"], layout)
    joins = tuple(cgroup.planned_joins(linux["resources"]))
    wiring = Wiring(Stdio(0, 1, 2), joins=joins, cgroup=cgroup.path)
    filter_ = creation.filter_of(spec)
    made = plan.start(spec, bundle, rootfs, wiring, facts.here(layout), filter_)
    return [*cgroup.describe(linux["resources"]), *made.describe()]


def of_program(
    words: Sequence[str], spec: Spec, bundle: str, rootfs: Sequence[Mount], layout: Layout
) -> list[str]:
    """As ``lines`` for another runtime: what is done for it, and how its program is called.

    The rest is up to that program.
    """
    host, folder = facts.here(layout), f"{bundle}/mounts"
    mounted = furnish.root(spec, bundle, rootfs, host)
    _, special = ocimounts.split(spec, folder)
    mounted += ocimounts.operations(special, folder, bundle, host)
    name = posixpath.basename(bundle)
    calls = (["create", "--bundle", bundle, "--pid-file", f"{bundle}/pid", name], ["start", name])
    return [
        *(each.describe() for each in mounted),
        *(
            f"execve({words[0]!r}, {[*words, '--root', f'{bundle}/state', *call]!r})"
            for call in calls
        ),
    ]
