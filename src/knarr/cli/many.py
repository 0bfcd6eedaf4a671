"""One request for each of several objects: all sent at once, answered in the order given."""

from __future__ import annotations

import sys

from knarr.cli.command import message
from knarr.client.session import receive
from knarr.errors import InvalidArgumentError, KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from knarr.cli.command import Call
    from knarr.client.connection import Connection, Response
    from knarr.client.session import Query

_AT_ONCE = 50


class Failures:
    """What went wrong so far: every message is printed at once, the command fails at the end."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str, error: Exception) -> None:
        """Report an object's failure."""
        self.names.append(name)
        sys.stdout.flush()
        print(message(error), file=sys.stderr)

    @property
    def code(self) -> int:
        """The command's exit code."""
        return 1 if self.names else 0


def request_each(
    call: Call,
    method: str,
    names: Sequence[str],
    path: Callable[[str], str],
    query: Query = (),
) -> Iterable[tuple[str, Response | KnarrError]]:
    """Each name with the engine's answer or its error. At most 50 requests are under way."""
    parameters = tuple(query)
    for start in range(0, len(names), _AT_ONCE):
        batch = names[start : start + _AT_ONCE]
        alone = len(batch) == 1
        sent = [_send(call, method, name, path, parameters, alone=alone) for name in batch]
        for name, connection in zip(batch, sent, strict=True):
            yield name, _answer(connection)


def _send(
    call: Call,
    method: str,
    name: str,
    path: Callable[[str], str],
    query: Query,
    *,
    alone: bool,
) -> Connection | KnarrError:
    """Send one request; a bad name is this object's failure, a missing engine the command's."""
    session = call.session
    try:
        target = path(name)
    except InvalidArgumentError as error:
        return error
    return session.send(method, target, query, connection=None if alone else session.connect())


def _answer(connection: Connection | KnarrError) -> Response | KnarrError:
    if isinstance(connection, KnarrError):
        return connection
    try:
        return receive(connection)
    except KnarrError as error:
        return error


def apply_to_each(
    call: Call,
    method: str,
    path: Callable[[str], str],
    query: Query = (),
    *,
    failures: Failures | None = None,
) -> int:
    """Request for every argument of the call; print each name that succeeded; the exit code."""
    failures = failures or Failures()
    for name, answer in request_each(call, method, call.arguments, path, query):
        if isinstance(answer, KnarrError):
            failures.add(name, answer)
            continue
        answer.read()
        print(name)
    return failures.code
