"""The record of a container that exists, on disk.

```
<state-root>/<container id>/state.json      the record, staged as state.json.<pid> and renamed
<state-root>/<container id>/exec.fifo       there while a created container waits for `start`
```

Law: the directory is made first, and making it is what claims the id; a record is replaced whole.
The state root lies on a tmpfs (``/run``) and dies with the containers at a reboot, so nothing is
fsynced: a rename is atomic against every other kind of death. Before the process exists the record
says ``creating`` without a pid: whoever finds that after a crash kills the cgroup and deletes.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, TypedDict, cast

from knarr.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

OCI_VERSION = "1.2.0"
_ID = re.compile(r"[A-Za-z0-9_+.-]+")


class State(TypedDict, total=False):
    """The state of a container: the fields of the OCI runtime-spec, and below them knarr's own.

    ``startTime`` is field 22 of /proc/PID/stat; ``cgroup`` the path below the hierarchies;
    ``created`` is seconds since the epoch; ``poststop`` whether the spec has hooks for its removal.
    """

    ociVersion: str
    id: str
    status: str
    pid: int
    bundle: str
    annotations: dict[str, str]

    startTime: int
    cgroup: str
    created: float
    poststop: bool


def claim(state_root: str, container_id: str) -> str:
    """Make the directory of a new container and return its path.

    Raises ``AlreadyExistsError`` when the id is in use.
    """
    directory = _directory(state_root, container_id)
    os.makedirs(state_root, 0o700, exist_ok=True)
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        raise AlreadyExistsError(f'container with id "{container_id}" already exists') from None
    return directory


def write(state_root: str, state: State) -> None:
    """Replace the record of the container, atomically."""
    path = f"{_directory(state_root, state['id'])}/state.json"
    staged = f"{path}.{os.getpid()}"
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(state).encode())
    finally:
        os.close(descriptor)
    os.rename(staged, path)


def read(state_root: str, container_id: str) -> State:
    """The record as it was last written; its status may be out of date, see ``lifecycle.state``.

    Raises ``NotFoundError`` when there is no such container.
    """
    path = f"{_directory(state_root, container_id)}/state.json"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFoundError(f'container "{container_id}" does not exist') from None
    with open(descriptor, "rb") as file:
        return cast("State", json.load(file))


def fifo(state_root: str, container_id: str) -> str:
    """The path of the FIFO on which a created container waits."""
    return f"{_directory(state_root, container_id)}/exec.fifo"


def forget(state_root: str, container_id: str) -> None:
    """Remove the directory of the container; it is no error when it is not there."""
    directory = _directory(state_root, container_id)
    try:
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
        os.rmdir(directory)
    except FileNotFoundError:
        return


def everything(state_root: str) -> Iterator[str]:
    """The ids of all containers, also of those that are half-made."""
    try:
        with os.scandir(state_root) as entries:
            yield from sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return


def _directory(state_root: str, container_id: str) -> str:
    if len(container_id) > 255 or not _ID.fullmatch(container_id) or container_id in {".", ".."}:
        raise InvalidArgumentError(f'invalid container id "{container_id}"')
    return f"{state_root}/{container_id}"
