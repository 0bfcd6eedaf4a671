"""Run a walk on both sides and judge what differs."""

from __future__ import annotations

import concurrent.futures
from typing import NamedTuple

from .differences import DIFFERENCES, Difference
from .sides import Outcome, Side
from .steps import Walk


class Found(NamedTuple):
    """One field of one step with what each side has; None where a side has no such field."""

    where: str
    docker: str | None
    knarr: str | None

    def __str__(self) -> str:
        return f"{self.where}\n    docker: {_short(self.docker)}\n    knarr:  {_short(self.knarr)}"


def compare(walk: Walk, sides: tuple[Side, Side]) -> list[Found]:
    """All fields in which the two sides differ, in the order of the steps."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda side: side.walk(walk), sides)
    found = []
    for step, docker, knarr in zip(walk.steps, first, second, strict=True):
        found += _fields(step.title, docker, knarr)
    return found


def _fields(title: str, docker: Outcome, knarr: Outcome) -> list[Found]:
    paths = docker.keys() | knarr.keys()
    if docker.get("status") != knarr.get("status"):
        paths = {"status", "out.message"} & paths  # the rest cannot be compared
    return [
        Found(f"{title} | {path}", docker.get(path), knarr.get(path))
        for path in sorted(paths)
        if docker.get(path) != knarr.get(path)
    ]


def check(walk: Walk, sides: tuple[Side, Side]) -> None:
    """Fail for a difference that ``walk`` does not list, and for one that does not show."""
    listed = {name: DIFFERENCES[name] for name in walk.differs}
    unseen: set[str] = set(listed)
    unlisted: list[Found] = []
    for found in compare(walk, sides):
        names = [name for name, difference in listed.items() if _covers(difference, found)]
        unseen -= set(names)
        if not names:
            unlisted.append(found)
    assert not unlisted, "not listed:\n" + "\n".join(_once(unlisted))
    assert not unseen, f"listed, and no difference any more: {sorted(unseen)}"


def _covers(difference: Difference, found: Found) -> bool:
    return bool(
        difference.where.search(found.where)
        and (difference.docker is None or difference.docker.search(found.docker or ""))
        and (difference.knarr is None or difference.knarr.search(found.knarr or ""))
    )


def _once(unlisted: list[Found]) -> list[str]:
    """The differences, each told for the first step that shows it."""
    first: dict[tuple[str, str | None, str | None], Found] = {}
    for found in unlisted:
        first.setdefault((found.where.rpartition(" | ")[2], found.docker, found.knarr), found)
    plain = [key for key in first if key[0] in {"out", "err", "code", "status"}]
    return [str(found) for key, found in first.items() if key not in plain] + [
        str(found)
        for found in unlisted
        if (found.where.rpartition(" | ")[2], found.docker, found.knarr) in plain
    ]


def _short(value: str | None) -> str:
    return "(nothing)" if value is None else repr(value)[:3000]
