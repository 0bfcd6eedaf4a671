"""The life of the engine's process.

Order: flags, locks, sockets, state, then the API: who connects meanwhile waits in the backlog.
SIGTERM or SIGINT ends it: no more requests, then the parts; containers run on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from knarr import __version__
from knarr.engine.parts import Paths
from knarr.errors import KnarrError
from knarr.server import listen
from knarr.sys import memory

from . import locks, logs, notify, options, wiring

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Run an engine until it is told to end; the exit code of the process."""
    try:
        chosen = options.parse(argv)
        memory.one_arena()
        logs.configure(chosen.log_level)
        _make_roots(chosen)
        with (
            locks.RootLock(chosen.data_root, "data root"),
            locks.RootLock(chosen.exec_root, "exec root"),
            _sockets(chosen.hosts) as sockets,
            _pidfile(chosen.pidfile),
        ):
            asyncio.run(_serve(chosen, sockets))
    except KnarrError as error:
        sys.stderr.write(f"knarr daemon: {error}\n")
        return error.exit_code
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        sys.stderr.write(f"knarr daemon: {error.filename or 'start'}: {reason}\n")
        return 1
    return 0


def _make_roots(chosen: options.Options) -> None:
    """The two roots; others may pass through, to files that are meant for them, not list them.

    Bundles and records hold the environment of containers: those are for root alone.
    """
    os.umask(0o022)
    paths = Paths(chosen.data_root, chosen.exec_root)
    for root, mode in (
        (paths.data_root, 0o711),
        (paths.exec_root, 0o711),
        (paths.containers, 0o710),
        (paths.bundles, 0o700),
    ):
        root.mkdir(mode=mode, parents=True, exist_ok=True)


@contextlib.contextmanager
def _sockets(hosts: Sequence[str]) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        opened: list[socket.socket] = []
        for host in hosts:
            if host.startswith("tcp://"):
                _log.warning("%s is served without TLS: whoever reaches it is root here", host)
            opened += [stack.enter_context(each) for each in listen.open_host(host)]
        yield opened


@contextlib.contextmanager
def _pidfile(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


async def _serve(chosen: options.Options, sockets: Sequence[socket.socket]) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    async with wiring.running_engine(chosen) as engine:
        api = listen.Api(engine)
        await api.start(sockets)
        memory.settle()
        _log.info("knarr %s is ready on %s", __version__, " ".join(chosen.hosts))
        notify.notify("READY=1")
        await ending.wait()
        notify.notify("STOPPING=1")
        _log.info("stopping; containers run on")
        await api.close()
