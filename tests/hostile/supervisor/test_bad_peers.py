"""Peers of the supervisor's socket that are wrong, foreign or too many."""

import asyncio
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import KnarrError
from knarr.supervisor import launch, protocol
from knarr.supervisor.client import SupervisorClient

MAIN = (sys.executable, "-I", "-m", "knarr.supervisor.main", "--idle-seconds", "0.2")


class Peer:
    """A blocking connection that says what it likes."""

    def __init__(self, exec_root: Path) -> None:
        found = launch.connect(exec_root)
        assert found is not None
        self.sock = found
        self.sock.settimeout(5)

    def ask(self, body: bytes, fds: tuple[int, ...] = ()) -> dict:
        socket.send_fds(self.sock, [body], list(fds))
        while True:
            packet, got = protocol.receive(self.sock)
            protocol.close_all(got)
            if "event" not in packet:
                return packet


@pytest.fixture
def exec_root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "run"
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(SupervisorClient.ensure(root, command=MAIN))
    yield root
    assert loop.run_until_complete(client.list()) == ()
    assert "Traceback" not in (root / "supervisor.log").read_text()
    pidfd = os.pidfd_open(client.pid)
    loop.run_until_complete(client.shutdown())
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)
    loop.run_until_complete(client.close())
    loop.close()


@pytest.mark.parametrize(
    "packet",
    [
        {"n": 1},
        {"n": 1, "op": 5},
        {"n": 1, "op": "nothing"},
        {"n": 1, "op": "hello"},
        {"n": 1, "op": "hello", "version": 99},
        {"n": 1, "op": "start"},
        {"n": 1, "op": "start", "request": {}},
        {"n": 1, "op": "start", "request": {"id": "c"}},
        {"n": 1, "op": "start", "request": {"id": "../../c", "bundle": "/"}},
        {"n": 1, "op": "start", "request": {"id": "c", "bundle": "/nowhere"}},
        {"n": 1, "op": "start", "request": {"id": "c", "bundle": "/", "what": 1}},
        {"n": 1, "op": "start", "request": {"id": "c", "bundle": "/", "rootfs": [[1] * 20]}},
        {"n": 1, "op": "start", "request": {"id": "c", "bundle": "/", "log": [1, 2, 3, 4, 5, 6]}},
        {"n": 1, "op": "start", "request": {"id": "c", "bundle": "/", "console_size": [1]}},
        {"n": 1, "op": "start", "request": {"id": 5, "bundle": 6}},
        {"n": 1, "op": "exec", "request": {"container_id": "c", "exec_id": "e", "process": 1}},
        {"n": 1, "op": "attach", "id": "c", "exec_id": "", "streams": [True, True, True]},
        {"n": 1, "op": "attach", "id": "../c", "exec_id": "", "streams": [1]},
        {"n": 1, "op": "kill", "id": "c", "exec_id": "", "signal": "KILL"},
        {"n": 1, "op": "kill", "id": "c", "exec_id": "", "signal": 9},
        {"n": 1, "op": "resize", "id": "c", "exec_id": "", "size": [1, "x"]},
        {"n": 1, "op": "delete", "id": "../../../tmp"},
        {"n": 1, "op": "adopt", "id": "c", "exec_id": "", "roles": ["stdin"]},
        {"n": 1, "op": "sync", "held": [1, 2]},
        {"n": 1, "op": "pause", "id": []},
    ],
)
def test_bad_requests_are_answered(exec_root: Path, packet: dict) -> None:
    peer = Peer(exec_root)
    answer = peer.ask(json.dumps(packet).encode())
    assert answer["n"] == 1
    category, message, _ = answer["error"]
    assert category.endswith("Error")
    assert message
    assert "ok" in peer.ask(b'{"n":2,"op":"list"}')
    peer.sock.close()


