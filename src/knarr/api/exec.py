"""Processes that are started in a running container.

Source: Engine API v1.51, ``/containers/{id}/exec`` and ``/exec/{id}/...``.
"""

from __future__ import annotations

import msgspec

from knarr.api.message import Message, always, null


class ExecCreateRequest(Message, frozen=True, kw_only=True):
    """``POST /containers/{id}/exec``. ``console_size`` is height, width."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: list[str] | None = None
    working_dir: str = ""
    cmd: list[str] | None = None


class ExecCreateResponse(Message, frozen=True, kw_only=True):
    """The id of the new exec."""

    id: str


class ExecStartRequest(Message, frozen=True, kw_only=True):
    """``POST /exec/{id}/start``."""

    detach: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None


class ProcessConfig(Message, frozen=True, kw_only=True, rename="lower"):
    """The process of an exec, as ``inspect`` shows it."""

    tty: bool = always(bool)
    entrypoint: str = always(str)
    arguments: list[str] = always(list)
    privileged: bool | None = None
    user: str = ""


class ExecInspect(Message, frozen=True, kw_only=True):
    """``GET /exec/{id}/json``; ``exit_code`` None until it has ended; detach keys in base64."""

    id: str = msgspec.field(name="ID")
    running: bool
    exit_code: int | None = always(null)
    process_config: ProcessConfig
    open_stdin: bool = always(bool)
    open_stderr: bool = always(bool)
    open_stdout: bool = always(bool)
    can_remove: bool = always(bool)
    container_id: str = msgspec.field(name="ContainerID")
    detach_keys: str = always(str)
    pid: int = always(int)
