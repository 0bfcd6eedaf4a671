"""Packets with descriptors, and what is refused."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import InvalidArgumentError, NotFoundError
from knarr.mount import Mount
from knarr.runtime.failure import CommandNotExecutableError, CommandNotFoundError
from knarr.supervisor import messages, protocol
from knarr.supervisor.messages import Exit, LogConfig, StartRequest, TaskState

Pair = tuple[socket.socket, socket.socket]


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.settimeout(0)
    right.settimeout(0)
    before = descriptors()
    with left, right:
        yield left, right
        assert descriptors() == before


@pytest.mark.parametrize("size", [10, protocol.INLINE_LIMIT, 5_000_000])
def test_a_packet_of_any_size_arrives_with_its_descriptors(pair: Pair, size: int) -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    protocol.send(pair[0], {"n": 1, "text": "\u00fc\udcff" * (size // 2)}, [fd, fd])
    os.close(fd)
    packet, fds = protocol.receive(pair[1])
    assert packet == {"n": 1, "text": "\u00fc\udcff" * (size // 2)}
    assert [str(Path(f"/proc/self/fd/{each}").readlink()) for each in fds] == ["/dev/null"] * 2
    assert not any(os.get_inheritable(each) for each in fds)
    protocol.close_all(fds)


def test_too_much_is_refused_by_the_sender(pair: Pair) -> None:
    with pytest.raises(InvalidArgumentError, match="above the limit"):
        protocol.send(pair[0], {"text": "x" * protocol.BODY_LIMIT})


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"{", 1),
        (b"[1]", 1),
        (b"\xff\xff", 0),
        (b"[" * 20_000, 0),
        (b'{"a":"' + b"x" * protocol.INLINE_LIMIT + b'"}', 2),
        (b'{"memfd":40000}', 0),
        (b'{"memfd":"x"}', 1),
        (b'{"memfd":10}', 1),
        (b'{"memfd":99999999999}', 1),
        (b'{"memfd":40000}', 2),
        (b'{"n":1}', protocol.FDS_LIMIT + 5),
    ],
)
def test_bad_packets_are_refused_and_leak_nothing(pair: Pair, body: bytes, count: int) -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    socket.send_fds(pair[0], [body], [fd] * count)
    os.close(fd)
    with pytest.raises(InvalidArgumentError):
        protocol.receive(pair[1])


def test_the_end_of_the_peer(pair: Pair) -> None:
    pair[0].shutdown(socket.SHUT_RDWR)
    with pytest.raises(protocol.DisconnectedError):
        protocol.receive(pair[1])


def test_nothing_there(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        protocol.receive(pair[1])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandNotFoundError("a", hint="b"), 127),
        (CommandNotExecutableError("a", hint="b"), 126),
        (NotFoundError("a", hint="b"), 1),
    ],
)
def test_errors_keep_category_and_exit_code(error: NotFoundError, code: int) -> None:
    again = protocol.error(json.loads(json.dumps(protocol.error_fields(error))))
    assert type(again) is type(error)
    assert (again.message, again.hint, again.exit_code) == ("a", "b", code)


def test_messages_survive_the_wire() -> None:
    request = StartRequest(
        "id",
        "/bundle",
        (
            Mount("overlay", lower=("/a,b", "/c:d"), upper="/u", work="/w", options=("x",)),
            Mount("x"),
        ),
        terminal=True,
        log=LogConfig("/log", 5, 6, (("a", "b"),)),
        console_size=(1, 2),
    )
    assert messages.start_request(json.loads(json.dumps(request._asdict()))) == request
    state = TaskState("i", "e", 1, 2, terminal=True, exit=Exit("i", "e", 1, False, 2, "", 3))
    assert messages.task_state(json.loads(json.dumps(state))) == state
    bare = TaskState("i", "", 1, 2, terminal=False)
    assert messages.task_state(json.loads(json.dumps(bare))) == bare
