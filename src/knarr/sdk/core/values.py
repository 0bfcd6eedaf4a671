"""The values that the library gives beside the messages of ``knarr.api``. All are immutable."""

from __future__ import annotations

from typing import Literal, NamedTuple

StreamName = Literal["stdout", "stderr"]


class Chunk(NamedTuple):
    """Some bytes that a program wrote, as they came: they may end in the middle of a line."""

    stream: StreamName
    data: bytes


class Line(NamedTuple):
    """A line that a program wrote, without its line feed."""

    stream: StreamName
    data: bytes

    @property
    def text(self) -> str:
        """The line as text; bytes that are no UTF-8 are replaced."""
        return self.data.decode("utf-8", "replace")


class Output(NamedTuple):
    """All that a program wrote."""

    stdout: bytes
    stderr: bytes


class Result(NamedTuple):
    """How a program ended, and all that it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Ping(NamedTuple):
    """What every answer of the engine tells."""

    api_version: str
    os_type: str
    server: str
