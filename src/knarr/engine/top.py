"""``top``: the processes of a container in the columns of ps(1).

Law: read from /proc, no program is run. Known are ``-ef`` (the default), ``aux`` and ``-o`` with a
list of columns; for others the caller is told so rather than shown something else.
"""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from knarr.api.containers import TopResponse
from knarr.errors import UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_FORMS = {
    "": "uid pid ppid c stime tty time cmd",
    "-ef": "uid pid ppid c stime tty time cmd",
    "-eaf": "uid pid ppid c stime tty time cmd",
    "ef": "uid pid ppid c stime tty time cmd",
    "aux": "user pid pcpu pmem vsz rss tty stat start bsdtime command",
    "-aux": "user pid pcpu pmem vsz rss tty stat start bsdtime command",
}
_DAY = 86400


class _Process(NamedTuple):
    """One process; times in seconds, sizes in bytes, ``now`` and ``memory`` of the host."""

    pid: int
    uid: int
    gid: int
    state: str
    parent: int
    tty: int
    cpu: float
    nice: int
    started: float
    virtual: int
    resident: int
    name: str
    command: str
    now: float
    memory: int

    @property
    def cpu_percent(self) -> float:
        return min(99.9, 100 * self.cpu / max(self.now - self.started, 0.01))


class _Column(NamedTuple):
    title: str
    value: Callable[[_Process], str]


def top(pids: Iterable[int], ps_args: str) -> TopResponse:
    """The table of these processes; one that is gone meanwhile is left out."""
    columns = _columns(ps_args.strip())
    boot = _boot_time()
    rows = []
    for pid in sorted(pids):
        process = _read(pid, boot)
        if process is not None:
            rows.append([column.value(process) for column in columns])
    return TopResponse(titles=[column.title for column in columns], processes=rows)


def _columns(ps_args: str) -> Sequence[_Column]:
    """The columns that these arguments ask for; raises ``UnimplementedError``."""
    text = _FORMS.get(ps_args)
    if text is None:
        words = ps_args.split()
        if "-o" not in words[:-1] or len(words) - words.index("-o") < 2:
            raise UnimplementedError(
                f'ps arguments "{ps_args}" are not supported', hint="-ef, aux or -o COLUMN,..."
            )
        text = " ".join(words[words.index("-o") + 1 :]).replace(",", " ")
    try:
        return [_COLUMNS[name] for name in text.split()]
    except KeyError as error:
        raise UnimplementedError(f"ps column {error} is not supported") from None


def _read(pid: int, boot: float) -> _Process | None:
    """One process from /proc, proc_pid_stat(5)."""
    base = Path(f"/proc/{pid}")
    try:
        text = (base / "stat").read_text(errors="replace")
        status = base.stat()
        arguments = (base / "cmdline").read_bytes()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    ticks = os.sysconf("SC_CLK_TCK")
    page = os.sysconf("SC_PAGE_SIZE")
    words = arguments.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return _Process(
        pid=pid,
        uid=status.st_uid,
        gid=status.st_gid,
        state=fields[0],
        parent=int(fields[1]),
        tty=int(fields[4]),
        cpu=(int(fields[11]) + int(fields[12])) / ticks,
        nice=int(fields[16]),
        started=boot + int(fields[19]) / ticks,
        virtual=int(fields[20]),
        resident=int(fields[21]) * page,
        name=name,
        command=words or f"[{name}]",
        now=time.time(),
        memory=os.sysconf("SC_PHYS_PAGES") * page,
    )


def _boot_time() -> float:
    lines = Path("/proc/stat").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("btime")).split()[1])


def _user(process: _Process) -> str:
    try:
        return pwd.getpwuid(process.uid).pw_name
    except KeyError:
        return str(process.uid)


def _clock(process: _Process) -> str:
    form = "%H:%M" if process.now - process.started < _DAY else "%b%d"
    return time.strftime(form, time.localtime(process.started))


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _short_duration(process: _Process) -> str:
    return f"{int(process.cpu) // 60}:{int(process.cpu) % 60:02}"


def _tty(process: _Process) -> str:
    """The terminal by its device number; pseudo terminals have majors 136 to 143."""
    major, minor = os.major(process.tty), os.minor(process.tty)
    return f"pts/{(major - 136) * 256 + minor}" if 136 <= major <= 143 else "?"


_CMD = _Column("CMD", lambda process: process.command)
_COMM = _Column("COMMAND", lambda process: process.name)
_ARGS = _Column("COMMAND", lambda process: process.command)
_CPU = _Column("%CPU", lambda process: f"{process.cpu_percent:.1f}")
_MEMORY = _Column("%MEM", lambda process: f"{100 * process.resident / process.memory:.1f}")
_TIME = _Column("TIME", lambda process: _duration(process.cpu))
_COLUMNS = {
    "uid": _Column("UID", _user),
    "user": _Column("USER", _user),
    "euser": _Column("EUSER", _user),
    "gid": _Column("GID", lambda process: str(process.gid)),
    "pid": _Column("PID", lambda process: str(process.pid)),
    "ppid": _Column("PPID", lambda process: str(process.parent)),
    "c": _Column("C", lambda process: str(int(process.cpu_percent))),
    "pcpu": _CPU,
    "%cpu": _CPU,
    "pmem": _MEMORY,
    "%mem": _MEMORY,
    "vsz": _Column("VSZ", lambda process: str(process.virtual // 1024)),
    "rss": _Column("RSS", lambda process: str(process.resident // 1024)),
    "tty": _Column("TTY", _tty),
    "stat": _Column("STAT", lambda process: process.state),
    "s": _Column("S", lambda process: process.state),
    "state": _Column("S", lambda process: process.state),
    "ni": _Column("NI", lambda process: str(process.nice)),
    "nice": _Column("NI", lambda process: str(process.nice)),
    "stime": _Column("STIME", _clock),
    "start": _Column("START", _clock),
    "etime": _Column("ELAPSED", lambda process: _duration(process.now - process.started)),
    "time": _TIME,
    "cputime": _TIME,
    "bsdtime": _Column("TIME", _short_duration),
    "comm": _COMM,
    "ucmd": _Column("CMD", lambda process: process.name),
    "cmd": _CMD,
    "args": _ARGS,
    "command": _ARGS,
}
