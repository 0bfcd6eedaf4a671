"""What is on disk about processes, for the next supervisor.

::

    <exec-root>/supervisor/<container id>/
        state.json          Record; pid 0 while it is being started
        exit.json           Exit; written once, before anybody is told
        journal             see ``journal``
        stdout.spool ...    see ``spool``
        sent                how far lines were sent elsewhere, see ``sender``
        exec-<exec id>/     the same for a process that was run in the container

Law: a file is staged under another name and renamed, never changed in place. Nothing is synced:
the files serve against the end of a process, and no container outlives the machine. Whoever finds
a record with pid 0 and no exit knows that its start was killed half-way.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from knarr.errors import ConflictError, InvalidArgumentError
from knarr.supervisor.messages import Exit, LogConfig, log_config, runtime_words

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_EXEC = "exec-"
_STATE = "state.json"
_EXIT = "exit.json"

Key = tuple[str, str]


class Record(NamedTuple):
    """A process: what is needed to find it again and to go on with it.

    ``start_time`` is field 22 of /proc/PID/stat: with it a pid that is used again is known.
    ``private_pids`` says that all its descendants end with it. ``stdin_open`` says whether the
    write end of its input is (still) open. ``pipes`` are the inodes of its stdio by role.
    """

    id: str
    exec_id: str
    bundle: str = ""
    runtime: tuple[str, ...] | None = None
    pid: int = 0
    start_time: int = 0
    started_ns: int = 0
    terminal: bool = False
    stdin_open: bool = False
    stdin_once: bool = False
    private_pids: bool = False
    log: LogConfig | None = None
    pipes: tuple[tuple[str, int], ...] = ()

    @property
    def key(self) -> Key:
        """Container id and exec id."""
        return self.id, self.exec_id


class Store:
    """The folder with all records."""

    def __init__(self, exec_root: str) -> None:
        self._root = f"{exec_root}/supervisor"
        os.makedirs(self._root, 0o700, exist_ok=True)

    def folder(self, key: Key) -> str:
        """Where the files of a process are; ``InvalidArgumentError`` for ids that are no names."""
        container_id, exec_id = key
        if not _ID.fullmatch(container_id) or (exec_id and not _ID.fullmatch(exec_id)):
            raise InvalidArgumentError(f'invalid id "{exec_id or container_id}"')
        folder = f"{self._root}/{container_id}"
        return f"{folder}/{_EXEC}{exec_id}" if exec_id else folder

    def make(self, key: Key) -> str:
        """Make the folder of a process; ``ConflictError`` when it is there."""
        folder = self.folder(key)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            raise ConflictError(f'process "{key[1] or key[0]}" already exists') from None
        return folder

    def write(self, record: Record) -> None:
        """Put the record of a process on disk; its folder is there."""
        _replace(f"{self.folder(record.key)}/{_STATE}", record)

    def write_exit(self, ended: Exit) -> None:
        """Put the exit of a process on disk."""
        _replace(f"{self.folder((ended.id, ended.exec_id))}/{_EXIT}", ended)

    def read_exit(self, key: Key) -> Exit | None:
        """The exit of a process, if it has ended."""
        fields = _read(f"{self.folder(key)}/{_EXIT}")
        return None if fields is None else Exit(*fields)

    def records(self) -> Iterator[Record]:
        """All records, a container before its execs; remains of a removal have an empty one."""
        for container_id in _folders(self._root):
            yield self._record((container_id, ""))
            for name in _folders(f"{self._root}/{container_id}"):
                if name.startswith(_EXEC):
                    yield self._record((container_id, name.removeprefix(_EXEC)))

    def remove(self, key: Key) -> None:
        """Remove all files of a process; it is no error when there are none."""
        _remove(self.folder(key))

    def _record(self, key: Key) -> Record:
        fields = _read(f"{self.folder(key)}/{_STATE}")
        if fields is None:
            return Record(*key)
        record = Record(*fields[: len(Record._fields)])
        pipes = tuple((str(role), int(inode)) for role, inode in record.pipes)
        return record._replace(
            runtime=runtime_words(record.runtime), log=log_config(record.log), pipes=pipes
        )


def _replace(path: str, value: Any) -> None:
    staged = f"{path}.new"
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(value).encode())
    finally:
        os.close(fd)
    os.rename(staged, path)


def _read(path: str) -> Any:
    try:
        with open(path, "rb") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as found:
            return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _remove(folder: str) -> None:
    try:
        with os.scandir(folder) as found:
            # The record goes first: without it the others are remains, whatever they say.
            entries = sorted(found, key=lambda entry: entry.name != _STATE)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remove(entry.path)
            else:
                os.unlink(entry.path)
        os.rmdir(folder)
    except FileNotFoundError:
        return
