"""Packets on the socket between engine and supervisor.

One packet is one JSON object, with descriptors beside it by SCM_RIGHTS::

    engine -> supervisor   {"n": 7, "op": "start", ...}      n numbers the request
    supervisor -> engine   {"n": 7, "ok": ...}               its answer
                           {"n": 7, "error": [category, message, hint]}
                           {"event": "exit", "exit": [...]}  nobody asked

Law: the first request is ``hello`` with the version of the protocol. A body of more than
``INLINE_LIMIT`` bytes travels in a memfd, which is then the first descriptor, and the packet says
``{"memfd": size}``: a rootfs of hundreds of layers fits whatever net.core.wmem_max is. A body of
more than ``BODY_LIMIT`` bytes, more than ``FDS_LIMIT`` descriptors or broken JSON is refused with
``InvalidArgumentError``, and received descriptors are closed. Descriptors are close-on-exec.

Sources: unix(7), sendmsg(2), memfd_create(2).
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from knarr.errors import InvalidArgumentError, KnarrError, from_wire
from knarr.runtime.failure import CommandNotExecutableError, CommandNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 1
SOCKET_NAME = "supervisor.sock"
READY = b"ready\n"  # on the descriptor that the engine has given to a new supervisor
INLINE_LIMIT = 32 * 1024
BODY_LIMIT = 16 * 1024 * 1024
FDS_LIMIT = 16
_INT_SIZE = struct.calcsize("i")
_ANCILLARY = socket.CMSG_SPACE((FDS_LIMIT + 1) * _INT_SIZE)
_OF_RUNTIME: dict[str, type[KnarrError]] = {
    cls.__name__: cls for cls in (CommandNotFoundError, CommandNotExecutableError)
}

Packet = dict[str, Any]


class DisconnectedError(Exception):
    """The peer has closed the connection or has died."""


def send(sock: socket.socket, packet: Packet, fds: Sequence[int] = ()) -> None:
    """Send one packet; the caller keeps ``fds``.

    Raises ``BlockingIOError`` when the socket is non-blocking and full: nothing was sent then.
    """
    body = encode(packet)
    if len(body) <= INLINE_LIMIT:
        socket.send_fds(sock, [body], list(fds))
        return
    memfd = os.memfd_create("knarr-message", os.MFD_CLOEXEC)
    try:
        os.write(memfd, body)
        socket.send_fds(sock, [encode({"memfd": len(body)})], [memfd, *fds])
    finally:
        os.close(memfd)


def encode(packet: Packet) -> bytes:
    """The JSON form of a packet; ``InvalidArgumentError`` above ``BODY_LIMIT`` bytes."""
    body = json.dumps(packet, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogateescape"
    )
    if len(body) > BODY_LIMIT:
        raise InvalidArgumentError(f"a message of {len(body)} bytes is above the limit")
    return body


def receive(sock: socket.socket) -> tuple[Packet, list[int]]:
    """The next packet and its descriptors, which the caller closes.

    Raises ``BlockingIOError``, ``DisconnectedError``, or ``InvalidArgumentError`` for a bad packet.
    """
    try:
        body, ancillary, flags, _ = sock.recvmsg(
            INLINE_LIMIT + 1, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
        )
    except (ConnectionResetError, BrokenPipeError) as error:
        raise DisconnectedError from error
    fds = _descriptors(ancillary)
    try:
        _check_whole(body, flags)
        packet = _decode(body)
        if "memfd" in packet:
            packet = _decode(_from_memfd(packet["memfd"], fds))
    except BaseException:
        close_all(fds)
        raise
    return packet, fds


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that nobody has taken."""
    for fd in fds:
        os.close(fd)


def error_fields(error: KnarrError) -> list[str | None]:
    """An error as it travels: category, message, hint.

    The two errors of the runtime that decide between the exit codes 126 and 127 keep their name.
    """
    kind = type(error).__name__
    return [kind if kind in _OF_RUNTIME else error.category, error.message, error.hint]


def error(fields: Any) -> KnarrError:
    """The error from the form in which it travels."""
    kind, message, hint = (None if field is None else str(field) for field in fields)
    of_runtime = _OF_RUNTIME.get(kind or "")
    if of_runtime is not None:
        return of_runtime(message or "", hint=hint)
    return from_wire(kind or "", message or "", hint)


def _check_whole(body: bytes, flags: int) -> None:
    if not body:
        raise DisconnectedError
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise InvalidArgumentError("a message is above the limit of its packet")


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            count = len(data) // _INT_SIZE
            fds.extend(struct.unpack(f"{count}i", data[: count * _INT_SIZE]))
    return fds


def _from_memfd(size: object, fds: list[int]) -> bytes:
    """The body in the memfd that is the first descriptor; takes it from ``fds``."""
    if not isinstance(size, int) or not INLINE_LIMIT < size <= BODY_LIMIT or not fds:
        raise InvalidArgumentError("a message names a body that it does not carry")
    memfd = fds.pop(0)
    try:
        return os.pread(memfd, size, 0)
    except OSError as error:
        raise InvalidArgumentError(f"the body of a message cannot be read: {error}") from error
    finally:
        os.close(memfd)


def _decode(body: bytes) -> Packet:
    try:
        packet = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"a message is not JSON: {error}") from error
    if not isinstance(packet, dict):
        raise InvalidArgumentError("a message is not a JSON object")
    return packet
