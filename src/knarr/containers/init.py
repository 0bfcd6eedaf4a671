"""The init of ``--init``: the first process of a container, which has the program as its child.

The program is built from ``init.c`` when knarr is installed and bound read-only into containers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from knarr.errors import UnavailableError

NAME = "docker-init"


@cache
def program() -> str:
    """The path of the program on the host. Raises ``UnavailableError`` when it was not built."""
    path = Path(__file__).with_name("init")
    if not path.is_file():
        raise UnavailableError(f"{NAME} was not built when knarr was installed")
    return str(path)
