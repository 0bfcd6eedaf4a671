"""The ``local`` driver."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from typing import TYPE_CHECKING

from knarr.api import timestamps
from knarr.api.volumes import Volume
from knarr.errors import InvalidArgumentError, NotFoundError
from knarr.snapshots.usage import apparent
from knarr.volumes.claims import Claims

from . import options as volume_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from knarr.metadata.database import Database
    from knarr.metadata.volumes import VolumeRow
    from knarr.snapshots.trash import Trash
    from knarr.volumes.claims import Use

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_LONGEST_NAME = 255  # of a folder: NAME_MAX
ANONYMOUS_LABEL = "com.docker.volume.anonymous"


class VolumeStore:
    """The volumes of one engine; all methods block."""

    def __init__(self, database: Database, root: Path, trash: Trash) -> None:
        self._table = database.volumes
        self._root = root
        self._trash = trash
        self.claims = Claims()

    def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        use: Use | None = None,
    ) -> tuple[Volume, bool]:
        """The volume ``name``, and whether it is new; an empty name makes an anonymous one.

        It is claimed for ``use``; raises ``ConflictError`` when it is being removed.
        """
        if driver not in {"", "local"}:
            raise NotFoundError(
                f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not '
                "found"
            )
        volume_options.check(name, options or {})
        own_labels = dict(labels or {})
        if not name:
            name = secrets.token_hex(32)
            own_labels[ANONYMOUS_LABEL] = ""
        elif len(name) == 1:
            raise InvalidArgumentError(
                f"create {name}: volume name is too short, names should be at least two "
                "alphanumeric characters"
            )
        elif len(name) > _LONGEST_NAME:
            raise InvalidArgumentError(f"create {name[:64]}...: volume name is too long")
        elif not _NAME.fullmatch(name):
            raise InvalidArgumentError(
                f'create {name}: "{name}" includes invalid characters for a local volume name, '
                'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host '
                "directory, use absolute path"
            )
        with contextlib.ExitStack() as stack:
            (use or stack.enter_context(self.claims.using())).claim(name)
            self.path(name).mkdir(mode=0o755, parents=True, exist_ok=True)
            self._root.chmod(0o711)
            made = self._table.insert(name, own_labels, dict(options or {}), time.time_ns())
            return self.get(name), made

    def path(self, name: str) -> Path:
        """The directory that containers see."""
        return self._root / name / "_data"

    def get(self, name: str) -> Volume:
        """The volume; raises ``NotFoundError`` in Docker's words."""
        row = self._table.find(name)
        if row is None:
            raise NotFoundError(f"get {name}: no such volume")
        return self._volume(row)

    def all(self) -> list[Volume]:
        """Every volume, by name."""
        return [self._volume(row) for row in self._table.all()]

    def remove(self, name: str) -> None:
        """Delete the volume and what is in it; raises ``NotFoundError``."""
        self._table.delete(name)
        self._trash.put(self._root / name)

    def usage(self, name: str) -> int:
        """The bytes of the files in it, of hard links once."""
        return apparent(self.path(name))

    def recover(self) -> None:
        """Move directories that no row names to the trash; for the start of an engine."""
        if not self._root.is_dir():
            return
        known = {row.name for row in self._table.all()}
        for entry in self._root.iterdir():
            if entry.name not in known:
                self._trash.put(entry)

    def _volume(self, row: VolumeRow) -> Volume:
        return Volume(
            name=row.name,
            created_at=timestamps.rfc3339(row.created_ns // 1_000_000_000 * 1_000_000_000),
            driver="local",
            labels=row.labels or None,
            mountpoint=str(self.path(row.name)),
            options=row.options or None,
        )
