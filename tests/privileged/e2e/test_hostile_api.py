"""Requests that are meant to do harm: none gives a 500, none ends the engine."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import resource
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from support import leaks
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

NASTY: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 2**64, -(2**63), 1e308, 0.5),
    *(
        "",
        "\0",
        "\ud800",
        "a" * 300,
        "a" * 70_000,
        "../../etc",
        "/",
        "%s%n",
        "é\u202e",
        "-1",
        "0x10",
        " ",
    ),
    *([], {}, [[]], [None], [{}], {"": ""}, {"a": None}, [1, "a"]),
)
CREATE = {
    "Image": "busybox:latest",
    "Cmd": ["true"],
    "Entrypoint": ["sh"],
    "Env": ["A=1"],
    "User": "1:1",
    "WorkingDir": "/tmp",
    "Labels": {"a": "b"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/v": {}},
    "StopSignal": "TERM",
    "StopTimeout": 1,
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "Retries": 2},
    "HostConfig": {
        "NetworkMode": "none",
        "Memory": 64 << 20,
        "MemorySwap": 64 << 20,
        "NanoCpus": 10**9,
        "CpuShares": 5,
        "CpusetCpus": "0",
        "PidsLimit": 10,
        "ShmSize": 1 << 20,
        "BlkioWeight": 50,
        "BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 5}],
        "Binds": ["named:/n:ro"],
        "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096}}],
        "Tmpfs": {"/tt": "size=1m"},
        "Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 5}],
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n"}],
        "DeviceCgroupRules": ["c 1:3 r"],
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Sysctls": {"net.ipv4.ip_forward": "0"},
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "PortBindings": {},
        "ExtraHosts": ["a:1.2.3.4"],
        "Dns": ["1.1.1.1"],
        "GroupAdd": ["5"],
        "MaskedPaths": ["/proc/kcore"],
        "ReadonlyPaths": ["/proc/sys"],
        "Annotations": {"a": "b"},
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "CgroupnsMode": "private",
        "Runtime": "knarr",
        "Init": True,
    },
    "NetworkingConfig": {"EndpointsConfig": {"none": {"Aliases": ["a"], "IPAMConfig": {}}}},
}
BODIES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/containers/create?name=made", CREATE),
    (
        "POST",
        "/containers/create",
        {
            "Image": "busybox",
            "HostConfig": {"DeviceRequests": [{"Driver": "x", "Capabilities": [["gpu"]]}]},
        },
    ),
    ("POST", "/containers/target/exec", {"Cmd": ["true"], "Env": ["A=1"], "User": "1"}),
    ("POST", "/containers/target/update", {"Memory": 64 << 20, "RestartPolicy": {"Name": "no"}}),
    ("POST", "/volumes/create", {"Name": "v1", "Driver": "local", "Labels": {"a": "b"}}),
    ("POST", "/networks/create", {"Name": "n1", "Driver": "bridge", "IPAM": {"Config": [{}]}}),
    ("POST", "/exec/nosuch/start", {"Detach": True, "Tty": False, "ConsoleSize": [1, 1]}),
    ("POST", "/commit?container=target&repo=made", {"Cmd": ["x"], "Labels": {"a": "b"}}),
)
QUERIES = (
    ("GET", "/containers/json", {"all": "1", "limit": "2", "size": "0", "filters": "{}"}),
    ("GET", "/containers/target/json", {"size": "1"}),
    ("GET", "/containers/target/logs", {"stdout": "1", "tail": "1", "since": "1", "until": "2"}),
    ("GET", "/containers/target/top", {"ps_args": "-ef"}),
    ("GET", "/containers/target/stats", {"stream": "0", "one-shot": "1"}),
    ("GET", "/containers/target/changes", {}),
    ("GET", "/containers/target/archive", {"path": "/etc"}),
    ("HEAD", "/containers/target/archive", {"path": "/etc"}),
    ("PUT", "/containers/target/archive", {"path": "/tmp", "noOverwriteDirNonDir": "1"}),
    ("POST", "/containers/nosuch/kill", {"signal": "CONT"}),
    ("POST", "/containers/target/resize", {"h": "1", "w": "1"}),
    ("POST", "/containers/target/rename", {"name": "target"}),
    ("POST", "/containers/nosuch/wait", {"condition": "next-exit"}),
    ("POST", "/containers/nosuch/attach", {"stream": "1", "detachKeys": "ctrl-a"}),
    ("POST", "/containers/prune", {"filters": '{"label":["a"]}'}),
    ("GET", "/images/json", {"all": "1", "filters": '{"reference":["a"]}'}),
    ("GET", "/images/busybox/history", {}),
    ("POST", "/images/busybox/tag", {"repo": "other", "tag": "x"}),
    ("DELETE", "/images/other", {"force": "1"}),
    ("GET", "/images/get", {"names": "nosuch"}),
    ("POST", "/images/prune", {"filters": '{"dangling":["true"]}'}),
    ("GET", "/volumes", {"filters": '{"name":["a"]}'}),
    ("DELETE", "/volumes/nosuch", {"force": "1"}),
    ("GET", "/networks", {"filters": '{"type":["builtin"]}'}),
    ("GET", "/events", {"since": "1", "until": "2", "filters": '{"type":["image"]}'}),
    ("GET", "/system/df", {"type": "volume"}),
    ("GET", "/info", {}),
    ("POST", "/build/prune", {"keep-storage": "1"}),
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Engine]:
    """The engine, with a container ``target`` that runs."""
    start_target(engine)
    yield engine
    engine.api("DELETE", "/containers/target?force=1")
    engine.api("DELETE", "/volumes/v1?force=1")
    for name in ("made", "other"):
        engine.api("DELETE", f"/images/{name}?force=1")


def start_target(engine: Engine) -> None:
    engine.docker(
        *("run", "-d", "--name", "target", "-l", "is.target", "--network", "none"),
        *("busybox", "sleep", "1000"),
    )


def send(engine: Engine, wire: bytes) -> bytes:
    """Send bytes, end the sending, and read a little; the engine may hang up at any time."""
    answer = b""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.settimeout(30)
        sock.connect(str(engine.socket))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(wire)
            sock.shutdown(socket.SHUT_WR)
            while len(answer) < 1 << 16 and (chunk := sock.recv(65536)):
                answer += chunk
    return answer


def request(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def assert_refused_or_done(wire: bytes, answer: bytes) -> None:
    assert not answer[:20].startswith(b"HTTP/1.1 500"), (wire[:2000], answer[:600])
    assert b"Traceback" not in answer, (wire[:2000], answer[:600])


def mutated(rng: random.Random, value: Any) -> Any:
    """The same JSON with one value, anywhere in it, replaced."""
    made = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                visit(node[key])

    visit(made)
    node, key = rng.choice(places)
    if isinstance(node, dict) and rng.random() < 0.1:
        node[rng.choice(["", "\0", "a" * 5000, "ID", "é"])] = node.pop(key)
    else:
        node[key] = rng.choice(NASTY)
    return made


def still_well(engine: Engine) -> None:
    """Undo what requests that made sense have done; the engine and the container must go on."""
    assert engine.process
    for item in engine.get("/containers/json?all=1"):
        if "is.target" not in item["Labels"]:
            engine.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")
        elif item["Names"] != ["/target"]:
            assert engine.api("POST", f"/containers/{item['Id']}/rename?name=target")[0] == 204
    engine.api("POST", "/containers/target/start")
    assert engine.process.poll() is None
    out = engine.docker("exec", "target", "echo", "well").line
    assert out == "well"


def test_mutated_bodies(hostile: Engine) -> None:
    rng = random.Random(1)
    for _ in range(300):
        method, path, body = rng.choice(BODIES) if rng.random() < 0.6 else BODIES[0]
        data = json.dumps(mutated(rng, body)).encode()
        wire = request(method, path, data)
        assert_refused_or_done(wire, send(hostile, wire))
    still_well(hostile)


def test_mutated_queries(hostile: Engine) -> None:
    rng = random.Random(2)
    for _ in range(200):
        method, path, query = rng.choice(QUERIES)
        changed: dict[str, Any] = dict(query)
        if changed and rng.random() < 0.8:
            key = rng.choice(list(changed))
            value = rng.choice(NASTY)
            text = value if isinstance(value, str) else json.dumps(value)
            changed[key] = text.encode("utf-8", "surrogatepass")[:8000]
        else:
            words = path.split("/")
            words[rng.randrange(1, len(words))] = rng.choice(["..", "%00", "%2f", "a" * 3000, ""])
            path = "/".join(words)
        target = path + "?" + "&".join(f"{name}={quote(each)}" for name, each in changed.items())
        wire = request(method, target, b"")
        assert_refused_or_done(wire, send(hostile, wire))
    still_well(hostile)


def test_mutated_bytes(hostile: Engine) -> None:
    rng = random.Random(3)
    for _ in range(200):
        method, path, body = rng.choice(BODIES)
        wire = bytearray(
            request(method, f"/v1.{rng.randrange(60)}{path}", json.dumps(body).encode())
        )
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(wire))
            match rng.randrange(4):
                case 0:
                    wire[at] = rng.randrange(256)
                case 1:
                    del wire[at : at + rng.randint(1, 30)]
                case 2:
                    wire[at:at] = rng.randbytes(rng.randint(1, 30))
                case 3:
                    wire[at:at] = wire[at : at + 50]
        assert_refused_or_done(bytes(wire), send(hostile, bytes(wire)))
    still_well(hostile)


@pytest.mark.parametrize(
    "path", ["/containers/create", "/containers/target/exec", "/volumes/create", "/commit"]
)
def test_giant_bodies(hostile: Engine, path: str) -> None:
    for body in (
        b"[" * 200_000,
        b'{"Labels":' * 100_000,
        b'{"Labels":{' + b",".join(b'"%d":"x"' % n for n in range(200_000)) + b"}}",
        b'{"Cmd":["' + b"a" * (20 << 20) + b'"]}',
        b" " * (20 << 20),
        b'{"Image":"busybox","Cmd":["x"],"Env":[' + b'"A=1",' * 300_000 + b'"A=1"]}',
    ):
        wire = request("POST", path, body)
        assert_refused_or_done(wire, send(hostile, wire))
    huge = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (8 << 20) + b"\r\n\r\n"
    assert_refused_or_done(huge, send(hostile, huge))
    still_well(hostile)


def idle_connections(engine: Engine, number: int) -> list[socket.socket]:
    """Connections that say nothing, or half a request."""
    opened = []
    for n in range(number):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30)
        sock.connect(str(engine.socket))
        if n % 3 == 1:
            sock.sendall(b"POST /containers/create HTTP/1.1\r\nContent-Len")
        elif n % 3 == 2:
            sock.sendall(b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        opened.append(sock)
    return opened


def test_five_hundred_idle_connections(hostile: Engine) -> None:
    before = sum(leaks.descriptors(hostile.pid).values())
    opened = idle_connections(hostile, 500)
    try:
        still_well(hostile)
        assert hostile.get("/containers/json")
    finally:
        for sock in opened:
            sock.close()
    settled = wait_for(lambda: sum(leaks.descriptors(hostile.pid).values()) <= before + 20)
    assert settled, leaks.descriptors(hostile.pid)
    still_well(hostile)


def test_more_connections_than_descriptors(make_engine: Callable[..., Engine]) -> None:
    """What is beyond the limit waits in the backlog; afterwards everything works again."""
    engine = make_engine()
    start_target(engine)
    used = sum(leaks.descriptors(engine.pid).values())
    resource.prlimit(engine.pid, resource.RLIMIT_NOFILE, (used + 60, used + 60))
    opened = idle_connections(engine, 100)
    for sock in opened:
        sock.close()
    assert wait_for(lambda: engine.docker("ps", "-q", check=False).code == 0)
    still_well(engine)
    assert engine.docker("run", "--rm", "--network", "none", "busybox", "echo", "on").line == "on"


def wait_for(condition: Callable[[], bool]) -> bool:
    import time

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
