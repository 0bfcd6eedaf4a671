"""Who a container's process runs as: ``--user`` and ``--group-add`` against the image's own files.

Law: pure functions over the bytes of ``/etc/passwd`` and ``/etc/group`` as the container sees them
(an absent file is empty). A number is always an id, never looked up as a name; the first matching
line wins; a malformed line is skipped. The texts of the errors are Docker's.

Source: the behaviour of moby's ``user`` package (GetExecUser), passwd(5), group(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_ID = 2**31 - 1


class UserFiles(NamedTuple):
    """The bytes of the two files that name users and groups."""

    passwd: bytes = b""
    group: bytes = b""


class ResolvedUser(NamedTuple):
    """Numeric identity of a process, and the home directory ("" when nothing names one)."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class _Passwd(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve(spec: str, files: UserFiles, *, group_add: Sequence[str] = ()) -> ResolvedUser:
    """The identity that ``spec`` (``user``, ``uid``, ``user:group``, ... or "") stands for.

    Raises ``InvalidArgumentError`` for a name that no line has, or a number out of range.
    """
    user_part, _, group_part = spec.partition(":")
    entry = _find_user(user_part, files.passwd)
    if entry is not None:
        uid, gid, home = entry.uid, entry.gid, entry.home
    else:
        uid, gid, home = _unlisted_user(user_part), 0, ""
    groups: list[int] = []
    if group_part:
        gid = _group_id(group_part, files.group)
    elif entry is not None:
        groups = [group.gid for group in _groups(files.group) if entry.name in group.members]
    for wanted in group_add:
        extra = _group_id(wanted, files.group)
        if extra not in groups:
            groups.append(extra)
    return ResolvedUser(uid, gid, tuple(groups), home)


def _find_user(wanted: str, passwd: bytes) -> _Passwd | None:
    number = _number(wanted or "0")
    for entry in _users(passwd):
        if entry.uid == number if number is not None else entry.name == wanted:
            return entry
    return None


def _unlisted_user(wanted: str) -> int:
    number = _number(wanted or "0")
    if number is None:
        raise InvalidArgumentError(
            f"unable to find user {wanted}: no matching entries in passwd file"
        )
    return _in_range(number)


def _group_id(wanted: str, group: bytes) -> int:
    number = _number(wanted)
    for entry in _groups(group):
        if entry.gid == number if number is not None else entry.name == wanted:
            return entry.gid
    if number is None:
        raise InvalidArgumentError(
            f"unable to find group {wanted}: no matching entries in group file"
        )
    return _in_range(number)


def _in_range(number: int) -> int:
    if not 0 <= number <= MAX_ID:
        raise InvalidArgumentError(f"uids and gids must be in range 0-{MAX_ID}")
    return number


def _number(text: str) -> int | None:
    digits = text[1:] if text[:1] in {"-", "+"} else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


def _users(passwd: bytes) -> Iterator[_Passwd]:
    for fields in _lines(passwd, 4):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None and 0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID:
            yield _Passwd(fields[0], uid, gid, fields[5] if len(fields) > 5 else "")


def _groups(group: bytes) -> Iterator[_Group]:
    for fields in _lines(group, 3):
        gid = _number(fields[2])
        if gid is not None and 0 <= gid <= MAX_ID:
            members = tuple(fields[3].split(",")) if len(fields) > 3 and fields[3] else ()
            yield _Group(fields[0], gid, members)


def _lines(content: bytes, least: int) -> Iterator[list[str]]:
    for line in content.decode("utf-8", "surrogateescape").split("\n"):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            fields = [field.strip() for field in stripped.split(":")]
            if len(fields) >= least and fields[0] not in {"", "+", "-"}:
                yield fields
