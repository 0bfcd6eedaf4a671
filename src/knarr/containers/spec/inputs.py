"""What the spec of a container is made from, besides its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.containers.record import Record
    from knarr.containers.users import ResolvedUser
    from knarr.mount import Mount
    from knarr.oci.runtime_spec import Device, Seccomp


class ManagedFiles(NamedTuple):
    """Host paths of the three files that are bound into the container."""

    hosts: str
    hostname: str
    resolv_conf: str


class Join(NamedTuple):
    """Namespaces of other processes to join, as paths; "" is none.

    ``shm`` is the mount namespace whose ``/dev/shm`` goes with the ``ipc`` namespace, ``files_of``
    the id of the container whose hosts, hostname and resolv.conf go with the network. ``volumes``
    are those that another container shows, by the place: its mount namespace, and where it is in
    it.
    """

    network: str = ""
    pid: str = ""
    ipc: str = ""
    shm: str = ""
    files_of: str = ""
    volumes: Mapping[str, tuple[str, str]] = {}


class MappedDevice(NamedTuple):
    """A device node of the host as it appears in the container, and the rights to it (``rwm``)."""

    node: Device
    access: str


class SpecInputs(NamedTuple):
    """Everything that ``spec.build`` reads: it looks at nothing else.

    ``capabilities`` and ``seccomp`` are already resolved. ``devices`` are the nodes of
    ``--device`` (or of the whole host, if privileged). ``block_devices`` gives major and minor of
    the devices that the block I/O limits name. ``open_files`` is the limit of a container that asks
    for none. ``images`` are the images that are mounted, by the place. ``init`` is the program that
    is to be the first process, "" for none. ``addresses`` are those of the servers of volumes.
    """

    record: Record
    user: ResolvedUser
    files: ManagedFiles
    cgroups_path: str
    capabilities: tuple[str, ...]
    no_new_privileges: bool
    seccomp: Seccomp | None
    devices: tuple[MappedDevice, ...] = ()
    block_devices: Mapping[str, tuple[int, int]] = {}
    join: Join = Join()
    host_hostname: str = ""
    open_files: tuple[int, int] | None = None
    images: Mapping[str, Mount] = {}
    init: str = ""
    writable_cgroups: bool = False
    addresses: Mapping[str, str] = {}
