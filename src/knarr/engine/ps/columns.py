"""The columns that ps(1) has, by the names that ``-o`` takes."""

from __future__ import annotations

import functools
import grp
import os
import pwd
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.engine.ps.process import Process

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_PTS_MAJORS = range(136, 144)
_PTS_EACH = 256
_CLASSES = ("TS", "FF", "RR", "B", "#4", "IDL", "DLN")
_FORKNOEXEC, _SUPERPRIV = 0x40, 0x100


class Column(NamedTuple):
    """A title and what stands below it."""

    title: str
    value: Callable[[Process], str]


@functools.lru_cache(256)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@functools.lru_cache(256)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _local(one: Process, form: str) -> str:
    return time.strftime(form, time.localtime(one.started))


def _clock(one: Process, young: str, old: str) -> str:
    """The moment of the start: the time of the day, or the day of one that is older."""
    return _local(one, young if one.age < _DAY else old).strip()


def _stime(one: Process) -> str:
    """The time today, the day this year, else the year."""
    now, then = time.localtime(one.host.now), time.localtime(one.started)
    if now.tm_year != then.tm_year:
        return time.strftime("%Y", then)
    return time.strftime("%H:%M" if now.tm_yday == then.tm_yday else "%b%d", then)


def _days(seconds: float) -> str:
    """``[DD-]HH:MM:SS``."""
    whole = int(seconds)
    days = f"{whole // _DAY:02}-" if whole >= _DAY else ""
    return f"{days}{whole % _DAY // _HOUR:02}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"


def _elapsed(one: Process) -> str:
    """``[[DD-]HH:]MM:SS``."""
    return _days(one.age) if one.age >= _HOUR else _days(one.age)[3:]


def _minutes(one: Process) -> str:
    whole = int(one.cpu)
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"


def _tty(one: Process) -> str:
    """The terminal by its device number; pseudo terminals have majors 136 to 143."""
    major, minor = os.major(one.tty), os.minor(one.tty)
    if major in _PTS_MAJORS:
        return f"pts/{(major - _PTS_MAJORS.start) * _PTS_EACH + minor}"
    return "?"


def _stat(one: Process) -> str:
    """The state, and what is special about it."""
    nice = "<" if one.nice < 0 else "N" if one.nice > 0 else ""
    leader = "s" if one.session == one.pid else ""
    several = "l" if one.threads > 1 else ""
    return f"{one.state}{nice}{leader}{several}{'+' if one.foreground == one.group else ''}"


def _of_file(one: Process, name: str, otherwise: str) -> str:
    try:
        return (Path(one.base) / name).read_text(errors="replace").strip("\0\n ") or otherwise
    except OSError:
        return otherwise


def _wchan(one: Process) -> str:
    found = _of_file(one, "wchan", "-")
    return "-" if found == "0" else found


def _cgroup(one: Process) -> str:
    return ",".join(_of_file(one, "cgroup", "-").split("\n"))


def _class(one: Process) -> str:
    return _CLASSES[one.policy] if one.policy < len(_CLASSES) else f"#{one.policy}"


def _number(title: str, field: str) -> Column:
    return Column(title, lambda one: str(getattr(one, field)))


def _several(title: str, names: str, value: Callable[[Process], str]) -> dict[str, Column]:
    """One column that has several names; an empty title is the name in upper case."""
    return {name: Column(title or name.upper(), value) for name in names.split()}


COLUMNS: dict[str, Column] = {
    **_several("USER", "user uname", lambda one: _user(one.uids[1])),
    **_several("", "euser", lambda one: _user(one.uids[1])),
    **_several("", "ruser", lambda one: _user(one.uids[0])),
    **_several("", "group egroup", lambda one: _group(one.gids[1])),
    **_several("", "rgroup", lambda one: _group(one.gids[0])),
    **_several("", "uid euid", lambda one: str(one.uids[1])),
    **_several("", "ruid", lambda one: str(one.uids[0])),
    **_several("", "gid egid", lambda one: str(one.gids[1])),
    **_several("", "rgid", lambda one: str(one.gids[0])),
    **_several("", "pid tgid", lambda one: str(one.pid)),
    "ppid": _number("PPID", "parent"),
    "pgid": _number("PGID", "group"),
    "pgrp": _number("PGRP", "group"),
    "sid": _number("SID", "session"),
    **_several("SESS", "sess session", lambda one: str(one.session)),
    "tpgid": _number("TPGID", "foreground"),
    **_several("", "lwp spid tid", lambda one: str(one.lwp)),
    "nlwp": _number("NLWP", "threads"),
    "thcount": _number("THCNT", "threads"),
    **_several("TT", "tty tt", _tty),
    "tname": Column("TTY", _tty),
    "stat": Column("STAT", _stat),
    **_several("S", "s state", lambda one: one.state),
    **_several("F", "f flag flags", lambda one: str((one.flags & (_FORKNOEXEC | _SUPERPRIV)) >> 6)),
    "c": Column("C", lambda one: str(int(one.cpu_percent))),
    **_several("%CPU", "pcpu %cpu", lambda one: f"{one.cpu_percent:.1f}"),
    **_several(
        "%MEM", "pmem %mem", lambda one: f"{100 * one.resident // (one.host.memory / 10) / 10:.1f}"
    ),
    **_several("VSZ", "vsz vsize", lambda one: str(one.virtual // 1024)),
    **_several("RSS", "rss rssize rsz", lambda one: str(one.resident // 1024)),
    "sz": Column("SZ", lambda one: str(one.virtual // one.host.page)),
    **_several("NI", "ni nice", lambda one: str(one.nice)),
    "pri": Column("PRI", lambda one: str(39 - one.priority)),
    "opri": Column("PRI", lambda one: str(60 + one.priority)),
    "priority": _number("PRI", "priority"),
    "rtprio": Column("RTPRIO", lambda one: str(one.realtime) if one.realtime else "-"),
    **_several("CLS", "cls class policy", _class),
    "psr": _number("PSR", "processor"),
    "addr": Column("ADDR", lambda _one: "-"),
    **_several("WCHAN", "wchan wname", _wchan),
    **_several("STIME", "stime start_time", _stime),
    "start": Column("STARTED", lambda one: _clock(one, "%H:%M:%S", "%b %d")),
    "bsdstart": Column("START", lambda one: _clock(one, "%H:%M", "%b %d")),
    "lstart": Column("STARTED", lambda one: _local(one, "%a %b %e %H:%M:%S %Y")),
    "etime": Column("ELAPSED", _elapsed),
    "etimes": Column("ELAPSED", lambda one: str(int(one.age))),
    **_several("TIME", "time cputime", lambda one: _days(one.cpu)),
    **_several("TIME", "times cputimes", lambda one: str(int(one.cpu))),
    "bsdtime": Column("TIME", _minutes),
    **_several("COMMAND", "comm ucomm", lambda one: one.name),
    "ucmd": Column("CMD", lambda one: one.name),
    "cmd": Column("CMD", lambda one: one.command),
    **_several("COMMAND", "args command", lambda one: one.command),
    "cgroup": Column("CGROUP", _cgroup),
    "label": Column("LABEL", lambda one: _of_file(one, "attr/current", "-")),
}
