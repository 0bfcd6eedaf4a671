"""Containers whose files cannot be seen from the host: another runtime keeps them in a sandbox.

Such a runtime (runsc, one with virtual machines) has a process on the host that stands for the
container, but whose root is not the container's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.errors import UnimplementedError

from .parts import OWN_RUNTIME

if TYPE_CHECKING:
    from knarr.containers.record import Record

    from .parts import Parts


def is_sandboxed(parts: Parts, record: Record) -> bool:
    """Whether the container runs and its process has another root than the container."""
    if record.host_config.runtime == OWN_RUNTIME:
        return False
    try:
        seen = Path(f"/proc/{record.state.pid}/root/.").stat()
        return not os.path.samestat(seen, parts.paths.external_root(record.id).stat())
    except OSError:
        return True


def refuse(parts: Parts, record: Record, what: str) -> None:
    """Raise ``UnimplementedError`` if ``what`` would need to see the files of a sandbox."""
    if is_sandboxed(parts, record):
        name = record.host_config.runtime
        raise UnimplementedError(
            f'{what} a running container is not supported with runtime "{name}": '
            "its files are in a sandbox",
            hint="stop it first",
        )
