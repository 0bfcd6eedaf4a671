from __future__ import annotations

import json
import socket
import struct

from support.engine import Engine


def connect(daemon: Engine, path: str) -> tuple[socket.socket, bytes, bytes]:
    """POST with an upgrade; the socket, the head of the answer, and what came behind it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(str(daemon.socket))
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    sock.sendall(request.encode())
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(4096)
        assert chunk, data
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return sock, head, rest


def read_all(sock: socket.socket, data: bytes) -> bytes:
    while chunk := sock.recv(1 << 16):
        data += chunk
    return data


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, size = struct.unpack(">BxxxL", data[:8])
        found.append((stream, data[8 : 8 + size]))
        data = data[8 + size :]
    return found


def create(daemon: Engine, name: str, script: str, **changes: object) -> None:
    body = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", script],
        "HostConfig": {"NetworkMode": "none"},
        **changes,
    }
    assert daemon.api("POST", f"/containers/create?name={name}", body)[0] == 201


def test_before_the_start(daemon: Engine, name: str) -> None:
    create(daemon, name, "echo first; echo second >&2")
    sock, head, rest = connect(daemon, f"/containers/{name}/attach?stream=1&stdout=1&stderr=1")
    with sock:
        assert head.startswith(b"HTTP/1.1 101 UPGRADED")
        assert daemon.api("POST", f"/containers/{name}/start")[0] == 204
        found = frames(read_all(sock, rest))
    assert sorted(found) == [(1, b"first\n"), (2, b"second\n")]


def test_half_close(daemon: Engine, name: str) -> None:
    create(daemon, name, "cat; echo end; sleep 0.2; echo really", OpenStdin=True, StdinOnce=True)
    path = f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    sock, _, rest = connect(daemon, path)
    with sock:
        daemon.api("POST", f"/containers/{name}/start")
        sock.sendall(b"input\n")
        sock.shutdown(socket.SHUT_WR)
        out = b"".join(data for _, data in frames(read_all(sock, rest)))
    assert out == b"input\nend\nreally\n"


def test_terminal_is_raw(daemon: Engine, name: str) -> None:
    create(daemon, name, "echo raw", Tty=True)
    sock, head, rest = connect(daemon, f"/containers/{name}/attach?stream=1&stdout=1")
    with sock:
        assert b"application/vnd.docker.raw-stream" in head
        daemon.api("POST", f"/containers/{name}/start")
        assert read_all(sock, rest) == b"raw\r\n"


def test_logs_first(daemon: Engine, name: str) -> None:
    create(daemon, name, "echo before; read x; echo after $x", OpenStdin=True)
    daemon.api("POST", f"/containers/{name}/start")
    while "before" not in daemon.docker("logs", name).out:
        pass
    path = f"/containers/{name}/attach?stream=1&logs=1&stdin=1&stdout=1"
    sock, _, rest = connect(daemon, path)
    with sock:
        sock.sendall(b"x\n")
        out = b"".join(data for _, data in frames(read_all(sock, rest)))
    assert out == b"before\nafter x\n"


def test_two_clients_see_the_same(daemon: Engine, name: str) -> None:
    create(daemon, name, "for i in 1 2 3; do echo $i; done")
    path = f"/containers/{name}/attach?stream=1&stdout=1"
    one, _, rest_one = connect(daemon, path)
    two, _, rest_two = connect(daemon, path)
    with one, two:
        daemon.api("POST", f"/containers/{name}/start")
        for sock, rest in ((one, rest_one), (two, rest_two)):
            out = b"".join(data for _, data in frames(read_all(sock, rest)))
            assert out == b"1\n2\n3\n"


def test_a_client_that_goes_away_does_no_harm(daemon: Engine, name: str) -> None:
    create(daemon, name, "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done; exit 3")
    sock, _, _ = connect(daemon, f"/containers/{name}/attach?stream=1&stdout=1")
    daemon.api("POST", f"/containers/{name}/start")
    sock.recv(100)
    sock.close()
    status, body = daemon.api("POST", f"/containers/{name}/wait")
    assert (status, json.loads(body)["StatusCode"]) == (200, 3)
    assert daemon.docker("logs", name).out.split() == list("12345678")


def test_detach_keys(daemon: Engine, name: str) -> None:
    create(daemon, name, "while read x; do echo got $x; done; sleep 30", Tty=True, OpenStdin=True)
    path = f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,b"
    sock, _, rest = connect(daemon, path)
    with sock:
        daemon.api("POST", f"/containers/{name}/start")
        sock.sendall(b"x\n")
        while b"got x" not in rest:
            rest += sock.recv(100)
        sock.sendall(b"\x01")
        sock.sendall(b"b")
        read_all(sock, b"")
    assert daemon.get(f"/containers/{name}/json")["State"]["Running"] is True


def test_unknown(daemon: Engine) -> None:
    sock, head, _ = connect(daemon, "/containers/nosuch/attach?stream=1&stdout=1")
    with sock:
        assert head.startswith(b"HTTP/1.1 404 ")


def test_docker_attach(daemon: Engine, name: str) -> None:
    create(daemon, name, "while [ ! -e /go ]; do sleep 0.05; done; echo seen; exit 8")
    daemon.docker("start", name)
    daemon.docker("exec", "-d", name, "sh", "-c", "sleep 0.5; touch /go")
    done = daemon.docker("attach", "--no-stdin", name, check=False)
    assert (done.code, done.out) == (8, "seen\n")
