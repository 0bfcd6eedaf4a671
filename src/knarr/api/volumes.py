"""Volumes.

Source: Engine API v1.51, definitions ``Volume``, ``VolumeCreateOptions``, ``VolumeListResponse``.
"""

from __future__ import annotations

from knarr.api.message import Message, always, null


class UsageData(Message, frozen=True, kw_only=True):
    """Bytes and number of references of a volume; -1 where it was not counted."""

    ref_count: int
    size: int


class Volume(Message, frozen=True, kw_only=True):
    """A volume, as ``volume ls`` and ``volume inspect`` show it."""

    created_at: str = ""
    driver: str = always(lambda: "local")
    labels: dict[str, str] | None = always(null)
    mountpoint: str = always(str)
    name: str
    options: dict[str, str] | None = always(null)
    scope: str = always(lambda: "local")
    usage_data: UsageData | None = None


class VolumeCreateRequest(Message, frozen=True, kw_only=True):
    """``POST /volumes/create``; an empty name means that the engine makes one."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class VolumeList(Message, frozen=True, kw_only=True):
    """``GET /volumes``."""

    volumes: list[Volume] = always(list)
    warnings: list[str] | None = always(null)


class VolumePrune(Message, frozen=True, kw_only=True):
    """``POST /volumes/prune``: what was deleted, and the bytes that came free."""

    volumes_deleted: list[str] | None = always(null)
    space_reclaimed: int = always(int)
