"""The record of a container: what was asked for, what was decided, what became of it.

Law: stored as JSON bytes in ``knarr.metadata``, which does not look inside. Fields are only ever
added, with a default, so that a newer engine reads the records of an older one. Times are Unix
nanoseconds, 0 is never. The engine alone changes a record, under the lock of its container.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from knarr.api.containers import ContainerConfig
from knarr.api.host_config import HostConfig
from knarr.api.networks import EndpointSettings
from knarr.containers.health import Health
from knarr.errors import DataLossError
from knarr.oci.digest import DiffID, Digest

if TYPE_CHECKING:
    from knarr.metadata.containers import ContainerRow


class Status(enum.StrEnum):
    """What a container is doing; the words are Docker's."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class MountKind(enum.StrEnum):
    """What a mount point shows."""

    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"
    IMAGE = "image"


class MountRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mount of the container that is not part of every container.

    ``source`` is a host path (bind, volume) or the reference of an image. ``options`` are mount(8)
    options of a tmpfs. ``mode`` is the text after the last colon of ``-v``, which Docker reports
    back. ``subpath`` lies below ``source``. ``copy`` asks to fill a new, empty volume from the
    image, ``make_source`` to make a directory of the host that is missing. ``shallow`` leaves what
    is mounted below a read-only bind writable. ``specified`` is one of ``--mount``. ``layers`` are
    those of an image, lowest first, ``labels`` and
    ``driver_options`` those of a volume that is made. ``fstype`` (a file system, or ``bind``) and
    ``device`` are what a volume shows instead of ``source``, with ``options``.
    """

    kind: MountKind
    target: str
    source: str = ""
    name: str = ""
    read_only: bool = False
    propagation: str = ""
    recursive: bool = True
    mode: str = ""
    options: tuple[str, ...] = ()
    subpath: str = ""
    anonymous: bool = False
    copy: bool = False
    make_source: bool = True
    shallow: bool = False
    specified: bool = False
    layers: tuple[DiffID, ...] = ()
    labels: dict[str, str] = {}
    driver_options: dict[str, str] = {}
    fstype: str = ""
    device: str = ""


class State(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of the container. ``exit_code`` is that of its last end.

    ``restart_streak`` are the restarts by policy since it last ran for long: they make the pause
    before the next one longer. ``health`` is None until a process was watched.
    ``frozen_for_commit``: not a user has paused it, and an engine that finds it so thaws it.
    """

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    restart_count: int = 0
    stopped_by_user: bool = False
    restart_streak: int = 0
    health: Health | None = None
    frozen_for_commit: bool = False


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything that is stored of a container.

    ``config`` is the request merged with the image's configuration; ``image_name`` is the image
    as the request named it. ``layers`` are diff_ids, lowest first. ``creating`` is set until the
    container is complete: a start of the engine removes what still has it.
    """

    id: str
    name: str
    created_ns: int
    image_id: Digest
    image_name: str
    layers: tuple[DiffID, ...]
    platform: str = "linux"
    path: str = ""
    args: tuple[str, ...] = ()
    config: ContainerConfig
    host_config: HostConfig
    endpoints: dict[str, EndpointSettings] = {}
    mounts: tuple[MountRecord, ...] = ()
    state: State = msgspec.field(default_factory=State)
    creating: bool = False

    @property
    def is_running(self) -> bool:
        """Whether its process exists, also when frozen."""
        return self.state.status in {Status.RUNNING, Status.PAUSED}

    @property
    def short_id(self) -> str:
        """The first twelve digits of the id."""
        return self.id[:12]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """The bytes to store."""
    return _encoder.encode(record)


def decode(row: ContainerRow) -> Record:
    """The record of a row; the row's own name counts. Raises ``DataLossError``."""
    try:
        record = _decoder.decode(row.record)
    except msgspec.MsgspecError as error:
        raise DataLossError(f'read record of container "{row.id}": {error}') from error
    record.name = row.name
    return record
