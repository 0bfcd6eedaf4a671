"""Streams of statistics, one for each container, and which containers there are.

A thread waits for each stream, as each is a connection of its own; what it read last is shown.
"""

from __future__ import annotations

import threading
import time

from knarr.cli.command import message
from knarr.client import jsontext, paths
from knarr.client.session import receive
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from knarr.client.session import Query, Session

    Json = dict[str, Any]

_STALE_SECONDS = 6.0
"""A container that was silent for so long has no figures to be shown."""


class _Watched:
    """One container: its last sample, or what went wrong."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sample: Json | None = None
        self.problem = ""
        self.ended = False
        self.heard = 0.0
        self.first = threading.Event()

    def read(self, session: Session, *, live: bool) -> None:
        """In a thread of its own: take samples until there are no more."""
        try:
            path = paths.container(self.name, "stats")
            for sample in _lines(session, path, [("stream", "1" if live else "0")]):
                self.sample, self.heard = sample, time.monotonic()
                self.first.set()
        except (KnarrError, OSError) as error:
            self.problem = message(error)
        finally:
            self.ended = True
            self.first.set()

    def row(self, *, live: bool) -> Json:
        """What there is to show."""
        stale = live and (self.ended or time.monotonic() - self.heard > _STALE_SECONDS)
        return {"Container": self.name, "Sample": self.sample, "Stale": stale}


class Watching:
    """The containers that are watched, in order."""

    def __init__(self, session: Session, *, live: bool) -> None:
        self._session = session
        self._live = live
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._follows = False

    def add(self, name: str) -> None:
        """Watch a container."""
        with self._lock:
            if name in self._watched:
                return
            watched = self._watched[name] = _Watched(name)
        reading = threading.Thread(
            target=watched.read, args=(self._session,), kwargs={"live": self._live}, daemon=True
        )
        reading.start()

    def follow(self, *, every: bool) -> None:
        """Watch all containers that run, or ``every`` one; live, also those to come."""
        self._follows = True
        if self._live:
            # Before the list is asked for: nothing that starts in between is missed.
            query = [("filters", '{"type":{"container":true}}')]
            happening = _lines(self._session, "/events", query)
            listening = threading.Thread(
                target=self._listen, args=(happening,), kwargs={"every": every}, daemon=True
            )
            listening.start()
        for each in self._session.get("/containers/json", [("all", 1)] if every else ()):
            self.add(each["Id"][:12])

    def _listen(self, happening: Iterator[Json], *, every: bool) -> None:
        born, gone = ("create", "destroy") if every else ("start", "die")
        try:
            for event in happening:
                name = event["Actor"]["ID"][:12]
                if event["Action"] == born:
                    self.add(name)
                elif event["Action"] in (gone, "destroy"):
                    with self._lock:
                        self._watched.pop(name, None)
        except (KnarrError, OSError):
            self._follows = False  # the engine has gone: the streams end, too

    def _now(self) -> list[_Watched]:
        with self._lock:
            return list(self._watched.values())

    def wait_for_first(self) -> None:
        """Wait until there is something to show of each container."""
        for each in self._now():
            each.first.wait()

    def problems(self) -> list[str]:
        """What went wrong, in order; a container that has gone since it was listed is none."""
        if self._follows:
            return []
        return [each.problem for each in self._now() if each.problem]

    def rows(self) -> list[Json]:
        """What there is to show now."""
        return [
            each.row(live=self._live)
            for each in self._now()
            if each.sample is not None or not self._follows
        ]

    @property
    def is_over(self) -> bool:
        """Whether nothing new can come."""
        return not self._follows and all(each.ended for each in self._now())


def _lines(session: Session, path: str, query: Query) -> Iterator[Json]:
    """The objects of a stream on a connection of its own, which is asked for at once."""
    connection = session.connect()
    session.send("GET", path, query, connection=connection)
    return _objects(connection)


def _objects(connection: Any) -> Iterator[Json]:
    yield from jsontext.documents(receive(connection).chunks())
