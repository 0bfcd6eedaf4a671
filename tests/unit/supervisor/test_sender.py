"""Lines for syslog and journald, against receivers that the test has bound."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from knarr.supervisor import journaldsender, syslogsender
from knarr.supervisor.loop import Loop
from knarr.supervisor.output import Output
from knarr.supervisor.sender import Sender, driver
from knarr.supervisor.source import PipeSource
from knarr.supervisor.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Process:
    """Two pipes with their outputs, as a process of the supervisor has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.errors: list[Exception] = []
        self.loop = Loop(self.errors.append)
        self.outputs: dict[int, Output] = {}
        self.ends: dict[int, int] = {}
        self.senders: list[Sender] = []
        for stream in (1, 2):
            ours, self.ends[stream] = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            spool = Spool(f"{folder}/{stream}.spool")
            source = PipeSource(str(stream), ours)
            self.outputs[stream] = Output(self.loop, stream, source, spool, None, self.said.append)

    def send_to(
        self, options: dict[str, str], buffer: int = 0, *, connected: bool = True
    ) -> Sender:
        sender = Sender(driver(options), str(self.folder), buffer, self.said.append)
        self.senders.append(sender)
        if connected:
            sender.dial()
        else:
            sender.recover()
        sender.bind(self.loop, self.outputs)
        for output in self.outputs.values():
            output.begin()
        return sender

    def write(self, data: bytes, stream: int = 1) -> int:
        """How much of it the process could write before it would have had to wait."""
        written = 0
        while written < len(data):
            try:
                written += os.write(self.ends[stream], data[written : written + 4096])
            except BlockingIOError:
                if not self.turn(0.05):
                    break
        return written

    def turn(self, seconds: float = 0.0) -> bool:
        """Let the loop do what is to be done now; whether there was something."""
        found = self.loop._epoll.poll(seconds)
        for fd, events in found:
            callback = self.loop._callbacks.get(fd)
            if callback is not None:
                self.loop._guard(callback, events)
        self.loop._expire()
        return bool(found)

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not done():
            assert time.monotonic() < deadline, self.said
            self.turn(0.01)

    def end(self) -> None:
        """The process ends: its pipes are closed, and all of it is delivered."""
        for fd in self.ends.values():
            os.close(fd)
        self.ends.clear()
        self.until(lambda: all(output.ended for output in self.outputs.values()))

    def close(self) -> None:
        for sender in self.senders:
            sender.close()
        for fd in self.ends.values():
            os.close(fd)
        for output in self.outputs.values():
            output.finish()
            output.spool.close()
        self.loop.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.close()
    assert made.errors == []


