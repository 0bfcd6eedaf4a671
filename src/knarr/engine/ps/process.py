"""Processes as /proc shows them, proc_pid_stat(5) and proc_pid_status(5)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Host(NamedTuple):
    """What figures are relative to: seconds since 1970, bytes, and the kernel's units."""

    boot: float
    now: float
    memory: int
    ticks: int
    page: int


class Process(NamedTuple):
    """One process or thread; times in seconds, sizes in bytes. Ids are real and effective."""

    pid: int
    lwp: int
    uids: tuple[int, int]
    gids: tuple[int, int]
    state: str
    parent: int
    group: int
    session: int
    tty: int
    foreground: int
    flags: int
    cpu: float
    priority: int
    nice: int
    threads: int
    started: float
    virtual: int
    resident: int
    processor: int
    realtime: int
    policy: int
    name: str
    command: str
    base: str
    host: Host

    @property
    def age(self) -> float:
        """How long it has been there."""
        return max(self.host.now - self.started, 0.0)

    @property
    def cpu_percent(self) -> float:
        """Its share of one CPU since it began, as ps cuts it off."""
        return min(999.0, int(1000 * self.cpu / max(self.age, 0.01)) / 10)


def look_at_host() -> Host:
    """Read what all processes have in common."""
    lines = Path("/proc/stat").read_text().splitlines()
    boot = float(next(line for line in lines if line.startswith("btime")).split()[1])
    page = os.sysconf("SC_PAGE_SIZE")
    return Host(
        boot, time.time(), os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_CLK_TCK"), page
    )


def read(pid: int, host: Host, *, threads: bool) -> Iterator[Process]:
    """The process, or each of its threads; nothing if it is gone."""
    bases = [f"/proc/{pid}"]
    if threads:
        try:
            tasks = sorted(int(each.name) for each in Path(f"/proc/{pid}/task").iterdir())
            bases = [f"/proc/{pid}/task/{task}" for task in tasks]
        except OSError:
            return
    for base in bases:
        found = _read(pid, base, host)
        if found is not None:
            yield found


def _read(pid: int, base: str, host: Host) -> Process | None:
    place = Path(base)
    try:
        text = (place / "stat").read_text(errors="replace")
        status = (place / "status").read_text(errors="replace")
        arguments = (place / "cmdline").read_bytes()
    except OSError:
        return None
    lwp, _, rest = text.partition(" (")
    name, _, tail = rest.rpartition(") ")
    fields = tail.split()
    words = arguments.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    ended = fields[0] == "Z"
    return Process(
        pid=pid,
        lwp=int(lwp),
        uids=_pair(status, "Uid:"),
        gids=_pair(status, "Gid:"),
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        tty=int(fields[4]),
        foreground=int(fields[5]),
        flags=int(fields[6]),
        cpu=(int(fields[11]) + int(fields[12])) / host.ticks,
        priority=int(fields[15]),
        nice=int(fields[16]),
        threads=int(fields[17]),
        started=host.boot + int(fields[19]) / host.ticks,
        virtual=int(fields[20]),
        resident=int(fields[21]) * host.page,
        processor=int(fields[36]),
        realtime=int(fields[37]),
        policy=int(fields[38]),
        name=name,
        command=words or (f"[{name}] <defunct>" if ended else f"[{name}]"),
        base=base,
        host=host,
    )


def _pair(status: str, key: str) -> tuple[int, int]:
    """Real and effective id."""
    line = status.partition(f"\n{key}")[2].partition("\n")[0].split()
    return int(line[0]), int(line[1])
