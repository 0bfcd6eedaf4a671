"""``top``: the processes of a container in the columns of ps(1).

Law: read from /proc, no program is run: the engine never forks. Which processes there are to show
is the container's matter, so options that choose processes by kind (``-e``, ``a``, ``x``) change
nothing. What ps does not know is an error in ps's words, what knarr does not know is said to be so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api.containers import TopResponse
from knarr.engine.ps import options, process
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.ps.options import Request

__all__ = ["top"]


def top(pids: Iterable[int], ps_args: str) -> TopResponse:
    """The table of these processes; one that is gone meanwhile is left out.

    Raises ``InvalidArgumentError`` for bad options or a table without a column PID, and
    ``UnimplementedError`` for options of ps that are not known here.
    """
    request = options.parse(ps_args)
    titles = [column.title for column in request.columns]
    if request.headless or "PID" not in titles:
        raise InvalidArgumentError("Couldn't find PID field in ps output")
    host = process.look_at_host()
    found = [
        one for pid in sorted(pids) for one in process.read(pid, host, threads=request.threads)
    ]
    rows = [[column.value(one) for column in request.columns] for one in _sorted(found, request)]
    return TopResponse(titles=titles, processes=rows)


def _sorted(found: list[process.Process], request: Request) -> list[process.Process]:
    """In the order that was asked for; the last key is the least."""
    for column, descending in reversed(request.order):
        value = column.value
        found.sort(key=lambda one, value=value: _key(value(one)), reverse=descending)  # type: ignore[misc]
    return found


def _key(cell: str) -> tuple[float, str]:
    """Numbers by value, before texts."""
    try:
        return float(cell), ""
    except ValueError:
        return float("inf"), cell
