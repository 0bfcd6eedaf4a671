"""Images: listed, inspected, deleted, and the progress of loading them.

Source: Engine API v1.51, definitions ``ImageSummary``, ``ImageInspect``, ``ImageConfig``,
``HistoryResponseItem``, ``DeleteResponse``; JSON progress as in ``docker load`` and ``pull``.
"""

from __future__ import annotations

import msgspec

from knarr.api.containers import DriverData, Empty, HealthConfig
from knarr.api.message import ZERO_TIME, Message, always, null
from knarr.api.registry import Descriptor


class ImageConfig(Message, frozen=True, kw_only=True):
    """The configuration that an image gives to its containers; empty fields are left out."""

    user: str = ""
    exposed_ports: dict[str, Empty] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    volumes: dict[str, Empty] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: HealthConfig | None = None
    on_build: list[str] | None = None
    shell: list[str] | None = None


class ImageSummary(Message, frozen=True, kw_only=True):
    """An entry of ``GET /images/json``. -1 means not counted; ``created`` in Unix seconds."""

    containers: int = always(lambda: -1)
    created: int
    id: str
    labels: dict[str, str] | None = always(null)
    parent_id: str = always(str)
    repo_digests: list[str] = always(list)
    repo_tags: list[str] = always(list)
    shared_size: int = always(lambda: -1)
    size: int


class RootFS(Message, frozen=True, kw_only=True):
    """The diff_ids of an image, lowest first."""

    type: str = always(lambda: "layers")
    layers: list[str] | None = None


class ImageMetadata(Message, frozen=True, kw_only=True):
    """What the engine knows of an image beyond its content."""

    last_tag_time: str = always(lambda: ZERO_TIME)


class ImageInspect(Message, frozen=True, kw_only=True):
    """``GET /images/{name}/json``."""

    id: str
    repo_tags: list[str] = always(list)
    repo_digests: list[str] = always(list)
    parent: str = always(str)
    comment: str = always(str)
    created: str = ""
    docker_version: str = always(str)
    author: str = always(str)
    config: ImageConfig | None = always(null)
    architecture: str
    variant: str = ""
    os: str
    os_version: str = ""
    size: int
    graph_driver: DriverData
    root_fs: RootFS = msgspec.field(name="RootFS")
    metadata: ImageMetadata = always(ImageMetadata)


class HistoryItem(Message, frozen=True, kw_only=True):
    """An entry of ``GET /images/{name}/history``, newest first; ``id`` is ``<missing>`` mostly."""

    comment: str = always(str)
    created: int
    created_by: str
    id: str
    size: int
    tags: list[str] | None = always(null)


class DeleteItem(Message, frozen=True, kw_only=True):
    """One line of ``rmi``: either a reference was taken away or an image (layer) deleted."""

    deleted: str = ""
    untagged: str = ""


class ImagePrune(Message, frozen=True, kw_only=True):
    """``POST /images/prune``: what was deleted, and the bytes that came free."""

    images_deleted: list[DeleteItem] | None = always(null)
    space_reclaimed: int = always(int)


class ProgressDetail(Message, frozen=True, kw_only=True, rename="camel"):
    """Bytes done and bytes in all; ``total`` 0 where it is unknown."""

    current: int = 0
    total: int = 0


class ErrorDetail(Message, frozen=True, kw_only=True, rename="camel"):
    """An error in the middle of a stream whose status was sent long ago."""

    code: int = 0
    message: str = ""


class Aux(Message, frozen=True, kw_only=True):
    """What a line of progress tells to programs: what a push ended with.

    ``instead_of_index``: of an index that is not here as a whole, one manifest was pushed.
    """

    tag: str = ""
    digest: str = ""
    size: int = 0
    instead_of_index: bool = msgspec.field(default=False, name="manifestPushedInsteadOfIndex")
    original_index: Descriptor | None = msgspec.field(default=None, name="originalIndex")
    selected_manifest: Descriptor | None = msgspec.field(default=None, name="selectedManifest")


class Progress(Message, frozen=True, kw_only=True, rename="camel"):
    """One line of a progress stream: ``stream`` is text as is; ``status`` belongs to ``id``."""

    stream: str = ""
    status: str = ""
    progress_detail: ProgressDetail | None = None
    id: str = ""
    progress: str = ""
    error_detail: ErrorDetail | None = None
    error: str = ""
    aux: Aux | None = None
