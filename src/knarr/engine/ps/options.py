"""The options of ps(1) in its three styles: ``-ef``, ``aux``, ``--sort``.

Source: ps(1) of procps; moby ``daemon/top_unix.go`` for what Docker refuses before ps sees it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from knarr.engine.ps.columns import COLUMNS, Column
from knarr.errors import InvalidArgumentError, UnimplementedError

#: ``name=PID`` would let another column pass for the ids.
_RENAMED = re.compile(r"\s+(\S*)=\s*(PID\S*)")

_SYSV = "pid tname time ucmd"
_FULL = "user=UID pid ppid c stime tname time cmd"
_EXTRA = "user=UID pid ppid c sz rss psr stime tname time cmd"
_LONG = "f s uid pid ppid c opri ni addr sz wchan tname time ucmd"
_LONG_Y = "s uid pid ppid c opri ni rss sz wchan tname time ucmd"
_JOBS = "pid pgid sid tname time ucmd"
_BSD = "pid tname stat bsdtime args"
_BSD_USER = "user pid pcpu pmem vsz rss tname stat bsdstart bsdtime args"
_BSD_LONG = "f uid pid ppid priority ni vsz rss wchan stat tname bsdtime args"
_BSD_JOBS = "ppid pid pgid sid tname tpgid stat uid bsdtime args"

#: Options that choose among processes by kind, or change how lines look: the container decides
#: the first, and there are no lines here.
_NEUTRAL_SYSV, _NEUTRAL_BSD = "AaedNwHcM", "axTrgwfeShn"
_KNOWN_SYSV, _KNOWN_BSD = "CDGOpqstUuVZPn", "ULOoptvsXZmHkcV"
_LONG_NEUTRAL = frozenset(("headers", "cumulative", "forest"))
_LONG_KNOWN = frozenset(
    ("Group", "User", "group", "pid", "ppid", "quick-pid", "sid", "tty", "user")
)
_HEADLESS = frozenset(("no-headers", "no-heading", "noheaders", "noheading"))


class Request(NamedTuple):
    """What is to be shown. ``order``: columns to sort by, and whether the largest comes first."""

    columns: list[Column]
    order: list[tuple[Column, bool]]
    threads: bool
    headless: bool


def parse(text: str) -> Request:
    """What these arguments ask for; without any it is ``-ef``.

    Raises ``InvalidArgumentError`` in Docker's or ps's words, ``UnimplementedError``.
    """
    for name, title in _RENAMED.findall(f" {text}"):
        if name != "pid":
            raise InvalidArgumentError(f'specifying "{name}={title}" is not allowed')
    return _Parser(text.split() or ["-ef"]).request()


class _Parser:
    """Goes through the words once."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._own: list[Column] = []
        self._forms: set[str] = set()
        self._order: list[tuple[Column, bool]] = []
        self._headless = False
        while self._words:
            self._take(self._words.pop(0))

    def _take(self, word: str) -> None:
        if word.startswith("--"):
            self._gnu(word[2:])
        elif word.startswith("-"):
            self._letters(word[1:], bsd=False)
        else:
            self._letters(word, bsd=True)

    def _letters(self, letters: str, *, bsd: bool) -> None:
        if not bsd and ("aux" in letters or letters == "u"):
            bsd = True  # what everybody writes and ps forgives
            if letters == "u" and self._words and not self._words[0].startswith("-"):
                raise UnimplementedError('ps option "-u" is not supported')
        for position, letter in enumerate(letters):
            rest = letters[position + 1 :]
            if letter == "o":
                self._own += _listed(self._argument(rest, "o"))
                return
            if letter == "k" and bsd:
                self._order += _ordered(self._argument(rest, "k"))
                return
            self._letter(letter, bsd=bsd)

    def _letter(self, letter: str, *, bsd: bool) -> None:
        neutral, known = (_NEUTRAL_BSD, _KNOWN_BSD) if bsd else (_NEUTRAL_SYSV, _KNOWN_SYSV)
        if bsd:
            self._forms.add("b")
            self._headless |= letter == "h"
        if letter in ("ulj" if bsd else "fFljLTy"):
            self._forms.add(f"b{letter}" if bsd else letter)
        elif letter not in neutral:
            raise _unknown(letter, bsd=bsd, known=letter in known)

    def _argument(self, rest: str, option: str) -> str:
        if rest:
            return rest
        if not self._words:
            raise InvalidArgumentError(f"ps: error: format specification must follow -{option}")
        return self._words.pop(0)

    def _gnu(self, word: str) -> None:
        name, equals, value = word.partition("=")
        if name in {"sort", "format"}:
            value = value if equals else self._argument("", f"-{name}")
            if name == "sort":
                self._order += _ordered(value)
            else:
                self._own += _listed(value)
        elif name in _HEADLESS:
            self._headless = True
        elif name in _LONG_KNOWN:
            raise UnimplementedError(f'ps option "--{name}" is not supported')
        elif name not in _LONG_NEUTRAL:
            raise InvalidArgumentError("ps: error: unknown gnu long option")

    def request(self) -> Request:
        """What was asked for."""
        threads = bool(self._forms & {"L", "T"})
        columns = self._own or _columns(_form(self._forms))
        return Request(columns, self._order, threads, self._headless)


