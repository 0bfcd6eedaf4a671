"""``run --explain``: the plan of a start in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.runtime import creation, facts, plan
from knarr.runtime.cgroups import Cgroup
from knarr.runtime.process import Stdio
from knarr.runtime.wiring import Wiring

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
