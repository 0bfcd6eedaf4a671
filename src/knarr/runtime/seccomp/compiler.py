"""From the OCI form of a seccomp filter to a BPF program, through libseccomp.

Law: the program does what runc's would do. A system call whose name nobody knows is skipped. A
call that is newer than every call of the filter gets ENOSYS instead of a refusal, so that a C
library that tries it falls back to an older one; libseccomp cannot say that, so a short prologue
does. Calls that the filter allows but the installed libseccomp does not know yet are decided in
the prologue as well.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import FailedPreconditionError, InvalidArgumentError
from knarr.runtime.seccomp import actions
from knarr.runtime.seccomp.compact import compact
from knarr.sys import seccomp as library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.oci.runtime_spec import Seccomp, SeccompSyscall

_TREE_FROM = 32  # rules; libseccomp up to 2.5.4 makes wrong binary trees of none
_ENOSYS = actions.ERRNO | errno.ENOSYS

# Classic BPF, linux/bpf_common.h; offsets in struct seccomp_data.
_LOAD, _JUMP, _JEQ, _JGT, _JSET, _RETURN = 0x20, 0x05, 0x15, 0x25, 0x45, 0x06
_NR, _ARCH = 0, 4


class _Table(NamedTuple):
    """For one system call table: calls that libseccomp lacks, and the last call of the filter."""

    extra: dict[int, int]
    last: int


def build(filter_: Seccomp) -> bytes:
    """The program as an array of struct sock_filter.

    Raises ``InvalidArgumentError`` for a filter that makes no sense and
    ``FailedPreconditionError`` where libseccomp is missing.
    """
    default = actions.action(filter_.get("defaultAction", ""), filter_.get("defaultErrnoRet"))
    rules = filter_.get("syscalls") or []
    try:
        context = library.init(default)
    except OSError as error:
        raise FailedPreconditionError(
            f"loading libseccomp.so.2 failed: {error}", hint="apt-get install libseccomp2"
        ) from error
    try:
        tokens = _add_architectures(context, filter_.get("architectures") or [])
        if len(rules) > _TREE_FROM:
            _optimize(context)
        for rule in rules:
            _add(context, rule, default)
        program = _export(context)
    finally:
        library.release(context)
    if actions.refuses(default):
        program = _prologue({token: _table(token, rules, default) for token in tokens}) + program
    return compact(program)


def _add_architectures(context: int, names: list[str]) -> list[int]:
    tokens = [library.arch_native()]
    for name in names:
        token = library.arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower())
        if not token:
            raise InvalidArgumentError(f'string "{name}" is not a valid arch for seccomp')
        try:
            library.arch_add(context, token)
        except OSError as error:
            raise InvalidArgumentError(
                f'adding architecture "{name}" to seccomp filter: {error.strerror}'
            ) from error
        if token not in tokens:
            tokens.append(token)
    return tokens


def _optimize(context: int) -> None:
    """Ask for a binary tree instead of a list; a library before 2.5.0 cannot, and need not."""
    try:
        library.attr_set(context, library.ATTR_CTL_OPTIMIZE, 2)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.EINVAL, errno.EOPNOTSUPP}:
            raise


def _add(context: int, rule: SeccompSyscall, default: int) -> None:
    action = actions.action(rule.get("action", ""), rule.get("errnoRet"))
    if action == default:
        return  # the library takes such a rule for an error
    native = library.arch_native()
    for name in rule.get("names", ()):
        number = library.syscall_resolve_name_arch(native, name)
        if number == library.NR_ERROR:
            continue
        for conditions in _conditions(rule):
            try:
                library.rule_add(context, action, number, conditions)
            except OSError as error:
                raise InvalidArgumentError(
                    f'adding seccomp filter rule for syscall "{name}": {error.strerror}'
                ) from error


def _conditions(rule: SeccompSyscall) -> Iterator[list[tuple[int, int, int, int]]]:
    """The conditions as lists of which any must hold in full.

    Two conditions on one argument cannot stand in one rule of the library: then each makes a rule
    of its own, as with every other runtime.
    """
    conditions = [actions.condition(argument) for argument in rule.get("args") or ()]
    if len({index for index, *_ in conditions}) == len(conditions):
        yield conditions
    else:
        yield from ([each] for each in conditions)


def _export(context: int) -> bytes:
    descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        library.export_bpf(context, descriptor)
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


def _table(token: int, rules: list[SeccompSyscall], default: int) -> _Table:
    bit = actions.X32_BIT if token == actions.TOKEN_X32 else 0
    # Numbers of MIPS have offsets of thousands; there new calls wait for a newer library.
    uniform = 0 <= library.syscall_resolve_name_arch(token, "close_range") & ~bit < 1000
    # s390 knows no number above its table: an unknown call arrives as number 0, setup(2), which
    # no program has called for decades.
    extra = {0: _ENOSYS} if token in actions.TOKENS_S390 else {}
    last = -1
    for rule in rules:
        action = actions.action(rule.get("action", ""), rule.get("errnoRet"))
        for name in rule.get("names", ()):
            number = library.syscall_resolve_name_arch(token, name)
            if number == library.NR_ERROR and uniform and name in actions.NEW_CALLS:
                number = actions.NEW_CALLS[name] | bit
                if not rule.get("args") and action != default:
                    extra.setdefault(number, action)
            last = max(last, number)
    return _Table(extra, last)


def _prologue(tables: dict[int, _Table]) -> bytes:
    """Decide the calls of ``tables`` and let all others go on behind the last instruction.

    Sections are put together from the last to the first, so that each knows how far the end is.
    Conditional jumps reach 255 instructions only; long ways go by an unconditional one.
    """
    x32 = tables.get(actions.TOKEN_X32)
    dispatch: list[tuple[int, int]] = []  # architecture, instructions from its section to the end
    sections = b""
    for token, table in tables.items():
        if token == actions.TOKEN_X32:
            continue
        if token == actions.AUDIT_X86_64:
            # One architecture to the kernel, two tables, told apart by a bit of the number.
            sections = _section(x32 or _Table({}, -1), _size(sections)) + sections
            own = _section(table, _size(sections))
            fork = _op(_JSET, actions.X32_BIT, 0, 1) + _op(_JUMP, _size(own))
            sections = _op(_LOAD, _NR) + fork + own + sections
        else:
            sections = _op(_LOAD, _NR) + _section(table, _size(sections)) + sections
        dispatch.append((token, _size(sections)))
    total = _size(sections)
    code = _op(_JUMP, total)  # an architecture that is not in the filter
    for token, distance in dispatch:
        skip = _size(code) + total - distance
        code = _op(_JEQ, token, 0, 1) + _op(_JUMP, skip) + code
    return _op(_LOAD, _ARCH) + code + sections


def _section(table: _Table, behind: int) -> bytes:
    """The decisions of one table, with the number loaded; ``behind`` instructions follow it."""
    code = [
        _op(_JEQ, number, 0, 1) + _op(_RETURN, action) for number, action in table.extra.items()
    ]
    if table.last >= 0:
        code.append(_op(_JGT, table.last, 0, 1) + _op(_RETURN, _ENOSYS))
    code.append(_op(_JUMP, behind))
    return b"".join(code)


def _size(code: bytes) -> int:
    return len(code) // 8


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
