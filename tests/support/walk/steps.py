"""What a walk is made of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple


class Kind(Enum):
    """What a step does."""

    DOCKER = "docker"
    UNTIL = "until"
    BEGIN = "begin"
    END = "end"
    API = "api"


class Step(NamedTuple):
    """One step; ``title`` names it in a difference.

    ``out`` says how standard output is made comparable: ``text``, ``lines`` (in any order),
    ``counts`` (how often each line is there), ``json``, ``bytes`` (a digest), ``size`` (whether
    there is any), ``ignore``.
    """

    kind: Kind
    title: str
    command: str = ""
    input: str | bytes | None = None
    name: str = ""
    pattern: str = ""
    out: str = "text"
    err: str = "text"
    method: str = "GET"
    body: Any = None
    tty: bool = False


class Walk(NamedTuple):
    """A list of steps; ``differs`` names the differences (see ``differences``) that it shows.

    ``files`` are made in the folder in which the commands run; ``{tmp}`` in a command is its path,
    ``{begun}`` and ``{now}`` are the times (Unix) of the walk's begin and of the step.
    """

    name: str
    steps: tuple[Step, ...]
    differs: tuple[str, ...] = ()
    files: Mapping[str, str | bytes] = MappingProxyType({})


def docker(
    command: str,
    input: str | bytes | None = None,
    *,
    out: str = "text",
    err: str = "text",
    tty: bool = False,
) -> Step:
    """Run ``docker COMMAND``; with ``tty`` on a terminal of its own, which gets ``input``."""
    return Step(Kind.DOCKER, command, command, input, out=out, err=err, tty=tty)


def until(command: str, pattern: str, *, out: str = "text") -> Step:
    """Run ``docker COMMAND`` again and again until its output has ``pattern`` (a regex)."""
    return Step(Kind.UNTIL, f"until {command}", command, pattern=pattern, out=out)


def begin(name: str, command: str, input: str | bytes | None = None) -> Step:
    """Start ``docker COMMAND`` and leave it running under ``name``.

    Its standard input is ``input`` and then its end.
    """
    return Step(Kind.BEGIN, f"begin {command}", command, input, name=name)


def end(name: str, *, out: str = "text", err: str = "text", stop: bool = False) -> Step:
    """What the command that was begun as ``name`` has done when it ends; ``stop`` ends it."""
    return Step(
        Kind.END, f"end {name}", name=name, out=out, err=err, pattern="stop" if stop else ""
    )


def ask(
    path: str, method: str = "GET", body: Any = None, *, out: str = "json", title: str = ""
) -> Step:
    """One request of the API, at version 1.41 if the path names none."""
    return Step(Kind.API, title or f"{method} {path}", path, method=method, body=body, out=out)


def fields(thing: str, name: str) -> Step:
    """All fields of ``inspect`` of a container, an image or a volume."""
    path = f"/volumes/{name}" if thing == "volume" else f"/{thing}s/{name}/json"
    return Step(Kind.API, f"inspect {name}", path, out="json")
