"""The embedded image ``hello``: a scratch image with one static program, there from the start."""

from __future__ import annotations

import io
import logging
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.images.imports import Description, import_
from knarr.oci import reference

if TYPE_CHECKING:
    from knarr.images.stores import Stores
    from knarr.oci.digest import Digest

NAME = "hello:latest"

_log = logging.getLogger(__name__)

_PROGRAM = Path(__file__).with_name("hello")
_DONE = "hello"
_CREATED_NS = 1_767_225_600_000_000_000
"""2026-01-01: fixed, so that the same program always makes the same image."""


def ensure_hello(stores: Stores) -> Digest | None:
    """Import the image at the first start of an engine with this state; returns its id then.

    At later starts nothing happens, so that an image that was removed stays removed. Where the
    program was not built, a warning is logged: the engine works without it.
    """
    if stores.db.facts.find(_DONE) is not None:
        return None
    try:
        program = _PROGRAM.read_bytes()
    except FileNotFoundError:
        _log.warning("no image hello: its program was not built when knarr was installed")
        return None
    description = Description(
        changes=['CMD ["/hello"]', "WORKDIR /", "ENV PATH=/"],
        message="The embedded image of knarr",
        created_ns=_CREATED_NS,
    )
    image_id = import_(
        stores,
        io.BytesIO(_tar(program)),
        name=reference.parse_normalized(NAME),
        description=description,
    )
    stores.db.facts.put(_DONE, image_id)
    return image_id


def _tar(program: bytes) -> bytes:
    """A root filesystem that holds ``/hello`` and nothing else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("hello")
        info.mode = 0o755
        info.size = len(program)
        info.mtime = _CREATED_NS // 1_000_000_000
        archive.addfile(info, io.BytesIO(program))
    return buffer.getvalue()