def _form(forms: set[str]) -> str:
    """The columns of a form that ps has a letter for."""
    for letter, columns in (("bu", _BSD_USER), ("bl", _BSD_LONG), ("bj", _BSD_JOBS)):
        if letter in forms:
            return columns
    chosen = _BSD if "b" in forms else _SYSV
    if "j" in forms:
        chosen = "user=UID pid ppid pgid sid c stime tname time cmd" if "f" in forms else _JOBS
    elif "F" in forms:
        chosen = _EXTRA
    elif "l" in forms:
        chosen = _LONG_Y if "y" in forms else _LONG
        if "f" in forms:
            chosen = "f s user=UID pid ppid c opri ni addr sz wchan stime tname time cmd"
    elif "f" in forms:
        chosen = _FULL
    if "T" in forms:
        chosen = chosen.replace("pid", "pid spid", 1)
    if "L" in forms:
        first = "ppid" if " ppid" in chosen else "pid"
        chosen = re.sub(rf"\b{first}\b", f"{first} lwp", chosen, count=1)
        chosen = re.sub(r"\bc\b", "c nlwp", chosen, count=1)
    return chosen


def _columns(form: str) -> list[Column]:
    return [column for word in form.split() for column in _listed(word)]


def _listed(text: str) -> list[Column]:
    """Columns of ``pid,cmd:20,user=NAME``; a width means nothing here."""
    found = []
    for word in filter(None, text.split(",")):
        name, equals, title = word.partition("=")
        column = _column(name)
        found.append(column._replace(title=title) if equals else column)
    return found


def _column(name: str) -> Column:
    known = COLUMNS.get(name.partition(":")[0])
    if known is None:
        raise InvalidArgumentError(
            f'ps: error: unknown user-defined format specifier "{name.partition(":")[0]}"'
        )
    return known


def _ordered(text: str) -> list[tuple[Column, bool]]:
    found = []
    for word in filter(None, text.split(",")):
        column = COLUMNS.get(word.lstrip("+-"))
        if column is None:
            raise InvalidArgumentError("ps: error: unknown sort specifier")
        found.append((column, word.startswith("-")))
    return found


def _unknown(letter: str, *, bsd: bool, known: bool) -> Exception:
    if known:
        return UnimplementedError(f'ps option "{"" if bsd else "-"}{letter}" is not supported')
    if letter.isalpha():
        kind = "unsupported option (BSD syntax)" if bsd else "unsupported SysV option"
        return InvalidArgumentError(f"ps: error: {kind}")
    return InvalidArgumentError("ps: error: garbage option")
