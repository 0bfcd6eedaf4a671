"""The commands of ``knarr-runtime`` that tell something and change nothing."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from knarr.errors import NotFoundError
from knarr.runtime import creation, hooks, lifecycle
from knarr.runtime import state as record
from knarr.runtime.cgroups import Cgroup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from knarr.runtime.state import State


def state(options: argparse.Namespace) -> int:
    """``state``: print the state as JSON."""
    shown = _shown(lifecycle.state(options.root, options.container))
    shown["ociVersion"] = record.OCI_VERSION
    _print(shown)
    return 0


def list_(options: argparse.Namespace) -> int:
    """``list``: print all containers below the root."""
    found = [_listed(options.root, each) for each in _states(options.root)]
    if options.format == "json":
        _print(found)
    elif options.quiet:
        sys.stdout.writelines(f"{each['id']}\n" for each in found)
    else:
        rows = [[str(each[key]) for key in _COLUMNS] for each in found]
        _table([[key.upper() for key in _COLUMNS], *rows])
    return 0


def ps(options: argparse.Namespace) -> int:
    """``ps``: print the processes of a container."""
    container = lifecycle.state(options.root, options.container)
    pids = sorted(Cgroup(container["cgroup"], creation.layout()).processes())
    if options.format == "json":
        _print(pids)
    else:
        rows = [[str(pid), _command(pid)] for pid in pids]
        _table([["PID", "CMD"], *rows])
    return 0


_COLUMNS = ("id", "pid", "status", "bundle", "created")


def _shown(seen: State) -> dict[str, object]:
    """The state as the specification and runc tell it, with ``paused`` as one of them."""
    shown = hooks.public(seen)
    if seen["status"] == "stopped":
        shown["pid"] = 0
    elif seen["status"] == "running" and Cgroup(seen["cgroup"], creation.layout()).frozen():
        shown["status"] = "paused"
    shown.setdefault("pid", 0)
    shown["created"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seen["created"]))
    return shown


def _listed(root: str, seen: State) -> dict[str, object]:
    owner = os.stat(f"{root}/{seen['id']}").st_uid
    return {**_shown(seen), "owner": "root" if owner == 0 else str(owner)}


def _states(root: str) -> Iterator[State]:
    for container_id in record.everything(root):
        try:
            yield lifecycle.state(root, container_id)
        except NotFoundError:
            continue  # claimed, or removed meanwhile


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().replace("\0", " ").strip()
    except OSError:
        return ""


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")
