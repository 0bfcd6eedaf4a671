from __future__ import annotations

import os
import time

import pytest

from knarr.engine.ps import options, top
from knarr.errors import InvalidArgumentError, KnarrError, UnimplementedError

FULL = "UID PID PPID C STIME TTY TIME CMD"
USER = "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        ("", FULL),
        ("-ef", FULL),
        ("-e -f", FULL),
        ("-eaf", FULL),
        ("-efww", FULL),
        ("aux", USER),
        ("-aux", USER),
        ("u", USER),
        ("auxf", USER),
        ("-e", "PID TTY TIME CMD"),
        ("ax", "PID TTY STAT TIME COMMAND"),
        ("-eF", "UID PID PPID C SZ RSS PSR STIME TTY TIME CMD"),
        ("-el", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD"),
        ("-ely", "S UID PID PPID C PRI NI RSS SZ WCHAN TTY TIME CMD"),
        ("l", "F UID PID PPID PRI NI VSZ RSS WCHAN STAT TTY TIME COMMAND"),
        ("-j", "PID PGID SID TTY TIME CMD"),
        ("axj", "PPID PID PGID SID TTY TPGID STAT UID TIME COMMAND"),
        ("-eLf", "UID PID PPID LWP C NLWP STIME TTY TIME CMD"),
        ("-o pid,cmd", "PID CMD"),
        ("-opid,args", "PID COMMAND"),
        ("-eo pid,tty,stat", "PID TT STAT"),
        ("o pid:10,comm", "PID COMMAND"),
        ("-o pid -o user", "PID USER"),
        ("-o pid,user=WHO", "PID WHO"),
        ("--format pid,etimes --sort -pid", "PID ELAPSED"),
    ],
)
def test_forms(arguments: str, titles: str) -> None:
    table = top([os.getpid()], arguments)
    assert " ".join(table.titles) == titles
    assert all(len(row) == len(table.titles) for row in table.processes)
    assert table.processes[0][table.titles.index("PID")] == str(os.getpid())


@pytest.mark.parametrize("arguments", ["-o cmd", "-o pid=X", "--no-headers", "-o pid,cmd h"])
def test_without_ids_there_is_no_table(arguments: str) -> None:
    with pytest.raises(InvalidArgumentError, match="Couldn't find PID field in ps output"):
        top([os.getpid()], arguments)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ("-o user=PID", InvalidArgumentError, 'specifying "user=PID" is not allowed'),
        ("-o pid,cmd=PID", InvalidArgumentError, 'specifying "pid,cmd=PID" is not allowed'),
        (
            "-o pid,nosuch",
            InvalidArgumentError,
            'ps: error: unknown user-defined format specifier "nosuch"',
        ),
        ("--nosuch", InvalidArgumentError, "ps: error: unknown gnu long option"),
        ("-%", InvalidArgumentError, "ps: error: garbage option"),
        ("-b", InvalidArgumentError, "ps: error: unsupported SysV option"),
        ("b", InvalidArgumentError, "ps: error: unsupported option (BSD syntax)"),
        ("-o", InvalidArgumentError, "ps: error: format specification must follow -o"),
        ("--sort nosuch", InvalidArgumentError, "ps: error: unknown sort specifier"),
        ("-u root", UnimplementedError, 'ps option "-u" is not supported'),
        ("-C sh", UnimplementedError, 'ps option "-C" is not supported'),
        ("--pid 1", UnimplementedError, 'ps option "--pid" is not supported'),
    ],
)
def test_what_is_refused(arguments: str, kind: type[KnarrError], words: str) -> None:
    with pytest.raises(kind) as caught:
        options.parse(arguments)
    assert caught.value.message == words


def test_every_column_can_be_shown() -> None:
    names = ",".join(options.COLUMNS)
    (row,) = top([os.getpid()], f"-o {names}").processes
    assert all(isinstance(cell, str) and cell for cell in row)


def test_order_and_processes_that_are_gone() -> None:
    own, parent = os.getpid(), os.getppid()
    table = top([own, parent, 2**22 + 1], "-o pid,ppid --sort -pid")
    assert [int(row[0]) for row in table.processes] == sorted([own, parent], reverse=True)
    assert [str(own), str(parent)] in table.processes


def test_values_are_those_of_this_process() -> None:
    form = "-o uid,pid,pgid,sid,nlwp,etimes,lstart,state,vsz,rss,args"
    (row,) = top([os.getpid()], form).processes
    assert row[:4] == [
        str(each) for each in (os.geteuid(), os.getpid(), os.getpgid(0), os.getsid(0))
    ]
    assert int(row[4]) >= 1
    began = time.mktime(time.strptime(row[6], "%a %b %d %H:%M:%S %Y"))
    assert abs(began + int(row[5]) - time.time()) < 60
    assert row[7] in "RS"
    assert int(row[8]) > int(row[9]) > 0
    assert "python" in row[10]
