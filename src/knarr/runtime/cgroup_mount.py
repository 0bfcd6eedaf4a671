"""Planning of ``/sys/fs/cgroup`` in a container, for each kind of host. Pure."""

from __future__ import annotations

import errno
import posixpath
from typing import TYPE_CHECKING, NamedTuple

from knarr.runtime import inside, mounts
from knarr.runtime.ops import Operation
from knarr.runtime.options import NODEV, NOEXEC, NOSUID, RDONLY, Attributes, Options
from knarr.runtime.table import Slot, call

if TYPE_CHECKING:
    from collections.abc import Collection

    from knarr.runtime.cgroups import Layout

_SAFE = NOSUID | NODEV | NOEXEC


class View(NamedTuple):
    """Whose cgroups are shown: those at ``path``, which are the root of its ``own`` namespace.

    ``joins`` are the files by which the container joined: a v1 hierarchy that it did not join
    shows the whole host and is left out.
    """

    path: str
    own: bool
    joins: Collection[str]

    def has(self, point: str) -> bool:
        """Whether the container has a cgroup of its own in the v1 hierarchy at ``point``."""
        return f"{point}{self.path}/tasks" in self.joins


def operations(target: str, options: Options, layout: Layout, view: View) -> list[Operation]:
    """Show the container its own cgroups at ``target``.

    With a cgroup namespace new mounts show just its own; else they are bound from the host's. On a
    host with v1 hierarchies there is a directory for each, in a tmpfs, as on the host itself.
    """
    if not layout.legacy:
        return [_hierarchy("cgroup2", layout.unified, target, (), options, view)]
    frame = Options(
        top=Attributes(set=_SAFE), data=(("mode", "755"), ("size", "64k"), ("nr_inodes", "1k"))
    )
    result = [mounts.filesystem("tmpfs", "tmpfs", target, frame)]
    groups: dict[str, list[str]] = {}
    for controller, point in layout.legacy.items():
        if view.has(point):
            groups.setdefault(point, []).append(controller)
    links: list[tuple[str, str]] = []
    for point, controllers in groups.items():
        name = posixpath.basename(point)
        at = f"{target}/{name}"
        result.append(_hierarchy("cgroup", point, at, tuple(controllers), options, view))
        links += [(controller, name) for controller in controllers if controller != name]
    if layout.unified:
        at = f"{target}/unified"
        result.append(_hierarchy("cgroup2", layout.unified, at, (), options, view))
    if links:
        result.append(_link(target, links))
    if options.top.set & RDONLY:
        result.append(mounts.make_readonly(target))
    return result


def _hierarchy(
    kind: str, point: str, at: str, controllers: tuple[str, ...], options: Options, view: View
) -> Operation:
    attributes = options.top._replace(set=options.top.set | _SAFE)
    if view.own:
        data = tuple((controller, None) for controller in controllers)
        return mounts.filesystem(kind, "cgroup", at, Options(top=attributes, data=data))
    bound = Options(bind=True, recursive=True, top=attributes)
    return mounts.bind(point + view.path, at, bound, is_directory=True)


def _link(target: str, links: list[tuple[str, str]]) -> Operation:
    """Controllers that share a hierarchy are found under each of their names."""
    holder = Slot("directory")
    made = (call("symlinkat", to, holder, name, allow=(errno.EEXIST,)) for name, to in links)
    text = f'symlinkat("{target}", {{{", ".join(name for name, _ in links)}}})'
    calls = (*inside.directory(target, holder), *made)
    return Operation(f"create links in {target}", text, calls)
