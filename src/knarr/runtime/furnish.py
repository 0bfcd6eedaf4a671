"""Planning of the container's file tree: root, mounts, devices, what is hidden. Pure."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime import cgroup_mount, devices, mounts, options, rootfs, sysctls
from knarr.runtime import ops as kernel
from knarr.runtime.inside import relative
from knarr.runtime.table import Shared

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from knarr.mount import Mount
    from knarr.oci.runtime_spec import Linux, Spec, SpecMount
    from knarr.runtime.facts import Facts
    from knarr.runtime.ops import Operation
    from knarr.runtime.options import Options
    from knarr.runtime.wiring import Wiring

_FIRST_CLONE = 2  # the shared slots before it are the root and the terminal
_MOST_CLONES = 200

# What runc lets users mount something on: files that only tell of the machine.
_MAY_BE_HIDDEN = frozenset(
    f"proc/{name}"
    for name in (
        "cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "slabinfo", "stat", "swaps",
        "sys/crypto/fips_enabled", "sys/kernel/ns_last_pid", "uptime",
    )
)  # fmt: skip


def root_path(spec: Spec, bundle: str) -> str:
    """The directory of the host on which the root is mounted."""
    path = spec.get("root", {}).get("path") or "rootfs"
    return posixpath.normpath(posixpath.join(bundle, path))


def root(spec: Spec, bundle: str, root_mounts: Sequence[Mount], facts: Facts) -> list[Operation]:
    """Mount what the root is made of."""
    path = root_path(spec, bundle)
    if not root_mounts:
        return [rootfs.directory(path)]
    first, *others = root_mounts
    if first.target.strip("/"):
        raise InvalidArgumentError(f'the first mount of the root is on "{first.target}"')
    made = [rootfs.filesystem(first, options.parse(first.options), path, facts.kernel)]
    for mount in others:
        parsed, target = options.parse(mount.options), f"/{mount.target}"
        if mount.type == "bind" or parsed.bind:
            kind = facts.is_directory(mount.source)
            made.append(mounts.bind(mount.source, target, parsed, is_directory=kind))
        else:
            made.append(mounts.filesystem(mount.type, mount.source, target, parsed))
    return made


def shared_binds(spec: Spec, bundle: str) -> list[Operation]:
    """Clones that are to be made before the host's mounts are made slaves.

    Of what is bound as shared, and of what is in another mount namespace.
    """
    operations: list[Operation] = []
    for mount in spec.get("mounts") or ():
        parsed = _options(mount)
        if _is_bind(mount, parsed) and _is_early(parsed):
            clone, source = _clone(len(operations)), _source(mount, bundle)
            make = mounts.clone_elsewhere if parsed.namespace else mounts.clone_early
            operations.append(make(source, parsed, clone))
    return operations


def tree(
    spec: Spec, bundle: str, facts: Facts, own: Collection[str], wiring: Wiring
) -> list[Operation]:
    """Mount and make all that is inside the root. ``own``: the namespaces that are new."""
    operations = mounted(spec, bundle, facts, own, wiring)
    if not any(map(_is_bound_dev, spec.get("mounts") or ())):
        make = devices.bound_nodes if "user" in own else devices.nodes
        operations += [*make(spec.get("linux", {}).get("devices") or ()), devices.links()]
    operations += _working_directory(spec)
    return operations


def mounted(
    spec: Spec, bundle: str, facts: Facts, own: Collection[str], wiring: Wiring
) -> list[Operation]:
    """Make the mounts of the spec inside the root, in their order."""
    operations: list[Operation] = []
    clones = 0
    for mount in spec.get("mounts") or ():
        parsed, target = _options(mount), mount["destination"]
        if _is_bind(mount, parsed):
            source = _source(mount, bundle)
            _check_place(target, source, facts)
            if parsed.subdir and parsed.namespace:
                raise InvalidArgumentError(f'mount on "{target}" has two kinds of source')
            if parsed.subdir:
                operations.append(mounts.bind_below(source, target, parsed))
                continue
            kind = bool(parsed.namespace) or facts.is_directory(source)
            if _is_early(parsed):
                clone = _clone(clones)
                operations.append(mounts.bind_clone(clone, target, is_directory=kind))
                clones += 1
            else:
                operations.append(mounts.bind(source, target, parsed, is_directory=kind))
        elif mount.get("type") in {"cgroup", "cgroup2"}:
            seen = cgroup_mount.View(wiring.cgroup, "cgroup" in own, wiring.joins)
            operations += cgroup_mount.operations(target, parsed, facts.layout, seen)
        elif mount.get("type") == "overlay" and mounts.is_view(parsed):
            operations.append(mounts.overlay(target, parsed, facts.kernel))
        else:
            operations.append(_filesystem(mount, parsed))
    return operations


def hide(spec: Spec) -> list[Operation]:
    """Make paths and the root read-only, and mask paths."""
    linux = spec.get("linux", {})
    operations = [mounts.readonly(path) for path in linux.get("readonlyPaths") or ()]
    operations += [mounts.mask(path) for path in linux.get("maskedPaths") or ()]
    if spec.get("root", {}).get("readonly"):
        operations.append(rootfs.make_readonly())
    return operations


def names_and_parameters(spec: Spec, own: Collection[str]) -> list[Operation]:
    """Host name, kernel parameters, loopback: each only in a namespace that is not the host's."""
    operations: list[Operation] = []
    for key, make in (("hostname", kernel.set_hostname), ("domainname", kernel.set_domainname)):
        name = str(spec.get(key) or "")
        if name and "uts" not in own:
            raise InvalidArgumentError(f"unable to set {key} without a private UTS namespace")
        if name:
            operations.append(make(name))
    operations += sysctls.write(spec.get("linux", {}).get("sysctl") or {}, own)
    return operations