class Receiver:
    """A socket of the test's own."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.setblocking(False)
        self.data = b""
        self.peers: list[socket.socket] = []

    def datagrams(self) -> list[bytes]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.sock.recv(1 << 20))
        return found

    def stream(self) -> bytes:
        """All that has come over all connections."""
        with contextlib.suppress(BlockingIOError):
            while True:
                peer = self.sock.accept()[0]
                peer.setblocking(False)
                self.peers.append(peer)
        for peer in self.peers:
            with contextlib.suppress(BlockingIOError):
                while block := peer.recv(1 << 20):
                    self.data += block
        return self.data

    def hang_up(self) -> None:
        for peer in self.peers:
            peer.close()
        self.peers.clear()

    def close(self) -> None:
        self.hang_up()
        self.sock.close()


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(family: int, kind: int, address: object) -> Receiver:
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
            sock.listen()
        made.append(Receiver(sock))
        return made[-1]

    yield make
    for each in made:
        each.close()


def options(**more: str) -> dict[str, str]:
    return {"driver": "syslog", "facility": "24", "tag": "t/1", "hostname": "host", **more}


PID = os.getpid()


@pytest.mark.parametrize(
    ("form", "head"),
    [
        ("", r"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d t/1\[%d\]: "),
        ("rfc3164", r"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d host t/1\[%d\]: "),
        ("rfc5424", r"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) host t/1 %d t/1 - "),
        (
            "rfc5424micro",
            r"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d) host t/1 %d t/1 - ",
        ),
    ],
    ids=["default", "rfc3164", "rfc5424", "rfc5424micro"],
)
def test_formats(process: Process, receiver, form: str, head: str) -> None:
    udp = receiver(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    address = f"127.0.0.1:{udp.sock.getsockname()[1]}"
    process.send_to(options(network="udp", address=address, format=form))
    process.write(b"one\n\ntwo \xff\r\n")
    process.until(lambda: process.outputs[1].spool.end > 0)
    out = udp.datagrams()
    assert [re.sub(rb"^<.*?: |^<.* - ", b"", each) for each in out] == [b"one\n", b"two \xff\r\n"]
    assert re.match((head % PID).encode(), out[0]), out[0]
    process.write(b"bad\n", 2)
    process.until(lambda: process.outputs[2].spool.end > 0)
    assert udp.datagrams()[0].startswith(b"<27>")  # daemon, error


@pytest.mark.parametrize("network", ["unix", "unixgram"])
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_local_sockets_of_both_kinds(process, receiver, tmp_path, network: str, kind: int) -> None:
    path = str(tmp_path / "log")
    bound = receiver(socket.AF_UNIX, kind, path)
    process.send_to(options(network=network, address=path))
    process.write(b"hello\n")
    process.end()
    got = bound.stream() if kind == socket.SOCK_STREAM else b"".join(bound.datagrams())
    assert got.endswith(b": hello\n")


def test_the_local_socket_is_the_default(process, receiver, tmp_path, monkeypatch) -> None:
    path = str(tmp_path / "log")
    monkeypatch.setattr(syslogsender, "LOCAL_SOCKETS", ("/nowhere", path))
    bound = receiver(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    process.send_to(options())
    process.write(b"hello\n")
    process.end()
    assert len(bound.datagrams()) == 1


def test_without_a_receiver_there_is_no_start(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(syslogsender, "LOCAL_SOCKETS", ("/nowhere",))
    for each, words in (
        (options(), "Unix syslog delivery error"),
        (
            options(network="tcp", address="127.0.0.1:1"),
            "dial tcp 127.0.0.1:1: connect: connection refused",
        ),
    ):
        sender = Sender(driver(each), str(tmp_path), 0, [].append)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its words are looked at below
            sender.dial()
        assert sender.failure(caught.value) == words


def bodies(data: bytes) -> list[bytes]:
    return re.findall(rb"(?m)^<[^\n]*?\]: (.*)\n", data)


def test_tcp_gets_every_line_and_the_process_waits_for_it(process, receiver) -> None:
    tcp = receiver(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    process.send_to(options(network="tcp", address=f"127.0.0.1:{tcp.sock.getsockname()[1]}"))
    data = b"".join(b"line %06d %s\n" % (n, b"x" * 100) for n in range(60_000))
    written = process.write(data)
    assert written < len(data)  # nobody reads: the process has to wait
    while written < len(data):
        tcp.stream()
        written += process.write(data[written:])
    process.end()
    process.until(lambda: tcp.stream().count(b"\n") == 60_000 and process.senders[0]._closed)
    assert bodies(tcp.data) == data.splitlines()
    assert process.said == []


def test_non_blocking_drops_whole_lines_and_never_waits(process, receiver) -> None:
    tcp = receiver(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    sender = process.send_to(
        options(network="tcp", address=f"127.0.0.1:{tcp.sock.getsockname()[1]}"), buffer=100_000
    )
    data = b"".join(b"line %06d %s\n" % (n, b"x" * 100) for n in range(60_000))
    assert process.write(data) == len(data)
    process.end()
    assert sender.dropped > 100_000
    process.until(lambda: tcp.stream() != b"" and sender._closed)
    tcp.stream()
    found = bodies(tcp.data)
    assert tcp.data.endswith(b"\n")
    assert set(found) <= set(data.splitlines())
    assert len(found) == len(set(found))
    assert found == sorted(found)


def test_a_collector_that_comes_back_gets_the_newest_lines(process, receiver) -> None:
    tcp = receiver(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    address = tcp.sock.getsockname()
    sender = process.send_to(options(network="tcp", address=f"127.0.0.1:{address[1]}"))
    process.write(b"first\n")
    process.until(lambda: b"first" in tcp.stream())
    tcp.close()
    data = b"".join(b"line %06d %s\n" % (n, b"x" * 100) for n in range(60_000))
    assert process.write(data) == len(data)  # with nobody there, the process does not wait
    process.until(lambda: sender._failures > 0)
    again = receiver(socket.AF_INET, socket.SOCK_STREAM, address)
    process.until(lambda: b"line 059999" in again.stream())
    found = bodies(again.data)
    assert found == data.splitlines()[-len(found) :]
    assert len(found) > 1000
    process.end()
    process.until(lambda: sender._closed)


def test_after_a_kill_the_next_one_goes_on(process, receiver, tmp_path) -> None:
    tcp = receiver(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    where = options(network="tcp", address=f"127.0.0.1:{tcp.sock.getsockname()[1]}")
    sender = process.send_to(where)
    process.write(b"one\ntwo\nthr")
    process.until(lambda: b"two" in tcp.stream())
    # Killed: nothing is closed; the next one finds the spools and the note.
    sender._hang_up()
    sender._closed = True
    for output in process.outputs.values():
        output.detach(sender)
    process.send_to(where, connected=False)
    process.write(b"ee\nfour\n")
    process.end()
    process.until(lambda: b"four" in tcp.stream())
    assert bodies(tcp.data) == [b"one", b"two", b"three", b"four"]


def test_a_datagram_that_nobody_takes_wakes_the_loop_once(process, receiver) -> None:
    udp = receiver(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    address = udp.sock.getsockname()
    udp.close()
    process.send_to(options(network="udp", address=f"127.0.0.1:{address[1]}"))
    process.write(b"one\n")
    process.until(lambda: process.outputs[1].spool.end > 0)
    assert sum(process.turn(0.01) for _ in range(20)) < 5
    again = receiver(socket.AF_INET, socket.SOCK_DGRAM, address)
    process.write(b"two\n")
    process.end()
    assert again.datagrams()[-1].endswith(b": two\n")


def test_long_lines_are_sent_in_pieces(process, receiver, tmp_path) -> None:
    path = str(tmp_path / "log")
    bound = receiver(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    process.send_to(options(network="unixgram", address=path))
    process.write(b"x" * 40_000 + b"\nnext\n")
    process.end()
    sizes = [len(each.split(b": ", 1)[1]) - 1 for each in bound.datagrams()]
    assert sizes == [16384, 16384, 40_000 - 2 * 16384, 4]


def test_a_tag_cannot_begin_another_message(process, receiver, tmp_path) -> None:
    path = str(tmp_path / "log")
    bound = receiver(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    process.send_to(options(network="unixgram", address=path, tag="a\n<0>evil\0"))
    process.write(b"hello\n")
    process.end()
    assert b" a?<0>evil?[" in bound.datagrams()[0]


def fields(data: bytes) -> dict[str, bytes]:
    """The fields of an entry in journald's native protocol."""
    found: dict[str, bytes] = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + length], data[9 + length :]
        found[name.decode()] = value
    return found


