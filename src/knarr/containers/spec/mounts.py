"""The mounts of a container, in the order in which they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.containers.record import MountKind

from .process import INIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.containers.record import MountRecord
    from knarr.mount import Mount
    from knarr.oci.runtime_spec import SpecMount

    from .inputs import SpecInputs

_SAFE = ["nosuid", "noexec", "nodev"]
_SHM = "/dev/shm"  # noqa: S108 - a mount point
_WRITABLE_UNDER_READONLY_ROOT = frozenset({"/proc", "/dev", "/dev/pts", _SHM, "/dev/mqueue"})
_SHARED = frozenset({"shared", "rshared"})
_SLAVE = frozenset({"slave", "rslave"})


def mounts(inputs: SpecInputs) -> list[SpecMount]:
    """Docker's own mounts, then the managed files and what the record asks for.

    A mount of the record takes the place of ours at the same target, and one at ``/dev`` that of
    everything below it. The managed files are also in what is mounted on ``/etc``.
    """
    record = inputs.record
    own = {mount.target for mount in record.mounts}
    system, managed = (
        [
            mount
            for mount in ours
            if mount["destination"] not in own
            and not ("/dev" in own and mount["destination"].startswith("/dev/"))
        ]
        for ours in (_system(inputs), _managed(inputs))
    )
    if record.host_config.readonly_rootfs:
        for mount in (*system, *managed):
            if mount["destination"] not in _WRITABLE_UNDER_READONLY_ROOT:
                mount["options"] = [*mount["options"], "ro"]
    wanted = [_requested(mount, inputs) for mount in record.mounts]
    if wanted:  # parents first
        managed = sorted([*managed, *wanted], key=lambda mount: mount["destination"].count("/"))
    if inputs.init:
        managed.append(_mount(INIT, "bind", inputs.init, ["bind", "ro"]))
    return system + managed


def _system(inputs: SpecInputs) -> Iterable[SpecMount]:
    host = inputs.record.host_config
    access = ["rw"] if host.privileged else ["ro"]
    yield _mount("/proc", "proc", "proc", _SAFE)
    yield _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"])
    yield _mount(
        "/dev/pts",
        "devpts",
        "devpts",
        ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    )
    yield _mount("/sys", "sysfs", "sysfs", [*_SAFE, *access])
    if inputs.writable_cgroups:
        access = ["rw"]
    yield _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*_SAFE, "relatime", *access])
    yield _mount("/dev/mqueue", "mqueue", "mqueue", _SAFE)
    if inputs.join.ipc:
        place = f"X-knarr.mount-namespace={inputs.join.shm}"
        yield _mount(_SHM, "bind", _SHM, ["bind", *_SAFE, place])
    elif host.ipc_mode == "host":
        yield _mount(_SHM, "bind", _SHM, ["rbind", *_SAFE])
    elif host.ipc_mode != "none":
        size = f"size={host.shm_size}"
        yield _mount(_SHM, "tmpfs", "shm", [*_SAFE, "mode=1777", size])


def _managed(inputs: SpecInputs) -> Iterable[SpecMount]:
    for target, source in (
        ("/etc/resolv.conf", inputs.files.resolv_conf),
        ("/etc/hostname", inputs.files.hostname),
        ("/etc/hosts", inputs.files.hosts),
    ):
        yield _mount(target, "bind", source, ["rbind", "rprivate"])


def _requested(mount: MountRecord, inputs: SpecInputs) -> SpecMount:
    if mount.kind is MountKind.TMPFS:
        access = "ro" if mount.read_only else "rw"
        return _mount(mount.target, "tmpfs", "tmpfs", _tmpfs_options(mount.options, access))
    part = [f"X-mount.subdir={mount.subpath}"] if mount.subpath else []
    if mount.kind is MountKind.IMAGE:
        return _image(mount, inputs.images[mount.target], part)
    if mount.fstype:
        return _shown(mount, inputs, part)
    access = "rw"
    if mount.read_only:  # with everything below it, unless that shall stay writable
        access = "ro" if mount.shallow or not mount.recursive else "rro"
    bind = "rbind" if mount.recursive else "bind"
    options = [bind, mount.propagation or "rprivate", access, *part]
    return _mount(mount.target, "bind", mount.source, options)


def _shown(mount: MountRecord, inputs: SpecInputs, part: Sequence[str]) -> SpecMount:
    """What a volume shows instead of its directory; from another container if it is there."""
    access = ["ro"] if mount.read_only else []
    if mount.target in inputs.join.volumes:
        namespace, place = inputs.join.volumes[mount.target]
        options = ["bind", *mount.options, *access, f"X-knarr.mount-namespace={namespace}"]
        return _mount(mount.target, "bind", place, options)
    if mount.fstype == "bind":
        options = ["bind", "rprivate", *mount.options, *access, *part]
        return _mount(mount.target, "bind", mount.device, options)
    options = [
        f"addr={inputs.addresses.get(option[5:], option[5:])}" if option[:5] == "addr=" else option
        for option in mount.options
    ]
    return _mount(mount.target, mount.fstype, mount.device, [*options, *access])


def _image(mount: MountRecord, view: Mount, part: Sequence[str]) -> SpecMount:
    """An image as a directory."""
    if view.type != "overlay":
        return _mount(mount.target, "bind", view.source, ["rbind", "rprivate", "ro", *part])
    layers = "lowerdir=" + ":".join(each.replace(":", "\\:") for each in view.lower)
    return _mount(mount.target, "overlay", "overlay", [layers, *view.options, "ro", *part])


def _tmpfs_options(given: Sequence[str], access: str) -> list[str]:
    """Docker's safe defaults; a given option replaces the default that it contradicts."""
    options = ["noexec", "nosuid", "nodev", access]
    for option in given:
        opposite = option.removeprefix("no") if option.startswith("no") else f"no{option}"
        pair = {"ro": "rw", "rw": "ro"}.get(option, opposite)
        options = [kept for kept in options if kept not in {option, pair}]
        options.append(option)
    return options


def root_propagation(requested: Iterable[MountRecord]) -> str:
    """The propagation that the root needs so that the mounts below it can have theirs."""
    kinds = {mount.propagation for mount in requested}
    if kinds & _SHARED:
        return "shared"
    return "rslave" if kinds & _SLAVE else ""


def _mount(destination: str, kind: str, source: str, options: Sequence[str]) -> SpecMount:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}
