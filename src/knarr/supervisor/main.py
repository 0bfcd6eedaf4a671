"""``knarr-supervisor --exec-root DIR [--data-root DIR]``.

The engine starts it (see ``launch``). It executes itself from a sealed memfd first, because it is
the parent of containers: a container that gets hold of its executable must not be able to change
the interpreter on disk (CVE-2019-5736).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from knarr.errors import KnarrError
from knarr.runtime.memfd import reexec_from_memfd
from knarr.supervisor.process import IDLE_SECONDS, Settings, complain, serve
from knarr.supervisor.runtimes import OwnRuntime, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    Words = tuple[str, ...] | None

_USAGE = """usage: knarr-supervisor --exec-root DIR [--data-root DIR]

The parent of all containers of one engine, which starts it when it is needed.

  --exec-root DIR       where its socket and the state of running containers are
  --data-root DIR       the data root of the engine (only shown in the list of processes)
  --idle-seconds N      how long to stay when nothing runs and nobody is connected (5)
  --ready-fd N          a descriptor that gets "ready" when the socket listens
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the supervisor; 0 when it has ended for want of work, 2 for wrong arguments."""
    words = sys.argv[1:] if arguments is None else arguments
    if words in (["--help"], ["-h"]):
        sys.stdout.write(_USAGE)
        return 0
    settings = parse(words)
    if settings is None:
        sys.stderr.write(_USAGE)
        return 2
    reexec_from_memfd()
    _name_process("knarr-supervisor")
    try:
        serve(settings, _runtimes(os.path.abspath(settings.exec_root)))
    except (KnarrError, OSError) as error:
        complain(str(error))
        return 1
    return 0


def _runtimes(exec_root: str) -> Callable[[Words], Runtime]:
    """What gives the runtime for a program and its arguments, None for knarr's own."""
    own = OwnRuntime(f"{exec_root}/runtime")
    others: dict[Words, Runtime] = {}

    def runtime(words: Words) -> Runtime:
        if words is None:
            return own
        if words not in others:
            from knarr.supervisor.ociruntime import OciRuntime  # noqa: PLC0415 - a rare feature

            others[words] = OciRuntime(words, exec_root, complain)
        return others[words]

    return runtime


def parse(words: list[str]) -> Settings | None:
    """The settings in the arguments, None when they are wrong."""
    values = dict(zip(words[::2], words[1::2], strict=False))
    known = {"--exec-root", "--data-root", "--idle-seconds", "--ready-fd"}
    if len(words) % 2 or not values.keys() <= known or not values.get("--exec-root"):
        return None
    try:
        idle_seconds = float(values.get("--idle-seconds", IDLE_SECONDS))
        ready_fd = int(values.get("--ready-fd", -1))
    except ValueError:
        return None
    return Settings(values["--exec-root"], idle_seconds, ready_fd)


def _name_process(name: str) -> None:
    """The name that ps(1) shows; the kernel keeps 15 bytes of it."""
    with open("/proc/self/comm", "wb") as file:
        file.write(name.encode()[:15])


if __name__ == "__main__":
    sys.exit(main())