@pytest.mark.parametrize("body", [b"{", b"[]", b"\0" * 100, b"x" * 60_000, b'{"memfd":50000}'])
def test_who_sends_no_packet_is_disconnected(exec_root: Path, body: bytes) -> None:
    peer = Peer(exec_root)
    with pytest.raises(protocol.DisconnectedError):
        peer.ask(body)
    peer.sock.close()


def test_descriptors_that_nobody_wants_are_closed(exec_root: Path) -> None:
    peer = Peer(exec_root)
    pid = peer.ask(b'{"n":1,"op":"hello","version":1}')["ok"]["pid"]
    folder = Path(f"/proc/{pid}/fd")
    before = len(list(folder.iterdir()))
    null = os.open("/dev/null", os.O_RDONLY)
    for op in ("list", "attach", "kill", "adopt", "nothing"):
        body = {"n": 1, "op": op, "id": "c", "exec_id": "", "roles": ["pidfd"] * 16}
        peer.ask(json.dumps(body).encode(), (null,) * 16)
    os.close(null)
    peer.ask(b'{"n":2,"op":"list"}')  # what came before is done with when this is answered
    assert len(list(folder.iterdir())) == before
    peer.sock.close()


def test_an_attachment_that_is_no_socket_is_refused(exec_root: Path) -> None:
    peer = Peer(exec_root)
    for path in ("/dev/null", "/etc/hostname"):
        fd = os.open(path, os.O_RDONLY)
        body = {"n": 1, "op": "attach", "id": "c", "exec_id": "", "streams": [True, True, True]}
        answer = peer.ask(json.dumps(body).encode(), (fd,))
        os.close(fd)
        assert "error" in answer, path
    peer.sock.close()


def test_a_peer_that_never_reads_stops_nobody(exec_root: Path) -> None:
    silent = Peer(exec_root)
    silent.sock.settimeout(0)
    body = json.dumps({"n": 1, "op": "nothing-" + "x" * 20_000}).encode()
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 20_000:
            silent.sock.send(body)
            sent += 1
    assert 0 < sent < 20_000
    other = Peer(exec_root)
    assert other.ask(b'{"n":3,"op":"list"}') == {"n": 3, "ok": []}
    other.sock.close()
    silent.sock.close()


@pytest.mark.needs_root
def test_other_users_are_not_heard(exec_root: Path) -> None:
    """Neither by the mode of the socket nor, where that was changed, by the supervisor."""
    assert (exec_root / "supervisor.sock").stat().st_mode & 0o777 == 0o600
    code = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "try: s.connect(sys.argv[1])\n"
        "except PermissionError: sys.exit(7)\n"
        "s.settimeout(5)\n"
        "try:\n"
        '    s.send(b\'{"n":1,"op":"list"}\')\n'
        "    sys.exit(3 if s.recv(100) else 8)\n"
        "except (BrokenPipeError, ConnectionResetError): sys.exit(8)\n"
    )
    link = Path(f"/tmp/knarr-test-{os.getpid()}")
    link.symlink_to(exec_root)
    opened = [path for path in exec_root.parents if path.stat().st_mode & 0o005 != 0o005]
    modes = [path.stat().st_mode for path in opened]
    try:
        for path in opened:
            path.chmod(0o755)
        command = ["/usr/bin/python3", "-c", code, str(link / "supervisor.sock")]
        assert subprocess.run(command, user=65534, group=65534, check=False).returncode == 7
        (exec_root / "supervisor.sock").chmod(0o666)
        assert subprocess.run(command, user=65534, group=65534, check=False).returncode == 8
    finally:
        link.unlink()
        for path, mode in zip(opened, modes, strict=True):
            path.chmod(mode)


def test_a_client_of_another_version_is_told(exec_root: Path) -> None:
    async def scenario() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(protocol, "VERSION", 77)
            with pytest.raises(KnarrError, match="speaks version 1, the engine version 77"):
                await SupervisorClient.ensure(exec_root, command=MAIN)

    asyncio.run(scenario())
