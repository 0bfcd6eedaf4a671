"""Calls as values, and the tables that ``knarr._spawn`` walks.

A ``Call`` is one system call with its arguments and with what follows when it succeeds or fails in
an expected way. ``encode`` lays the calls of one operation out as flat steps and the memory that
belongs to them, because the child can allocate nothing. Pure.

The layout of a step is that of ``struct step`` in ``_spawn.c``.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError
from knarr.sys.numbers import HERE

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY_ERROR = 1
NOT_ZERO = 2
RETRY = 4

_JUMP = -1
_FORK = -2
_CHECK = -3

_STEP = struct.Struct("=iiHHHH4h8B6q")
_IMMEDIATE, _ADDRESS, _VALUE, _SHARED = range(4)
_WORD = 8
_EMPTY_WORD = bytes(_WORD)


class Slot(NamedTuple):
    """Eight bytes of the child's memory that hold the result of a call, for a later one.

    After a call that failed in an allowed way they hold ``-errno``. Other operations do not see
    them.
    """

    name: str


class Shared(NamedTuple):
    """A slot that all operations of a plan see, by its number (below 256)."""

    number: int


class Address(NamedTuple):
    """A pointer to a slot, for calls that read or write memory."""

    slot: Slot


class Words(NamedTuple):
    """A pointer to a row of eight-byte words: numbers, or pointers to what stands in them."""

    name: str
    items: tuple[int | str | bytes | Words, ...]


class Word(NamedTuple):
    """One word of a row, used as a slot: a result can be put into a structure."""

    words: Words
    position: int


# A str becomes a pointer to a string that ends with NUL, bytes a pointer to just these bytes.
Argument = int | str | bytes | Slot | Shared | Address | Words | Word


class Call(NamedTuple):
    """One call. An error is fatal unless it is in ``allow`` or ``flags`` has ``ANY_ERROR``.

    ``success`` is walked after the call succeeded, ``failure`` after it failed as allowed; then
    the walk goes on behind both.
    """

    number: int
    args: tuple[Argument, ...]
    store: Slot | Shared | Word | None = None
    allow: tuple[int, ...] = ()
    flags: int = 0
    success: tuple[Call, ...] = ()
    failure: tuple[Call, ...] = ()

    def then(self, *calls: Call) -> Call:
        """The same with what follows its success."""
        return self._replace(success=calls)

    def otherwise(self, *calls: Call) -> Call:
        """The same with what follows an error that is allowed."""
        return self._replace(failure=calls)


def call(
    name: str,
    *args: Argument,
    store: Slot | Shared | Word | None = None,
    allow: tuple[int, ...] = (),
    flags: int = 0,
) -> Call:
    """The system call ``name``, see ``Call``."""
    return Call(HERE[name], args, store, allow, flags)


def fork() -> Call:
    """Go on in a sibling of the process, that is its parent's child; the process itself exits."""
    return Call(_FORK, ())


def fail_if(value: Slot, error: int) -> Call:
    """Fail with ``error`` when the call that wrote ``value`` failed with it."""
    return Call(_CHECK, (value, -error))


def fail(error: int) -> Call:
    """Fail with ``error``."""
    return Call(_CHECK, (-error, -error))


# Steps, memory, and pairs of offsets: where a pointer lies and what it points to.
Segment = tuple[bytes, bytes, bytes]


def encode(calls: Sequence[Call]) -> Segment:
    """Lay the calls of one operation out for ``_spawn.spawn``."""
    layout = _Layout()
    steps: list[bytes] = []
    _add(calls, steps, layout)
    return b"".join(steps), layout.data(), layout.relocations()


def _add(calls: Sequence[Call], steps: list[bytes], layout: _Layout) -> None:
    for each in calls:
        here = len(steps)
        steps.append(b"")
        _add(each.success, steps, layout)
        on_success, on_error = 0, len(steps) - here - 1
        if each.failure:
            jump = len(steps)
            if each.success:
                steps.append(b"")
                on_error += 1
            behind_success = len(steps)
            _add(each.failure, steps, layout)
            over = len(steps) - behind_success
            if each.success:
                steps[jump] = _pack(Call(_JUMP, (over,)), 0, 0, layout)
            else:
                on_success = over
        steps[here] = _pack(each, on_success, on_error, layout)


def _pack(each: Call, on_success: int, on_error: int, layout: _Layout) -> bytes:
    store_kind, store = layout.argument(each.store) if each.store is not None else (_VALUE, -1)
    kinds: list[int] = []
    values: list[int] = []
    for arg in each.args:
        kind, value = layout.argument(arg)
        kinds.append(kind)
        values.append(value)
    return _STEP.pack(
        each.number, store, each.flags, on_success, on_error, store_kind,
        *each.allow, *_ZEROS[len(each.allow) : 4],
        *kinds, *_ZEROS[len(kinds) : 8],
        *values, *_ZEROS[len(values) : 6],
    )  # fmt: skip


_ZEROS = (0,) * 8


class _Layout:
    """The memory of a segment while it grows: each distinct thing stands in it once."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._known: dict[object, int] = {}
        self._pointers: list[int] = []

    def data(self) -> bytes:
        return bytes(self._data) + bytes(_WORD)

    def relocations(self) -> bytes:
        return struct.pack(f"={len(self._pointers)}I", *self._pointers)

    def argument(self, arg: Argument) -> tuple[int, int]:
        """The kind of an argument and its value, its offset or its slot."""
        # The frequent kinds first: a start encodes some three hundred arguments.
        if isinstance(arg, int):
            return _IMMEDIATE, _signed(arg)
        if isinstance(arg, Slot):
            return _VALUE, self._append(arg, _EMPTY_WORD)
        if isinstance(arg, str):
            return _ADDRESS, self._place(arg)
        if isinstance(arg, Word):
            return _VALUE, self._slot(arg)
        if isinstance(arg, Shared):
            return _SHARED, arg.number
        return _ADDRESS, self._place(arg)

    def _slot(self, slot: Slot | Word) -> int:
        if isinstance(slot, Word):
            return self._place(slot.words) + slot.position * _WORD
        return self._append(slot, _EMPTY_WORD)

    def _place(self, thing: str | bytes | Address | Words) -> int:
        if isinstance(thing, str):
            raw = os.fsencode(thing)
            if b"\0" in raw:
                raise InvalidArgumentError(f"{thing!r} holds a NUL byte")
            return self._append(thing, raw + b"\0")
        if isinstance(thing, bytes):
            return self._append(thing, thing)
        if isinstance(thing, Address):
            return self._slot(thing.slot)
        return self._row(thing)

    def _row(self, words: Words) -> int:
        at = self._known.get(words)
        if at is not None:
            return at
        at = self._append(words, bytes(_WORD * len(words.items)))
        for index, item in enumerate(words.items):
            where = at + index * _WORD
            if isinstance(item, int):
                struct.pack_into("=q", self._data, where, _signed(item))
            else:
                self._pointers += (where, self._place(item))
        return at

    def _append(self, key: object, content: bytes) -> int:
        at = self._known.get(key)
        if at is None:
            at = self._known[key] = len(self._data)
            self._data += content + bytes(-len(content) % _WORD)
        return at


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 == 1 else number
