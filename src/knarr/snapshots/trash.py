"""The trash: deletion in constant time now, and the work later.

Removing the directory of a container takes many milliseconds on ext4, renaming it 0.03. So what is
to go is renamed to ``<data-root>/trash/<uuid>`` and deleted by one background thread.

Laws: what is in the trash belongs to nobody; a crash leaves it there and the next ``empty`` takes
it away. Deletion never follows a symbolic link, needs a bounded number of descriptors and no
recursion however deep the tree is, and what cannot be deleted (an immutable file, a busy mount
point) is left for the next time and does not stop the rest.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.5
_NICE = 10
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Trash:
    """The trash of one data root. All methods may be called from several threads at once."""

    def __init__(self, data_root: Path) -> None:
        self._root = data_root / "trash"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._emptying = threading.Lock()
        self._wake = threading.Lock()
        self._wanted = False
        self._worker: threading.Thread | None = None

    def put(self, path: Path) -> bool:
        """Rename ``path`` into the trash; False when it is not there. Needs the same filesystem."""
        try:
            path.rename(f"{self._root}/{uuid.uuid4().hex}")
        except FileNotFoundError:
            return False
        return True

    def empty(self) -> None:
        """Delete what is in the trash now, as far as it lets itself be deleted."""
        with self._emptying:
            fd = os.open(self._root, _DIRECTORY)
            try:
                with os.scandir(fd) as entries:
                    names = [entry.name for entry in entries]
                for name in names:
                    _delete(fd, name)
            finally:
                os.close(fd)

    def empty_soon(self) -> None:
        """Have the background thread empty the trash in a moment; returns at once.

        The moment lets what is being removed be answered first, and many removals share one go.
        """
        with self._wake:
            self._wanted = True
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="trash", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            # In Linux this is for the calling thread alone: who starts containers goes first.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            with self._wake:
                if not self._wanted:
                    self._worker = None
                    return
            time.sleep(_PAUSE_SECONDS)
            self._wanted = False
            try:
                self.empty()
            except OSError as error:  # the next start, or the next removal, tries again
                _log.warning("cannot empty the trash: %s", error)


def _delete(root: int, name: str) -> None:
    """Delete the tree ``name`` of the directory ``root``.

    Subdirectories are renamed up into ``root`` and deleted from there, so every directory is
    handled at depth one, and a path too long to be walked cannot occur.
    """
    pending = [name]
    while pending:
        current = pending.pop()
        try:
            fd = os.open(current, _DIRECTORY, dir_fd=root)
        except OSError:  # not a directory
            _unlink(root, current)
            continue
        try:
            pending.extend(_empty_directory(root, fd))
        finally:
            os.close(fd)
        _remove_directory(root, current)


def _empty_directory(root: int, fd: int) -> list[str]:
    """Unlink the files of ``fd``; the new names in ``root`` of its subdirectories."""
    moved = []
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            _unlink(fd, name)
            continue
        if _remove_directory(fd, name):  # most are empty by now or were from the start
            continue
        fresh = uuid.uuid4().hex
        try:
            os.rename(name, fresh, src_dir_fd=fd, dst_dir_fd=root)
        except OSError:
            continue
        moved.append(fresh)
    return moved


def _unlink(fd: int, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=fd)
    except OSError:
        return False
    return True


def _remove_directory(fd: int, name: str) -> bool:
    try:
        os.rmdir(name, dir_fd=fd)
    except OSError:
        return False
    return True