def outer_propagation(linux: Linux) -> tuple[Operation, ...]:
    """The propagation of the new root after the pivot, where the spec asks for one."""
    wanted = linux.get("rootfsPropagation") or ""
    name = wanted.removeprefix("r")
    if not wanted or name == "slave":
        return ()
    if name not in options.PROPAGATION:
        raise InvalidArgumentError(f'invalid rootfsPropagation "{wanted}"')
    return (rootfs.propagate(options.PROPAGATION[name], "set propagation of the root"),)


def _check_place(target: str, source: str, facts: Facts) -> None:
    """Refuse what would stand for procfs, or for a file of it that tells of the container's rights.

    Programs, this one among them, read and write there what no image or volume may answer.
    """
    path = relative(target)
    if path == "proc" and not facts.is_procfs(source):
        raise InvalidArgumentError(f'"{target}" cannot be mounted because it is not of type proc')
    if path.startswith("proc/") and path not in _MAY_BE_HIDDEN:
        raise InvalidArgumentError(f'"{target}" cannot be mounted because it is inside /proc')


def _filesystem(mount: SpecMount, parsed: Options) -> Operation:
    kind, target = mount.get("type") or "", mount["destination"]
    if not kind or kind == "none":
        raise InvalidArgumentError(f'mount on "{target}" has no type')
    if any(key == "tmpcopyup" for key, _ in parsed.data):
        raise InvalidArgumentError(f'mount on "{target}": tmpcopyup is not supported')
    if parsed.subdir or parsed.namespace:
        raise InvalidArgumentError(f'mount on "{target}": only a bind mount may have that source')
    return mounts.filesystem(kind, mount.get("source") or "", target, parsed)


def _working_directory(spec: Spec) -> list[Operation]:
    cwd = spec.get("process", {}).get("cwd") or "/"
    if not cwd.startswith("/"):
        raise InvalidArgumentError(f'working directory "{cwd}" is not absolute')
    return [rootfs.working_directory(cwd)] if relative(cwd) != "." else []


def _options(mount: SpecMount) -> Options:
    return options.parse(tuple(mount.get("options") or ()))


def _clone(number: int) -> Shared:
    if number >= _MOST_CLONES:
        raise InvalidArgumentError("too many shared bind mounts")
    return Shared(_FIRST_CLONE + number)


def _is_bind(mount: SpecMount, parsed: Options) -> bool:
    return parsed.bind or mount.get("type") == "bind"


def _is_bound_dev(mount: SpecMount) -> bool:
    target = mount["destination"]
    return "dev" in target and relative(target) == "dev" and _is_bind(mount, _options(mount))


def _is_early(parsed: Options) -> bool:
    """Whether the source must be cloned before the container's own mounts are made."""
    shared = options.MS_SHARED in {parsed.top.propagation, parsed.tree.propagation}
    return bool(parsed.namespace) or (shared and not parsed.subdir)


def _source(mount: SpecMount, bundle: str) -> str:
    source = mount.get("source") or ""
    if not source:
        raise InvalidArgumentError(f'bind mount on "{mount["destination"]}" has no source')
    return posixpath.join(bundle, source)