def test_journald_gets_fields(process, receiver, tmp_path, monkeypatch) -> None:
    path = str(tmp_path / "socket")
    monkeypatch.setattr(journaldsender, "SOCKET", path)
    bound = receiver(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    given = {"CONTAINER_NAME": "c", "CONTAINER_TAG": "two\nlines", "IMAGE_NAME": "busybox"}
    process.send_to({"driver": "journald", **{f"field:{k}": v for k, v in given.items()}})
    process.write(b"out\n")
    process.until(lambda: process.outputs[1].spool.end > 0)
    process.write(b"err \xff\x00\n" + b"x" * 20_000, 2)
    process.end()
    entries = list(map(fields, bound.datagrams()))
    first, second, third, fourth = entries
    for entry in entries:
        assert {k: entry[k] for k in given} == {k: v.encode() for k, v in given.items()}
        assert re.fullmatch(rb"\d{4}-.*T.*\.\d{9}Z", entry["SYSLOG_TIMESTAMP"])
    assert (first["MESSAGE"], first["PRIORITY"]) == (b"out", b"6")
    assert (second["MESSAGE"], second["PRIORITY"]) == (b"err \xff\x00", b"3")
    assert (len(third["MESSAGE"]), len(fourth["MESSAGE"])) == (16384, 20_000 - 16384)
    assert third["CONTAINER_PARTIAL_MESSAGE"] == b"true"
    assert [entry["CONTAINER_LOG_ORDINAL"] for entry in entries] == [b"1", b"2", b"3", b"4"]


def test_a_large_entry_goes_to_journald_in_a_sealed_file(receiver, tmp_path, monkeypatch) -> None:
    path = str(tmp_path / "socket")
    monkeypatch.setattr(journaldsender, "SOCKET", path)
    bound = receiver(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    journald = journaldsender.Journald({"field:LABEL": "v" * 300_000})
    with contextlib.closing(journald.connect()) as sock:
        message = journald.message(1, b"hello", partial=False)
        assert journald.send(sock, message) == len(message)
    select.select([bound.sock], [], [], 20)
    data, fds, _, _ = socket.recv_fds(bound.sock, 16, 1)
    assert data == b""
    with os.fdopen(fds[0], "rb") as file:
        file.seek(0)
        assert fields(file.read())["LABEL"] == b"v" * 300_000


def test_journald_that_is_not_there_is_said(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(journaldsender, "SOCKET", "/nowhere/socket")
    sender = Sender(driver({"driver": "journald"}), str(tmp_path), 0, [].append)
    with pytest.raises(OSError, match="journald is not enabled") as caught:
        sender.dial()
    assert sender.failure(caught.value) == "journald is not enabled on this host"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, with its key beside it."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cert"


class SecureServer:
    """A TLS server in a thread of its own, which reads slowly at first."""

    def __init__(self, certificate: Path) -> None:
        self.data = bytearray()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, certificate.with_name("key"))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            peer = self._server.accept()[0]
            with self._context.wrap_socket(peer, server_side=True) as secure:
                time.sleep(0.2)
                while block := secure.recv(1 << 16):
                    self.data += block

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(20)


def test_tls_with_lengths_before_messages(process, certificate: Path) -> None:
    server = SecureServer(certificate)
    try:
        process.send_to(
            options(
                network="tcp+tls",
                address=server.address,
                format="rfc5424",
                **{"tls-ca-cert": str(certificate)},
            )
        )
        data = b"".join(b"line %06d %s\n" % (n, b"x" * 100) for n in range(2_000))
        written = 0
        while written < len(data):
            written += process.write(data[written:])
        process.end()
        process.until(lambda: process.senders[0]._closed)
    finally:
        server.close()
    found, rest = [], bytes(server.data)
    while rest:
        length, _, rest = rest.partition(b" ")
        found.append(rest[: int(length)].rpartition(b" - ")[2])
        rest = rest[int(length) :]
    assert b"".join(found) == data


def test_tls_of_a_stranger_is_refused(certificate: Path, tmp_path: Path) -> None:
    for more, refused in (({}, True), ({"tls-skip-verify": "1"}, False)):
        server = SecureServer(certificate)
        sender = Sender(
            driver(options(network="tcp+tls", address=server.address, **more)),
            str(tmp_path),
            0,
            [].append,
        )
        try:
            if refused:
                with pytest.raises(OSError, match="certificate verify failed"):
                    sender.dial()
            else:
                sender.dial()
        finally:
            sender.close()
            server.close()
